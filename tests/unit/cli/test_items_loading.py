"""What is sent of a file, in which batches, and how it is counted; against the real service's
handlers on the log in memory.
"""

import asyncio
import random
from collections.abc import Iterator

import pytest

from tapewire.cli.items.loading import BATCH_BYTES, ITEM_BYTES, TRIES, Loading, Totals, insist
from tapewire.cli.items.rows import Malformed, Row, Unreadable
from tapewire.events import CODEC
from tapewire.log.memory import MemoryServer
from tapewire.runtime import Unanswered
from tapewire.runtime.contracts.insights import LoadItems, LoadReply
from tests.unit.insights.house import Process, play, tally
from tests.unit.insights.spec import new
from tests.unit.orders import virtual


class Load:
    """A loading, and what it sent and said."""

    def __init__(self, process: Process) -> None:
        self.batches: list[int] = []
        self.bytes: list[int] = []
        self.told: list[str] = []
        self.shown: list[int] = []
        self._process = process
        self.loading = Loading(
            self._ask,
            lambda line, why: self.told.append(f"{line}: {why}"),
            lambda totals: self.shown.append(totals.rows),
        )

    async def _ask(self, batch: LoadItems) -> LoadReply:
        self.batches.append(len(batch.items))
        self.bytes.append(len(CODEC.encode(batch)))
        return await self._process.load(*batch.items)


def rows(count: int) -> Iterator[Row | Malformed]:
    return (Row(number + 2, new(f"Story {number}")) for number in range(count))


def test_batches_are_as_large_as_they_may_be() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        load = Load(process)
        await load.loading.load(rows(250))
        assert load.batches == [100, 100, 50]
        assert load.shown == [100, 200, 250]
        assert load.loading.totals == Totals(added=250)
        again = Load(process)
        await again.loading.load(rows(251))
        assert str(again.loading.totals) == "251 rows: 1 added, 250 already there, 0 malformed"
        assert len((await tally(server)).items) == 251

    play(story)


def test_large_items_make_small_batches_and_monsters_none() -> None:
    async def story(process: Process, _: MemoryServer) -> None:
        load = Load(process)
        texts = [100_000, 100_000, 100_000, ITEM_BYTES, BATCH_BYTES + 1, 10]
        await load.loading.load(
            Row(line, new(f"S {line}", text="x" * size)) for line, size in enumerate(texts)
        )
        assert load.batches == [2, 1, 1, 1]
        assert max(load.bytes) < 300_000
        assert [one.partition(":")[0] for one in load.told] == ["3"]
        assert load.loading.totals == Totals(added=5, malformed=1)

    play(story)


def test_what_the_reader_and_the_service_refuse_is_told_by_line() -> None:
    async def story(process: Process, _: MemoryServer) -> None:
        load = Load(process)
        given = [
            Row(2, new("a")),
            Malformed(3, "no number"),
            Row(4, new("")),
            Row(5, new("b", tickers=("a b",))),
            Row(9, new("a")),
        ]
        await load.loading.load(iter(given))
        assert load.told == [
            "3: no number",
            "4: title must have 1 to 200 characters, not 0: ''",
            "5: tickers[0] must be ASCII letters, digits and .-^=/:_&+: \"'a b'\"",
        ]
        assert load.loading.totals == Totals(added=1, there=1, malformed=3)

    play(story)


def test_a_file_that_breaks_off_is_loaded_up_to_there() -> None:
    def broken() -> Iterator[Row | Malformed]:
        yield from rows(7)
        raise Unreadable(9, "broken")

    async def story(process: Process, server: MemoryServer) -> None:
        load = Load(process)
        with pytest.raises(Unreadable):
            await load.loading.load(broken())
        assert load.loading.totals.added == len((await tally(server)).items) == 7

    play(story)


class Away:
    """A service that answers at last."""

    def __init__(self, answers_at: int) -> None:
        self.asked = 0
        self._answers_at = answers_at

    async def ask(self) -> LoadReply:
        self.asked += 1
        if self.asked < self._answers_at:
            raise Unanswered("away")
        return LoadReply(added=1, there=0, refused=[])


def test_a_batch_without_an_answer_is_asked_again_and_then_given_up() -> None:
    """With time between, so that a server may be started again meanwhile."""

    async def work() -> None:
        away, clock = Away(TRIES), asyncio.get_running_loop().time
        assert (await insist(away.ask, random.Random(1))).added == 1
        assert 8 < clock() < 25
        gone = Away(TRIES + 1)
        with pytest.raises(Unanswered):
            await insist(gone.ask, random.Random(1))
        assert gone.asked == TRIES

    virtual.run(work())
