"""The invariants of strategies, their orders, their stop-losses and decisions.

A strategy is created once, and has no events after it is completed. An event changes only the
fields in `ALLOWED_CHANGES`. Orders are numbered without gaps, with at most one pending. A holding
changes only by fills of the pending order, each of which is applied once. Each trigger of a
stop-loss is executed once, right after the fill that completes it.
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
from tapewire.log import EventSubject, RecordedEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire.runtime.contracts.strategies import STOP_LOSS_SUFFIX
from tapewire.verify.findings import EventLocation, Findings, location_of
from tapewire.verify.invariants.average_cost import AverageCostHolding
from tapewire.verify.reference_index import ReferenceIndex

_SETTING_FIELDS = {"name", "rule", "quantity", "stop_loss", "max_trades"}
ALLOWED_CHANGES: dict[type[StrategyEvent], set[str]] = {
    StrategyUpdated: _SETTING_FIELDS | {"order", "message"},
    StrategyStarted: {"status", "message"},
    StrategyStopped: {"status", "message", "order"},
    StrategyCompleted: {"status", "message"},
    StrategyFailed: {"status", "message", "order"},
    StrategySignaled: {"order", "orders"},
    StrategyTraded: {"position", "entry_price", "order", "trades", "message"},
    StopLossTriggered: {"order", "orders"},
    StopLossExecuted: set(),
}
"""Fields that an event may change, besides the time."""
STATUS_BY_EVENT: dict[type[StrategyEvent], StrategyStatus] = {
    StrategyCreated: StrategyStatus.CREATED,
    StrategyStarted: StrategyStatus.STARTED,
    StrategyStopped: StrategyStatus.STOPPED,
    StrategyCompleted: StrategyStatus.COMPLETED,
    StrategyFailed: StrategyStatus.ERROR,
}
_STRATEGY_FIELDS = Strategy.__struct_fields__


class _TrackedStrategy:
    """A strategy. `filled_stop_loss_order` was filled completely by the last event."""

    __slots__ = ("filled_stop_loss_order", "holding", "strategy")

    def __init__(self, strategy: Strategy, holding: AverageCostHolding | None) -> None:
        self.strategy = strategy
        self.holding = holding
        self.filled_stop_loss_order: StrategyOrder | None = None


class _UnreportedFill(msgspec.Struct, frozen=True):
    """A fill that must be applied to its strategy."""

    location: EventLocation
    order_id: str
    trade_id: str
    qty: Decimal
    price: Decimal


class StrategyInvariants:
    """Checks strategies. `fills_processed_up_to` is the sequence that the subscription to fills has
    reached."""

    def __init__(
        self,
        findings: Findings,
        unique_facts: ReferenceIndex,
        *,
        fills_processed_up_to: int,
        has_full_history: bool,
    ) -> None:
        self._findings = findings
        self._unique_facts = unique_facts
        self._fills_processed_up_to = fills_processed_up_to
        self._has_full_history = has_full_history
        self._strategies: dict[str, _TrackedStrategy] = {}
        self._unreported_fills: dict[str, _UnreportedFill] = {}

    def __len__(self) -> int:
        return len(self._strategies)

    def record_fill(self, recorded: RecordedEvent, event: OrderEvent) -> None:
        """Record a fill of a strategy's pending order."""
        order = event.order
        if not isinstance(event, OrderFilled) or not order.strategy_id:
            return
        subject = str(EventSubject(recorded.event_subject.owner, "strategies", order.strategy_id))
        tracked = self._strategies.get(subject)
        pending = tracked.strategy.order if tracked is not None else None
        if pending is not None and pending.order_id == order.order_id:
            self._unreported_fills[recorded.metadata.id] = _UnreportedFill(
                location_of(recorded), order.order_id, event.trade_id, event.qty, event.price
            )

    def check_strategy(self, recorded: RecordedEvent, event: StrategyEvent) -> None:
        """Check an event of a strategy."""
        findings, strategy = self._findings, event.strategy
        entity = recorded.event_subject.entity
        findings.compare(recorded, "strategyId", strategy.strategy_id, entity)
        tracked = self._strategies.get(recorded.subject)
        if isinstance(event, StrategyCreated):
            self._check_created(recorded, strategy)
        elif tracked is None:
            if self._has_full_history:
                findings.report_event(recorded, "the strategy was not created, or is completed")
            self._strategies[recorded.subject] = _TrackedStrategy(strategy, None)
        else:
            self._check_transition(recorded, event, tracked)
            tracked.strategy = strategy
        if strategy.status is StrategyStatus.COMPLETED:
            self._strategies.pop(recorded.subject, None)

    def _check_created(self, recorded: RecordedEvent, strategy: Strategy) -> None:
        findings = self._findings
        findings.entity_counts["strategies"] += 1
        self._unique_facts.define(f"created {recorded.subject}", recorded.sequence)
        findings.compare(recorded, "status", strategy.status, StrategyStatus.CREATED)
        new = (strategy.position, strategy.order, strategy.orders, strategy.trades)
        findings.compare(recorded, "initial state", new, (Decimal(0), None, 0, 0))
        self._strategies[recorded.subject] = _TrackedStrategy(strategy, AverageCostHolding())

    def _check_transition(
        self, recorded: RecordedEvent, event: StrategyEvent, tracked: _TrackedStrategy
    ) -> None:
        findings, before, now = self._findings, tracked.strategy, event.strategy
        self._check_changed_fields(recorded, event, before)
        filled, tracked.filled_stop_loss_order = tracked.filled_stop_loss_order, None
        if filled is not None and not isinstance(event, StopLossExecuted):
            what = f"stop-loss order {filled.order_id} was not reported as executed"
            findings.report_event(recorded, what)
        match event:
            case StrategySignaled() | StopLossTriggered():
                self._check_order_placed(recorded, event, before)
            case StrategyTraded():
                self._check_traded(recorded, event, tracked)
            case StopLossExecuted():
                self._check_stop_loss_executed(recorded, event, filled)
            case StrategyCompleted():
                self._check_completed(recorded, now)
            case StrategyStopped():
                findings.compare(recorded, "status before", before.status, StrategyStatus.STARTED)
            case _:
                if now.order is not None and now.order != before.order:
                    findings.report_event(recorded, f"order {now.order.order_id} is unexpected")

    def _check_changed_fields(
        self, recorded: RecordedEvent, event: StrategyEvent, before: Strategy
    ) -> None:
        findings, now = self._findings, event.strategy
        may = ALLOWED_CHANGES.get(type(event), set())
        for name in _STRATEGY_FIELDS:
            found, was = getattr(now, name), getattr(before, name)
            if found != was and name not in may and name != "timestamp":
                findings.compare(recorded, name, found, was)
        if now.timestamp < before.timestamp:
            findings.report_event(recorded, f"its time goes back to {now.timestamp.isoformat()}")
        if type(event) in STATUS_BY_EVENT:
            findings.compare(recorded, "status", now.status, STATUS_BY_EVENT[type(event)])

    def _check_order_placed(
        self, recorded: RecordedEvent, event: StrategySignaled | StopLossTriggered, before: Strategy
    ) -> None:
        findings, now = self._findings, event.strategy
        findings.compare(recorded, "status before", before.status, StrategyStatus.STARTED)
        if before.order is not None:
            findings.report_event(recorded, f"order {before.order.order_id} is pending already")
        findings.compare(recorded, "orders", now.orders, before.orders + 1)
        name = f"{now.strategy_id}-{before.orders + 1}"
        side, qty, trigger = None, before.quantity, None
        if isinstance(event, StopLossTriggered):
            name += STOP_LOSS_SUFFIX
            qty, trigger = abs(before.position), event.trigger_price
            side = Side.SELL if before.position > 0 else Side.BUY
            if not before.position or before.stop_loss is None:
                findings.report_event(recorded, "there is nothing for a stop-loss to close")
        else:
            side = Side(event.action.value) if event.action.value != "hold" else None
        id_ = order_id(recorded.event_subject.owner, name)
        expected = (id_, name, side, qty, Decimal(0), trigger)
        placed = msgspec.structs.astuple(now.order) if now.order is not None else None
        findings.compare(recorded, "order", placed, expected)
        findings.compare(recorded, "orderId", event.order_id, id_)

    def _check_traded(
        self, recorded: RecordedEvent, event: StrategyTraded, tracked: _TrackedStrategy
    ) -> None:
        findings, before, now = self._findings, tracked.strategy, event.strategy
        self._match_fill(recorded, event)
        order = before.order
        if order is None or order.order_id != event.order_id or order.side is not event.side:
            findings.report_event(recorded, f"order {event.order_id} is not pending")
            tracked.holding = None
            return
        filled = order.filled_qty + event.qty
        if event.qty <= 0 or filled > order.qty:
            findings.report_event(recorded, f"the fill of {event.qty} exceeds what is unfilled")
        whole = filled >= order.qty
        left = None if whole else msgspec.structs.replace(order, filled_qty=filled)
        findings.compare(recorded, "order", now.order, left)
        trades = before.trades + (0 if order.filled_qty else 1)
        findings.compare(recorded, "trades", now.trades, trades)
        signed = event.qty if event.side is Side.BUY else -event.qty
        findings.compare(recorded, "position", now.position, before.position + signed)
        if tracked.holding is not None:
            held = tracked.holding = tracked.holding.after_trade(signed, event.price)
            findings.compare(
                recorded, "entryPrice", now.entry_price, held.rounded_as(now.entry_price)
            )
        if whole and order.trigger_price is not None:
            tracked.filled_stop_loss_order = order

    def _match_fill(self, recorded: RecordedEvent, event: StrategyTraded) -> None:
        fill = self._unreported_fills.pop(event.command_id, None)
        if fill is None:
            if self._has_full_history:
                what = f"no fill {event.command_id} is pending, or it is applied twice"
                self._findings.report_event(recorded, what)
            return
        found = (event.order_id, event.trade_id, event.qty, event.price)
        expected = (fill.order_id, fill.trade_id, fill.qty, fill.price)
        self._findings.compare(recorded, "the fill", found, expected)

    def _check_stop_loss_executed(
        self,
        recorded: RecordedEvent,
        event: StopLossExecuted,
        stop_loss_order: StrategyOrder | None,
    ) -> None:
        if stop_loss_order is not None:
            found = (event.order_id, event.trigger_price)
            expected = (stop_loss_order.order_id, stop_loss_order.trigger_price)
            self._findings.compare(recorded, "the stop-loss", found, expected)
        elif self._has_full_history:
            self._findings.report_event(recorded, "no stop-loss order was filled right before")

    def _check_completed(self, recorded: RecordedEvent, now: Strategy) -> None:
        done = now.max_trades is not None and now.trades >= now.max_trades
        guards = now.stop_loss is not None and now.position != 0
        if not done or now.order is not None or guards:
            self._findings.report_event(recorded, "it is completed, and has something to do")

    def check_decision(
        self, recorded: RecordedEvent, event: DecisionMade, signal: RecordedEvent | None
    ) -> None:
        """Check a decision and the signal right before it. Decisions of other programs have the
        entity ``{source}/{strategyId}`` and no signal."""
        findings = self._findings
        findings.entity_counts["decisions"] += 1
        source, is_foreign, id_ = recorded.event_subject.entity.partition("/")
        findings.compare(recorded, "strategyId", event.strategy_id, id_ if is_foreign else source)
        if not 0 <= event.confidence <= 1:
            findings.report_event(recorded, f"the confidence is {event.confidence}")
        cause = signal.event if signal is not None else None
        if not isinstance(cause, StrategySignaled):
            if event.taken and self._has_full_history and not is_foreign:
                findings.report_event(recorded, "no signal precedes the decision to act")
            return
        found = (event.strategy_id, event.action, event.confidence, event.reasoning, event.taken)
        strategy_id = cause.strategy.strategy_id
        expected = (strategy_id, cause.action, cause.confidence, cause.reasoning, True)
        findings.compare(recorded, "the decision", found, expected)

    def finish(self) -> None:
        """Report fills that were not applied at the end of the log."""
        for fill in self._unreported_fills.values():
            if fill.location.sequence <= self._fills_processed_up_to:
                self._findings.report_at(fill.location, "the fill was not applied to its strategy")
            else:
                self._findings.pending_counts["fills of strategies"] += 1
        for subject, tracked in self._strategies.items():
            if tracked.filled_stop_loss_order is not None:
                order_id = tracked.filled_stop_loss_order.order_id
                self._findings.report_at(
                    EventLocation(0, subject),
                    f"stop-loss order {order_id} was not reported as executed",
                )
