"""The events of the load: a quote and an order as Tapewire delivers them, with the current time."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tapewire.events import CODEC
from tapewire_services.edge.delivery.serializers.trading_views import price_view
from tests.harness.publishers import make_quote, order_placed

_TEMPLATE_TIME = datetime(2001, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)
SYMBOLS = [f"SYM{number:03}" for number in range(400)]
"""Enough symbols that 2,000 events a second stay below a reader's limit of 10 updates a second per
symbol."""


def _encode_timestamp(at: datetime | None = None) -> bytes:
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds")[:-6].encode() + b"Z"


def stored_quote(number: int) -> bytes:
    """A quote as the price service publishes it."""
    return _STORED_QUOTES(number).replace(_TEMPLATE_TIMESTAMP, _encode_timestamp())


def stored_order(order_id: str) -> bytes:
    """An order event as the orders service appends it."""
    return _ORDER_STORED.replace(b"order-id", order_id.encode()).replace(
        _TEMPLATE_TIMESTAMP, _encode_timestamp()
    )


def streamed_quote(number: int, at: datetime | None = None) -> bytes:
    """The data of a quote as a reader receives it."""
    return _STREAMED_QUOTES(number).replace(_TEMPLATE_TIMESTAMP, _encode_timestamp(at))


def streamed_order(order_id: str) -> bytes:
    return _ORDER_STREAMED.replace(b"order-id", order_id.encode()).replace(
        _TEMPLATE_TIMESTAMP, _encode_timestamp()
    )


def _encode_templates(encode: Callable[[Any], Any]) -> Callable[[int], bytes]:
    made = [
        CODEC.encode(
            encode(
                make_quote(
                    symbol,
                    Decimal(10_000 + index) / 100,
                    volume=Decimal(1_234_567 + index),
                    timestamp=_TEMPLATE_TIME,
                )
            )
        )
        for index, symbol in enumerate(SYMBOLS)
    ]
    return lambda number: made[number % len(made)]


_STORED_QUOTES = _encode_templates(lambda event: event)
_STREAMED_QUOTES = _encode_templates(price_view)
_TEMPLATE_ORDER = order_placed("order-id", client_order_id="c-1", timestamp=_TEMPLATE_TIME)
_ORDER_STORED = CODEC.encode(_TEMPLATE_ORDER)
_ORDER_STREAMED = CODEC.encode(_TEMPLATE_ORDER.order)
_TEMPLATE_TIMESTAMP = CODEC.encode(_TEMPLATE_TIME).strip(b'"')
