"""Idle frames: a comment, or a checkpoint after events that the stream does not show (C12)."""

import itertools
import time
from collections.abc import Callable

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver, hidden_event, order_placed
from tests.harness.waiting import wait_until_async

ORDERS = "/api/stream/orders"
TRADING = "/api/stream/trading"
PRICES = "/api/stream/prices?symbols=NOBODY-QUOTES-IT"
SECONDS = 0.3


@pytest.fixture
def quick(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(SSE_KEEPALIVE_INTERVAL=SECONDS)


@pytest.fixture
async def cookie(quick: EdgeProcess, alice: str) -> str:
    return await quick.sign_in(alice)


@pytest.mark.parametrize("path", [ORDERS, TRADING, PRICES])
async def test_idle_stream_sends_a_comment_at_each_interval(
    quick: EdgeProcess, cookie: str, path: str
) -> None:
    since = time.monotonic()
    async with await quick.open_stream(path, cookie) as stream:
        awaited = {PRICES: {"price:update"}, TRADING: {"order:update", "account:update"}}
        for name in awaited.get(path, {"order:update"}):
            if name not in {frame.event for frame in stream.frames}:
                await stream.read_until(name)
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"
        assert time.monotonic() - since >= 3 * SECONDS * 0.9


async def test_busy_stream_sends_no_comment(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    async with await quick.open_stream(ORDERS, cookie) as stream:
        before = sampled = time.monotonic()
        await stream.read_until("order:update")
        while sampled - before < SECONDS * 5:
            last, sampled = sampled, time.monotonic()
            await journal.append(alice, order_placed())
            while (frame := await stream.read()).event != "order:update":
                # On a busy machine, the interval may pass between two events.
                assert time.monotonic() - last >= SECONDS, frame


async def test_checkpoint_is_sent_after_an_event_that_the_stream_does_not_show(
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
        # The checkpoint is sent once. The next idle frame is a comment.
        assert (await stream.read()).raw == b": keepalive"
    assert stream.sequences == sorted(set(stream.sequences))


async def test_checkpoint_is_sent_on_a_stream_that_is_busy_with_quotes(
    harness: Harness,
    alice: str,
    journal: EventLogDriver,
    market: QuoteDriver,
    fresh: Callable[[str], str],
) -> None:
    """Regression: quotes have no ids, and with frequent quotes the stream was never idle.

    The last event id of a client with alerts and prices fell further behind with each order.
    """
    edge, symbol = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=1), fresh("BUSY")
    cookie = await edge.sign_in(alice)
    path = f"/api/stream?topics=alerts,prices:{symbol}"
    async with await edge.open_stream(path, cookie) as stream:
        await stream.read_until("checkpoint")
        last = await journal.append(alice, hidden_event(), domain="notes")
        prices = itertools.count(1)

        async def quoted_until_told() -> str | None:
            await market.publish(symbol, next(prices))
            return (await stream.read()).id

        await wait_until_async("the checkpoint", quoted_until_told)
    assert (stream.frames[-1].event, stream.sequences[-1]) == ("checkpoint", last)


async def test_other_users_events_cause_no_checkpoint(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    async with await quick.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(f"not-{alice}", order_placed())
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"


async def test_stream_resumes_from_a_checkpoint(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """A checkpoint has data, because some clients drop the id of an event without data.

    It keeps the id of a quiet client ahead of the trimmed part of the log.
    """
    async with await quick.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(alice, hidden_event(), domain="notes")
        checkpoint = await stream.read_until("checkpoint")
    last = await journal.append(alice, order_placed("next"))
    async with await quick.open_stream(ORDERS, cookie, last_event_id=checkpoint.id) as stream:
        assert (await stream.read()).sequence == last


async def test_checkpoint_is_sent_after_a_replay_without_visible_events(
    quick: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """The position advances during the replay, too."""
    start = await journal.append(alice, order_placed())
    last = await journal.append(alice, hidden_event(), domain="notes")
    async with await quick.open_stream(ORDERS, cookie, last_event_id=str(start)) as stream:
        assert (await stream.read_until("checkpoint")).sequence == last


async def test_no_idle_frame_is_sent_within_the_interval(
    edge: EdgeProcess, alice: str, journal: EventLogDriver
) -> None:
    """The default interval is 30 seconds."""
    cookie = await edge.sign_in(alice)
    async with await edge.open_stream(ORDERS, cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(alice, hidden_event(), domain="notes")
        with pytest.raises(TimeoutError):
            await stream.read(seconds=1)
