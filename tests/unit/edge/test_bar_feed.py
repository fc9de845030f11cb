"""A reader of bars is shown each bar that changed, and a snapshot where it would miss some."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tapewire.runtime import RequestTimeout
from tapewire.runtime.contracts.bars import (
    MAX_NEWEST_BARS,
    MAX_SERIES,
    Bar,
    GetNewestBars,
    NewestBars,
)
from tapewire_services.edge.ingest.bar_feed import (
    LINGER_SECONDS,
    BarFeed,
    BarSeries,
    KeysOfSeries,
    snapshot_key,
)
from tests.harness.waiting import wait_until

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)
IBM = BarSeries("IBM", "1s")

pytestmark = pytest.mark.virtual_time(seconds=600)


def bar(second: int, close: int = 10, *, closed: bool = True) -> Bar:
    price = Decimal(close)
    return Bar(
        start=AT + timedelta(seconds=second), open=price, high=price, low=price, close=price,
        volume=Decimal(1), source="trade", closed=closed,
    )  # fmt: skip


class Owner:
    """Answers as the owner of the bars does, from `bars`; None while there is no owner."""

    def __init__(self) -> None:
        self.bars: list[Bar] | None = []
        self.requests: list[GetNewestBars] = []

    async def get_newest(self, request: GetNewestBars) -> NewestBars:
        self.requests.append(request)
        if self.bars is None:
            raise RequestTimeout("nobody answered")
        found = [
            [one for one in self.bars if wanted.since is None or one.start >= wanted.since]
            for wanted in request.series
        ]
        return NewestBars(series=[bars[-MAX_NEWEST_BARS:] for bars in found])


class Reader:
    """What a client has after all that `feed` has shown it."""

    def __init__(self, owner: Owner) -> None:
        self.feed = BarFeed(owner.get_newest, self._on_change, random.Random(1))
        self.bars: dict[datetime, Bar] = {}
        self.snapshot_count = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        task = asyncio.create_task(self.feed.run())
        with self.feed.watch([IBM]):
            yield
        task.cancel()

    def _on_change(self, key: str) -> None:
        assert key in KeysOfSeries([IBM])
        if key == snapshot_key(IBM):
            self.snapshot_count += 1
            self.bars = {one.start: one for one in self.feed.snapshot(IBM) or []}
        for one in self.feed.changed_bars(IBM, {key}):
            self.bars[one.start] = one

    async def has(self, *bars: Bar) -> None:
        await wait_until("the reader has the bars", lambda: [*self.bars.values()] == [*bars],
                         describe_last=lambda: self.bars)  # fmt: skip


async def test_no_bar_is_missed_while_the_owner_is_replaced() -> None:
    owner = Owner()
    reader = Reader(owner)
    with reader.reading():
        owner.bars = [bar(0), bar(1, closed=False)]
        await reader.has(bar(0), bar(1, closed=False))
        owner.bars = None
        await asyncio.sleep(8)
        owner.bars = [bar(second) for second in range(10)]
        await reader.has(*owner.bars)
    assert reader.snapshot_count == 1


async def test_a_bar_that_is_corrected_after_its_end_is_shown_again() -> None:
    owner = Owner()
    reader = Reader(owner)
    with reader.reading():
        owner.bars = [bar(0)]
        await reader.has(bar(0))
        owner.bars = [bar(0, close=11)]
        await reader.has(bar(0, close=11))


async def test_who_missed_more_bars_than_an_answer_has_gets_a_snapshot() -> None:
    owner = Owner()
    reader = Reader(owner)
    with reader.reading():
        owner.bars = [bar(0)]
        await reader.has(bar(0))
        owner.bars = [bar(second) for second in range(MAX_NEWEST_BARS + 5)]
        await reader.has(*owner.bars[-MAX_NEWEST_BARS:])
    assert reader.snapshot_count == 2


async def test_a_series_that_nobody_watches_is_not_asked_for() -> None:
    owner = Owner()
    reader = Reader(owner)
    task = asyncio.create_task(reader.feed.run())
    await asyncio.sleep(5)
    assert owner.requests == []
    with reader.feed.watch([IBM]):
        await asyncio.sleep(1)
    await asyncio.sleep(LINGER_SECONDS + 5)
    count = len(owner.requests)
    await asyncio.sleep(5)
    assert len(owner.requests) == count > 1
    task.cancel()


async def test_many_series_are_asked_for_in_several_requests() -> None:
    owner = Owner()
    feed = BarFeed(owner.get_newest, lambda _: None, random.Random(1))
    task = asyncio.create_task(feed.run())
    every = [BarSeries(f"S{number}", "1m") for number in range(MAX_SERIES + 1)]
    with feed.watch(every):
        await wait_until("all are known", lambda: all(feed.snapshot(one) == [] for one in every))
    assert max(len(request.series) for request in owner.requests) == MAX_SERIES
    task.cancel()
