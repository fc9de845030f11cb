"""The dialect of the dashboard streams: ``new_item``."""

from datetime import datetime
from decimal import Decimal

import msgspec

from services.edge.dialects.scene import Scene, Told
from tapewire.events import Event, Item, ItemAnalysed


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
