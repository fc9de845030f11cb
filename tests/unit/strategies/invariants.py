"""What holds of a strategy whatever it is told, said a second time and differently.

`broken` plays commands through a decider and tells which laws do not hold; none may, and of a
mutated domain at least one must.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

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
from tapewire.log import CommandRejected, Decider
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    Command,
    EndOrderCommand,
    TriggerStopLossCommand,
)
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER

MAX_ROUNDING_ERROR = Fraction(1, 10**6)
"""Rounding of the entry price, dollars a share."""


class ReferenceStrategy:
    """What a clerk with a pencil knows of one strategy."""

    def __init__(self) -> None:
        self.position = self.entry_price = Fraction(0)
        self.strategy: Strategy | None = None
        self.client_order_ids: list[str] = []
        self.triggered_count = self.executed_count = self.order_count = 0

    def apply_trade(self, side: Side, qty: Fraction, price: Fraction) -> None:
        change = qty if side is Side.BUY else -qty
        after = self.position + change
        if self.position * after <= 0:
            self.entry_price = price
        elif self.position * change > 0:
            self.entry_price = (self.entry_price * self.position + price * change) / after
        self.position = after


def find_violations(
    commands: Sequence[Command], decider: Decider[Any, Any] = STRATEGY_DECIDER
) -> list[str]:
    """The laws that do not hold on the way through `commands`, each said once."""
    return sorted(set(_iter_violations(commands, decider)))


def _iter_violations(commands: Sequence[Command], decider: Decider[Any, Any]) -> Iterator[str]:
    state, paper, decided = decider.initial_state, ReferenceStrategy(), list[Command]()
    for command in commands:
        try:
            events = [one.event for one in decider.decide(state, command)]
        except CommandRejected:
            if isinstance(command, ApplyFillCommand) and _has_pending_order(
                paper.strategy, command.order_id
            ):
                yield "a fill of the order under way was refused"
            continue
        yield from _check_decision(command, events, paper)
        for event in events:
            state = decider.evolve(state, event)
            if isinstance(event, StrategyEvent):
                yield from _check_and_apply(event, command, paper)
        decided += [command] if events else []
        for before in decided[-3:]:
            yield from _check_repeated_command(before, state, decider)


def _has_pending_order(strategy: Strategy | None, order_id: str) -> bool:
    return (
        strategy is not None and strategy.order is not None and strategy.order.order_id == order_id
    )


def _check_decision(
    command: Command, events: Sequence[Event], reference: ReferenceStrategy
) -> Iterator[str]:
    before = reference.strategy
    if not events or before is None:
        return
    if before.status is StrategyStatus.COMPLETED:
        yield "something happened after it was completed"
    if isinstance(command, ActOnSignalCommand | TriggerStopLossCommand):
        yield from _check_order_started(command, events, before)
    if isinstance(command, ApplyFillCommand | EndOrderCommand) and not _has_pending_order(
        before, command.order_id
    ):
        yield "what became of another order was taken"
    if isinstance(command, EndOrderCommand):
        after = [one.strategy for one in events if isinstance(one, StrategyEvent)][-1]
        if after.order is not None:
            yield "an order that ended is still under way"
    if len([one for one in events if isinstance(one, DecisionMade)]) != isinstance(
        command, ActOnSignalCommand
    ):
        yield "each decision that is taken is told once, and nothing else is one"


def _check_order_started(
    command: ActOnSignalCommand | TriggerStopLossCommand, events: Sequence[Event], before: Strategy
) -> Iterator[str]:
    if before.order is not None:
        yield "two orders under way"
    if command.expected_order_count != before.orders:
        yield "decided in ignorance of an order"
    if before.status is not StrategyStatus.STARTED:
        yield "it acts though it is not started"
    most = before.max_trades
    if isinstance(command, ActOnSignalCommand):
        if most is not None and before.trades >= most:
            yield "more trades than it is for"
        if before.position * (1 if command.action.value == "buy" else -1) > 0:
            yield "it adds to what it holds"
    elif before.stop_loss is None:
        yield "a stop-loss that there is not"
    [after] = [one.strategy for one in events if isinstance(one, StrategyEvent)]
    yield from _check_order_terms(command, before, after)


def _check_order_terms(
    command: ActOnSignalCommand | TriggerStopLossCommand, before: Strategy, after: Strategy
) -> Iterator[str]:
    order = after.order
    if order is None:
        yield "it acts without an order"
    elif isinstance(command, TriggerStopLossCommand):
        closing = Side.SELL if before.position > 0 else Side.BUY
        if (order.side, order.qty) != (closing, abs(before.position)):
            yield "the stop-loss does not close exactly what is held"
    elif (order.side.value, order.qty) != (command.action.value, before.quantity):
        yield "the order is not what was decided"


def _check_and_apply(
    event: StrategyEvent, command: Command, reference: ReferenceStrategy
) -> Iterator[str]:
    strategy = event.strategy
    if isinstance(event, StrategyTraded):
        yield from _check_trade(event, command, reference)
    if isinstance(event, StrategySignaled | StopLossTriggered) and strategy.order is not None:
        reference.order_count += 1
        if strategy.order.client_order_id in reference.client_order_ids:
            yield "two orders have one name"
        reference.client_order_ids.append(strategy.order.client_order_id)
    reference.triggered_count += isinstance(event, StopLossTriggered)
    reference.executed_count += isinstance(event, StopLossExecuted)
    if reference.executed_count > reference.triggered_count:
        yield "a stop-loss was executed that was not triggered"
    if isinstance(event, StopLossExecuted) and (reference.position or strategy.order is not None):
        yield "a stop-loss is executed when all is closed"
    if isinstance(event, StrategyCompleted) and strategy.order is not None:
        yield "completed with an order under way"
    yield from _check_balance(strategy, reference)
    if strategy.orders != reference.order_count:
        yield "orders are not counted"
    if reference.strategy is not None and strategy.timestamp < reference.strategy.timestamp:
        yield "time went back"
    reference.strategy = strategy


def _check_balance(strategy: Strategy, reference: ReferenceStrategy) -> Iterator[str]:
    if Fraction(strategy.position) != reference.position:
        yield "what it holds is not the sum of its fills"
    if (
        reference.position
        and abs(Fraction(strategy.entry_price or 0) - reference.entry_price) > MAX_ROUNDING_ERROR
    ):
        yield "the entry price is not the average"
    if (strategy.entry_price is None) != (not reference.position):
        yield "an entry price is shown if and only if something is held"


def _check_trade(
    event: StrategyTraded, command: Command, reference: ReferenceStrategy
) -> Iterator[str]:
    before = reference.strategy.order if reference.strategy is not None else None
    if before is None or not isinstance(command, ApplyFillCommand):
        yield "a trade without an order"
        return
    if event.qty != command.filled_qty - before.filled_qty or event.qty <= 0:
        yield "a trade is not what was filled since the last one"
    if (event.side, event.price) != (before.side, command.price):
        yield "a trade is not on the side, or at the price, of its fill"
    reference.apply_trade(before.side, Fraction(command.filled_qty - before.filled_qty),
                Fraction(command.price))  # fmt: skip
    if (event.strategy.order is None) != (command.filled_qty >= before.qty):
        yield "an order is under way until it is filled to the end"
    assert reference.strategy is not None
    counted = event.strategy.trades - reference.strategy.trades
    if counted != (before.filled_qty == Decimal(0)):
        yield "an order that trades counts once"


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
