"""The items that came last, for everybody to see."""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Self

from tapewire.events import CODEC, Event, Item, ItemAnalysed

MAX_ITEMS = 200
"""Items that a view still shows. One has at most some 4 kB, mostly below 500 bytes."""


class ItemsView:
    """The fold. `ItemsView()` has seen no event."""

    domain: ClassVar[str] = "items"

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = deque(items, maxlen=MAX_ITEMS)

    def apply(self, event: Event) -> None:
        """Fold one event of the items, in the order of the log."""
        if isinstance(event, ItemAnalysed):
            self._items.append(event.item)

    def items(self) -> list[Item]:
        """In the order of the log: the newest is last."""
        return list(self._items)

    def encode(self) -> bytes:
        return CODEC.encode(self.items())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(CODEC.decode(data, list[Item]))
