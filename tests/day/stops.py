"""The stop-losses that should be triggered in a day, and those that were.

Each strategy's is watched over the prices that the tests read from the recording themselves, for
the position that the fills of its orders make. Start at `should_fire`.
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
    StrategyFailed,
    StrategyStarted,
    StrategyStopped,
    TradeExecuted,
)
from tapewire.log import Recorded
from tests.day.market import Quote
from tests.day.reference import Book, Day, six


class Fired(NamedTuple):
    """A stop-loss of a strategy, in the step where it was triggered."""

    strategy: str
    step: int
    trigger_price: Decimal
    price: Decimal


def fired(day: Day) -> list[Fired]:
    """The stop-losses that were triggered."""
    return sorted(
        Fired(
            recorded.event.strategy.strategy_id,
            day.step(recorded),
            recorded.event.trigger_price,
            recorded.event.current_price,
        )
        for recorded in day.events
        if isinstance(recorded.event, StopLossTriggered)
    )


def wrong_executed(day: Day) -> list[str]:
    """Stop-losses that were triggered twice, or executed otherwise than once each."""
    triggered, executed, open_ = list[str](), list[str](), set[str]()
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, StopLossTriggered):
            triggered.append(event.order_id)
        if isinstance(event, StopLossExecuted):
            executed.append(event.order_id)
        if isinstance(event, OrderEvent):
            (open_.add if event.order.status.open else open_.discard)(event.order.order_id)
    wrong = [f"{one} was triggered twice" for one in triggered if triggered.count(one) > 1]
    wrong += [f"{one} was executed twice" for one in executed if executed.count(one) > 1]
    missing = [one for one in triggered if one not in executed and one not in open_]
    return wrong + [f"{one} was never executed" for one in missing]


def should_fire(day: Day) -> list[Fired]:
    """The stop-losses that should have been triggered, by the prices and the fills."""
    watches: dict[str, _Watch] = {}
    steps: list[list[Recorded]] = [[] for _ in day.plan.market]
    for recorded in day.events:
        steps[day.step(recorded)].append(recorded)
    for number, (known, events) in enumerate(zip(day.market(), steps, strict=True)):
        for watch in watches.values():
            quote = day.plan.market[number].get(watch.strategy.symbol)
            if quote is not None:
                watch.quote(number, quote.price)
        for recorded in events:
            _follow(watches, recorded, number, known)
    return sorted(one for watch in watches.values() for one in watch.fired)


def _follow(
    watches: dict[str, "_Watch"], recorded: Recorded, step: int, known: dict[str, Quote]
) -> None:
    event = recorded.event
    if isinstance(event, StrategyEvent):
        strategy = event.strategy
        watch = watches.setdefault(strategy.strategy_id, _Watch(strategy))
        if isinstance(event, StrategyStarted):
            watch.start(step, known[strategy.symbol].price)
        if isinstance(event, StrategyStopped | StrategyCompleted | StrategyFailed):
            watch.started = False
    if isinstance(event, OrderEvent) and event.order.strategy_id is not None:
        watches[event.order.strategy_id].order(step, event)


class _Watch:
    """The stop-loss of one strategy: its position by the fills, and the prices it has seen."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.started = False
        self.fired: list[Fired] = []
        self._held = Book()
        self._under_way = False
        self._reset()

    def _reset(self) -> None:
        self._best: Decimal | None = None
        self._touched: tuple[Decimal, Decimal] | None = None
        self._done = False

    def start(self, step: int, price: Decimal) -> None:
        """The user starts it, at the price there is."""
        self._reset()
        self.started = True
        self.quote(step, price)

    def quote(self, step: int, price: Decimal) -> None:
        """A price, after everything of the steps before."""
        stop = self.strategy.stop_loss
        if not self.started or stop is None or not self._held.quantity or self._touched:
            return
        long = self._held.quantity > 0
        better = max if long else min
        self._best = price if self._best is None else better(self._best, price)
        entry = six(self._held.cost / self._held.quantity)
        reference = entry if stop.kind is StopLossKind.FIXED else better(entry, self._best)
        share = (100 - stop.percent if long else 100 + stop.percent) / 100
        trigger = six(Fraction(reference) * Fraction(share))
        if price <= trigger if long else price >= trigger:
            self._touched = (trigger, price)
            self._fire(step)

    def order(self, step: int, event: OrderEvent) -> None:
        """Something happened to an order of it."""
        if isinstance(event, OrderPlaced):
            self._under_way = True
        if isinstance(event, OrderFilled):
            self._fill(event)
        if not event.order.status.open:
            self._under_way = False
            self._fire(step)

    def _fill(self, event: OrderFilled) -> None:
        before = self._held.quantity
        self._held.take(
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
        if before * self._held.quantity <= 0:
            self._reset()

    def _fire(self, step: int) -> None:
        """Once, as soon as no order is under way and while there is something to close."""
        if self._touched and self.started and not self._under_way and not self._done:
            self._done = True
            self.fired.append(Fired(self.strategy.strategy_id, step, *self._touched))
