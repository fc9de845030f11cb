"""How far the broker reports to have come."""

import asyncio

import pytest

from tapewire.log import Unavailable
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.progress import GetProgress, Progress
from tapewire.runtime.progress import ProgressReporter
from tests.harness.memory_process import make_context
from tests.harness.orders_process import OrdersProcess, QuoteSimulator, place_request, wait_for_log

pytestmark = pytest.mark.virtual_time


async def get_progress(process: OrdersProcess) -> Progress:
    reporter = ProgressReporter(
        [process.runner.subscription],
        pending_count=process.runner.pending_count,
        quote_times=process.quote_cache.timestamps,
    )
    return await reporter.get_progress(GetProgress(), make_context())


async def test_it_is_idle_at_the_end_of_the_log_and_at_the_newest_quote() -> None:
    server = MemoryServer()
    await QuoteSimulator(server).publish_quote("99", "100", "4")
    process = OrdersProcess(server)
    with pytest.raises(Unavailable, match="still reading"):
        await get_progress(process)
    await process.start()
    await process.place_order(place_request("10"))
    seen = await wait_for_log(server, "waiting for more", lambda seen: len(seen.events) == 5)
    await asyncio.sleep(1)
    progress, quote = await get_progress(process), process.quote_cache.quote("IBM")
    assert quote is not None
    assert (progress.busy, progress.taken) == (0, {"ev.*.orders.>": seen.events[4].sequence})
    assert progress.quotes == {"IBM": quote.timestamp}
    await process.kill()


async def test_it_is_busy_while_an_execution_cannot_be_stored() -> None:
    server = MemoryServer()
    feed = QuoteSimulator(server)
    await feed.publish_quote("90", "100")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10", limit="95"))
    await wait_for_log(server, "accepted", lambda seen: len(seen.events) == 2)
    await asyncio.sleep(1)
    assert (await get_progress(process)).busy == 0
    process.log.kill()
    await feed.publish_quote("90", "95")
    await asyncio.sleep(1)
    assert (await get_progress(process)).busy == 1
    await process.kill()
