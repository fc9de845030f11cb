"""What holds of an order whatever it is told, said a second time and differently: by fractions.

`broken` plays commands through a decider and tells which laws do not hold; none may, and of a
mutated domain at least one must. A command may be refused: then nothing may have changed.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import msgspec

from tapewire.events import (
    Event,
    Order,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    Side,
    TradeExecuted,
)
from tapewire.log import CommandRejected, Decider, NewEvent
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    FailOrderCommand,
    FillOrderCommand,
    PlaceOrderCommand,
    RejectOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER

FINAL_STATUSES = {
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.REJECTED,
    OrderStatus.FAILED,
}
FINAL_STATUS_BY_COMMAND: dict[type[Command], OrderStatus] = {
    CancelOrderCommand: OrderStatus.CANCELED,
    RejectOrderCommand: OrderStatus.REJECTED,
    FailOrderCommand: OrderStatus.FAILED,
}


class ReferenceOrder:
    """What a clerk with a pencil knows of one order."""

    def __init__(self) -> None:
        self.placed_order: Order | None = None
        self.order: Order | None = None
        self.is_accepted = False
        self.filled_qty = self.cash = Fraction(0)
        self.trade_ids: list[str] = []
        self.last_fill: OrderFilled | None = None

    @property
    def is_closed(self) -> bool:
        return self.order is not None and self.order.status in FINAL_STATUSES


def find_violations(
    commands: Sequence[Command], decider: Decider[Any, Any] = ORDER_DECIDER
) -> list[str]:
    """The laws that do not hold on the way through `commands`, each said once."""
    return sorted(set(_iter_violations(commands, decider)))


def _iter_violations(commands: Sequence[Command], decider: Decider[Any, Any]) -> Iterator[str]:
    state, paper, told = decider.initial_state, ReferenceOrder(), list[Event]()
    decided: list[Command] = []
    for command in commands:
        try:
            happened = list(decider.decide(state, command))
        except CommandRejected:
            if _is_valid_command(command, paper):
                yield f"{type(command).__name__} was refused without a reason"
            continue
        yield from _check_decision(command, happened, paper)
        for happening in happened:
            if happening.subject.domain == "orders":
                state = decider.evolve(state, happening.event)
            yield from _check_and_apply(happening, paper)
        told += [happening.event for happening in happened]
        decided += [command] if happened else []
        for before in decided[-3:]:
            yield from _check_repeated_command(before, state, decider)
    folded = decider.initial_state
    for event in told:
        folded = decider.evolve(folded, event)
    if folded != state:
        yield "the state is not the fold of what was stored"


def _is_valid_command(command: Command, reference: ReferenceOrder) -> bool:
    """Whether the clerk sees nothing against it."""
    order = reference.order
    if order is None or reference.placed_order is None:
        return isinstance(command, PlaceOrderCommand)
    if isinstance(command, PlaceOrderCommand):
        return _command_terms(command) == _order_terms(reference.placed_order)
    if reference.is_closed:
        return False
    if isinstance(command, FillOrderCommand):
        left = Fraction(order.qty) - reference.filled_qty
        return (
            Fraction(command.filled_before) == reference.filled_qty
            and 0 < command.qty <= left
            and _is_within_limit(order, Fraction(command.price))
        )
    return not (isinstance(command, RejectOrderCommand) and reference.is_accepted)


def _check_decision(
    command: Command, new_events: Sequence[NewEvent], reference: ReferenceOrder
) -> Iterator[str]:
    if new_events and reference.is_closed:
        yield "something happened after the end"
    if new_events and isinstance(command, PlaceOrderCommand) and reference.order is not None:
        yield "placed twice"
    if (
        isinstance(command, PlaceOrderCommand)
        and reference.placed_order is not None
        and (_command_terms(command) != _order_terms(reference.placed_order))
    ):
        yield "another order was taken for the one of this name"
    if new_events and isinstance(command, AcceptOrderCommand) and reference.is_accepted:
        yield "accepted twice"
    if (
        new_events
        and isinstance(command, FillOrderCommand)
        and Fraction(command.filled_before) != reference.filled_qty
    ):
        yield "a fill that did not know what was filled was taken"
    for happening in new_events:
        yield from _check_event(command, happening.event, reference)


def _check_event(command: Command, event: Event, reference: ReferenceOrder) -> Iterator[str]:
    wanted = FINAL_STATUS_BY_COMMAND.get(type(command))
    if isinstance(event, OrderEvent):
        if wanted is not None and event.order.status is not wanted:
            yield "it ended as something else than it was told"
        if wanted is not None and event.order.reason != getattr(command, "reason", None):
            yield "the reason was lost"
        if event.command_id != command.id:
            yield "an event does not say which command made it"
        if isinstance(event, OrderRejected) and reference.is_accepted:
            yield "rejected after it was accepted"


def _check_and_apply(new_event: NewEvent, reference: ReferenceOrder) -> Iterator[str]:
    event = new_event.event
    if isinstance(event, TradeExecuted):
        yield from _check_trade(event, reference)
        return
    assert isinstance(event, OrderEvent)
    order, before = event.order, reference.order
    if isinstance(event, OrderFilled):
        yield from _check_fill(event, reference)
    if before is None:
        reference.placed_order = order
    elif order.timestamp < before.timestamp:
        yield "time went back"
    elif _order_terms(order) != _order_terms(before):
        yield "the order became another"
    if Fraction(order.filled_qty) != reference.filled_qty:
        yield "what is filled is not the sum of the fills"
    if reference.filled_qty > Fraction(order.qty):
        yield "overfilled"
    if (order.status is OrderStatus.FILLED) != (reference.filled_qty == Fraction(order.qty)):
        yield "filled means: filled to the last share"
    reference.is_accepted = reference.is_accepted or before is not None
    reference.order = order


def _check_fill(event: OrderFilled, reference: ReferenceOrder) -> Iterator[str]:
    order = event.order
    reference.filled_qty += Fraction(event.qty)
    reference.cash += Fraction(event.qty) * Fraction(event.price)
    reference.trade_ids.append(event.trade_id)
    reference.last_fill = event
    if not _is_within_limit(order, Fraction(event.price)):
        yield "executed worse than its limit"
    exact = Fraction(round(reference.cash / reference.filled_qty * 10**6), 10**6)
    if order.filled_avg_price is None or Fraction(order.filled_avg_price) != exact:
        yield "the average is not that of all money and all shares"


def _check_trade(trade: TradeExecuted, reference: ReferenceOrder) -> Iterator[str]:
    order = reference.order
    if order is None or not reference.trade_ids or trade.trade_id != reference.trade_ids[-1]:
        yield "a trade without its fill"
        return
    if reference.last_fill is not None and (trade.qty, trade.price) != (
        reference.last_fill.qty,
        reference.last_fill.price,
    ):
        yield "a trade is not what was filled"
    if reference.trade_ids.count(trade.trade_id) > 1:
        yield "two trades have one name"
    if (trade.symbol, trade.side, trade.order_id, trade.strategy_id) != (
        order.symbol,
        order.side,
        order.order_id,
        order.strategy_id,
    ):
        yield "a trade of another order"


def net_cash(events: Sequence[Event]) -> Fraction:
    """What was received less what was paid by the trades."""
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    return sum(
        (
            Fraction(one.qty) * Fraction(one.price) * (-1 if one.side is Side.BUY else 1)
            for one in trades
        ),
        Fraction(0),
    )


def _check_repeated_command(
    command: Command, state: Any, decider: Decider[Any, Any]
) -> Iterator[str]:
    try:
        happened = list(decider.decide(state, command))
    except CommandRejected:
        yield "a command that was decided before is refused when it comes again"
        return
    if happened:
        yield "a command that comes again counts twice"


def _command_terms(place: PlaceOrderCommand) -> tuple[object, ...]:
    return (place.symbol, place.side, place.type, place.qty, place.limit_price, place.strategy_id)


def _order_terms(order: Order) -> tuple[object, ...]:
    return (order.symbol, order.side, order.type, order.qty, order.limit_price, order.strategy_id)


def _is_within_limit(order: Order, price: Fraction) -> bool:
    if order.limit_price is None:
        return True
    limit = Fraction(order.limit_price)
    return price <= limit if order.side is Side.BUY else price >= limit


def with_current_filled_qty(command: Command, state: Any) -> Command:
    """A fill that names nothing as filled before it (-1), knowing what is filled by then."""
    if (
        not isinstance(command, FillOrderCommand)
        or command.filled_before != -1
        or not hasattr(state, "order")
    ):
        return command
    return msgspec.structs.replace(command, filled_before=state.order.filled_qty)
