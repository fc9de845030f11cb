"""Coming back with an id: every later event, once, in order (C8, C9, B1)."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable

import pytest

from tests.integration.edge.house import Edge, House
from tests.integration.edge.market import Journal, many, placed
from tests.integration.edge.reading import sequences, upto

ORDERS = "/api/stream/orders"


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
async def cookie(edge: Edge, alice: str) -> str:
    return await edge.sign_in(alice)


class TestIds:
    async def test_they_are_the_sequences_of_the_log_after_its_epoch(
        self, edge: Edge, alice: str, cookie: str, journal: Journal
    ) -> None:
        async with await edge.follow(ORDERS, cookie) as stream:
            snapshot = await stream.until("order:update")
            bounds = await journal.log.bounds()
            assert snapshot.id == f"{bounds.epoch}-{bounds.last}"
            last = await journal.append(alice, *many(5))
            assert await upto(stream, last) == sequences(await journal.of(alice))
            assert {frame.id.split("-")[0] for frame in stream.frames if frame.id} == {bounds.epoch}

    async def test_they_increase_strictly_for_the_snapshot_too(
        self, edge: Edge, alice: str, cookie: str, journal: Journal
    ) -> None:
        await journal.append(alice, *many(5))
        async with await edge.follow(ORDERS, cookie) as stream:
            await stream.until("order:update")
            last = await journal.append(alice, *many(5, "p"))
            await upto(stream, last)
        assert stream.sequences == sorted(set(stream.sequences))


class TestSpellings:
    """Each of the ways to say an id, with three events after it."""

    @pytest.fixture
    async def place(self, alice: str, journal: Journal) -> tuple[str, int, int]:
        """An id's epoch and sequence, and what follows it."""
        after = await journal.append(alice, *many(4))
        last = await journal.append(alice, *many(3, "later"))
        return await journal.epoch(), after, last

    async def resumed(self, edge, cookie: str, last, path: str = ORDERS, **how):
        """What comes after `connected`, up to the last event."""
        async with await edge.follow(path, cookie, **how) as stream:
            await upto(stream, last)
            return [f.data.get("orderId", f.event) for f in stream.frames[2:]]

    LATER = ("later-0", "later-1", "later-2")

    async def test_the_header(self, edge: Edge, cookie: str, place: tuple[str, int, int]) -> None:
        epoch, after, last = place
        got = await self.resumed(edge, cookie, last, last_event_id=f"{epoch}-{after}")
        assert got == [*self.LATER]

    @pytest.mark.parametrize("name", ["lastEventId", "last_event_id"])
    async def test_both_spellings_of_the_query(
        self, edge: Edge, cookie: str, place: tuple[str, int, int], name: str
    ) -> None:
        epoch, after, last = place
        assert await self.resumed(edge, cookie, last, f"{ORDERS}?x=1&{name}={epoch}-{after}") == [
            *self.LATER
        ]

    async def test_the_header_goes_before_the_query(
        self, edge: Edge, cookie: str, place: tuple[str, int, int]
    ) -> None:
        epoch, after, last = place
        for name in ("lastEventId", "last_event_id"):
            path = f"{ORDERS}?{name}={epoch}-{after - 2}"
            got = await self.resumed(edge, cookie, last, path, last_event_id=f"{epoch}-{after}")
            assert got == [*self.LATER]

    async def test_a_bare_sequence(
        self, edge: Edge, cookie: str, place: tuple[str, int, int]
    ) -> None:
        _, after, last = place
        assert await self.resumed(edge, cookie, last, last_event_id=str(after)) == [*self.LATER]
        got = await self.resumed(edge, cookie, last, f"{ORDERS}?lastEventId={after}")
        assert got == [*self.LATER]

    async def test_an_older_systems_id_resumes_by_time(
        self, edge: Edge, cookie: str, alice: str, journal: Journal, place: tuple[str, int, int]
    ) -> None:
        """Everything of its millisecond comes again, for nobody knows which of it was seen."""
        _, after, last = place
        moments = {event.sequence: event.time for event in await journal.of(alice)}
        milliseconds = int(moments[after + 1].timestamp() * 1000)
        got = await self.resumed(edge, cookie, last, last_event_id=f"{milliseconds}-x7Qz")
        expected = [
            event.event.order.order_id
            for event in await journal.of(alice)
            if event.time.timestamp() * 1000 >= milliseconds
        ]
        assert got == expected
        assert set(self.LATER) <= set(got)

    @pytest.mark.usefixtures("place")
    async def test_an_empty_id_is_none(self, edge: Edge, cookie: str) -> None:
        for path in (f"{ORDERS}?lastEventId=", f"{ORDERS}?last_event_id="):
            async with await edge.follow(path, cookie) as stream:
                assert (await stream.read()).data["snapshot"] is True

    async def test_nothing_new_is_nothing_sent(
        self, edge: Edge, cookie: str, alice: str, journal: Journal, place: tuple[str, int, int]
    ) -> None:
        epoch, _, last = place
        async with await edge.follow(ORDERS, cookie, last_event_id=f"{epoch}-{last}") as stream:
            newer = await journal.append(alice, placed("newer"))
            assert await upto(stream, newer) == [newer]
            assert len(stream.frames) == 3


class TestNothingTwiceNothingMissing:
    async def test_what_the_edge_no_longer_remembers_is_read_from_the_log(
        self, house: House, edge: Edge, cookie: str, alice: str, journal: Journal
    ) -> None:
        """More than a few pages of it, among events of others, at an edge that just started."""
        bob = f"not-{alice}"
        start = await journal.append(alice, placed("start"))
        for batch in range(8):
            await asyncio.gather(
                journal.append(alice, *many(100, f"a{batch}")),
                journal.append(bob, *many(20, f"b{batch}")),
            )
        young = house.edge()
        last = await journal.append(alice, placed("last"))
        expected = sequences(await journal.of(alice, after=start))
        assert len(expected) == 801
        for at in (edge, young):
            async with await at.follow(ORDERS, cookie, last_event_id=str(start)) as stream:
                assert await upto(stream, last) == expected
        young.stop()

    async def test_from_edge_to_edge_while_events_flow(
        self, house: House, edge: Edge, cookie: str, alice: str, journal: Journal
    ) -> None:
        """A client that is torn away again and again, at any moment, to either of two edges."""
        edges = (edge, house.shared_edge(SSE_FLUSH_MS=5))
        start = await journal.append(alice, placed("start"))
        done = asyncio.Event()

        async def write() -> None:
            for number in range(600):
                await journal.append(alice, placed(f"o-{number}"))
                await journal.append(f"not-{alice}", placed(f"o-{number}"))
            done.set()

        writing = asyncio.create_task(write())
        chance, seen, last_id = random.Random(7), [], f"{await journal.epoch()}-{start}"
        for torn in itertools.count():  # noqa: B007
            finished = done.is_set()
            at = edges[chance.randrange(2)]
            async with await at.follow(ORDERS, cookie, last_event_id=last_id) as stream:
                with contextlib.suppress(TimeoutError):
                    for _ in range(chance.randrange(1, 40)):
                        await stream.read(seconds=1)
                seen += stream.sequences
                last_id = stream.last_id or last_id
            if finished and seen[-1] == await journal.log.last(f"ev.{alice}.>"):
                break
        await writing
        assert torn > 10
        assert seen == sequences(await journal.of(alice, after=start))

    async def test_what_another_edge_showed_first_is_not_ahead(
        self, house: House, cookie: str, alice: str, journal: Journal
    ) -> None:
        """An id that this edge has not heard of yet, because its messages are held up."""
        slow = house.edge()
        async with await slow.follow(ORDERS, cookie) as stream:
            await stream.until("order:update")
        slow.freeze()
        last = await journal.append(alice, *many(20))
        waiting = asyncio.create_task(
            slow.follow(ORDERS, cookie, last_event_id=f"{await journal.epoch()}-{last}")
        )
        slow.thaw()
        async with await waiting as stream:
            newer = await journal.append(alice, placed("newer"))
            assert await upto(stream, newer) == [newer]
            assert [frame.event for frame in stream.frames[2:]] == ["order:update"]
        slow.stop()
