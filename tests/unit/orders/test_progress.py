"""How far the broker says it is."""

import asyncio

import pytest

from tapewire.log import Unavailable
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.progress import GetProgress, Progress
from tapewire_services.orders.broker import PaperBroker
from tapewire_services.orders.broker_consumer import run_broker
from tapewire_services.orders.progress import BrokerProgress
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    clock,
    make_context,
    place_request,
    wait_for_log,
)

pytestmark = pytest.mark.virtual_time


class Standing:
    """A process whose broker tells how far it is."""

    def __init__(self, process: OrdersProcess) -> None:
        self._process = process
        self._progress = BrokerProgress(process.quote_cache)

    async def begin(self) -> None:
        process = self._process
        await process.start(with_broker=False)
        make = lambda: PaperBroker(process.quote_cache, clock)  # noqa: E731
        work = run_broker(
            process.log,
            process.views,
            process.orders,
            make,
            process.rng,
            self._progress.on_broker_started,
        )
        process.tasks.append(asyncio.create_task(work))

    async def told(self) -> Progress:
        return await self._progress.get_progress(GetProgress(), make_context())


async def test_it_is_idle_at_the_end_of_the_log_and_at_the_newest_quote() -> None:
    server = MemoryServer()
    feed = QuoteSimulator(server)
    await feed.publish_quote("99", "100", "4")
    process = OrdersProcess(server)
    standing = Standing(process)
    with pytest.raises(Unavailable, match="still reading"):
        await standing.told()
    await standing.begin()
    await process.place_order(place_request("10"))
    seen = await wait_for_log(server, "filled in part", lambda seen: len(seen.events) == 4)
    await asyncio.sleep(1)
    told, quote = await standing.told(), process.quote_cache.quote("IBM")
    assert quote is not None
    assert (told.busy, told.taken) == (0, {"ev.*.orders.>": seen.events[2].sequence})
    assert told.quotes == {"IBM": quote.timestamp}
    await process.kill()


async def test_it_is_busy_while_an_execution_cannot_be_stored() -> None:
    server = MemoryServer()
    await QuoteSimulator(server).publish_quote()
    process = OrdersProcess(server)
    standing = Standing(process)
    await standing.begin()
    await asyncio.sleep(1)
    await process.place_order(place_request("10"))
    assert (await standing.told()).busy == 0, "it has not heard of the order yet"
    await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
    await asyncio.sleep(1)
    process.log.kill()
    assert (await standing.told()).busy == 0
    await process.kill()
