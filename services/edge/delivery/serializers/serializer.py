"""The type of a serializer, and what it may read beside the event."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from tapewire.events import Event

SseMessage = tuple[str, Any]
"""The name of an SSE event, and its payload: a struct or a builtin value."""


class PricingContext(Protocol):
    """The prices and totals of this process."""

    def price(self, symbol: str) -> Decimal | None:
        """The newest price in dollars a share; None when there is none."""

    def is_stale(self, symbol: str) -> bool:
        """Whether that price is too old to rely on."""

    def total_value(self, owner: str) -> Decimal | None:
        """The value of all positions of `owner` in dollars; None when it is not known."""


class EmptyPricingContext:
    """A context without prices."""

    def price(self, symbol: str) -> Decimal | None:  # noqa: ARG002
        return None

    def is_stale(self, symbol: str) -> bool:  # noqa: ARG002
        return True

    def total_value(self, owner: str) -> Decimal | None:  # noqa: ARG002
        return None


Serializer = Callable[[Event, str, PricingContext], SseMessage | None]
"""The message for an event of an owner; None when the front end does not show it."""
