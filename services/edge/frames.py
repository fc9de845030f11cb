"""Events as Server-Sent Events: bytes that every parser reads alike. Pure.

A frame is ``event:``, ``data:`` (one line of JSON), ``id:``, ``retry:`` and a blank line. What
some parsers take for line ends is escaped, ids hold none of it. A dialect says how an event is
named and what of it is shown; `Encoder` makes each event's frame once, however many read it.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from services.edge.cursor import Cursor
from tapewire.events import (
    CATALOGUE,
    CODEC,
    Event,
    Order,
    OrderEvent,
    OrderFilled,
    PriceUpdated,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import Recorded

RETRY_MS = 5000
"""What a client waits before it connects again, when nothing else was said."""
KEEPALIVE = b": keepalive\n\n"
CHECKPOINT = "checkpoint"

_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)


def frame(
    event: str, payload: Any, id_: Cursor | None = None, *, retry_ms: int = RETRY_MS
) -> bytes:
    """One event as bytes. `payload` is a struct or builtins."""
    data = CODEC.encode(payload)
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    named = b"" if id_ is None else b"id: %b\n" % str(id_).encode()
    return b"event: %b\ndata: %b\n%bretry: %d\n\n" % (event.encode(), data, named, retry_ms)


def retry(milliseconds: int) -> bytes:
    """A block that says only how long to wait before connecting again."""
    return b"retry: %d\n\n" % milliseconds


class Connected(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first event of every stream. `keepalive_ms` is the longest that the stream is silent, in
    milliseconds, so that a client knows when a connection is dead."""

    client_id: str
    user_id: str | None
    stream: str
    server_time: datetime
    correlation_id: str
    keepalive_ms: int


class StreamReset(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loss, said: everything between `requested_id` and the snapshot that follows."""

    reason: str
    requested_id: str
    first_available_id: str


class OrdersSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    snapshot: bool
    orders: list[Order]
    timestamp: datetime


class PriceView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A quote as clients see it."""

    symbol: str
    price: Decimal
    bid: Decimal
    ask: Decimal
    volume: Decimal
    change: Decimal
    change_percent: Decimal
    timestamp: datetime


class PricesSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    initializing: bool
    prices: list[PriceView]
    timestamp: datetime


class Fill(Order, frozen=True, kw_only=True):
    """The order after a fill, and the fill."""

    fill_qty: Decimal
    fill_price: Decimal
    trade_id: str


def price_view(quote: PriceUpdated) -> PriceView:
    """What clients see of `quote`."""
    return PriceView(**{name: getattr(quote, name) for name in PriceView.__struct_fields__})


Dialect = Callable[[Event], tuple[str, Any] | None]
"""The name and the payload of an event, None when the dialect does not speak of it."""


def trading(event: Event) -> tuple[str, Any] | None:
    """The dialect of the trading streams: ``order:update``, ``order:fill``, ``trade:new``; types of
    other packages by the name that they declare, as they are."""
    if isinstance(event, OrderFilled):
        fields = msgspec.structs.asdict(event.order)
        fill = Fill(**fields, fill_qty=event.qty, fill_price=event.price, trade_id=event.trade_id)
        return "order:fill", fill
    if isinstance(event, OrderEvent):
        return "order:update", event.order
    if isinstance(event, TradeExecuted):
        return "trade:new", event
    shown = CATALOGUE.kind(type(event)).shown
    return None if shown is None else (shown.sse, event)


class Encoder:
    """The frame of an event in a dialect, made once for all its readers.

    It remembers the frames of one event only: readers are served event by event.
    """

    def __init__(
        self,
        on_unreadable: Callable[[Recorded, Exception], None],
        retry_ms: int = RETRY_MS,
    ) -> None:
        self._on_unreadable = on_unreadable
        self._retry_ms = retry_ms
        self._of: Recorded | None = None
        self._frames: dict[Dialect, bytes | None] = {}

    def encode(self, recorded: Recorded, epoch: str, dialect: Dialect) -> bytes | None:
        """None when `dialect` does not show the event."""
        if recorded is not self._of:
            self._of, self._frames = recorded, {}
        if dialect not in self._frames:
            self._frames[dialect] = self._make(recorded, epoch, dialect)
        return self._frames[dialect]

    def _make(self, recorded: Recorded, epoch: str, dialect: Dialect) -> bytes | None:
        try:
            spoken = dialect(recorded.event)
        except (UnknownType, Undecodable) as error:
            self._on_unreadable(recorded, error)
            return None
        if spoken is None:
            return None
        name, payload = spoken
        at = Cursor(epoch, recorded.sequence)
        return frame(name, payload, at, retry_ms=self._retry_ms)
