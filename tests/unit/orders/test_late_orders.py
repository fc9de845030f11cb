"""Orders that were stored long after they were placed are rejected, not executed (W9).

The regression: an order whose append waited 45 s in a suspended message server was executed at the
price of that moment, after its user had been told to try again.
"""

import asyncio
from collections.abc import Sequence

import pytest

from tapewire.log import EventDraft
from tapewire.log.memory import MemoryServer
from tapewire_services.orders.broker_runner import MAX_STORING_TIME, BrokerRunner
from tapewire_services.orders.paper_broker import PaperBroker
from tests.harness.memory_process import make_context
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    clock,
    never_stale,
    order_statuses,
    place_request,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time

LATE_SECONDS = 45.0


@pytest.fixture
async def server() -> MemoryServer:
    """Return a server whose clock is that of the orders."""
    return MemoryServer(now=clock)


def exchange_process(server: MemoryServer) -> OrdersProcess:
    """A process with a broker, as the wiring makes it."""
    process = OrdersProcess(server)
    process.runner = BrokerRunner(
        process.log,
        process.views,
        process.reporter,
        lambda open_orders: PaperBroker(process.quote_cache, clock, never_stale).take_over(
            open_orders
        ),
        process.rng,
        max_storing_time=MAX_STORING_TIME,
    )
    return process


async def place_after(
    server: MemoryServer,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    *,
    limit: str | None = None,
) -> None:
    """Place an order whose append arrives at the server after `seconds`."""
    process = await OrdersProcess(server).start(with_broker=False)
    append = process.log.append

    async def append_later(drafts: Sequence[EventDraft]) -> int:
        await asyncio.sleep(seconds)
        return await append(drafts)

    monkeypatch.setattr(process.log, "append", append_later)
    await process.service.place(place_request(limit=limit), make_context())


@pytest.mark.parametrize("limit", [None, "100", "1"], ids=["market", "marketable", "resting"])
async def test_an_order_that_was_stored_late_is_rejected(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch, limit: str | None
) -> None:
    await QuoteSimulator(server).publish_quote()
    await exchange_process(server).start()
    await place_after(server, monkeypatch, LATE_SECONDS, limit=limit)
    seen = await wait_for_log(server, "rejected", lambda log: not log.open_orders())
    assert order_statuses(seen) == ["rejected 0"]
    [order] = seen.orders.values()
    assert order.reason == "it was stored too long after it was placed"
    assert [recorded.tag for recorded in seen.events] == ["order.placed.v1", "order.rejected.v1"]
    await assert_verified(server, allow_pending=True)  # notifications have no service here


async def test_an_order_that_was_stored_in_time_is_executed(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await QuoteSimulator(server).publish_quote()
    await exchange_process(server).start()
    await place_after(server, monkeypatch, MAX_STORING_TIME.total_seconds() - 1)
    seen = await wait_for_log(server, "filled", lambda log: not log.open_orders())
    assert order_statuses(seen) == ["filled 10"]


async def test_a_late_order_is_rejected_by_a_broker_that_starts_after_it(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker finds it among the open orders; how old it is then does not matter."""
    await QuoteSimulator(server).publish_quote()
    await place_after(server, monkeypatch, LATE_SECONDS)
    await place_after(server, monkeypatch, 1)
    await asyncio.sleep(600)
    await exchange_process(server).start()
    seen = await wait_for_log(server, "both ended", lambda log: not log.open_orders())
    assert sorted(order_statuses(seen)) == ["filled 10", "rejected 0"]


async def test_a_late_order_can_be_canceled_before_it_is_rejected(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await QuoteSimulator(server).publish_quote()
    await place_after(server, monkeypatch, LATE_SECONDS)
    process = exchange_process(server)
    [order_id] = (await wait_for_log(server, "placed", lambda log: log.orders)).orders
    await process.start_quotes()
    await process.cancel_order(order_id)
    await exchange_process(server).start()
    await asyncio.sleep(60)
    seen = await wait_for_log(server, "canceled", lambda log: not log.open_orders())
    assert order_statuses(seen) == ["canceled 0"]
