"""The stop-losses and take-profits that should be triggered in a day, and those that were.

The tests read the prices from the recording themselves, and compute each strategy's position from
the fills of its orders. Start at `expected_triggers`.
"""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tapewire.events import (
    Event,
    ExitReason,
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
    TakeProfitExecuted,
    TakeProfitTriggered,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tests.day.recorded_quotes import ExpectedQuote
from tests.day.reference_model import AverageCostPosition, DayRecord, round_to_places

REASON_BY_EVENT: dict[type[Event], ExitReason] = {
    StopLossTriggered: ExitReason.STOP_LOSS,
    TakeProfitTriggered: ExitReason.TAKE_PROFIT,
}


class ExitTrigger(NamedTuple):
    """A trigger of a strategy's stop-loss or take-profit, with the step it happened in."""

    strategy_id: str
    step: int
    reason: str
    trigger_price: Decimal
    market_price: Decimal


def recorded_triggers(day: DayRecord) -> list[ExitTrigger]:
    """Return the stop-losses and take-profits that were triggered."""
    return sorted(
        ExitTrigger(
            recorded.event.strategy.strategy_id,
            day.step_of(recorded),
            REASON_BY_EVENT[type(recorded.event)].value,
            recorded.event.trigger_price,
            recorded.event.current_price,
        )
        for recorded in day.events
        if isinstance(recorded.event, StopLossTriggered | TakeProfitTriggered)
    )


def find_wrong_exits(day: DayRecord) -> list[str]:
    """Find stop-losses and take-profits that were triggered twice, executed twice or never
    executed."""
    triggered, executed, open_ = list[str](), list[str](), set[str]()
    placed = set[str]()
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, StopLossTriggered | TakeProfitTriggered):
            triggered.append(event.order_id)
        if isinstance(event, StopLossExecuted | TakeProfitExecuted):
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


def expected_triggers(day: DayRecord) -> list[ExitTrigger]:
    """Return the stop-losses and take-profits that the prices and the fills should have
    triggered."""
    trackers: dict[str, _ProtectionTracker] = {}
    steps: list[list[RecordedEvent]] = [[] for _ in day.plan.quotes_by_step]
    for recorded in day.events:
        steps[day.step_of(recorded)].append(recorded)
    for number, (known, events) in enumerate(zip(day.quotes_by_step(), steps, strict=True)):
        for tracker in trackers.values():
            quote = day.plan.quotes_by_step[number].get(tracker.strategy.symbol)
            if quote is not None:
                tracker.apply_price(number, quote.price)
        for recorded in events:
            _track_event(trackers, recorded, number, known)
    return sorted(one for tracker in trackers.values() for one in tracker.triggers)


def _track_event(
    trackers: dict[str, "_ProtectionTracker"],
    recorded: RecordedEvent,
    step: int,
    known_quotes: dict[str, ExpectedQuote],
) -> None:
    event = recorded.event
    if isinstance(event, StrategyEvent):
        strategy = event.strategy
        tracker = trackers.setdefault(strategy.strategy_id, _ProtectionTracker(strategy))
        exit_ = strategy.exit
        tracker.is_flattening = exit_ is not None and exit_.reason is ExitReason.FLATTEN
        if isinstance(event, StrategyStarted):
            tracker.start(step, known_quotes[strategy.symbol].price)
        if isinstance(event, StrategyCompleted):
            tracker.is_watching = False
    if isinstance(event, OrderEvent) and event.order.strategy_id is not None:
        trackers[event.order.strategy_id].apply_order_event(event)


class _ProtectionTracker:
    """The protection of one strategy: its position by the fills, and the relevant prices.

    While it `is_flattening`, its position is being closed because its user said so.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.is_watching = False
        self.is_flattening = False
        self.triggers: list[ExitTrigger] = []
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
        if (
            not self.is_watching
            or self.is_flattening
            or not self._position.quantity
            or self._has_triggered
        ):
            return
        long = self._position.quantity > 0
        better = max if long else min
        self._best_price = price if self._best_price is None else better(self._best_price, price)
        entry = round_to_places(self._position.cost / self._position.quantity)
        self._check_stop_loss(step, price, entry, better(entry, self._best_price), long=long)
        self._check_take_profit(step, price, entry, long=long)

    def _check_stop_loss(
        self, step: int, price: Decimal, entry: Decimal, best: Decimal, *, long: bool
    ) -> None:
        stop = self.strategy.stop_loss
        if stop is None:
            return
        reference = entry if stop.kind is StopLossKind.FIXED else best
        trigger = _move_price(reference, -stop.percent if long else stop.percent)
        if price <= trigger if long else price >= trigger:
            self._trigger(step, ExitReason.STOP_LOSS, trigger, price)

    def _check_take_profit(self, step: int, price: Decimal, entry: Decimal, *, long: bool) -> None:
        profit = self.strategy.take_profit
        if profit is None:
            return
        trigger = _move_price(entry, profit.percent if long else -profit.percent)
        if price >= trigger if long else price <= trigger:
            self._trigger(step, ExitReason.TAKE_PROFIT, trigger, price)

    def _trigger(self, step: int, reason: ExitReason, trigger: Decimal, price: Decimal) -> None:
        if self._has_triggered:
            return
        self._has_triggered = True
        self.triggers.append(
            ExitTrigger(self.strategy.strategy_id, step, reason.value, trigger, price)
        )

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


def _move_price(price: Decimal, percent: Decimal) -> Decimal:
    return round_to_places(Fraction(price) * Fraction((100 + percent) / 100))
