"""Reconnect storms (B5): how much of the log an edge reads when all clients return at once.

An edge requests the log page by page. A second NATS client observes each request, and the end of
its response.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tapewire.log.jetstream import connect
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, order_placed, orders_placed

ORDERS = "/api/stream/orders"
PAGES = "$JS.API.DIRECT.GET.EVENTS"
AT_ONCE = 2
CROWD = 30
NEVER = 3600


class PageReadSpy:
    """Counts the log pages that are being read: `now`, at `most` at once, and in `all`."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self.most = 0
        self.all = 0

    @property
    def now(self) -> int:
        return len(self._open)

    async def receive(self, message: Any) -> None:
        if message.subject == PAGES and json.loads(message.data)["batch"] > 1:
            self._open.add(message.reply)
            self.all += 1
            self.most = max(self.most, self.now)
        elif message.subject in self._open and (message.headers or {}).get("Status"):
            self._open.discard(message.subject)


@pytest.fixture
async def spy(harness: Harness, journal: EventLogDriver) -> AsyncIterator[PageReadSpy]:  # noqa: ARG001 - it creates the streams
    made = PageReadSpy()
    connection = await connect(harness.broker.url, "spy")
    # A single subscription receives each request before its response.
    subscription = await connection.subscribe(">", made.receive, lambda reason: pytest.fail(reason))
    await connection.flush()
    yield made
    await subscription.close()
    await connection.close()


async def returned(edge: EdgeProcess, cookie: str, first: Any, last: Any) -> list[int]:
    """Resume a stream, read it to the end, and return its sequences."""
    async with await edge.open_stream(ORDERS, cookie, last_event_id=str(first)) as stream:
        await stream.read_until("the last", lambda f: f.id and f.sequence == last)
        return stream.sequences


async def test_concurrent_replays_are_limited_in_a_reconnect_storm(
    harness: Harness, journal: EventLogDriver, fresh: Callable[[str], str], spy: PageReadSpy
) -> None:
    """The edge has an empty memory, as after a deployment."""
    user = fresh("storm")
    first = await journal.append(user, order_placed("first"))
    await asyncio.gather(*(journal.append(user, event) for event in orders_placed(400)))
    last = await journal.append(user, order_placed("last"))
    edge = harness.start_edge(SSE_REPLAYS=AT_ONCE)
    cookie = await edge.sign_in(user)
    spy.most = 0
    got = await asyncio.gather(*(returned(edge, cookie, first, last) for _ in range(CROWD)))
    assert got == [[one.sequence for one in await journal.read_user(user, after=first)]] * CROWD
    assert 0 < spy.most <= AT_ONCE
    edge.stop()


async def test_the_log_is_not_read_ahead_for_a_stalled_reader(
    harness: Harness, journal: EventLogDriver, fresh: Callable[[str], str], spy: PageReadSpy
) -> None:
    """The edge reads pages at the pace of each client.

    It reads less than half of them for a stalled client, while another reads the log twice.
    """
    user = fresh("pace")
    first = await journal.append(user, order_placed("first"))
    await journal.append(user, *orders_placed(120, reason="x" * 60_000))
    last = await journal.append(user, order_placed("last"))
    edge = harness.start_edge(SSE_WRITE_SECONDS=NEVER)
    cookie = await edge.sign_in(user)
    before = spy.all
    await returned(edge, cookie, first, last)
    whole, before = spy.all - before, spy.all
    async with await edge.open_stream(
        ORDERS, cookie, last_event_id=str(first), receive_buffer=4096
    ) as stalled:
        stalled.pause()
        for _ in range(2):
            await returned(edge, cookie, first, last)
        of_his = spy.all - before - 2 * whole
        assert of_his < whole / 2, (of_his, whole)
        stalled.resume()
        await stalled.read_until("the last", lambda f: f.id and f.sequence == last)
        assert stalled.sequences == [r.sequence for r in await journal.read_user(user, after=first)]
    edge.stop()
