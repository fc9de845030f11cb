"""Everybody comes back at once (B5): what of the log is read for them, as NATS sees it.

A process asks for the log page by page; a message server shows a second client both what is asked
and when it was answered whole.
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


class Spy:
    """The pages of the log that are being read: how many `now`, at the `most`, and in `all`."""

    def __init__(self) -> None:
        self._open = set()
        self.most = 0
        self.all = 0

    @property
    def now(self) -> Any:
        return len(self._open)

    async def hear(self, message: Any) -> None:
        if message.subject == PAGES and json.loads(message.data)["batch"] > 1:
            self._open.add(message.reply)
            self.all += 1
            self.most = max(self.most, self.now)
        elif message.subject in self._open and (message.headers or {}).get("Status"):
            self._open.discard(message.subject)


@pytest.fixture
async def spy(harness: Harness, journal: EventLogDriver) -> AsyncIterator[Spy]:  # noqa: ARG001 - which makes the streams
    made = Spy()
    wire = await connect(harness.broker.url, "spy")
    # One subscription, so that an answer is not heard before what it answers.
    subscription = await wire.subscribe(">", made.hear, lambda reason: pytest.fail(reason))
    await wire.flush()
    yield made
    await subscription.close()
    await wire.close()


async def returned(edge: EdgeProcess, cookie: str, first: Any, last: Any) -> Any:
    """One who comes back and reads on to the end."""
    async with await edge.open_stream(ORDERS, cookie, last_event_id=str(first)) as stream:
        await stream.read_until("the last", lambda f: f.id and f.sequence == last)
        return stream.sequences


async def test_so_many_are_read_at_once_however_many_come(
    harness: Harness, journal: EventLogDriver, fresh: Callable[[str], str], spy: Spy
) -> None:
    """At a process that remembers nothing, as after a deploy."""
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


async def test_for_one_who_does_not_read_it_is_not_read_either(
    harness: Harness, journal: EventLogDriver, fresh: Callable[[str], str], spy: Spy
) -> None:
    """His pages come at his pace: those of one who reads all of it twice meanwhile are more."""
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
        stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(2):
            await returned(edge, cookie, first, last)
        of_his = spy.all - before - 2 * whole
        assert of_his < whole / 2, (of_his, whole)
        stalled.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await stalled.read_until("the last", lambda f: f.id and f.sequence == last)
        assert stalled.sequences == [r.sequence for r in await journal.read_user(user, after=first)]
    edge.stop()
