"""An order: what each command changes. Pure.

An order is Unplaced, Placed (not accepted yet), Working (accepted, perhaps partly filled) or
Closed. Start at `decide`; `ORDER_DECIDER` is the decider.

Three keys make commands idempotent. The order's id is derived from its user and clientOrderId, so
placing it again reaches the same order. An execution that a venue reports has an id, and is booked
once; so is its correction. Each state also has the ids of the last `MAX_SEEN_COMMAND_IDS` commands.
Deciding one of them again changes nothing. An older command is harmless too: a second acceptance
changes nothing, a closed order stays closed, and a fill states the quantity that was filled before
it.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire.events import (
    AlertRaised,
    Event,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderCancelRequested,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFailed,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRequested,
    OrderSplit,
    OrderStatus,
    OrderTriggered,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent
from tapewire.log.idempotency import KEY_REUSED
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    BookExecutionCommand,
    CancelOrderCommand,
    ChangeCommand,
    Command,
    CorrectExecutionCommand,
    FailOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    PlaceOrderCommand,
    RejectOrderCommand,
    SplitOrderCommand,
    TriggerOrderCommand,
    validate_place_order,
)
from tapewire_services.orders.domain.corrections import decide_correction
from tapewire_services.orders.domain.executions import decide_execution, decide_fill
from tapewire_services.orders.domain.order_state import (
    ClosedState,
    OpenState,
    PlacedState,
    State,
    UnplacedState,
    WorkingState,
    change_order,
)
from tapewire_services.orders.domain.pending_requests import decide_request
from tapewire_services.orders.domain.splits import decide_split
from tapewire_services.orders.domain.waiting import decide_waiting

MAX_SEEN_COMMAND_IDS = 64
"""Command ids that an order remembers; far fewer are retried at the same time."""


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """Return the events of `command`; none if it was decided before.

    Raises:
        CommandRejected: ``invalid`` with a path, ``key_reused``, ``conflict`` or ``not_found``.
    """
    if isinstance(command, PlaceOrderCommand):
        return _decide_place(state, validate_place_order(command))
    if isinstance(state, UnplacedState):
        raise CommandRejected("not_found", "there is no such order")
    if isinstance(command, BookExecutionCommand):
        return _to_new_events(command, decide_execution(state, command))
    if command.id in state.seen_command_ids:
        return []
    if isinstance(command, CorrectExecutionCommand):
        return _to_new_events(command, decide_correction(state, command))
    if isinstance(state, ClosedState):
        raise CommandRejected("conflict", f"the order is {state.order.status.value} already")
    return _to_new_events(command, _decide_change(state, command))


def _decide_place(state: State, command: PlaceOrderCommand) -> Sequence[NewEvent]:
    order = new_order(command)
    if isinstance(state, UnplacedState):
        return _to_new_events(command, [OrderPlaced(order=order, command_id=command.id)])
    if _order_terms(state.placed) != _order_terms(order):
        message = f"client order id {command.client_order_id!r} names another order already"
        raise CommandRejected(KEY_REUSED, message, "clientOrderId")
    return []


def _decide_change(state: OpenState, command: ChangeCommand) -> Sequence[Event]:
    order, at, id_ = state.order, command.at, command.id
    match command:
        case AcceptOrderCommand():
            if isinstance(state, WorkingState):
                return []
            venue_id = command.venue_order_id or order.venue_order_id
            accepted = change_order(state, at, venue_order_id=venue_id)
            return [OrderAccepted(order=accepted, command_id=id_)]
        case FillOrderCommand():
            return decide_fill(state, command)
        case SplitOrderCommand():
            return decide_split(state, command)
        case NoteWaitingCommand():
            return decide_waiting(order, command) if isinstance(state, WorkingState) else []
        case TriggerOrderCommand():
            if not order.type.has_stop_price or order.triggered_at is not None:
                return []
            triggered = change_order(state, at, triggered_at=max(order.timestamp, at))
            return [OrderTriggered(order=triggered, command_id=id_)]
        case CancelOrderCommand() | RejectOrderCommand() | FailOrderCommand():
            return [_decide_end(state, command)]
        case _:
            return decide_request(state, command)


def _decide_end(
    state: OpenState, command: CancelOrderCommand | RejectOrderCommand | FailOrderCommand
) -> OrderEvent:
    at, id_, reason = command.at, command.id, command.reason
    match command:
        case CancelOrderCommand():
            canceled = change_order(state, at, OrderStatus.CANCELED, reason=reason)
            return OrderCanceled(order=canceled, command_id=id_)
        case RejectOrderCommand():
            if isinstance(state, WorkingState):
                raise CommandRejected(
                    "conflict", "the order is accepted already: let it fail instead"
                )
            rejected = change_order(state, at, OrderStatus.REJECTED, reason=reason)
            return OrderRejected(order=rejected, command_id=id_)
        case _:
            failed = change_order(state, at, OrderStatus.FAILED, reason=reason)
            return OrderFailed(order=failed, command_id=id_)


def _to_new_events(command: Command, events: Sequence[Event]) -> list[NewEvent]:
    return [NewEvent(subject_of_event(command.user, event), event) for event in events]


def subject_of_event(user: str, event: Event) -> EventSubject:
    """An order's events belong to the order, its executions to the order's trades, and alerts to
    the user's alerts."""
    if isinstance(event, OrderEvent):
        return EventSubject(user, "orders", event.order.order_id)
    if isinstance(event, TradeExecuted | TradeCorrected):
        return EventSubject(user, "trades", event.order_id)
    assert isinstance(event, AlertRaised)  # noqa: S101 - for the type checker
    return EventSubject(user, "alerts", event.alert_id)


def evolve(state: State, event: Event) -> State:
    """Fold one event of the order's own subject. If the first events were removed from the log, the
    order is what the first one that remains says."""
    if not isinstance(event, OrderEvent):
        return state
    order, command_id = event.order, event.command_id
    if isinstance(state, UnplacedState):
        state = PlacedState(order, order, command_id, ())
    seen = (*state.seen_command_ids[1 - MAX_SEEN_COMMAND_IDS :], command_id)
    executions = state.executions
    if isinstance(event, OrderFilled):
        executions = executions.add(event)
    if isinstance(event, OrderExecutionCorrected):
        executions = executions.correct(event)
    if isinstance(event, OrderSplit):
        executions = msgspec.structs.replace(executions, count_before_split=executions.count)
    kind: type[PlacedState | WorkingState | ClosedState] = WorkingState
    if not order.status.is_open:
        kind = ClosedState
    elif isinstance(state, PlacedState) and isinstance(
        event,
        OrderPlaced | OrderCancelRequested | OrderReplaceRequested | OrderReplaced | OrderSplit,
    ):
        kind = PlacedState
    return kind(order, state.placed, state.placed_by_command_id, seen, executions)


ORDER_DECIDER: Decider[State, Command] = Decider(
    initial_state=UnplacedState(), decide=decide, evolve=evolve
)


def new_order(command: PlaceOrderCommand) -> Order:
    """The order that `command` places."""
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
        stop_price=command.stop_price,
        time_in_force=command.time_in_force,
        reduce_only=command.reduce_only,
        splits=command.splits,
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
        order.stop_price,
        order.time_in_force,
        order.reduce_only,
    )
