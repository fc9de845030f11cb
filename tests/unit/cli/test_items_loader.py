"""The loader of items: batches, totals and retries, with the service's real handlers and the
in-memory log.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from tapewire.cli.items.loader import (
    MAX_BATCH_BYTES,
    MAX_ITEM_BYTES,
    MAX_TRIES,
    ItemLoader,
    LoadTotals,
    retry_request,
)
from tapewire.cli.items.rows import ItemRow, MalformedRow, Notice, Row, UnreadableFile
from tapewire.events import CODEC
from tapewire.log.memory import MemoryServer
from tapewire.runtime import RequestTimeout
from tapewire.runtime.contracts.insights import LoadItems, LoadReply
from tapewire.values.symbols import SYMBOL_REQUIREMENT
from tests.harness.insights_process import InsightsProcess, read_log_summary, running_process
from tests.harness.item_builders import new_item

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[InsightsProcess]:
    async with running_process(server) as process:
        yield process


class LoaderHarness:
    """A loader that records its batches and reports."""

    def __init__(self, process: InsightsProcess) -> None:
        self.batches: list[int] = []
        self.bytes: list[int] = []
        self.malformed_rows: list[str] = []
        self.notices: list[str] = []
        self.progress: list[int] = []
        self._process = process
        self.loader = ItemLoader(
            self._ask,
            lambda line, why: self.malformed_rows.append(f"{line}: {why}"),
            lambda line, why: self.notices.append(f"{line}: {why}"),
            lambda totals: self.progress.append(totals.rows),
        )

    async def _ask(self, batch: LoadItems) -> LoadReply:
        self.batches.append(len(batch.items))
        self.bytes.append(len(CODEC.encode(batch)))
        return await self._process.load(*batch.items)


def rows(count: int) -> Iterator[ItemRow | MalformedRow]:
    return (ItemRow(number + 2, new_item(f"Story {number}")) for number in range(count))


async def test_batches_have_the_maximum_size(
    process: InsightsProcess, server: MemoryServer
) -> None:
    load = LoaderHarness(process)
    await load.loader.load(rows(250))
    assert load.batches == [100, 100, 50]
    assert load.progress == [100, 200, 250]
    assert load.loader.totals == LoadTotals(added=250)
    again = LoaderHarness(process)
    await again.loader.load(rows(251))
    assert str(again.loader.totals) == "251 rows: 1 added, 250 already there, 0 malformed"
    assert len((await read_log_summary(server)).items) == 251


async def test_batches_are_limited_in_bytes_and_oversized_items_are_malformed(
    process: InsightsProcess,
) -> None:
    load = LoaderHarness(process)
    texts = [100_000, 100_000, 100_000, MAX_ITEM_BYTES, MAX_BATCH_BYTES + 1, 10]
    await load.loader.load(
        ItemRow(line, new_item(f"S {line}", text="x" * size)) for line, size in enumerate(texts)
    )
    assert load.batches == [2, 1, 1, 1]
    assert max(load.bytes) < 300_000
    assert [one.partition(":")[0] for one in load.malformed_rows] == ["3"]
    assert load.loader.totals == LoadTotals(added=5, malformed=1, faults=Counter(size=1))


async def test_malformed_and_rejected_rows_are_reported_with_their_line(
    process: InsightsProcess,
) -> None:
    load = LoaderHarness(process)
    given: list[ItemRow | MalformedRow] = [
        ItemRow(2, new_item("a")),
        MalformedRow(3, "no number"),
        ItemRow(4, new_item("")),
        ItemRow(5, new_item("b", tickers=("a,b",))),
        ItemRow(9, new_item("a")),
    ]
    await load.loader.load(iter(given))
    assert load.malformed_rows == [
        "3: no number",
        "4: title must have 1 to 200 characters, not 0: ''",
        f"5: tickers[0] {SYMBOL_REQUIREMENT}, not 'a,b'",
    ]
    faults = Counter(format=1, title=1, tickers=1)
    assert load.loader.totals == LoadTotals(added=1, already_stored=1, malformed=3, faults=faults)
    assert load.loader.totals.describe_faults() == "1 by format, 1 by title, 1 by tickers"


async def test_the_label_of_a_row_is_part_of_its_rejection_and_notices_are_no_rows(
    process: InsightsProcess,
) -> None:
    load = LoaderHarness(process)
    given: list[Row] = [Notice(1, "repaired"), ItemRow(2, new_item(""), "entry 1")]
    await load.loader.load(iter(given))
    assert load.notices == ["1: repaired"]
    assert load.malformed_rows == ["2: entry 1: title must have 1 to 200 characters, not 0: ''"]
    assert load.loader.totals.rows == 1


async def test_rows_before_a_read_error_are_loaded(
    process: InsightsProcess, server: MemoryServer
) -> None:
    def broken() -> Iterator[ItemRow | MalformedRow]:
        yield from rows(7)
        raise UnreadableFile(9, "broken")

    load = LoaderHarness(process)
    with pytest.raises(UnreadableFile):
        await load.loader.load(broken())
    assert load.loader.totals.added == len((await read_log_summary(server)).items) == 7


class UnavailableService:
    """A service that answers only from a given request on."""

    def __init__(self, answers_at: int) -> None:
        self.request_count = 0
        self._answers_at = answers_at

    async def request(self) -> LoadReply:
        self.request_count += 1
        if self.request_count < self._answers_at:
            raise RequestTimeout("away")
        return LoadReply(added=1, there=0, refused=[])


async def test_an_unanswered_batch_is_retried_a_limited_number_of_times() -> None:
    """The delays between tries leave time for a server to restart."""
    away, clock = UnavailableService(MAX_TRIES), asyncio.get_running_loop().time
    assert (await retry_request(away.request, random.Random(1))).added == 1
    assert 8 < clock() < 25
    service = UnavailableService(MAX_TRIES + 1)
    with pytest.raises(RequestTimeout):
        await retry_request(service.request, random.Random(1))
    assert service.request_count == MAX_TRIES
