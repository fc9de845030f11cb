"""The laws of strategies, their orders, their stop-losses and decisions.

A strategy is created once. An event changes what it is about and nothing else (`CHANGES`). Orders
are numbered without a gap, never two under way; what a strategy holds changes only by fills of the
one under way, each of which it is told once; a stop-loss is executed once a trigger, right behind
the fill that did it. A completed strategy is completed for good.
"""

from decimal import Decimal

import msgspec

from tapewire.events import (
    DecisionMade,
    OrderEvent,
    OrderFilled,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyCompleted,
    StrategyCreated,
    StrategyEvent,
    StrategyFailed,
    StrategyOrder,
    StrategySignaled,
    StrategyStarted,
    StrategyStatus,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
)
from tapewire.log import Recorded, Subject
from tapewire.runtime.contracts.orders import order_id
from tapewire.runtime.contracts.strategies import STOP_LOSS_SUFFIX
from tapewire.verify.findings import Findings, Place, place
from tapewire.verify.laws.holding import Holding
from tapewire.verify.register import Register

_SETTINGS = {"name", "rule", "quantity", "stop_loss", "max_trades"}
CHANGES: dict[type[StrategyEvent], set[str]] = {
    StrategyUpdated: _SETTINGS | {"order"},
    StrategyStarted: {"status", "message"},
    StrategyStopped: {"status", "message", "order"},
    StrategyCompleted: {"status", "message"},
    StrategyFailed: {"status", "message", "order"},
    StrategySignaled: {"order", "orders"},
    StrategyTraded: {"position", "entry_price", "order", "trades"},
    StopLossTriggered: {"order", "orders"},
    StopLossExecuted: set(),
}
"""What an event may change, besides the time."""
STATUS: dict[type[StrategyEvent], StrategyStatus] = {
    StrategyCreated: StrategyStatus.CREATED,
    StrategyStarted: StrategyStatus.STARTED,
    StrategyStopped: StrategyStatus.STOPPED,
    StrategyCompleted: StrategyStatus.COMPLETED,
    StrategyFailed: StrategyStatus.ERROR,
}
_FIELDS = Strategy.__struct_fields__


class _Made:
    """A strategy; `executes` is the stop-loss order whose last fill was the last event."""

    __slots__ = ("executes", "holding", "strategy")

    def __init__(self, strategy: Strategy, holding: Holding | None) -> None:
        self.strategy = strategy
        self.holding = holding
        self.executes: StrategyOrder | None = None


class _Filled(msgspec.Struct, frozen=True):
    """A fill that a strategy must be told of."""

    at: Place
    order_id: str
    trade_id: str
    qty: Decimal
    price: Decimal


class Strategies:
    """The law. `told_upto` is how far the strategies' orders were followed, by the checkpoint."""

    def __init__(
        self, findings: Findings, register: Register, *, told_upto: int, whole: bool
    ) -> None:
        self._findings = findings
        self._register = register
        self._told_upto = told_upto
        self._whole = whole
        self._made: dict[str, _Made] = {}
        self._fills: dict[str, _Filled] = {}

    def __len__(self) -> int:
        return len(self._made)

    def order(self, recorded: Recorded, event: OrderEvent) -> None:
        """Note a fill of the order that a strategy has under way."""
        order = event.order
        if not isinstance(event, OrderFilled) or not order.strategy_id:
            return
        subject = str(Subject(recorded.place.owner, "strategies", order.strategy_id))
        made = self._made.get(subject)
        under_way = made.strategy.order if made is not None else None
        if under_way is not None and under_way.order_id == order.order_id:
            self._fills[recorded.meta.id] = _Filled(
                place(recorded), order.order_id, event.trade_id, event.qty, event.price
            )

    def strategy(self, recorded: Recorded, event: StrategyEvent) -> None:
        """Take an event of a strategy."""
        findings, strategy = self._findings, event.strategy
        findings.compare(recorded, "strategyId", strategy.strategy_id, recorded.place.entity)
        known = self._made.get(recorded.subject)
        if isinstance(event, StrategyCreated):
            self._create(recorded, strategy)
        elif known is None:
            if self._whole:
                findings.at(recorded, "the strategy was never created, or completed before")
            self._made[recorded.subject] = _Made(strategy, None)
        else:
            self._later(recorded, event, known)
            known.strategy = strategy
        if strategy.status is StrategyStatus.COMPLETED:
            self._made.pop(recorded.subject, None)

    def _create(self, recorded: Recorded, strategy: Strategy) -> None:
        findings = self._findings
        findings.entities["strategies"] += 1
        self._register.claim(f"created {recorded.subject}", recorded.sequence)
        findings.compare(recorded, "status", strategy.status, StrategyStatus.CREATED)
        new = (strategy.position, strategy.order, strategy.orders, strategy.trades)
        findings.compare(recorded, "what it did before", new, (Decimal(0), None, 0, 0))
        self._made[recorded.subject] = _Made(strategy, Holding())

    def _later(self, recorded: Recorded, event: StrategyEvent, known: _Made) -> None:
        findings, before, now = self._findings, known.strategy, event.strategy
        self._changed(recorded, event, before)
        executes, known.executes = known.executes, None
        if executes is not None and not isinstance(event, StopLossExecuted):
            findings.at(recorded, f"stop-loss order {executes.order_id} was not told as executed")
        match event:
            case StrategySignaled() | StopLossTriggered():
                self._ordered(recorded, event, before)
            case StrategyTraded():
                self._traded(recorded, event, known)
            case StopLossExecuted():
                self._executed(recorded, event, executes)
            case StrategyCompleted():
                self._completed(recorded, now)
            case StrategyStopped():
                findings.compare(recorded, "status before", before.status, StrategyStatus.STARTED)
            case _:
                if now.order is not None and now.order != before.order:
                    findings.at(recorded, f"order {now.order.order_id} comes from nowhere")

    def _changed(self, recorded: Recorded, event: StrategyEvent, before: Strategy) -> None:
        findings, now = self._findings, event.strategy
        may = CHANGES.get(type(event), set())
        for name in _FIELDS:
            found, was = getattr(now, name), getattr(before, name)
            if found != was and name not in may and name != "timestamp":
                findings.compare(recorded, name, found, was)
        if now.timestamp < before.timestamp:
            findings.at(recorded, f"its time goes back to {now.timestamp.isoformat()}")
        if type(event) in STATUS:
            findings.compare(recorded, "status", now.status, STATUS[type(event)])

    def _ordered(
        self, recorded: Recorded, event: StrategySignaled | StopLossTriggered, before: Strategy
    ) -> None:
        findings, now = self._findings, event.strategy
        findings.compare(recorded, "status before", before.status, StrategyStatus.STARTED)
        if before.order is not None:
            findings.at(recorded, f"order {before.order.order_id} is under way already")
        findings.compare(recorded, "orders", now.orders, before.orders + 1)
        name = f"{now.strategy_id}-{before.orders + 1}"
        side, qty, trigger = None, before.quantity, None
        if isinstance(event, StopLossTriggered):
            name += STOP_LOSS_SUFFIX
            qty, trigger = abs(before.position), event.trigger_price
            side = Side.SELL if before.position > 0 else Side.BUY
            if not before.position or before.stop_loss is None:
                findings.at(recorded, "there is nothing for a stop-loss to close")
        else:
            side = Side(event.action.value) if event.action.value != "hold" else None
        wanted = (order_id(recorded.place.owner, name), name, side, qty, Decimal(0), trigger)
        placed = msgspec.structs.astuple(now.order) if now.order is not None else None
        findings.compare(recorded, "order", placed, wanted)
        findings.compare(recorded, "orderId", event.order_id, wanted[0])

    def _traded(self, recorded: Recorded, event: StrategyTraded, known: _Made) -> None:
        findings, before, now = self._findings, known.strategy, event.strategy
        self._of_a_fill(recorded, event)
        order = before.order
        if order is None or order.order_id != event.order_id or order.side is not event.side:
            findings.at(recorded, f"order {event.order_id} is not under way")
            known.holding = None
            return
        filled = order.filled_qty + event.qty
        if event.qty <= 0 or filled > order.qty:
            findings.at(recorded, f"{event.qty} do not fit what is unfilled")
        whole = filled >= order.qty
        left = None if whole else msgspec.structs.replace(order, filled_qty=filled)
        findings.compare(recorded, "order", now.order, left)
        trades = before.trades + (0 if order.filled_qty else 1)
        findings.compare(recorded, "trades", now.trades, trades)
        signed = event.qty if event.side is Side.BUY else -event.qty
        findings.compare(recorded, "position", now.position, before.position + signed)
        if known.holding is not None:
            known.holding = known.holding.after(signed, event.price)
            findings.compare(recorded, "entryPrice", now.entry_price, known.holding.entry)
        if whole and order.trigger_price is not None:
            known.executes = order

    def _of_a_fill(self, recorded: Recorded, event: StrategyTraded) -> None:
        fill = self._fills.pop(event.command_id, None)
        if fill is None:
            if self._whole:
                self._findings.at(
                    recorded, f"no fill {event.command_id} waits to be told, or twice"
                )
            return
        told = (event.order_id, event.trade_id, event.qty, event.price)
        was = (fill.order_id, fill.trade_id, fill.qty, fill.price)
        self._findings.compare(recorded, "the fill", told, was)

    def _executed(
        self, recorded: Recorded, event: StopLossExecuted, executes: StrategyOrder | None
    ) -> None:
        if executes is None:
            self._findings.at(recorded, "no stop-loss order was filled right before")
            return
        told = (event.order_id, event.trigger_price)
        was = (executes.order_id, executes.trigger_price)
        self._findings.compare(recorded, "the stop-loss", told, was)

    def _completed(self, recorded: Recorded, now: Strategy) -> None:
        done = now.max_trades is not None and now.trades >= now.max_trades
        guards = now.stop_loss is not None and now.position != 0
        if not done or now.order is not None or guards:
            self._findings.at(recorded, "it is completed, and has something to do")

    def decision(self, recorded: Recorded, event: DecisionMade, signal: Recorded | None) -> None:
        """Take a decision, and the signal right before it. Other programs tell of theirs at
        ``{source}/{strategyId}``: of those there is no signal."""
        findings = self._findings
        findings.entities["decisions"] += 1
        source, told_by_another, id_ = recorded.place.entity.partition("/")
        findings.compare(
            recorded, "strategyId", event.strategy_id, id_ if told_by_another else source
        )
        if not 0 <= event.confidence <= 1:
            findings.at(recorded, f"a confidence of {event.confidence}")
        signaled = signal.event if signal is not None else None
        if not isinstance(signaled, StrategySignaled):
            if event.taken and self._whole and not told_by_another:
                findings.at(recorded, "no signal comes right before what was taken")
            return
        told = (event.strategy_id, event.action, event.confidence, event.reasoning, event.taken)
        strategy = signaled.strategy.strategy_id
        was = (strategy, signaled.action, signaled.confidence, signaled.reasoning, True)
        findings.compare(recorded, "the decision", told, was)

    def finish(self) -> None:
        """All was told."""
        for fill in self._fills.values():
            if fill.at.sequence <= self._told_upto:
                self._findings.after(fill.at, "its strategy was not told of the fill")
            else:
                self._findings.pending["fills told to strategies"] += 1
        for subject, made in self._made.items():
            if made.executes is not None:
                self._findings.after(
                    Place(0, subject),
                    f"stop-loss order {made.executes.order_id} was not told as executed",
                )
