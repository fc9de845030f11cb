"""Counts over all items: how many, of which sentiment and tags, and how many an hour.

A fold of the items' events, so whoever folds the same log counts the same. What is kept is bounded:
a counter for each of the first `TAGS_KNOWN` tags ever seen, and one for all later ones; a counter
for each of the last `MINUTES_KEPT` minutes in which items were published.

Rates go by the time at which an item was published, not by its place in the log: a file of last
week's items loaded now is no busy hour.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Self

import msgspec

from tapewire.events import CODEC, Event, Item, ItemAnalysed, Metrics, Sentiment, TagCount

TAGS_SHOWN = 20
TAGS_KNOWN = 2000
HOUR_MINUTES = 60
DAY_MINUTES = 24 * 60
MINUTES_KEPT = DAY_MINUTES + 60
"""A day before the newest item, and some time in which no later one need come for the last day to
be exact. Later than the clock an item may be by a few minutes only."""
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_CENT = Decimal("0.01")


class _State(msgspec.Struct, frozen=True):
    sentiments: dict[str, int]
    tags: dict[str, int]
    beyond: int
    minutes: dict[int, int]


class MetricsView:
    """The fold. `MetricsView()` has seen no event."""

    domain: ClassVar[str] = "items"
    name: ClassVar[str] = "metrics"

    def __init__(self) -> None:
        self._sentiments: Counter[str] = Counter()
        self._tags: dict[str, int] = {}
        self._beyond = 0
        """Tags of items that have no counter."""
        self._minutes: dict[int, int] = {}
        self._newest = 0

    def apply(self, event: Event) -> None:
        """Fold one event of the items, in the order of the log."""
        if isinstance(event, ItemAnalysed):
            self._sentiments[event.item.sentiment.value] += 1
            self._count_tags(event.item)
            self._count_minute(minute(event.item.timestamp))

    def metrics(self, at: datetime) -> Metrics:
        """What is counted, and what is recent at `at`."""
        shown = sorted(self._tags.items(), key=lambda one: (-one[1], one[0]))[:TAGS_SHOWN]
        tagged = sum(self._tags.values()) + self._beyond
        day = self._since(at, DAY_MINUTES)
        return Metrics(
            total=self._sentiments.total(),
            positive=self._sentiments[Sentiment.POSITIVE.value],
            neutral=self._sentiments[Sentiment.NEUTRAL.value],
            negative=self._sentiments[Sentiment.NEGATIVE.value],
            tags=tuple(TagCount(tag=tag, count=count) for tag, count in shown),
            other_tags=tagged - sum(count for _, count in shown),
            last_hour=self._since(at, HOUR_MINUTES),
            last_day=day,
            per_hour=(Decimal(day) / 24).quantize(_CENT),
            timestamp=at,
        )

    def encode(self) -> bytes:
        return CODEC.encode(_State(self._sentiments, self._tags, self._beyond, self._minutes))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        view._sentiments.update(state.sentiments)
        view._tags = state.tags
        view._beyond = state.beyond
        view._minutes = state.minutes
        view._newest = max(state.minutes, default=0)
        return view

    def _count_tags(self, item: Item) -> None:
        for tag in item.tags:
            if tag in self._tags or len(self._tags) < TAGS_KNOWN:
                self._tags[tag] = self._tags.get(tag, 0) + 1
            else:
                self._beyond += 1

    def _count_minute(self, number: int) -> None:
        """Which minutes are kept depends on the newest alone, so the order of items does not
        matter."""
        if number > self._newest:
            self._newest = number
            for old in [one for one in self._minutes if one <= number - MINUTES_KEPT]:
                del self._minutes[old]
        if number > self._newest - MINUTES_KEPT:
            self._minutes[number] = self._minutes.get(number, 0) + 1

    def _since(self, at: datetime, minutes: int) -> int:
        """Items of the `minutes` up to the one that `at` is in; those dated later do not count
        yet."""
        now = minute(at)
        return sum(count for one, count in self._minutes.items() if now - minutes < one <= now)


def minute(at: datetime) -> int:
    """Whole minutes since 1970, before it below 0; without an offset it is UTC."""
    utc = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (utc - _START) // _MINUTE
