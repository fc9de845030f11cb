"""Idle connections: a comment, or a checkpoint when the user's position moved on unseen (C12)."""

import itertools
import time
from collections.abc import Callable

import pytest

from tests.integration.edge.house import Edge, House
from tests.integration.edge.market import Journal, Market, elsewhere, placed
from tests.waiting import eventually

ORDERS = "/api/stream/orders"
PRICES = "/api/stream/prices?symbols=NOBODY-QUOTES-IT"
SECONDS = 0.3


@pytest.fixture
def quick(house: House) -> Edge:
    return house.shared_edge(SSE_KEEPALIVE_INTERVAL=SECONDS)


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
async def cookie(quick: Edge, alice: str) -> str:
    return await quick.sign_in(alice)


@pytest.mark.parametrize("path", [ORDERS, "/api/stream/trading", PRICES])
async def test_a_comment_at_the_interval(quick: Edge, cookie: str, path: str) -> None:
    since = time.monotonic()
    async with await quick.follow(path, cookie) as stream:
        await stream.until({PRICES: "price:update"}.get(path, "order:update"))
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"
        assert time.monotonic() - since >= 3 * SECONDS * 0.9


async def test_none_on_a_stream_that_is_busy(
    quick: Edge, alice: str, cookie: str, journal: Journal
) -> None:
    async with await quick.follow(ORDERS, cookie) as stream:
        before = asked = time.monotonic()
        await stream.until("order:update")
        while asked - before < SECONDS * 5:
            last, asked = asked, time.monotonic()
            await journal.append(alice, placed())
            while (frame := await stream.read()).event != "order:update":
                # On a machine that is busy elsewhere: the interval went by between two events.
                assert time.monotonic() - last >= SECONDS, frame


async def test_a_checkpoint_when_the_position_moved_on(
    quick: Edge, alice: str, cookie: str, journal: Journal
) -> None:
    async with await quick.follow(ORDERS, cookie) as stream:
        await stream.until("order:update")
        last = await journal.append(alice, elsewhere(), domain="notes")
        checkpoint = await stream.until("checkpoint", lambda f: f.event == "checkpoint")
        assert checkpoint.raw == (
            b"event: checkpoint\ndata: {}\nid: %b-%d\nretry: 5000"
            % ((await journal.epoch()).encode(), last)
        )
        # Said once; then it is a comment again.
        assert (await stream.read()).raw == b": keepalive"
    assert stream.sequences == sorted(set(stream.sequences))


async def test_a_checkpoint_comes_to_a_stream_that_values_keep_busy_too(
    house: House, alice: str, journal: Journal, market: Market, fresh: Callable[[str], str]
) -> None:
    """The regression: quotes have no ids, and left no moment in which the stream was idle; so a
    reader of alerts and prices kept an id that was older with each order."""
    edge, symbol = house.shared_edge(SSE_KEEPALIVE_INTERVAL=1), fresh("BUSY")
    cookie = await edge.sign_in(alice)
    path = f"/api/stream?topics=alerts,prices:{symbol}"
    async with await edge.follow(path, cookie) as stream:
        await stream.until("checkpoint")
        last = await journal.append(alice, elsewhere(), domain="notes")
        prices = itertools.count(1)

        async def quoted_until_told():
            await market.quote(symbol, next(prices))
            return (await stream.read()).id

        await eventually("the checkpoint", quoted_until_told)
    assert (stream.frames[-1].event, stream.sequences[-1]) == ("checkpoint", last)


async def test_none_for_what_happened_to_others(
    quick: Edge, alice: str, cookie: str, journal: Journal
) -> None:
    async with await quick.follow(ORDERS, cookie) as stream:
        await stream.until("order:update")
        await journal.append(f"not-{alice}", placed())
        for _ in range(3):
            assert (await stream.read()).raw == b": keepalive"


async def test_the_checkpoint_is_an_id_to_resume_from(
    quick: Edge, alice: str, cookie: str, journal: Journal
) -> None:
    """It carries data, without which some clients drop the id; and it keeps a quiet client's id
    ahead of what is trimmed."""
    async with await quick.follow(ORDERS, cookie) as stream:
        await stream.until("order:update")
        await journal.append(alice, elsewhere(), domain="notes")
        checkpoint = await stream.until("checkpoint")
    last = await journal.append(alice, placed("next"))
    async with await quick.follow(ORDERS, cookie, last_event_id=checkpoint.id) as stream:
        assert (await stream.read()).sequence == last


async def test_after_a_resume_past_unseen_events_too(
    quick: Edge, alice: str, cookie: str, journal: Journal
) -> None:
    """The position moves on during the replay as well."""
    start = await journal.append(alice, placed())
    last = await journal.append(alice, elsewhere(), domain="notes")
    async with await quick.follow(ORDERS, cookie, last_event_id=str(start)) as stream:
        assert (await stream.until("checkpoint")).sequence == last


async def test_nothing_idle_within_the_interval(edge: Edge, alice: str, journal: Journal) -> None:
    """The default is 30 s."""
    cookie = await edge.sign_in(alice)
    async with await edge.follow(ORDERS, cookie) as stream:
        await stream.until("order:update")
        await journal.append(alice, elsewhere(), domain="notes")
        with pytest.raises(TimeoutError):
            await stream.read(seconds=1)
