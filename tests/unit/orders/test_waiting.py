"""What resting orders wait for, and when the log says so. In virtual time."""

import asyncio

import pytest

from tapewire.events import CODEC, OrderEvent, OrderWaiting
from tapewire.log.freshness import DEFAULT_STALE_SECONDS
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire_services.orders.domain.waiting_monitor import BURST_CHANGES, SECONDS_PER_CHANGE
from tests.harness.order_builders import quote
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    clock,
    place_request,
    read_log_summary,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time

NOTED_SECONDS = 0.5
"""How soon a reason is in the log."""


@pytest.fixture
async def server() -> MemoryServer:
    """Return a server whose clock is that of the orders and quotes."""
    return MemoryServer(now=clock)


@pytest.fixture
async def feed(server: MemoryServer) -> QuoteSimulator:
    return QuoteSimulator(server)


def order_states(seen: OrdersLogSummary) -> list[str]:
    """Each event of an order, with what it waits for afterwards."""
    return [
        recorded.tag.split(".")[1]
        + (f" {event.order.waiting.value}" if event.order.waiting is not None else "")
        for recorded in seen.events
        if isinstance(event := recorded.event, OrderEvent)
    ]


async def states_after(server: MemoryServer, seconds: float) -> list[str]:
    await asyncio.sleep(seconds)
    return order_states(await read_log_summary(server))


async def wait_until_filled(server: MemoryServer) -> list[str]:
    return order_states(
        await wait_for_log(server, "closed", lambda seen: seen.orders and not seen.open_orders())
    )


async def test_a_market_order_is_not_filled_at_a_stale_quote_and_says_so(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    process = await OrdersProcess(server, with_staleness=True).start()
    await feed.publish_quote()
    await asyncio.sleep(DEFAULT_STALE_SECONDS)
    await process.place_order(place_request("10"))
    waiting = ["placed", "accepted", "waiting stale_quote"]
    assert await states_after(server, NOTED_SECONDS) == waiting
    assert await states_after(server, 60) == waiting, "it is noted once"
    await feed.repeat_quote()
    assert await wait_until_filled(server) == [*waiting, "filled"]
    await assert_verified(server, allow_pending=True)
    await process.kill()


async def test_a_quote_that_was_only_stored_fills_nothing_until_it_is_confirmed(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    process = await OrdersProcess(server, with_staleness=True).start()
    await process.place_order(place_request("10", limit="100"))
    waiting = ["placed", "accepted", "waiting stale_quote"]
    assert await states_after(server, NOTED_SECONDS) == waiting
    await feed.repeat_quote()
    assert await wait_until_filled(server) == [*waiting, "filled"]
    await process.kill()


@pytest.mark.parametrize(("seconds_old", "is_executed"), [(60, True), (600, False)])
async def test_a_quote_of_long_ago_is_stale_when_it_arrives_and_one_of_a_late_clock_is_not(
    server: MemoryServer, seconds_old: float, is_executed: bool
) -> None:
    process = await OrdersProcess(server, with_staleness=True).start()
    await asyncio.sleep(600)
    old = quote(second=600 - seconds_old)
    for _ in range(3):  # confirmed by its producer, it is as old as before
        await MemoryLatestValueStore(server).put("IBM", CODEC.encode(old))
        await asyncio.sleep(0.5)
    await process.place_order(place_request("10"))
    end = "filled" if is_executed else "waiting stale_quote"
    assert await states_after(server, NOTED_SECONDS) == ["placed", "accepted", end]
    new = quote(second=601)
    await MemoryLatestValueStore(server).put("IBM", CODEC.encode(new))
    assert (await wait_until_filled(server))[-1] == "filled"
    await process.kill()


async def test_an_order_says_when_the_market_that_it_waits_in_falls_silent(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    process = await OrdersProcess(server, with_staleness=True).start()
    await feed.publish_quote("99", "100", "0")
    await process.place_order(place_request("10"))
    waiting = ["placed", "accepted", "waiting no_offer"]
    assert await states_after(server, DEFAULT_STALE_SECONDS - 0.1) == waiting
    assert await states_after(server, 0.1 + NOTED_SECONDS) == [*waiting, "waiting stale_quote"]
    await process.kill()


@pytest.mark.parametrize(
    ("bid", "ask", "size", "reason"),
    [
        ("101", "100", "1000", "crossed"),
        ("99", "100", "0", "no_offer"),
        ("0", "0", "0", "no_offer"),
    ],
)
async def test_a_market_order_that_cannot_be_filled_says_why_and_is_filled_later(
    server: MemoryServer, feed: QuoteSimulator, bid: str, ask: str, size: str, reason: str
) -> None:
    process = await OrdersProcess(server).start()
    await feed.publish_quote(bid, ask, size)
    await process.place_order(place_request("10"))
    waiting = ["placed", "accepted", f"waiting {reason}"]
    assert await states_after(server, NOTED_SECONDS) == waiting
    await feed.publish_quote(bid, ask, size)
    assert await states_after(server, 2) == waiting
    await feed.publish_quote("99", "100")
    assert await wait_until_filled(server) == [*waiting, "filled"]
    await process.kill()


async def test_the_rest_of_an_order_waits_for_another_offer(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100", "0.3")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("1"))
    for _ in range(5):
        await feed.publish_quote("99", "100", "0.3")
        await asyncio.sleep(NOTED_SECONDS)
    filled = ["placed", "accepted", "filled", "waiting no_offer"]
    assert order_states(await read_log_summary(server)) == filled
    await feed.publish_quote("99", "100", "0.7")
    assert await wait_until_filled(server) == [*filled, "filled"]
    await process.kill()


async def test_a_limit_order_that_the_price_leaves_waits_for_nothing_else(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100", "0")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10", limit="100"))
    noted = ["placed", "accepted", "waiting no_offer"]
    assert await states_after(server, NOTED_SECONDS) == noted
    await feed.publish_quote("99", "100.5", "0")
    assert await states_after(server, NOTED_SECONDS) == [*noted, "waiting"]
    await feed.publish_quote("99", "100.5", "1000")
    assert await states_after(server, 5) == [*noted, "waiting"]
    await process.kill()


async def test_a_flickering_quote_writes_nothing(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    process = await OrdersProcess(server).start()
    await feed.publish_quote("99", "100", "0")
    await process.place_order(place_request("10"))
    for _ in range(100):
        await feed.publish_quote("101", "100", "0")
        await asyncio.sleep(0.15)
        await feed.publish_quote("99", "100", "0")
        await asyncio.sleep(0.15)
    assert order_states(await read_log_summary(server)) == ["placed", "accepted"]
    await process.kill()


async def test_reasons_that_keep_changing_are_noted_within_a_budget(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    process = await OrdersProcess(server).start()
    await feed.publish_quote("99", "100", "0")
    await process.place_order(place_request("10"))
    minutes = 10
    for _ in range(minutes * 60):
        await feed.publish_quote("101", "100", "0")
        await asyncio.sleep(NOTED_SECONDS)
        await feed.publish_quote("99", "100", "0")
        await asyncio.sleep(NOTED_SECONDS)
    seen = await read_log_summary(server)
    changes = [one for one in seen.events if isinstance(one.event, OrderWaiting)]
    budget = BURST_CHANGES + minutes * 60 / SECONDS_PER_CHANGE
    assert BURST_CHANGES < len(changes) <= budget
    await feed.publish_quote("101", "100", "0")
    await asyncio.sleep(SECONDS_PER_CHANGE + NOTED_SECONDS)
    last = order_states(await read_log_summary(server))[-1]
    assert last == "waiting crossed", "a reason that lasts is noted in the end"
    await process.kill()


async def test_the_next_broker_knows_what_orders_wait_for(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100", "0")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10"))
    await process.place_order(place_request("10", limit="100"))
    noted = sorted(["placed", "accepted", "waiting no_offer"] * 2)
    assert sorted(await states_after(server, NOTED_SECONDS)) == noted
    await process.kill()
    process = await OrdersProcess(server).start()
    assert sorted(await states_after(server, 5)) == noted, "it is not noted again"
    await process.kill()
    await feed.publish_quote("99", "101", "0")
    process = await OrdersProcess(server).start()
    assert (await states_after(server, 5))[6:] == ["waiting"], "the limit order's price is gone"
    await process.kill()


async def test_a_canceled_order_waits_for_nothing(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("101", "100")
    process = await OrdersProcess(server).start()
    placed = await process.place_order(place_request("10"))
    await asyncio.sleep(NOTED_SECONDS)
    await process.cancel_order(placed.order.order_id)
    noted = ["placed", "accepted", "waiting crossed", "canceled"]
    assert await states_after(server, 5) == noted
    await process.kill()
