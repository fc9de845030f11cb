"""Counts of all items: by sentiment and tag, and by hour.

The view is a fold of the items' events, so every process that folds the same log gets the same
counts. Its size is bounded: it has a counter for each of the first `MAX_TRACKED_TAGS` tags and one
for all others, and a counter for each of the last `RETAINED_MINUTES` minutes in which items were
published.

Rates use the time at which an item was published, not its sequence: loading a file of last week's
items does not raise the current rate.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Self

import msgspec

from tapewire.events import (
    CODEC,
    Event,
    Item,
    ItemAnalysed,
    ItemChangedEvent,
    Metrics,
    Sentiment,
    TagCount,
)

TOP_TAG_COUNT = 20
MAX_TRACKED_TAGS = 2000
MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 24 * 60
RETAINED_MINUTES = MINUTES_PER_DAY + 60
"""A day before the newest item, plus an hour: the last day stays exact if no newer item arrives for
that long. An item may be only a few minutes ahead of the clock."""
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_CENT = Decimal("0.01")


class _State(msgspec.Struct, frozen=True):
    sentiments: dict[str, int]
    tags: dict[str, int]
    beyond: int
    minutes: dict[int, int]


class MetricsView:
    """Counts of all items."""

    domain: ClassVar[str] = "items"
    name: ClassVar[str] = "metrics"

    def __init__(self) -> None:
        self._sentiment_counts: Counter[str] = Counter()
        self._tag_counts: dict[str, int] = {}
        self._untracked_tag_count = 0
        """Tags of items without a counter of their own."""
        self._items_per_minute: dict[int, int] = {}
        self._newest_minute = 0

    def apply(self, event: Event) -> None:
        """Apply one event of the items."""
        if isinstance(event, ItemAnalysed):
            self._count(event.item, 1)
        elif isinstance(event, ItemChangedEvent):
            self._count(event.previous, -1)
            self._count(event.item, 1)

    def metrics(self, as_of: datetime) -> Metrics:
        """The counts, with the rates as of `as_of`."""
        counted = [one for one in self._tag_counts.items() if one[1] > 0]
        shown = sorted(counted, key=lambda one: (-one[1], one[0]))[:TOP_TAG_COUNT]
        tagged = sum(self._tag_counts.values()) + self._untracked_tag_count
        day = self._count_last_minutes(as_of, MINUTES_PER_DAY)
        return Metrics(
            total=self._sentiment_counts.total(),
            positive=self._sentiment_counts[Sentiment.POSITIVE.value],
            neutral=self._sentiment_counts[Sentiment.NEUTRAL.value],
            negative=self._sentiment_counts[Sentiment.NEGATIVE.value],
            tags=tuple(TagCount(tag=tag, count=count) for tag, count in shown),
            other_tags=tagged - sum(count for _, count in shown),
            last_hour=self._count_last_minutes(as_of, MINUTES_PER_HOUR),
            last_day=day,
            per_hour=(Decimal(day) / 24).quantize(_CENT),
            timestamp=as_of,
        )

    def encode(self) -> bytes:
        return CODEC.encode(
            _State(
                self._sentiment_counts,
                self._tag_counts,
                self._untracked_tag_count,
                self._items_per_minute,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        view._sentiment_counts.update(state.sentiments)
        view._tag_counts = state.tags
        view._untracked_tag_count = state.beyond
        view._items_per_minute = state.minutes
        view._newest_minute = max(state.minutes, default=0)
        return view

    def _count(self, item: Item, step: int) -> None:
        """Count an item (`step` 1), or take it out of the counts (-1). A retracted one is in none.
        A tag keeps its counter, so it is found where it was counted."""
        if item.retracted:
            return
        self._sentiment_counts[item.sentiment.value] += step
        for tag in item.tags:
            if tag in self._tag_counts or len(self._tag_counts) < MAX_TRACKED_TAGS:
                self._tag_counts[tag] = self._tag_counts.get(tag, 0) + step
            else:
                self._untracked_tag_count += step
        self._count_minute(minute_number_of(item.timestamp), step)

    def _count_minute(self, minute_number: int, step: int) -> None:
        """The retained minutes depend on the newest one alone, so the order of the items does not
        matter."""
        if minute_number > self._newest_minute:
            self._newest_minute = minute_number
            for old in [
                one for one in self._items_per_minute if one <= minute_number - RETAINED_MINUTES
            ]:
                del self._items_per_minute[old]
        if minute_number > self._newest_minute - RETAINED_MINUTES:
            self._items_per_minute[minute_number] = (
                self._items_per_minute.get(minute_number, 0) + step
            )

    def _count_last_minutes(self, as_of: datetime, minutes: int) -> int:
        """Items of the last `minutes`, up to the minute of `as_of`. Later items do not count
        yet."""
        now = minute_number_of(as_of)
        return sum(
            count for one, count in self._items_per_minute.items() if now - minutes < one <= now
        )


def minute_number_of(timestamp: datetime) -> int:
    """Whole minutes since 1970, negative before. A time without an offset is UTC."""
    utc = timestamp if timestamp.tzinfo is not None else timestamp.replace(tzinfo=UTC)
    return (utc - _UNIX_EPOCH) // _MINUTE
