"""The most recent items, which every user may see."""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Self

from tapewire.events import CODEC, Event, Item, ItemAnalysed

MAX_ITEMS = 200
"""Items that the view retains. An item has up to about 4 kB, usually below 500 bytes."""


class ItemsView:
    """The most recent items."""

    domain: ClassVar[str] = "items"

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = deque(items, maxlen=MAX_ITEMS)

    def apply(self, event: Event) -> None:
        """Apply one event of the items."""
        if isinstance(event, ItemAnalysed):
            self._items.append(event.item)

    def items(self) -> list[Item]:
        """The items in the order of the log, the newest last."""
        return list(self._items)

    def encode(self) -> bytes:
        return CODEC.encode(self.items())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(CODEC.decode(data, list[Item]))
