"""Resuming with an id: every later event, once, in order (C8, C9, B1)."""

import asyncio
import contextlib
import itertools
import random
from typing import Any

import pytest

from tapewire.events import OrderEvent
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, order_placed, orders_placed
from tests.harness.recorded_log import event_of
from tests.harness.stream_assertions import read_through, sequences

ORDERS = "/api/stream/orders"


class TestIds:
    async def test_ids_consist_of_the_epoch_and_the_sequence(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            snapshot = await stream.read_until("order:update")
            bounds = await journal.log.bounds()
            assert snapshot.id == f"{bounds.epoch}-{bounds.last}"
            last = await journal.append(alice, *orders_placed(5))
            assert await read_through(stream, last) == sequences(await journal.read_user(alice))
            assert {frame.id.split("-")[0] for frame in stream.frames if frame.id} == {bounds.epoch}

    async def test_ids_increase_strictly_including_the_snapshot(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        await journal.append(alice, *orders_placed(5))
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            last = await journal.append(alice, *orders_placed(5, "p"))
            await read_through(stream, last)
        assert stream.sequences == sorted(set(stream.sequences))


class TestIdFormats:
    """Each way to send an id, with three later events."""

    @pytest.fixture
    async def resume_position(self, alice: str, journal: EventLogDriver) -> tuple[str, int, int]:
        """Return the epoch and sequence of an id, and the last sequence after it."""
        after = await journal.append(alice, *orders_placed(4))
        last = await journal.append(alice, *orders_placed(3, "later"))
        return await journal.epoch(), after, last

    async def resumed(
        self, edge: EdgeProcess, cookie: str, last: int, path: str = ORDERS, **how: Any
    ) -> list[Any]:
        """Return the order ids or event names after `connected`, up to the last event."""
        async with await edge.open_stream(path, cookie, **how) as stream:
            await read_through(stream, last)
            return [f.data.get("orderId", f.event) for f in stream.frames[2:]]

    LATER = ("later-0", "later-1", "later-2")

    async def test_the_last_event_id_header_resumes_a_stream(
        self, edge: EdgeProcess, cookie: str, resume_position: tuple[str, int, int]
    ) -> None:
        epoch, after, last = resume_position
        got = await self.resumed(edge, cookie, last, last_event_id=f"{epoch}-{after}")
        assert got == [*self.LATER]

    @pytest.mark.parametrize("name", ["lastEventId", "last_event_id"])
    async def test_both_query_parameters_resume_a_stream(
        self, edge: EdgeProcess, cookie: str, resume_position: tuple[str, int, int], name: str
    ) -> None:
        epoch, after, last = resume_position
        assert await self.resumed(edge, cookie, last, f"{ORDERS}?x=1&{name}={epoch}-{after}") == [
            *self.LATER
        ]

    async def test_the_header_takes_precedence_over_the_query(
        self, edge: EdgeProcess, cookie: str, resume_position: tuple[str, int, int]
    ) -> None:
        epoch, after, last = resume_position
        for name in ("lastEventId", "last_event_id"):
            path = f"{ORDERS}?{name}={epoch}-{after - 2}"
            got = await self.resumed(edge, cookie, last, path, last_event_id=f"{epoch}-{after}")
            assert got == [*self.LATER]

    async def test_a_sequence_without_an_epoch_resumes_a_stream(
        self, edge: EdgeProcess, cookie: str, resume_position: tuple[str, int, int]
    ) -> None:
        _, after, last = resume_position
        assert await self.resumed(edge, cookie, last, last_event_id=str(after)) == [*self.LATER]
        got = await self.resumed(edge, cookie, last, f"{ORDERS}?lastEventId={after}")
        assert got == [*self.LATER]

    async def test_an_id_of_an_older_system_resumes_by_time(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        resume_position: tuple[str, int, int],
    ) -> None:
        """All events of its millisecond are sent, as the id does not say which were received."""
        _, after, last = resume_position
        moments = {event.sequence: event.time for event in await journal.read_user(alice)}
        milliseconds = int(moments[after + 1].timestamp() * 1000)
        got = await self.resumed(edge, cookie, last, last_event_id=f"{milliseconds}-x7Qz")
        expected = [
            event_of(event, OrderEvent).order.order_id
            for event in await journal.read_user(alice)
            if event.time.timestamp() * 1000 >= milliseconds
        ]
        assert got == expected
        assert set(self.LATER) <= set(got)

    @pytest.mark.usefixtures("resume_position")
    async def test_an_empty_id_starts_with_a_snapshot(self, edge: EdgeProcess, cookie: str) -> None:
        for path in (f"{ORDERS}?lastEventId=", f"{ORDERS}?last_event_id="):
            async with await edge.open_stream(path, cookie) as stream:
                assert (await stream.read()).data["snapshot"] is True

    async def test_resuming_at_the_end_sends_only_new_events(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        resume_position: tuple[str, int, int],
    ) -> None:
        epoch, _, last = resume_position
        async with await edge.open_stream(
            ORDERS, cookie, last_event_id=f"{epoch}-{last}"
        ) as stream:
            newer = await journal.append(alice, order_placed("newer"))
            assert await read_through(stream, newer) == [newer]
            assert len(stream.frames) == 3


class TestNoLossAndNoDuplicates:
    async def test_events_outside_the_edges_memory_are_read_from_the_log(
        self, harness: Harness, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """The replay has several pages, among events of others, at an edge that just started."""
        bob = f"not-{alice}"
        start = await journal.append(alice, order_placed("start"))
        for batch in range(8):
            await asyncio.gather(
                journal.append(alice, *orders_placed(100, f"a{batch}")),
                journal.append(bob, *orders_placed(20, f"b{batch}")),
            )
        new_edge = harness.start_edge()
        last = await journal.append(alice, order_placed("last"))
        expected = sequences(await journal.read_user(alice, after=start))
        assert len(expected) == 801
        for at in (edge, new_edge):
            async with await at.open_stream(ORDERS, cookie, last_event_id=str(start)) as stream:
                assert await read_through(stream, last) == expected
        new_edge.stop()

    async def test_a_client_may_switch_edges_while_events_arrive(
        self, harness: Harness, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """The client disconnects at random moments, and resumes at either of two edges."""
        edges = (edge, harness.shared_edge(SSE_FLUSH_MS=5))
        start = await journal.append(alice, order_placed("start"))
        done = asyncio.Event()

        async def write() -> None:
            for number in range(600):
                await journal.append(alice, order_placed(f"o-{number}"))
                await journal.append(f"not-{alice}", order_placed(f"o-{number}"))
            done.set()

        writing = asyncio.create_task(write())
        rng, seen, last_id = random.Random(7), [], f"{await journal.epoch()}-{start}"
        for torn in itertools.count():  # noqa: B007
            finished = done.is_set()
            at = edges[rng.randrange(2)]
            async with await at.open_stream(ORDERS, cookie, last_event_id=last_id) as stream:
                with contextlib.suppress(TimeoutError):
                    for _ in range(rng.randrange(1, 40)):
                        await stream.read(seconds=1)
                seen += stream.sequences
                last_id = stream.last_id or last_id
            if finished and seen[-1] == await journal.log.last_sequence(f"ev.{alice}.>"):
                break
        await writing
        assert torn > 10
        assert seen == sequences(await journal.read_user(alice, after=start))

    async def test_an_id_that_another_edge_sent_first_is_not_ahead(
        self, harness: Harness, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """This edge has not received the event of the id yet, because its messages are delayed."""
        slow = harness.start_edge()
        async with await slow.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
        slow.freeze()
        last = await journal.append(alice, *orders_placed(20))
        waiting = asyncio.create_task(
            slow.open_stream(ORDERS, cookie, last_event_id=f"{await journal.epoch()}-{last}")
        )
        slow.thaw()
        async with await waiting as stream:
            newer = await journal.append(alice, order_placed("newer"))
            assert await read_through(stream, newer) == [newer]
            assert [frame.event for frame in stream.frames[2:]] == ["order:update"]
        slow.stop()
