"""What a dialect is, and what it may ask beside the event that it tells."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from tapewire.events import Event

SseMessage = tuple[str, Any]
"""The name of an SSE event, and its payload: a struct or builtins."""


class PricingContext(Protocol):
    """The state of affairs as this process knows it."""

    def price(self, symbol: str) -> Decimal | None:
        """The newest price, dollars a share; None while there is none."""

    def total_value(self, owner: str) -> Decimal | None:
        """What all positions of `owner` are worth, dollars; None while that is not known."""


class EmptyPricingContext:
    """Nothing is known."""

    def price(self, symbol: str) -> Decimal | None:  # noqa: ARG002
        return None

    def total_value(self, owner: str) -> Decimal | None:  # noqa: ARG002
        return None


Serializer = Callable[[Event, str, PricingContext], SseMessage | None]
"""An event of an owner, told; None when the dialect does not speak of it."""
