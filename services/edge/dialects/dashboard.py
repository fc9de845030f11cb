"""The dialect of the dashboard streams: ``new_item``, and the payload of ``metrics``."""

from datetime import datetime
from decimal import Decimal

import msgspec

from services.edge.dialects.scene import Scene, Told
from tapewire.events import Event, Item, ItemAnalysed, Metrics


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """An analysed item; `score` is from -1 (bad) to 1 (good)."""

    id: str
    title: str
    source: str
    url: str | None
    tickers: tuple[str, ...]
    tags: tuple[str, ...]
    sentiment: str
    score: Decimal
    timestamp: datetime


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Items published in the last 60 minutes and 24 hours, and the mean of that day an hour."""

    last_hour: int
    last_day: int
    per_hour: Decimal


class MetricsTold(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of all items. `tags` are the most frequent ones, the most frequent first;
    `other_tags` counts those that items have beside them."""

    total: int
    positive: int
    neutral: int
    negative: int
    tags: dict[str, int]
    other_tags: int
    rates: Rates
    timestamp: datetime


def metrics_view(of: Metrics) -> MetricsTold:
    """What clients see of `of`."""
    return MetricsTold(
        total=of.total,
        positive=of.positive,
        neutral=of.neutral,
        negative=of.negative,
        tags={one.tag: one.count for one in of.tags},
        other_tags=of.other_tags,
        rates=Rates(last_hour=of.last_hour, last_day=of.last_day, per_hour=of.per_hour),
        timestamp=of.timestamp,
    )


def item_view(item: Item) -> ItemView:
    """What clients see of `item`."""
    return ItemView(
        id=item.id,
        title=item.title,
        source=item.source,
        url=item.url,
        tickers=item.tickers,
        tags=item.tags,
        sentiment=item.sentiment.value,
        score=item.score,
        timestamp=item.timestamp,
    )


def dashboard(event: Event, owner: str, scene: Scene) -> Told | None:  # noqa: ARG001
    """The dialect."""
    if isinstance(event, ItemAnalysed):
        return "new_item", item_view(event.item)
    return None
