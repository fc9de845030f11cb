"""The view of the newest items."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tapewire.events import Item, ItemAnalysed, Sentiment
from tapewire.views import ItemsView
from tapewire.views.items import MAX_ITEMS

LARGEST_BYTES = 1_000_000
"""The largest value that fits into a message with its headers."""


def analysed(number: int, **more: Any) -> ItemAnalysed:
    fields: dict[str, Any] = {
        "id": f"i{number}",
        "title": "a title",
        "source": "Wire",
        "url": None,
        "tickers": (),
        "tags": (),
        "sentiment": Sentiment.NEUTRAL,
        "score": Decimal(0),
        "timestamp": datetime(2026, 3, 2, tzinfo=UTC),
    }
    return ItemAnalysed(item=Item(**(fields | more)), scored=True)


def test_the_view_has_the_last_items_in_order() -> None:
    view = ItemsView()
    for number in range(MAX_ITEMS + 5):
        view.apply(analysed(number))
    view = ItemsView.decode(view.encode())
    view.apply(analysed(MAX_ITEMS + 5))
    ids = [one.id for one in view.items()]
    assert ids == [f"i{number}" for number in range(6, MAX_ITEMS + 6)]


def test_the_largest_possible_view_fits_into_a_checkpoint() -> None:
    view = ItemsView()
    for _ in range(MAX_ITEMS):
        view.apply(
            analysed(
                1,
                id="\\" * 64,
                title="\U0001f600" * 200,
                source="\U0001f600" * 60,
                url="x" * 1024,
                tickers=tuple(f"{number:016}" for number in range(20)),
                tags=tuple("\U0001f600" * 38 + f"{number:02}" for number in range(10)),
                score=Decimal("-0.123456"),
            )
        )
    assert len(view.encode()) < LARGEST_BYTES
