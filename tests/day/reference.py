"""What a day should have come to, worked out from the recording and the trades alone.

Nothing here asks the services, or uses their arithmetic: sums are fractions, and the stop-losses of
each strategy are watched over the prices that the tests read from the recording themselves. Start
at `Day`: the events of a run, cut at the ends of its steps.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from tapewire.events import (
    Order,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    Position,
    PositionEvent,
    Side,
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
from tests.day.conductor import Outcome
from tests.day.market import Quote
from tests.day.plan import Plan

WIDE = Context(prec=60)
SIX = Decimal("0.000001")
CENT = Fraction(1, 100)


class Fired(NamedTuple):
    """A stop-loss of a strategy, in the step where it was triggered."""

    strategy: str
    step: int
    trigger_price: Decimal
    price: Decimal


class Day:
    """A run."""

    def __init__(self, plan: Plan, outcome: Outcome) -> None:
        self.plan = plan
        self.events = outcome.events
        self._ends = outcome.ends

    def step(self, recorded: Recorded) -> int:
        """The step that an event belongs to."""
        return bisect_left(self._ends, recorded.sequence)

    def market(self) -> Iterator[dict[str, Quote]]:
        """What every symbol was quoted at after each step."""
        known: dict[str, Quote] = {}
        for step in self.plan.market:
            known = {**known, **step}
            yield known


# Orders and positions


def wrong_orders(day: Day) -> list[str]:
    """Orders that are not what their fills and trades make of them."""
    fills: defaultdict[str, list[OrderFilled]] = defaultdict(list)
    trades: defaultdict[str, list[TradeExecuted]] = defaultdict(list)
    last: dict[str, Order] = {}
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, OrderFilled):
            fills[event.order.order_id].append(event)
        if isinstance(event, OrderEvent):
            last[event.order.order_id] = event.order
        if isinstance(event, TradeExecuted):
            trades[event.order_id].append(event)
    return [
        f"{order.client_order_id}: {why}"
        for id_, order in last.items()
        if (why := _wrong_order(order, fills[id_], trades[id_]))
    ]


def _wrong_order(order: Order, fills: list[OrderFilled], trades: list[TradeExecuted]) -> str:
    told = [(one.trade_id, one.qty, one.price) for one in fills]
    if told != [(one.trade_id, one.qty, one.price) for one in trades]:
        return f"fills {told} and trades {trades}"
    filled = sum((one.qty for one in fills), Decimal(0))
    paid = sum((Fraction(one.qty) * Fraction(one.price) for one in fills), Fraction(0))
    if filled != order.filled_qty or filled > order.qty:
        return f"{filled} filled, it says {order.filled_qty} of {order.qty}"
    if (order.status is OrderStatus.FILLED) != (filled == order.qty):
        return f"{filled} of {order.qty} filled, it is {order.status}"
    if filled and order.filled_avg_price != _six(paid / Fraction(filled)):
        return f"the average is {_six(paid / Fraction(filled))}, it says {order.filled_avg_price}"
    return ""


def wrong_executions(day: Day) -> list[str]:
    """Executions elsewhere than at the touch of their step, or of more than was on offer there."""
    market, wrong = list(day.market()), []
    taken: defaultdict[tuple[int, str, Side], Decimal] = defaultdict(Decimal)
    for recorded in day.events:
        trade = recorded.event
        if isinstance(trade, TradeExecuted):
            step = day.step(recorded)
            price, size = _touch(market[step][trade.symbol], trade.side)
            taken[step, trade.symbol, trade.side] += trade.qty
            if trade.price != price:
                wrong.append(f"step {step}: {trade} is not at {price}")
            if taken[step, trade.symbol, trade.side] > size:
                wrong.append(f"step {step}: {trade} is beyond the {size} on offer")
    return wrong


def _touch(quote: Quote, side: Side) -> tuple[Decimal, Decimal]:
    if side is Side.BUY:
        return quote.ask, quote.ask_size
    return quote.bid, quote.bid_size


class _Book:
    """A position by average cost. `cash` is received less paid."""

    def __init__(self) -> None:
        self.quantity = self.cost = self.realized = self.cash = Fraction(0)

    def take(self, trade: TradeExecuted) -> None:
        qty, price = Fraction(trade.qty), Fraction(trade.price)
        change = qty if trade.side is Side.BUY else -qty
        self.cash -= change * price
        if self.quantity * change < 0:
            closed = min(abs(change), abs(self.quantity)) * (1 if change > 0 else -1)
            share = self.cost * closed / self.quantity
            self.realized += -closed * price + share
            self.cost += share
            self.quantity += closed
            change -= closed
        self.quantity += change
        self.cost += change * price


def wrong_positions(day: Day) -> list[str]:
    """Positions that are not the fold of all trades, to the cent; or where money came or went."""
    books: defaultdict[tuple[str, str], _Book] = defaultdict(_Book)
    found: dict[tuple[str, str], Position] = {}
    for recorded in day.events:
        event, owner = recorded.event, recorded.place.owner
        if isinstance(event, TradeExecuted):
            books[owner, event.symbol].take(event)
        if isinstance(event, PositionEvent):
            found[owner, event.position.symbol] = event.position
    wrong = [f"{key} was never a position" for key in books.keys() - found.keys()]
    for key, position in found.items():
        book = books[key]
        realized, cost = Fraction(position.realized_pnl), Fraction(position.cost_basis)
        if Fraction(position.quantity) != book.quantity:
            wrong.append(f"{key}: {position.quantity} are held, not {float(book.quantity)}")
        if abs(realized - book.realized) >= CENT / 2 or abs(cost - book.cost) >= CENT / 2:
            wrong.append(f"{key}: {position}, not {float(book.realized)}, {float(book.cost)}")
        if realized - cost != book.cash:
            wrong.append(f"{key}: {position} does not account for {float(book.cash)} of cash")
    return wrong


# Stop-losses


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
        self._held = _Book()
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
        entry = _six(self._held.cost / self._held.quantity)
        reference = entry if stop.kind is StopLossKind.FIXED else better(entry, self._best)
        share = (100 - stop.percent if long else 100 + stop.percent) / 100
        trigger = _six(Fraction(reference) * Fraction(share))
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


def _six(value: Fraction) -> Decimal:
    quotient = WIDE.divide(Decimal(value.numerator), Decimal(value.denominator))
    return quotient.quantize(SIX, rounding=ROUND_HALF_EVEN, context=WIDE)
