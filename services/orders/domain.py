"""An order: its commands, its states, and what is decided. Pure.

An order is Unplaced, Placed (nobody works it yet), Working (accepted, perhaps partly filled) or
Closed. Start reading at `decide`; `ORDERS` is the decider for `tapewire.log.Entities`.

Idempotency has two keys. The order's id is derived from its user and clientOrderId, so placing
again meets the same order. And each state remembers the ids of the last `SEEN_COMMANDS` commands:
deciding one of them again changes nothing. What fell out of that memory stays harmless: accepting
twice is nothing new, a closed order stays closed, and a fill names the quantity filled before it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from services.orders.commands import (
    MAX_PRICE,
    MAX_QTY,
    PRICE_PLACES,
    QTY_PLACES,
    Accept,
    Cancel,
    Command,
    Fail,
    Fill,
    Place,
    Reject,
    checked,
    number,
)
from services.orders.exact import WIDE, average, plain, show
from tapewire.events import (
    Event,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFailed,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderStatus,
    Side,
    TradeExecuted,
)
from tapewire.log import Decider, Happening, Refusal, Subject
from tapewire.runtime.contracts.orders import order_id

SEEN_COMMANDS = 64
"""Command ids an order remembers: far more than retry at the same time."""


class Unplaced(msgspec.Struct, frozen=True):
    """No event yet."""


class Placed(msgspec.Struct, frozen=True):
    """Wanted by its user; `seen` are the ids of commands, `placed_by` the first of them."""

    order: Order
    placed_by: str
    seen: tuple[str, ...]


class Working(msgspec.Struct, frozen=True):
    """The broker's; `notional` is the exact sum of price times quantity of its `fills` fills."""

    order: Order
    placed_by: str
    seen: tuple[str, ...]
    notional: Decimal
    fills: int


class Closed(msgspec.Struct, frozen=True):
    """Filled, canceled, rejected or failed, for ever."""

    order: Order
    placed_by: str
    seen: tuple[str, ...]


Open = Placed | Working
State = Unplaced | Placed | Working | Closed


def decide(state: State, command: Command) -> Sequence[Happening]:
    """What `command` makes happen; nothing when it was decided before.

    Raises:
        Refusal: invalid (with a path), conflict, not_found.
    """
    if isinstance(command, Place):
        return _place(state, checked(command))
    if isinstance(state, Unplaced):
        raise Refusal("not_found", "there is no such order")
    if command.id in state.seen:
        return []
    if isinstance(state, Closed):
        raise Refusal("conflict", f"the order is {state.order.status.value} already")
    return _happen(command, _change(state, command))


def _place(state: State, command: Place) -> Sequence[Happening]:
    order = _new(command)
    if isinstance(state, Unplaced):
        return _happen(command, [OrderPlaced(order=order, command_id=command.id)])
    if _contents(state.order) != _contents(order):
        message = f"client order id {command.client_order_id!r} names another order already"
        raise Refusal("conflict", message, "clientOrderId")
    return []


def _change(state: Open, command: Accept | Fill | Cancel | Reject | Fail) -> list[Event]:
    match command:
        case Accept():
            if isinstance(state, Working):
                return []
            return [OrderAccepted(order=_after(state, command), command_id=command.id)]
        case Fill():
            return _fill(state, command)
        case Cancel():
            order = _after(state, command, OrderStatus.CANCELED, command.reason)
            return [OrderCanceled(order=order, command_id=command.id)]
        case Reject():
            if isinstance(state, Working):
                raise Refusal("conflict", "the order is accepted already: let it fail instead")
            order = _after(state, command, OrderStatus.REJECTED, command.reason)
            return [OrderRejected(order=order, command_id=command.id)]
        case Fail():
            order = _after(state, command, OrderStatus.FAILED, command.reason)
            return [OrderFailed(order=order, command_id=command.id)]
        case _:
            assert_never(command)


def _fill(state: Open, command: Fill) -> list[Event]:
    """An execution that cannot be right is refused whole, never cut to fit: an order that was
    overfilled, filled twice or filled worse than its limit is for people to look at."""
    qty = number("qty", command.qty, MAX_QTY, QTY_PLACES)
    price = number("price", command.price, MAX_PRICE, PRICE_PLACES)
    order, notional, fills = state.order, Decimal(0), 0
    if isinstance(state, Working):
        notional, fills = state.notional, state.fills
    if command.filled_before != order.filled_qty:
        message = f"filled {order.filled_qty} so far, not {show(command.filled_before)}"
        raise Refusal("conflict", message, "filledBefore")
    if qty > order.qty - order.filled_qty:
        message = f"only {order.qty - order.filled_qty} is left to fill, not {qty}"
        raise Refusal("invalid", message, "qty")
    if _worse(order, price):
        raise Refusal("invalid", f"{price} is worse than the limit {order.limit_price}", "price")
    filled = plain(order.filled_qty + qty)
    after = msgspec.structs.replace(
        order,
        status=OrderStatus.FILLED if filled == order.qty else OrderStatus.PARTIALLY_FILLED,
        filled_qty=filled,
        filled_avg_price=average(_notional(notional, qty, price), filled),
        timestamp=max(order.timestamp, command.at),
    )
    trade_id = f"{order.order_id}-{fills + 1}"
    return [
        OrderFilled(
            order=after,
            command_id=command.id,
            trade_id=trade_id,
            qty=qty,
            price=price,
            quoted_at=command.quoted_at,
        ),
        TradeExecuted(
            trade_id=trade_id,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            qty=qty,
            price=price,
            strategy_id=order.strategy_id,
            timestamp=after.timestamp,
        ),
    ]


def _happen(command: Command, events: Sequence[Event]) -> list[Happening]:
    """Orders' events on the order's subject, executions on that of its trades."""
    return [
        Happening(Subject(command.user, "orders", event.order.order_id), event)
        if isinstance(event, OrderEvent)
        else Happening(Subject(command.user, "trades", _traded(event)), event)
        for event in events
    ]


def _traded(event: Event) -> str:
    assert isinstance(event, TradeExecuted)  # noqa: S101 - for the type checker: nothing else is
    return event.order_id


def evolve(state: State, event: Event) -> State:
    """Fold one event of the order's own subject."""
    if not isinstance(event, OrderEvent):
        return state
    order, command = event.order, event.command_id
    if isinstance(state, Unplaced):
        return Placed(order, command, (command,))
    placed_by, seen = state.placed_by, (*state.seen[1 - SEEN_COMMANDS :], command)
    if not order.status.open:
        return Closed(order, placed_by, seen)
    notional, fills = (
        (state.notional, state.fills) if isinstance(state, Working) else (Decimal(0), 0)
    )
    if isinstance(event, OrderFilled):
        notional, fills = _notional(notional, event.qty, event.price), fills + 1
    return Working(order, placed_by, seen, notional, fills)


ORDERS: Decider[State, Command] = Decider(initial=Unplaced(), decide=decide, evolve=evolve)


def _new(command: Place) -> Order:
    return Order(
        order_id=order_id(command.user, command.client_order_id),
        client_order_id=command.client_order_id,
        symbol=command.symbol,
        side=command.side,
        type=command.type,
        qty=command.qty,
        limit_price=command.limit_price,
        status=OrderStatus.NEW,
        filled_qty=Decimal(0),
        filled_avg_price=None,
        strategy_id=command.strategy_id,
        reason=None,
        timestamp=command.at,
    )


def _contents(order: Order) -> tuple[object, ...]:
    """What a repeated clientOrderId must repeat."""
    return (
        order.symbol,
        order.side,
        order.type,
        order.qty,
        order.limit_price,
        order.strategy_id,
    )


def _after(
    state: Open, command: Command, status: OrderStatus | None = None, reason: str | None = None
) -> Order:
    """The order changed; its time never goes back, whichever clocks the commands come from."""
    order = state.order
    return msgspec.structs.replace(
        order,
        status=status or order.status,
        reason=reason,
        timestamp=max(order.timestamp, command.at),
    )


def _worse(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return False
    if order.side is Side.BUY:
        return price > order.limit_price
    return price < order.limit_price


def _notional(before: Decimal, qty: Decimal, price: Decimal) -> Decimal:
    return WIDE.fma(qty, price, before)
