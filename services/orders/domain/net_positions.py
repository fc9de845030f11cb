"""What each user holds of each symbol, and how much of it an order may still close. Pure.

`NetPositions` folds the fills of the journal and their corrections. An execution that the broker
has proposed is reserved until its fill is folded, or was refused: several reduce-only orders
together never close more than there is, and an order that the user places beside them counts as
well. Start at `NetPositions.reducible_qty`.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tapewire.decimals import WIDE_CONTEXT, normalize, scale
from tapewire.events import (
    Order,
    OrderExecutionCorrected,
    OrderFilled,
    Side,
    SplitExecuted,
    UserErased,
)

ZERO = Decimal(0)
HELD_QTY_PLACES = 9
"""Decimal places of what is held, as in positions."""


class NetPosition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`user` holds `qty` shares of `symbol`, below 0 when short."""

    user: str
    symbol: str
    qty: Decimal


ExecutionKey = tuple[str, Decimal]
"""An execution: its order, and the quantity that is filled after it."""


class NetPositions:
    """The positions of all users, from fills and their corrections."""

    def __init__(self, positions: Iterable[NetPosition] = ()) -> None:
        self._quantities = {(one.user, one.symbol): one.qty for one in positions}
        self._reservations: dict[tuple[str, str], dict[ExecutionKey, tuple[Side, Decimal]]] = {}

    def positions(self) -> list[NetPosition]:
        """What is held; nothing for what is flat."""
        return [
            NetPosition(user=user, symbol=symbol, qty=qty)
            for (user, symbol), qty in self._quantities.items()
        ]

    def apply(self, user: str, event: OrderFilled | OrderExecutionCorrected) -> None:
        """Fold one fill, which ends the reservation of its execution, or one correction."""
        order = event.order
        key = (user, order.symbol)
        traded = (
            event.qty
            if isinstance(event, OrderFilled)
            else WIDE_CONTEXT.subtract(event.after.qty, event.before.qty)
        )
        signed = traded if order.side is Side.BUY else -traded
        qty = normalize(WIDE_CONTEXT.add(self._quantities.pop(key, ZERO), signed))
        if qty:
            self._quantities[key] = qty
        if not isinstance(event, OrderFilled):
            return
        for execution in list(self._reservations.get(key, ())):
            if execution[0] == order.order_id and execution[1] <= order.filled_qty:
                self._release(key, execution)

    def apply_split(self, split: SplitExecuted) -> None:
        """What is held of the symbol counts the new shares."""
        for (user, symbol), held in list(self._quantities.items()):
            if symbol == split.symbol:
                ratio = split.ratio
                qty = scale(held, ratio.shares, ratio.for_shares, HELD_QTY_PLACES)
                del self._quantities[user, symbol]
                if qty:
                    self._quantities[user, symbol] = qty

    def close_order(self, user: str, order: Order) -> None:
        """The order is closed: nothing that was proposed for it is stored any more."""
        key = (user, order.symbol)
        for execution in list(self._reservations.get(key, ())):
            if execution[0] == order.order_id:
                self._release(key, execution)

    def forget_user(self, erasure: UserErased) -> None:
        """Remove the positions of the erased user, and what was proposed for the user's orders:
        fills of them may never be read."""
        by_key = (self._quantities, self._reservations)
        erased_users = erasure.find_users(user for one in by_key for user, _ in one)
        for user, symbol in [key for one in by_key for key in one if key[0] in erased_users]:
            self._quantities.pop((user, symbol), None)
            self._reservations.pop((user, symbol), None)

    def reserve(self, user: str, order: Order, qty: Decimal) -> None:
        """An execution of `qty` shares of `order` is proposed."""
        reservations = self._reservations.setdefault((user, order.symbol), {})
        reservations[_execution_key(order, qty)] = (order.side, qty)

    def release(self, user: str, order: Order, qty: Decimal) -> None:
        """The proposed execution of `qty` shares of `order` was refused."""
        self._release((user, order.symbol), _execution_key(order, qty))

    def reducible_qty(self, user: str, order: Order) -> Decimal:
        """How many shares `order` may execute without going past flat, at least 0. What is proposed
        on its side counts as executed, and what is proposed on the other side does not."""
        held = self._quantities.get((user, order.symbol), ZERO)
        open_qty = -held if order.side is Side.BUY else held
        for side, qty in self._reservations.get((user, order.symbol), {}).values():
            if side is order.side:
                open_qty = WIDE_CONTEXT.subtract(open_qty, qty)
        return max(ZERO, open_qty)

    def has_reservations(self, user: str, symbol: str) -> bool:
        """Whether the position may be about to change."""
        return (user, symbol) in self._reservations

    def _release(self, key: tuple[str, str], execution: ExecutionKey) -> None:
        reservations = self._reservations.get(key, {})
        reservations.pop(execution, None)
        if not reservations:
            self._reservations.pop(key, None)


def _execution_key(order: Order, qty: Decimal) -> ExecutionKey:
    return order.order_id, WIDE_CONTEXT.add(order.filled_qty, qty)
