"""The stop-losses that should be triggered in a day, and those that were.

The tests read the prices from the recording themselves, and compute each strategy's position from
the fills of its orders. Start at `expected_triggers`.
"""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tapewire.events import (
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    StopLossExecuted,
    StopLossKind,
    StopLossTriggered,
    Strategy,
    StrategyCompleted,
    StrategyEvent,
    StrategyStarted,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tests.day.recorded_quotes import ExpectedQuote
from tests.day.reference_model import AverageCostPosition, DayRecord, round_to_places


class StopLossTrigger(NamedTuple):
    """A trigger of a strategy's stop-loss, with the step it happened in."""

    strategy_id: str
    step: int
    trigger_price: Decimal
    market_price: Decimal


def recorded_triggers(day: DayRecord) -> list[StopLossTrigger]:
    """Return the stop-losses that were triggered."""
    return sorted(
        StopLossTrigger(
            recorded.event.strategy.strategy_id,
            day.step_of(recorded),
            recorded.event.trigger_price,
            recorded.event.current_price,
        )
        for recorded in day.events
        if isinstance(recorded.event, StopLossTriggered)
    )


def find_wrong_executions_of_stop_losses(day: DayRecord) -> list[str]:
    """Find stop-losses that were triggered twice, executed twice or never executed."""
    triggered, executed, open_ = list[str](), list[str](), set[str]()
    placed = set[str]()
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, StopLossTriggered):
            triggered.append(event.order_id)
        if isinstance(event, StopLossExecuted):
            executed.append(event.order_id)
        if isinstance(event, OrderPlaced):
            placed.add(event.order.order_id)
        if isinstance(event, OrderEvent):
            (open_.add if event.order.status.is_open else open_.discard)(event.order.order_id)
    wrong = [f"{one} was triggered twice" for one in triggered if triggered.count(one) > 1]
    wrong += [f"{one} was executed twice" for one in executed if executed.count(one) > 1]
    # Where none was placed, the order that was pending has closed the position.
    missing = [one for one in triggered if one in placed - open_ and one not in executed]
    return wrong + [f"{one} was never executed" for one in missing]


def expected_triggers(day: DayRecord) -> list[StopLossTrigger]:
    """Return the stop-losses that the prices and the fills should have triggered."""
    watches: dict[str, _StopLossTracker] = {}
    steps: list[list[RecordedEvent]] = [[] for _ in day.plan.quotes_by_step]
    for recorded in day.events:
        steps[day.step_of(recorded)].append(recorded)
    for number, (known, events) in enumerate(zip(day.quotes_by_step(), steps, strict=True)):
        for watch in watches.values():
            quote = day.plan.quotes_by_step[number].get(watch.strategy.symbol)
            if quote is not None:
                watch.apply_price(number, quote.price)
        for recorded in events:
            _track_event(watches, recorded, number, known)
    return sorted(one for watch in watches.values() for one in watch.triggers)


def _track_event(
    trackers: dict[str, "_StopLossTracker"],
    recorded: RecordedEvent,
    step: int,
    known_quotes: dict[str, ExpectedQuote],
) -> None:
    event = recorded.event
    if isinstance(event, StrategyEvent):
        strategy = event.strategy
        watch = trackers.setdefault(strategy.strategy_id, _StopLossTracker(strategy))
        if isinstance(event, StrategyStarted):
            watch.start(step, known_quotes[strategy.symbol].price)
        if isinstance(event, StrategyCompleted):
            watch.is_watching = False
    if isinstance(event, OrderEvent) and event.order.strategy_id is not None:
        trackers[event.order.strategy_id].apply_order_event(event)


class _StopLossTracker:
    """The stop-loss of one strategy: its position by the fills, and the relevant prices."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.is_watching = False
        self.triggers: list[StopLossTrigger] = []
        self._position = AverageCostPosition()
        self._reset()

    def _reset(self) -> None:
        self._best_price: Decimal | None = None
        self._has_triggered = False

    def start(self, step: int, price: Decimal) -> None:
        """Start the strategy at the current price. It is watched from then on, stopped or not."""
        self.is_watching = True
        self.apply_price(step, price)

    def apply_price(self, step: int, price: Decimal) -> None:
        """Apply a price. All events of earlier steps have been applied."""
        stop = self.strategy.stop_loss
        if (
            not self.is_watching
            or stop is None
            or not self._position.quantity
            or self._has_triggered
        ):
            return
        long = self._position.quantity > 0
        better = max if long else min
        self._best_price = price if self._best_price is None else better(self._best_price, price)
        entry = round_to_places(self._position.cost / self._position.quantity)
        reference = entry if stop.kind is StopLossKind.FIXED else better(entry, self._best_price)
        share = (100 - stop.percent if long else 100 + stop.percent) / 100
        trigger = round_to_places(Fraction(reference) * Fraction(share))
        if price <= trigger if long else price >= trigger:
            self._has_triggered = True
            self.triggers.append(StopLossTrigger(self.strategy.strategy_id, step, trigger, price))

    def apply_order_event(self, event: OrderEvent) -> None:
        """Apply an event of one of the strategy's orders."""
        if isinstance(event, OrderFilled):
            self._apply_fill(event)

    def _apply_fill(self, event: OrderFilled) -> None:
        before = self._position.quantity
        self._position.apply(
            TradeExecuted(
                trade_id=event.trade_id,
                order_id=event.order.order_id,
                symbol=event.order.symbol,
                side=event.order.side,
                qty=event.qty,
                price=event.price,
                strategy_id=event.order.strategy_id,
                timestamp=event.order.timestamp,
            )
        )
        if before * self._position.quantity <= 0:
            self._reset()
