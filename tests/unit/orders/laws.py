"""What holds of an order whatever it is told, said a second time and differently: by fractions.

`broken` plays commands through a decider and tells which laws do not hold; none may, and of a
mutated domain at least one must. A command may be refused: then nothing may have changed.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import msgspec

from services.orders.commands import Accept, Cancel, Command, Fail, Fill, Place, Reject
from services.orders.domain import ORDERS
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
from tapewire.log import Decider, Happening, Refusal

LAST = {
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.REJECTED,
    OrderStatus.FAILED,
}
ENDS: dict[type[Command], OrderStatus] = {
    Cancel: OrderStatus.CANCELED,
    Reject: OrderStatus.REJECTED,
    Fail: OrderStatus.FAILED,
}


class Paper:
    """What a clerk with a pencil knows of one order."""

    def __init__(self) -> None:
        self.placed: Order | None = None
        self.order: Order | None = None
        self.accepted = False
        self.filled = self.cash = Fraction(0)
        self.trades: list[str] = []
        self.last: OrderFilled | None = None

    @property
    def closed(self) -> bool:
        return self.order is not None and self.order.status in LAST


def broken(commands: Sequence[Command], decider: Decider[Any, Any] = ORDERS) -> list[str]:
    """The laws that do not hold on the way through `commands`, each said once."""
    return sorted(set(_complaints(commands, decider)))


def _complaints(commands: Sequence[Command], decider: Decider[Any, Any]) -> Iterator[str]:
    state, paper, told = decider.initial, Paper(), list[Event]()
    decided: list[Command] = []
    for command in commands:
        try:
            happened = list(decider.decide(state, command))
        except Refusal:
            if _harmless(command, paper):
                yield f"{type(command).__name__} was refused without a reason"
            continue
        yield from _fair(command, happened, paper)
        for happening in happened:
            if happening.subject.domain == "orders":
                state = decider.evolve(state, happening.event)
            yield from _told(happening, paper)
        told += [happening.event for happening in happened]
        decided += [command] if happened else []
        for before in decided[-3:]:
            yield from _again(before, state, decider)
    folded = decider.initial
    for event in told:
        folded = decider.evolve(folded, event)
    if folded != state:
        yield "the state is not the fold of what was stored"


def _harmless(command: Command, paper: Paper) -> bool:
    """Whether the clerk sees nothing against it."""
    order = paper.order
    if order is None or paper.placed is None:
        return isinstance(command, Place)
    if isinstance(command, Place):
        return _wanted(command) == _contents(paper.placed)
    if paper.closed:
        return False
    if isinstance(command, Fill):
        left = Fraction(order.qty) - paper.filled
        return (
            Fraction(command.filled_before) == paper.filled
            and 0 < command.qty <= left
            and _within(order, Fraction(command.price))
        )
    return not (isinstance(command, Reject) and paper.accepted)


def _fair(command: Command, happened: Sequence[Happening], paper: Paper) -> Iterator[str]:
    if happened and paper.closed:
        yield "something happened after the end"
    if happened and isinstance(command, Place) and paper.order is not None:
        yield "placed twice"
    if (
        isinstance(command, Place)
        and paper.placed is not None
        and (_wanted(command) != _contents(paper.placed))
    ):
        yield "another order was taken for the one of this name"
    if happened and isinstance(command, Accept) and paper.accepted:
        yield "accepted twice"
    if happened and isinstance(command, Fill) and Fraction(command.filled_before) != paper.filled:
        yield "a fill that did not know what was filled was taken"
    for happening in happened:
        yield from _obeyed(command, happening.event, paper)


def _obeyed(command: Command, event: Event, paper: Paper) -> Iterator[str]:
    wanted = ENDS.get(type(command))
    if isinstance(event, OrderEvent):
        if wanted is not None and event.order.status is not wanted:
            yield "it ended as something else than it was told"
        if wanted is not None and event.order.reason != getattr(command, "reason", None):
            yield "the reason was lost"
        if event.command_id != command.id:
            yield "an event does not say which command made it"
        if isinstance(event, OrderRejected) and paper.accepted:
            yield "rejected after it was accepted"


def _told(happening: Happening, paper: Paper) -> Iterator[str]:
    event = happening.event
    if isinstance(event, TradeExecuted):
        yield from _traded(event, paper)
        return
    assert isinstance(event, OrderEvent)
    order, before = event.order, paper.order
    if isinstance(event, OrderFilled):
        yield from _filled(event, paper)
    if before is None:
        paper.placed = order
    elif order.timestamp < before.timestamp:
        yield "time went back"
    elif _contents(order) != _contents(before):
        yield "the order became another"
    if Fraction(order.filled_qty) != paper.filled:
        yield "what is filled is not the sum of the fills"
    if paper.filled > Fraction(order.qty):
        yield "overfilled"
    if (order.status is OrderStatus.FILLED) != (paper.filled == Fraction(order.qty)):
        yield "filled means: filled to the last share"
    paper.accepted = paper.accepted or before is not None
    paper.order = order


def _filled(event: OrderFilled, paper: Paper) -> Iterator[str]:
    order = event.order
    paper.filled += Fraction(event.qty)
    paper.cash += Fraction(event.qty) * Fraction(event.price)
    paper.trades.append(event.trade_id)
    paper.last = event
    if not _within(order, Fraction(event.price)):
        yield "executed worse than its limit"
    exact = Fraction(round(paper.cash / paper.filled * 10**6), 10**6)
    if order.filled_avg_price is None or Fraction(order.filled_avg_price) != exact:
        yield "the average is not that of all money and all shares"


def _traded(trade: TradeExecuted, paper: Paper) -> Iterator[str]:
    order = paper.order
    if order is None or not paper.trades or trade.trade_id != paper.trades[-1]:
        yield "a trade without its fill"
        return
    if paper.last is not None and (trade.qty, trade.price) != (paper.last.qty, paper.last.price):
        yield "a trade is not what was filled"
    if paper.trades.count(trade.trade_id) > 1:
        yield "two trades have one name"
    if (trade.symbol, trade.side, trade.order_id, trade.strategy_id) != (
        order.symbol,
        order.side,
        order.order_id,
        order.strategy_id,
    ):
        yield "a trade of another order"


def cash(events: Sequence[Event]) -> Fraction:
    """What was received less what was paid by the trades."""
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    return sum(
        (
            Fraction(one.qty) * Fraction(one.price) * (-1 if one.side is Side.BUY else 1)
            for one in trades
        ),
        Fraction(0),
    )


def _again(command: Command, state: Any, decider: Decider[Any, Any]) -> Iterator[str]:
    try:
        happened = list(decider.decide(state, command))
    except Refusal:
        yield "a command that was decided before is refused when it comes again"
        return
    if happened:
        yield "a command that comes again counts twice"


def _wanted(place: Place) -> tuple[object, ...]:
    return (place.symbol, place.side, place.type, place.qty, place.limit_price, place.strategy_id)


def _contents(order: Order) -> tuple[object, ...]:
    return (order.symbol, order.side, order.type, order.qty, order.limit_price, order.strategy_id)


def _within(order: Order, price: Fraction) -> bool:
    if order.limit_price is None:
        return True
    limit = Fraction(order.limit_price)
    return price <= limit if order.side is Side.BUY else price >= limit


def at_present(command: Command, state: Any) -> Command:
    """A fill that names nothing as filled before it (-1), knowing what is filled by then."""
    if not isinstance(command, Fill) or command.filled_before != -1 or not hasattr(state, "order"):
        return command
    return msgspec.structs.replace(command, filled_before=state.order.filled_qty)
