"""What holds of a strategy whatever it is told, said a second time and differently.

`broken` plays commands through a decider and tells which laws do not hold; none may, and of a
mutated domain at least one must.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from services.strategies.commands import Act, Command, EndOrder, Fill, TriggerStopLoss
from services.strategies.domain import STRATEGIES
from tapewire.events import (
    DecisionMade,
    Event,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyCompleted,
    StrategyEvent,
    StrategySignaled,
    StrategyStatus,
    StrategyTraded,
)
from tapewire.log import Decider, Refusal

TRIFLE = Fraction(1, 10**6)
"""Rounding of the entry price, dollars a share."""


class Paper:
    """What a clerk with a pencil knows of one strategy."""

    def __init__(self) -> None:
        self.held = self.entry = Fraction(0)
        self.strategy: Strategy | None = None
        self.names: list[str] = []
        self.triggered = self.executed = self.begun = 0

    def trade(self, side: Side, qty: Fraction, price: Fraction) -> None:
        change = qty if side is Side.BUY else -qty
        after = self.held + change
        if self.held * after <= 0:
            self.entry = price
        elif self.held * change > 0:
            self.entry = (self.entry * self.held + price * change) / after
        self.held = after


def broken(commands: Sequence[Command], decider: Decider[Any, Any] = STRATEGIES) -> list[str]:
    """The laws that do not hold on the way through `commands`, each said once."""
    return sorted(set(_complaints(commands, decider)))


def _complaints(commands: Sequence[Command], decider: Decider[Any, Any]) -> Iterator[str]:
    state, paper, decided = decider.initial, Paper(), list[Command]()
    for command in commands:
        try:
            events = [one.event for one in decider.decide(state, command)]
        except Refusal:
            if isinstance(command, Fill) and _waits_for(paper.strategy, command.order_id):
                yield "a fill of the order under way was refused"
            continue
        yield from _fair(command, events, paper)
        for event in events:
            state = decider.evolve(state, event)
            if isinstance(event, StrategyEvent):
                yield from _told(event, command, paper)
        decided += [command] if events else []
        for before in decided[-3:]:
            yield from _again(before, state, decider)


def _waits_for(strategy: Strategy | None, order_id: str) -> bool:
    return (
        strategy is not None and strategy.order is not None and strategy.order.order_id == order_id
    )


def _fair(command: Command, events: Sequence[Event], paper: Paper) -> Iterator[str]:
    before = paper.strategy
    if not events or before is None:
        return
    if before.status is StrategyStatus.COMPLETED:
        yield "something happened after it was completed"
    if isinstance(command, Act | TriggerStopLoss):
        yield from _begun(command, events, before)
    if isinstance(command, Fill | EndOrder) and not _waits_for(before, command.order_id):
        yield "what became of another order was taken"
    if isinstance(command, EndOrder):
        after = [one.strategy for one in events if isinstance(one, StrategyEvent)][-1]
        if after.order is not None:
            yield "an order that ended is still under way"
    if len([one for one in events if isinstance(one, DecisionMade)]) != isinstance(command, Act):
        yield "each decision that is taken is told once, and nothing else is one"


def _begun(
    command: Act | TriggerStopLoss, events: Sequence[Event], before: Strategy
) -> Iterator[str]:
    if before.order is not None:
        yield "two orders under way"
    if command.orders != before.orders:
        yield "decided in ignorance of an order"
    if before.status is not StrategyStatus.STARTED:
        yield "it acts though it is not started"
    most = before.max_trades
    if isinstance(command, Act):
        if most is not None and before.trades >= most:
            yield "more trades than it is for"
        if before.position * (1 if command.action.value == "buy" else -1) > 0:
            yield "it adds to what it holds"
    elif before.stop_loss is None:
        yield "a stop-loss that there is not"
    [after] = [one.strategy for one in events if isinstance(one, StrategyEvent)]
    yield from _ordered(command, before, after)


def _ordered(command: Act | TriggerStopLoss, before: Strategy, after: Strategy) -> Iterator[str]:
    order = after.order
    if order is None:
        yield "it acts without an order"
    elif isinstance(command, TriggerStopLoss):
        closing = Side.SELL if before.position > 0 else Side.BUY
        if (order.side, order.qty) != (closing, abs(before.position)):
            yield "the stop-loss does not close exactly what is held"
    elif (order.side.value, order.qty) != (command.action.value, before.quantity):
        yield "the order is not what was decided"


def _told(event: StrategyEvent, command: Command, paper: Paper) -> Iterator[str]:
    strategy = event.strategy
    if isinstance(event, StrategyTraded):
        yield from _traded(event, command, paper)
    if isinstance(event, StrategySignaled | StopLossTriggered) and strategy.order is not None:
        paper.begun += 1
        if strategy.order.client_order_id in paper.names:
            yield "two orders have one name"
        paper.names.append(strategy.order.client_order_id)
    paper.triggered += isinstance(event, StopLossTriggered)
    paper.executed += isinstance(event, StopLossExecuted)
    if paper.executed > paper.triggered:
        yield "a stop-loss was executed that was not triggered"
    if isinstance(event, StopLossExecuted) and (paper.held or strategy.order is not None):
        yield "a stop-loss is executed when all is closed"
    if isinstance(event, StrategyCompleted) and strategy.order is not None:
        yield "completed with an order under way"
    yield from _balance(strategy, paper)
    if strategy.orders != paper.begun:
        yield "orders are not counted"
    if paper.strategy is not None and strategy.timestamp < paper.strategy.timestamp:
        yield "time went back"
    paper.strategy = strategy


def _balance(strategy: Strategy, paper: Paper) -> Iterator[str]:
    if Fraction(strategy.position) != paper.held:
        yield "what it holds is not the sum of its fills"
    if paper.held and abs(Fraction(strategy.entry_price or 0) - paper.entry) > TRIFLE:
        yield "the entry price is not the average"
    if (strategy.entry_price is None) != (not paper.held):
        yield "an entry price is shown if and only if something is held"


def _traded(event: StrategyTraded, command: Command, paper: Paper) -> Iterator[str]:
    before = paper.strategy.order if paper.strategy is not None else None
    if before is None or not isinstance(command, Fill):
        yield "a trade without an order"
        return
    if event.qty != command.filled_qty - before.filled_qty or event.qty <= 0:
        yield "a trade is not what was filled since the last one"
    if (event.side, event.price) != (before.side, command.price):
        yield "a trade is not on the side, or at the price, of its fill"
    paper.trade(before.side, Fraction(command.filled_qty - before.filled_qty),
                Fraction(command.price))  # fmt: skip
    if (event.strategy.order is None) != (command.filled_qty >= before.qty):
        yield "an order is under way until it is filled to the end"
    assert paper.strategy is not None
    counted = event.strategy.trades - paper.strategy.trades
    if counted != (before.filled_qty == Decimal(0)):
        yield "an order that trades counts once"


def _again(command: Command, state: Any, decider: Decider[Any, Any]) -> Iterator[str]:
    try:
        happened = list(decider.decide(state, command))
    except Refusal:
        yield "a command that was decided before is refused when it comes again"
        return
    if happened:
        yield "a command that comes again counts twice"
