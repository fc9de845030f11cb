"""The open orders of all users and the liquidity consumed from the newest quotes. Pure.

`OpenOrders.apply` folds one event of the log. `encode` and `decode` carry the fold in a checkpoint
from one holder of the broker's lease to the next.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tapewire.brokers import OpenOrder
from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import (
    CODEC,
    Order,
    OrderAccepted,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    QuotedOffer,
    Side,
    SplitExecuted,
    UserErased,
)
from tapewire.log import EventSubject, RecordedEvent
from tapewire_services.orders.domain.net_positions import NetPosition, NetPositions

AFTER_ALL_EVENTS = 2**53 - 1
"""The sequence at which the orders of an erased user end. A broker may know later states than the
erasure: its own report may have been stored after it, and was removed with the user's events."""


class ConsumedLiquidity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`qty` shares were executed, for orders of `side`, against an offer of `symbol` at `price`:
    the newest offer that anything was executed against.

    `offer` is None if only old fills were executed, which did not name their offer.
    """

    symbol: str
    side: Side
    price: Decimal
    offer: QuotedOffer | None
    qty: Decimal

    @property
    def offer_number(self) -> int:
        """The number of the offer; 0 without one."""
        return 0 if self.offer is None else self.offer.number

    def is_of(self, price: Decimal, size: Decimal) -> bool:
        """Whether an offer of `size` at `price`, the first that a broker sees, is this one."""
        return price == self.price and (self.offer is None or self.offer.size == size)


class _State(msgspec.Struct, frozen=True, rename="camel"):
    orders: list[OpenOrder]
    positions: list[NetPosition]
    consumed: list[ConsumedLiquidity] = []
    splits: list[SplitExecuted] = []


class OpenOrders:
    """The fold of all order events, ``ev.*.orders.>``."""

    def __init__(
        self,
        orders: Iterable[OpenOrder] = (),
        consumed: Iterable[ConsumedLiquidity] = (),
        positions: Iterable[NetPosition] = (),
        splits: Iterable[SplitExecuted] = (),
    ) -> None:
        self._splits = {split.symbol: split for split in splits}
        """The last split of each symbol."""
        self._orders = {order.order.order_id: order for order in orders}
        self._consumed = {(one.symbol, one.side): one for one in consumed}
        self.positions = NetPositions(positions)

    def __len__(self) -> int:
        return len(self._orders)

    def orders(self) -> list[OpenOrder]:
        """The open orders, in the order of their placing."""
        return list(self._orders.values())

    def consumed_liquidity(self) -> list[ConsumedLiquidity]:
        """The liquidity that executions have consumed, at most one entry for a symbol and side."""
        return list(self._consumed.values())

    def apply(self, recorded: RecordedEvent) -> OpenOrder | None:
        """Fold one event. Returns the order after it, open or closed; None if the event does not
        concern an open order.

        Raises:
            UnknownType, Undecodable: The event cannot be read, and changes nothing.
        """
        event = recorded.event
        if isinstance(event, UserErased):
            self.forget_user(event)
        if isinstance(event, SplitExecuted):
            self._apply_split(event)
        if not isinstance(event, OrderEvent):
            return None
        if isinstance(event, OrderPlaced):
            return self._store_order(_new_open_order(recorded, event.order))
        if isinstance(event, OrderFilled):
            self._add_consumed(event)
        if isinstance(event, OrderFilled | OrderExecutionCorrected):
            self.positions.apply(recorded.event_subject.owner, event)
        if not event.order.status.is_open:
            self.positions.close_order(recorded.event_subject.owner, event.order)
        before = self._orders.get(event.order.order_id)
        if before is None:
            return None
        return self._store_order(
            msgspec.structs.replace(
                before,
                order=event.order,
                since=recorded.sequence
                if loses_priority(before.order, event.order)
                else before.since,
                sequence=recorded.sequence,
                accepted=before.accepted or isinstance(event, OrderAccepted | OrderFilled),
                corrections=event.number
                if isinstance(event, OrderExecutionCorrected)
                else before.corrections,
            )
        )

    def forget_user(self, erasure: UserErased) -> list[OpenOrder]:
        """Remove the orders of the erased user. Returns them as canceled at `AFTER_ALL_EVENTS`.

        No consumed liquidity is left either: which part of it the user's fills consumed can no
        longer be told from the log.
        """
        self._consumed.clear()
        self.positions.forget_user(erasure)
        erased_users = erasure.find_users(one.user for one in self._orders.values())
        found = [one for one in self._orders.values() if one.user in erased_users]
        for one in found:
            del self._orders[one.order.order_id]
        return [
            msgspec.structs.replace(
                one,
                order=msgspec.structs.replace(one.order, status=OrderStatus.CANCELED),
                sequence=AFTER_ALL_EVENTS,
            )
            for one in found
        ]

    def mark_late(self, open_order: OpenOrder) -> OpenOrder:
        """Note that `open_order` must not be executed. Returns it with the mark."""
        return self._store_order(msgspec.structs.replace(open_order, is_late=True))

    def splits(self) -> list[SplitExecuted]:
        """The last split of each symbol that has one."""
        return [*self._splits.values()]

    def find_split(self, order: Order) -> SplitExecuted | None:
        """The split whose terms the order does not have yet."""
        split = self._splits.get(order.symbol)
        return split if split is not None and split.number > order.splits else None

    def unsplit_orders(self, symbol: str | None = None) -> list[OpenOrder]:
        """The orders, of `symbol` or of all, that have not the terms of its last split yet."""
        if not self._splits:
            return []
        return [
            one
            for one in self._orders.values()
            if symbol in (None, one.order.symbol) and self.find_split(one.order) is not None
        ]

    def _apply_split(self, split: SplitExecuted) -> None:
        self._splits[split.symbol] = split
        self.positions.apply_split(split)
        for side in Side:
            self._consumed.pop((split.symbol, side), None)

    def encode(self) -> bytes:
        """The fold as JSON."""
        positions, consumed = self.positions.positions(), self.consumed_liquidity()
        return CODEC.encode(_State(self.orders(), positions, consumed, self.splits()))

    @classmethod
    def decode(cls, state: bytes) -> "OpenOrders":
        """The fold that `encode` returned. Raises ValueError if `state` is something else, such as
        a fold of an earlier version, which has no positions."""
        decoded = CODEC.decode(state, _State)
        return cls(decoded.orders, decoded.consumed, decoded.positions, decoded.splits)

    def _add_consumed(self, event: OrderFilled) -> None:
        """Offers have increasing numbers. A fill of an earlier offer may be stored late, and an
        offer that changed is gone."""
        order, offer, qty = event.order, event.offer, event.qty
        before = self._consumed.get((order.symbol, order.side))
        if before is not None:
            if offer is not None and offer.number < before.offer_number:
                return
            if offer == before.offer and event.price == before.price:
                qty = WIDE_CONTEXT.add(qty, before.qty)
        self._consumed[order.symbol, order.side] = ConsumedLiquidity(
            symbol=order.symbol, side=order.side, price=event.price, offer=offer, qty=qty
        )

    def _store_order(self, open_order: OpenOrder) -> OpenOrder:
        if open_order.order.status.is_open:
            self._orders[open_order.order.order_id] = open_order
        else:
            self._orders.pop(open_order.order.order_id, None)
        return open_order


def loses_priority(before: Order, after: Order) -> bool:
    """Whether the order is as a new one to the book: it was triggered, or it got another price or a
    larger quantity, unless by a split."""
    if after.splits != before.splits:
        return False
    return (
        after.triggered_at != before.triggered_at
        or after.qty > before.qty
        or (after.limit_price, after.stop_price) != (before.limit_price, before.stop_price)
    )


def _new_open_order(recorded: RecordedEvent, order: Order) -> OpenOrder:
    return OpenOrder(
        user=EventSubject.parse(recorded.subject).owner,
        order=order,
        since=recorded.sequence,
        sequence=recorded.sequence,
        accepted=False,
        correlation=recorded.metadata.correlation,
        traceparent=recorded.metadata.traceparent,
        placed_at=order.timestamp,
    )
