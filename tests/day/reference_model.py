"""The expected results of a day, computed from the recording and the trades only.

This module uses neither the services nor their arithmetic: sums are fractions. Start at
`DayRecord`: the events of a run, divided at the ends of its steps. Stop-losses and take-profits are
in `protection`, the terms of orders in `order_terms`.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from tapewire.events import (
    AgentStatusChanged,
    AlertRaised,
    NotificationCreated,
    Order,
    OrderEvent,
    OrderFailed,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    Position,
    PositionEvent,
    Side,
    StopLossTriggered,
    Strategy,
    StrategyEvent,
    StrategyFailed,
    StrategyPositionAdjusted,
    TakeProfitTriggered,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tests.day.plan import FEE_PER_SHARE, DayPlan
from tests.day.recorded_quotes import ExpectedQuote

WIDE_CONTEXT = Context(prec=60)
PRICE_STEP = Decimal("0.00000001")
CENT = Fraction(1, 100)
NOTIFIED_EVENTS = (
    OrderFilled,
    OrderRejected,
    OrderFailed,
    StrategyFailed,
    StopLossTriggered,
    TakeProfitTriggered,
    StrategyPositionAdjusted,
    AlertRaised,
)


class DayRecord:
    """The plan and the events of one run.

    The status events of processes are left out: they follow restarts, not the market, and may come
    after the last step.
    """

    def __init__(
        self, plan: DayPlan, events: Sequence[RecordedEvent], step_end_sequences: Sequence[int]
    ) -> None:
        self.plan = plan
        self.events = [one for one in events if not isinstance(one.event, AgentStatusChanged)]
        self._step_end_sequences = step_end_sequences

    def step_of(self, recorded: RecordedEvent) -> int:
        """Return the step that an event belongs to."""
        step = bisect_left(self._step_end_sequences, recorded.sequence)
        assert step < len(self._step_end_sequences), f"{recorded} came after the last step settled"
        return step

    def quotes_by_step(self) -> Iterator[dict[str, ExpectedQuote]]:
        """Return the quotes of all symbols after each step."""
        known: dict[str, ExpectedQuote] = {}
        for step in self.plan.quotes_by_step:
            known = {**known, **step}
            yield known


def find_wrong_orders(day: DayRecord) -> list[str]:
    """Find orders that do not match their fills and trades."""
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
        if (why := _check_order(order, fills[id_], trades[id_]))
    ]


def _check_order(order: Order, fills: list[OrderFilled], trades: list[TradeExecuted]) -> str:
    fill_facts = [(one.trade_id, one.qty, one.price, one.fee) for one in fills]
    if fill_facts != [(one.trade_id, one.qty, one.price, one.fee) for one in trades]:
        return f"fills {fill_facts} and trades {trades}"
    filled = sum((one.qty for one in fills), Decimal(0))
    paid = sum((Fraction(one.qty) * Fraction(one.price) for one in fills), Fraction(0))
    if filled != order.filled_qty or filled > order.qty:
        return f"{filled} filled, the order has {order.filled_qty} of {order.qty}"
    if (order.status is OrderStatus.FILLED) != (filled == order.qty):
        return f"{filled} of {order.qty} filled, the status is {order.status}"
    if order.fee_total != filled * FEE_PER_SHARE:
        return f"the fees of {filled} shares are {order.fee_total}"
    average = round_to_places(paid / Fraction(filled)) if filled else None
    if filled and order.filled_avg_price != average:
        return f"the average is {average}, the order has {order.filled_avg_price}"
    return ""


def find_wrong_executions(day: DayRecord) -> list[str]:
    """Find executions at another price than the touch of their step, or beyond its size."""
    market, wrong = list(day.quotes_by_step()), []
    traded: defaultdict[tuple[int, str, Side], Decimal] = defaultdict(Decimal)
    for recorded in day.events:
        trade = recorded.event
        if isinstance(trade, TradeExecuted):
            step = day.step_of(recorded)
            price, size = _touch_price(market[step][trade.symbol], trade.side)
            traded[step, trade.symbol, trade.side] += trade.qty
            if trade.price != price:
                wrong.append(f"step {step}: {trade} is not at {price}")
            if traded[step, trade.symbol, trade.side] > size:
                wrong.append(f"step {step}: {trade} exceeds the {size} offered")
    return wrong


def _touch_price(quote: ExpectedQuote, side: Side) -> tuple[Decimal, Decimal]:
    if side is Side.BUY:
        return quote.ask, quote.ask_size
    return quote.bid, quote.bid_size


class AverageCostPosition:
    """A position by average cost. `cash` is the money received minus the money paid, fees
    included, and so is `realized`, the profit of what was closed."""

    def __init__(self) -> None:
        self.quantity = self.cost = self.realized = self.cash = Fraction(0)

    def apply(self, trade: TradeExecuted) -> None:
        qty, price = Fraction(trade.qty), Fraction(trade.price)
        change = qty if trade.side is Side.BUY else -qty
        fee = Fraction(trade.qty * FEE_PER_SHARE)
        self.cash -= change * price + fee
        self.realized -= fee
        if self.quantity * change < 0:
            closed = min(abs(change), abs(self.quantity)) * (1 if change > 0 else -1)
            share = self.cost * closed / self.quantity
            self.realized += -closed * price + share
            self.cost += share
            self.quantity += closed
            change -= closed
        self.quantity += change
        self.cost += change * price


def find_wrong_positions(day: DayRecord) -> list[str]:
    """Find positions that differ from the fold of all trades by a cent, or lose or create cash."""
    books: defaultdict[tuple[str, str], AverageCostPosition] = defaultdict(AverageCostPosition)
    found: dict[tuple[str, str], Position] = {}
    for recorded in day.events:
        event, owner = recorded.event, recorded.event_subject.owner
        if isinstance(event, TradeExecuted):
            books[owner, event.symbol].apply(event)
        if isinstance(event, PositionEvent):
            found[owner, event.position.symbol] = event.position
    wrong = [f"{key} has trades but no position" for key in books.keys() - found.keys()]
    for key, position in found.items():
        book = books[key]
        realized, cost = Fraction(position.realized_pnl), Fraction(position.cost_basis)
        if Fraction(position.quantity) != book.quantity:
            wrong.append(f"{key}: {position.quantity} is the position, not {float(book.quantity)}")
        if abs(realized - book.realized) >= CENT / 2 or abs(cost - book.cost) >= CENT / 2:
            wrong.append(f"{key}: {position}, not {float(book.realized)}, {float(book.cost)}")
        if realized - cost != book.cash:
            wrong.append(f"{key}: {position} does not account for {float(book.cash)} of cash")
    return wrong


def find_wrong_strategies(day: DayRecord) -> list[str]:
    """Find strategies whose holding does not match their executions."""
    books: defaultdict[str, AverageCostPosition] = defaultdict(AverageCostPosition)
    last: dict[str, Strategy] = {}
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, TradeExecuted) and event.strategy_id is not None:
            books[event.strategy_id].apply(event)
        if isinstance(event, StrategyEvent):
            last[event.strategy.strategy_id] = event.strategy
    return [
        f"{strategy.name} of {id_}: {strategy.position} at {strategy.entry_price}"
        for id_, strategy in last.items()
        if Fraction(strategy.position) != books[id_].quantity
        or (strategy.entry_price is None) != (books[id_].quantity == 0)
        or (strategy.entry_price or 0) != _entry_price(books[id_])
    ]


def _entry_price(position: AverageCostPosition) -> Decimal | int:
    return round_to_places(position.cost / position.quantity) if position.quantity else 0


def find_wrong_notifications(day: DayRecord) -> list[str]:
    """Find users whose number of notifications differs from the number of events to notify of. Of
    the fills of an order, only the last is notified."""
    expected, notified = Counter[str](), Counter[str]()
    for recorded in day.events:
        event, owner = recorded.event, recorded.event_subject.owner
        part = isinstance(event, OrderFilled) and event.order.status.is_open
        expected[owner] += isinstance(event, NOTIFIED_EVENTS) and not part
        notified[owner] += isinstance(event, NotificationCreated)
    return [
        f"{user} has {notified[user]} notifications, not {expected[user]}"
        for user in expected
        if notified[user] != expected[user]
    ]


def round_to_places(value: Fraction) -> Decimal:
    quotient = WIDE_CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return quotient.quantize(PRICE_STEP, rounding=ROUND_HALF_EVEN, context=WIDE_CONTEXT)
