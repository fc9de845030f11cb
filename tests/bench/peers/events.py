"""The events of the load: what Tapewire shows of a quote and of an order, with the time it is."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from services.edge.dialects.trading import price_view
from tapewire.events import CODEC
from tests.integration.edge.market import placed, quote

_THEN = datetime(2001, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)
SYMBOLS = [f"SYM{number:03}" for number in range(400)]
"""So many that a reader's limit of 10 updates a second a symbol is not met by 2,000 a second."""


def _stamp(at: datetime | None = None) -> bytes:
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds")[:-6].encode() + b"Z"


def stored_quote(number: int) -> bytes:
    """A quote as the price service publishes it."""
    return _quote_stored(number).replace(_OLD, _stamp())


def stored_order(order_id: str) -> bytes:
    """An order's event as the orders service appends it."""
    return _ORDER_STORED.replace(b"order-id", order_id.encode()).replace(_OLD, _stamp())


def shown_quote(number: int, at: datetime | None = None) -> bytes:
    """A quote's data as a reader gets it."""
    return _quote_shown(number).replace(_OLD, _stamp(at))


def shown_order(order_id: str) -> bytes:
    return _ORDER_SHOWN.replace(b"order-id", order_id.encode()).replace(_OLD, _stamp())


def _templates(make: Callable[[Any], Any]) -> Callable[[int], bytes]:
    made = [
        CODEC.encode(
            make(
                quote(
                    symbol,
                    Decimal(10_000 + place) / 100,
                    volume=Decimal(1_234_567 + place),
                    timestamp=_THEN,
                )
            )
        )
        for place, symbol in enumerate(SYMBOLS)
    ]
    return lambda number: made[number % len(made)]


_quote_stored = _templates(lambda event: event)
_quote_shown = _templates(price_view)
_order = placed("order-id", client_order_id="c-1", timestamp=_THEN)
_ORDER_STORED = CODEC.encode(_order)
_ORDER_SHOWN = CODEC.encode(_order.order)
_OLD = CODEC.encode(_THEN).strip(b'"')
