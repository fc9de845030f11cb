"""Idle connections: a comment, or a checkpoint when the user's position moved on unseen (C12)."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver, hidden_event, order_placed
from tests.harness.waiting import wait_until_async

ORDERS = "/api/stream/orders"
PRICES = "/api/stream/prices?symbols=NOBODY-QUOTES-IT"
SECONDS = 0.3


@pytest.fixture
def quick(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(SSE_KEEPALIVE_INTERVAL=SECONDS)


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
async def cookie(quick: EdgeProcess, alice: str) -> str:
    return await quick.sign_in(alice)


@pytest.mark.parametrize("path", [ORDERS, "/api/stream/trading", PRICES])
async def test_a_comment_at_the_interval(quick: EdgeProcess, cookie: str, path: str) -> None:
    since = time.monotonic()
    async with await quick.open_stream(path, cookie) as stream:
        await stream.read_until({PRICES: "price:update"}.get(path, "order:update"))
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"
        assert time.monotonic() - since >= 3 * SECONDS * 0.9


async def test_none_on_a_stream_that_is_busy(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    async with await quick.open_stream(ORDERS, cookie) as stream:
        before = asked = time.monotonic()
        await stream.read_until("order:update")
        while asked - before < SECONDS * 5:
            last, asked = asked, time.monotonic()
            await journal.append(alice, order_placed())
            while (frame := await stream.read()).event != "order:update":
                # On a machine that is busy elsewhere: the interval went by between two events.
                assert time.monotonic() - last >= SECONDS, frame


async def test_a_checkpoint_when_the_position_moved_on(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    async with await quick.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        last = await journal.append(alice, hidden_event(), domain="notes")
        checkpoint = await stream.read_until("checkpoint", lambda f: f.event == "checkpoint")
        assert checkpoint.raw == (
            b"event: checkpoint\ndata: {}\nid: %b-%d\nretry: 5000"
            % ((await journal.epoch()).encode(), last)
        )
        # Said once; then it is a comment again.
        assert (await stream.read()).raw == b": keepalive"
    assert stream.sequences == sorted(set(stream.sequences))


async def test_a_checkpoint_comes_to_a_stream_that_values_keep_busy_too(
    harness: Harness,
    alice: str,
    journal: EventLogDriver,
    market: QuoteDriver,
    fresh: Callable[[str], str],
) -> None:
    """The regression: quotes have no ids, and left no moment in which the stream was idle; so a
    reader of alerts and prices kept an id that was older with each order."""
    edge, symbol = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=1), fresh("BUSY")
    cookie = await edge.sign_in(alice)
    path = f"/api/stream?topics=alerts,prices:{symbol}"
    async with await edge.open_stream(path, cookie) as stream:
        await stream.read_until("checkpoint")
        last = await journal.append(alice, hidden_event(), domain="notes")
        prices = itertools.count(1)

        async def quoted_until_told() -> Any:
            await market.publish(symbol, next(prices))
            return (await stream.read()).id

        await wait_until_async("the checkpoint", quoted_until_told)
    assert (stream.frames[-1].event, stream.sequences[-1]) == ("checkpoint", last)


async def test_none_for_what_happened_to_others(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    async with await quick.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(f"not-{alice}", order_placed())
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"


async def test_the_checkpoint_is_an_id_to_resume_from(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """It carries data, without which some clients drop the id; and it keeps a quiet client's id
    ahead of what is trimmed."""
    async with await quick.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(alice, hidden_event(), domain="notes")
        checkpoint = await stream.read_until("checkpoint")
    last = await journal.append(alice, order_placed("next"))
    async with await quick.open_stream(ORDERS, cookie, last_event_id=checkpoint.id) as stream:
        assert (await stream.read()).sequence == last


async def test_after_a_resume_past_unseen_events_too(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """The position moves on during the replay as well."""
    start = await journal.append(alice, order_placed())
    last = await journal.append(alice, hidden_event(), domain="notes")
    async with await quick.open_stream(ORDERS, cookie, last_event_id=str(start)) as stream:
        assert (await stream.read_until("checkpoint")).sequence == last


async def test_nothing_idle_within_the_interval(
    edge: EdgeProcess, alice: str, journal: EventLogDriver
) -> None:
    """The default is 30 s."""
    cookie = await edge.sign_in(alice)
    async with await edge.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(alice, hidden_event(), domain="notes")
        with pytest.raises(TimeoutError):
            await stream.read(seconds=1)
