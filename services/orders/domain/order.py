"""An order: its states, and what each command changes. Pure.

An order is Unplaced, Placed (not accepted yet), Working (accepted, perhaps partly filled) or
Closed. Start at `decide`; `ORDER_DECIDER` is the decider.

Two keys make commands idempotent. The order's id is derived from its user and clientOrderId, so
placing it again reaches the same order. Each state also has the ids of the last
`MAX_SEEN_COMMAND_IDS` commands. Deciding one of them again changes nothing. An older command is
harmless too: a second acceptance changes nothing, a closed order stays closed, and a fill states
the quantity that was filled before it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from tapewire.decimals import WIDE_CONTEXT, abbreviate, average_price, normalize
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
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent
from tapewire.log.idempotency import KEY_REUSED
from tapewire.runtime.contracts.orders import order_id
from tapewire.values import ANY_NUMBER
from tapewire_services.field_validation import validate_decimal_field
from tapewire_services.orders.domain.commands import (
    QTY,
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    FailOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    PlaceOrderCommand,
    RejectOrderCommand,
    validate_place_order,
)
from tapewire_services.orders.domain.executions import trade_of_fill
from tapewire_services.orders.domain.waiting import decide_waiting

MAX_SEEN_COMMAND_IDS = 64
"""Command ids that an order remembers; far fewer are retried at the same time."""


class UnplacedState(msgspec.Struct, frozen=True):
    """No event yet."""


class PlacedState(msgspec.Struct, frozen=True):
    """Placed, and not yet accepted. `seen_command_ids` includes `placed_by_command_id`."""

    order: Order
    placed_by_command_id: str
    seen_command_ids: tuple[str, ...]


class WorkingState(msgspec.Struct, frozen=True):
    """Accepted by the broker. `notional` is the exact sum of price times quantity of its fills."""

    order: Order
    placed_by_command_id: str
    seen_command_ids: tuple[str, ...]
    notional: Decimal
    fill_count: int


class ClosedState(msgspec.Struct, frozen=True):
    """Filled, canceled, rejected or failed; final."""

    order: Order
    placed_by_command_id: str
    seen_command_ids: tuple[str, ...]


OpenState = PlacedState | WorkingState
State = UnplacedState | PlacedState | WorkingState | ClosedState


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """Return the events of `command`; none if it was decided before.

    Raises:
        CommandRejected: ``invalid`` with a path, ``key_reused``, ``conflict`` or ``not_found``.
    """
    if isinstance(command, PlaceOrderCommand):
        return _decide_place(state, validate_place_order(command))
    if isinstance(state, UnplacedState):
        raise CommandRejected("not_found", "there is no such order")
    if command.id in state.seen_command_ids:
        return []
    if isinstance(state, ClosedState):
        raise CommandRejected("conflict", f"the order is {state.order.status.value} already")
    return _to_new_events(command, _decide_change(state, command))


def _decide_place(state: State, command: PlaceOrderCommand) -> Sequence[NewEvent]:
    order = _new_order(command)
    if isinstance(state, UnplacedState):
        return _to_new_events(command, [OrderPlaced(order=order, command_id=command.id)])
    if _order_terms(state.order) != _order_terms(order):
        message = f"client order id {command.client_order_id!r} names another order already"
        raise CommandRejected(KEY_REUSED, message, "clientOrderId")
    return []


def _decide_change(
    state: OpenState,
    command: AcceptOrderCommand
    | FillOrderCommand
    | NoteWaitingCommand
    | CancelOrderCommand
    | RejectOrderCommand
    | FailOrderCommand,
) -> list[Event]:
    match command:
        case AcceptOrderCommand():
            if isinstance(state, WorkingState):
                return []
            return [OrderAccepted(order=_updated_order(state, command), command_id=command.id)]
        case FillOrderCommand():
            return _decide_fill(state, command)
        case NoteWaitingCommand():
            return decide_waiting(state.order, command) if isinstance(state, WorkingState) else []
        case CancelOrderCommand():
            order = _updated_order(state, command, OrderStatus.CANCELED, command.reason)
            return [OrderCanceled(order=order, command_id=command.id)]
        case RejectOrderCommand():
            if isinstance(state, WorkingState):
                raise CommandRejected(
                    "conflict", "the order is accepted already: let it fail instead"
                )
            order = _updated_order(state, command, OrderStatus.REJECTED, command.reason)
            return [OrderRejected(order=order, command_id=command.id)]
        case FailOrderCommand():
            order = _updated_order(state, command, OrderStatus.FAILED, command.reason)
            return [OrderFailed(order=order, command_id=command.id)]
        case _:
            assert_never(command)


def _validate_fill(order: Order, command: FillOrderCommand) -> tuple[Decimal, Decimal]:
    """The quantity and the price of the execution.

    An execution that does not fit the order is rejected as a whole, never reduced to fit: an order
    that was overfilled, filled twice or filled beyond its limit needs human attention.
    """
    qty = validate_decimal_field("qty", command.qty, QTY)
    price = validate_decimal_field("price", command.price, ANY_NUMBER)
    if command.filled_before != order.filled_qty:
        message = f"filled {order.filled_qty} so far, not {abbreviate(command.filled_before)}"
        raise CommandRejected("conflict", message, "filledBefore")
    if qty > order.qty - order.filled_qty:
        message = f"only {order.qty - order.filled_qty} is left to fill, not {qty}"
        raise CommandRejected("invalid", message, "qty")
    if _is_worse_than_limit(order, price):
        message = f"{price} is worse than the limit {order.limit_price}"
        raise CommandRejected("invalid", message, "price")
    return qty, price


def _decide_fill(state: OpenState, command: FillOrderCommand) -> list[Event]:
    order, notional, fill_count = state.order, Decimal(0), 0
    if isinstance(state, WorkingState):
        notional, fill_count = state.notional, state.fill_count
    qty, price = _validate_fill(order, command)
    filled = normalize(order.filled_qty + qty)
    after = msgspec.structs.replace(
        order,
        status=OrderStatus.FILLED if filled == order.qty else OrderStatus.PARTIALLY_FILLED,
        filled_qty=filled,
        filled_avg_price=average_price(_add_notional(notional, qty, price), filled),
        timestamp=max(order.timestamp, command.at),
        waiting=None,
    )
    filled_event = OrderFilled(
        order=after,
        command_id=command.id,
        trade_id=f"{order.order_id}-{fill_count + 1}",
        qty=qty,
        price=price,
        quoted_at=command.quoted_at,
        offer=command.offer,
    )
    return [filled_event, trade_of_fill(filled_event)]


def _to_new_events(command: Command, events: Sequence[Event]) -> list[NewEvent]:
    """An order's events belong to the order, its executions to the order's trades."""
    return [
        NewEvent(EventSubject(command.user, "orders", event.order.order_id), event)
        if isinstance(event, OrderEvent)
        else NewEvent(EventSubject(command.user, "trades", _order_id_of_trade(event)), event)
        for event in events
    ]


def _order_id_of_trade(event: Event) -> str:
    assert isinstance(event, TradeExecuted)  # noqa: S101 - for the type checker
    return event.order_id


def evolve(state: State, event: Event) -> State:
    """Fold one event of the order's own subject."""
    if not isinstance(event, OrderEvent):
        return state
    order, command_id = event.order, event.command_id
    if isinstance(state, UnplacedState):
        return PlacedState(order, command_id, (command_id,))
    placed_by, seen = (
        state.placed_by_command_id,
        (*state.seen_command_ids[1 - MAX_SEEN_COMMAND_IDS :], command_id),
    )
    if not order.status.is_open:
        return ClosedState(order, placed_by, seen)
    notional, fill_count = (
        (state.notional, state.fill_count) if isinstance(state, WorkingState) else (Decimal(0), 0)
    )
    if isinstance(event, OrderFilled):
        notional, fill_count = _add_notional(notional, event.qty, event.price), fill_count + 1
    return WorkingState(order, placed_by, seen, notional, fill_count)


ORDER_DECIDER: Decider[State, Command] = Decider(
    initial_state=UnplacedState(), decide=decide, evolve=evolve
)


def _new_order(command: PlaceOrderCommand) -> Order:
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


def _order_terms(order: Order) -> tuple[object, ...]:
    """What must be the same when a clientOrderId is placed again."""
    return (
        order.symbol,
        order.side,
        order.type,
        order.qty,
        order.limit_price,
        order.strategy_id,
    )


def _updated_order(
    state: OpenState, command: Command, status: OrderStatus | None = None, reason: str | None = None
) -> Order:
    """Commands come from several clocks; the order's timestamp never decreases."""
    order, status = state.order, status or state.order.status
    return msgspec.structs.replace(
        order,
        status=status,
        reason=reason,
        timestamp=max(order.timestamp, command.at),
        waiting=order.waiting if status.is_open else None,
    )


def _is_worse_than_limit(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return False
    if order.side is Side.BUY:
        return price > order.limit_price
    return price < order.limit_price


def _add_notional(notional: Decimal, qty: Decimal, price: Decimal) -> Decimal:
    return WIDE_CONTEXT.fma(qty, price, notional)
