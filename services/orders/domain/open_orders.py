"""All users' open orders, and what was taken of the newest offers, folded from the log; and their
checkpoint. Pure.

`OpenOrders.apply` folds one event; `encode` and `decode` carry the fold from one holder of the
broker's lease to the next, so that it reads only what came later.
"""

import zlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import (
    CODEC,
    Order,
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    Side,
)
from tapewire.log import EventSubject, RecordedEvent

MAX_DECOMPRESSED_BYTES = 64 << 20
"""Bytes that a checkpoint may decompress to."""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order of `user` as of `sequence`; it was placed at `since`, which is its time priority.

    `correlation` and `traceparent` are those of its placing: all that the broker does for the
    order goes on under them.
    """

    user: str
    order: Order
    since: int
    sequence: int
    accepted: bool
    correlation: str
    traceparent: str | None = None

    @property
    def remaining_qty(self) -> Decimal:
        """Shares that are not filled yet."""
        return self.order.qty - self.order.filled_qty


class ConsumedLiquidity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`qty` shares were executed, for orders of `side`, against the offer of the quote of `symbol`
    whose timestamp is `quoted_at`: the newest quote that anything was executed against."""

    symbol: str
    side: Side
    quoted_at: datetime
    qty: Decimal


class _Checkpoint(msgspec.Struct, frozen=True, rename="camel"):
    epoch: str
    as_of: int
    orders: list[OpenOrder]
    taken: list[ConsumedLiquidity] = []


class OpenOrders:
    """The fold over ``ev.*.orders.>`` of log `epoch`, as of the event `as_of`."""

    def __init__(
        self,
        epoch: str,
        as_of: int = 0,
        orders: Iterable[OpenOrder] = (),
        consumed: Iterable[ConsumedLiquidity] = (),
    ) -> None:
        self.epoch = epoch
        self.as_of = as_of
        self.applied_count = 0
        self._orders = {open_.order.order_id: open_ for open_ in orders}
        self._consumed = {(one.symbol, one.side): one for one in consumed}

    def __len__(self) -> int:
        return len(self._orders)

    def orders(self) -> list[OpenOrder]:
        """In the order of their placing."""
        return list(self._orders.values())

    def consumed_liquidity(self) -> list[ConsumedLiquidity]:
        """One a symbol and side at the most."""
        return list(self._consumed.values())

    def apply(self, recorded: RecordedEvent) -> OpenOrder | None:
        """The order after the event, closed or not; None when it is no event of an open order.

        Raises:
            UnknownType, Undecodable: the event was counted, and not folded.
        """
        self.as_of = recorded.sequence
        self.applied_count += 1
        event = recorded.event
        if not isinstance(event, OrderEvent):
            return None
        if isinstance(event, OrderPlaced):
            return self._store_order(_new_open_order(recorded, event.order))
        if isinstance(event, OrderFilled):
            self._apply_fill(event)
        open_ = self._orders.get(event.order.order_id)
        if open_ is None:
            return None
        return self._store_order(
            msgspec.structs.replace(
                open_,
                order=event.order,
                sequence=recorded.sequence,
                accepted=open_.accepted or isinstance(event, OrderAccepted | OrderFilled),
            )
        )

    def encode(self) -> bytes:
        """The fold, compressed."""
        checkpoint = _Checkpoint(self.epoch, self.as_of, self.orders(), self.consumed_liquidity())
        return zlib.compress(CODEC.encode(checkpoint), level=1)

    @classmethod
    def decode(cls, data: bytes) -> "OpenOrders":
        """The fold that `encode` gave. Raises ValueError when it is none."""
        try:
            plain = zlib.decompressobj().decompress(data, MAX_DECOMPRESSED_BYTES)
        except zlib.error as error:
            raise ValueError(f"{len(data)} bytes are no checkpoint: {error}") from error
        checkpoint = CODEC.decode(plain, _Checkpoint)
        return cls(checkpoint.epoch, checkpoint.as_of, checkpoint.orders, checkpoint.taken)

    def _apply_fill(self, event: OrderFilled) -> None:
        order, quoted_at = event.order, event.quoted_at
        if quoted_at is None:
            return
        before = self._consumed.get((order.symbol, order.side))
        qty = event.qty
        if before is not None and before.quoted_at > quoted_at:
            return
        if before is not None and before.quoted_at == quoted_at:
            qty = WIDE_CONTEXT.add(qty, before.qty)
        self._consumed[order.symbol, order.side] = ConsumedLiquidity(
            symbol=order.symbol, side=order.side, quoted_at=quoted_at, qty=qty
        )

    def _store_order(self, open_order: OpenOrder) -> OpenOrder:
        if open_order.order.status.is_open:
            self._orders[open_order.order.order_id] = open_order
        else:
            self._orders.pop(open_order.order.order_id, None)
        return open_order


def _new_open_order(recorded: RecordedEvent, order: Order) -> OpenOrder:
    return OpenOrder(
        user=EventSubject.parse(recorded.subject).owner,
        order=order,
        since=recorded.sequence,
        sequence=recorded.sequence,
        accepted=False,
        correlation=recorded.metadata.correlation,
        traceparent=recorded.metadata.traceparent,
    )
