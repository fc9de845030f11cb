"""What a dialect is, and what it may ask beside the event that it tells."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from tapewire.events import Event

Told = tuple[str, Any]
"""The name of an SSE event, and its payload: a struct or builtins."""


class Scene(Protocol):
    """The state of affairs as this process knows it."""

    def price(self, symbol: str) -> Decimal | None:
        """The newest price, dollars a share; None while there is none."""

    def total_value(self, owner: str) -> Decimal | None:
        """What all positions of `owner` are worth, dollars; None while that is not known."""


class Empty:
    """Nothing is known."""

    def price(self, symbol: str) -> Decimal | None:  # noqa: ARG002
        return None

    def total_value(self, owner: str) -> Decimal | None:  # noqa: ARG002
        return None


Dialect = Callable[[Event, str, Scene], Told | None]
"""An event of an owner, told; None when the dialect does not speak of it."""
