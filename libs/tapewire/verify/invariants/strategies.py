"""The invariants of strategies, their orders, their exits and decisions.

A strategy is created once, and has no events after it is completed, but its deletion. An event
changes only the fields in `ALLOWED_CHANGES`. Orders are numbered without gaps, with at most one
pending; a closing order is over exactly the position. A position changes only by executions of the
strategy's orders, each applied once, and by adjustments, which bring it to 0 or follow from the
correction of an execution. A stop-loss or take-profit is executed right after its last fill.
"""

from decimal import Decimal

import msgspec

from tapewire.events import (
    DecisionMade,
    ExecutionException,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyClosing,
    StrategyCompleted,
    StrategyCreated,
    StrategyDeleted,
    StrategyEvent,
    StrategyFailed,
    StrategyOrder,
    StrategyPositionAdjusted,
    StrategySignaled,
    StrategySplit,
    StrategyStarted,
    StrategyStatus,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
    TakeProfitExecuted,
    TakeProfitTriggered,
)
from tapewire.log import EventSubject, RecordedEvent
from tapewire.verify.findings import EventLocation, Findings, location_of
from tapewire.verify.invariants.average_cost import AverageCostHolding
from tapewire.verify.invariants.splits import SplitInvariants
from tapewire.verify.invariants.strategy_corrections import StrategyCorrections, UnreportedFill
from tapewire.verify.invariants.strategy_orders import (
    check_completed,
    check_exit_executed,
    check_order_begun,
    check_protected_status,
)
from tapewire.verify.reference_index import ReferenceIndex

_SETTING_FIELDS = {"name", "rule", "quantity", "stop_loss", "max_trades", "take_profit"}
ALLOWED_CHANGES: dict[type[StrategyEvent], set[str]] = {
    StrategyUpdated: _SETTING_FIELDS | {"order", "exit", "is_protected", "message"},
    StrategyStarted: {"status", "message", "is_protected"},
    StrategyStopped: {"status", "message", "order", "exit", "is_protected"},
    StrategyCompleted: {"status", "message"},
    StrategyFailed: {"status", "message", "order", "exit", "is_protected"},
    StrategySignaled: {"order", "orders"},
    StrategyTraded: {"position", "entry_price", "order", "trades", "exit", "message"},
    StopLossTriggered: {"order", "orders", "exit"},
    StopLossExecuted: set(),
    TakeProfitTriggered: {"order", "orders", "exit"},
    TakeProfitExecuted: set(),
    StrategyClosing: {"order", "orders"},
    StrategyPositionAdjusted: {"position", "entry_price", "order", "exit", "message", "status"},
    StrategyDeleted: {"status", "message"},
    StrategySplit: {"quantity", "position", "entry_price", "order", "exit"},
}
"""Fields that an event may change, besides the time."""
STATUS_BY_EVENT: dict[type[StrategyEvent], StrategyStatus] = {
    StrategyCreated: StrategyStatus.CREATED,
    StrategyStarted: StrategyStatus.STARTED,
    StrategyStopped: StrategyStatus.STOPPED,
    StrategyCompleted: StrategyStatus.COMPLETED,
    StrategyFailed: StrategyStatus.ERROR,
    StrategyDeleted: StrategyStatus.DELETED,
}
UNREPORTED_EXIT = "no event says that the exit was executed"
_STRATEGY_FIELDS = Strategy.__struct_fields__


class _TrackedStrategy:
    """A strategy, and the stop-loss or take-profit order that its last event filled completely."""

    __slots__ = ("filled_exit_order", "holding", "strategy")

    def __init__(self, strategy: Strategy, holding: AverageCostHolding | None) -> None:
        self.strategy = strategy
        self.holding = holding
        self.filled_exit_order: StrategyOrder | None = None


class StrategyInvariants:
    """Checks strategies. The subscription to fills has reached `fills_processed_up_to`."""

    def __init__(
        self,
        findings: Findings,
        unique_facts: ReferenceIndex,
        splits: SplitInvariants,
        *,
        fills_processed_up_to: int,
        has_full_history: bool,
    ) -> None:
        self._findings = findings
        self._unique_facts = unique_facts
        self._fills_processed_up_to = fills_processed_up_to
        self._has_full_history = has_full_history
        self._strategies: dict[str, _TrackedStrategy] = {}
        self._unreported_fills: dict[str, UnreportedFill] = {}
        self._splits = splits
        self._corrections = StrategyCorrections(findings, has_full_history=has_full_history)

    def __len__(self) -> int:
        return len(self._strategies)

    def record_fill(self, recorded: RecordedEvent, event: OrderEvent) -> None:
        """Record a fill of a strategy's pending order, or a late one of an earlier order."""
        order = event.order
        if isinstance(event, OrderExecutionCorrected) and order.strategy_id:
            self._corrections.record(recorded, event)
        if not isinstance(event, OrderFilled) or not order.strategy_id:
            return
        subject = str(EventSubject(recorded.event_subject.owner, "strategies", order.strategy_id))
        tracked = self._strategies.get(subject)
        pending = tracked.strategy.order if tracked is not None else None
        is_pending = pending is not None and pending.order_id == order.order_id
        if is_pending or ExecutionException.CLOSED_ORDER in event.exceptions:
            self._unreported_fills[recorded.metadata.id] = UnreportedFill(
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
            may_follow = isinstance(event, StrategyDeleted | StrategyPositionAdjusted)
            if self._has_full_history and not may_follow:
                findings.report_event(recorded, "the strategy was not created, or is completed")
            self._strategies[recorded.subject] = _TrackedStrategy(strategy, None)
        else:
            self._check_transition(recorded, event, tracked)
            tracked.strategy = strategy
        if strategy.status in (StrategyStatus.COMPLETED, StrategyStatus.DELETED):
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
        filled, tracked.filled_exit_order = tracked.filled_exit_order, None
        if filled is not None and not isinstance(event, StopLossExecuted | TakeProfitExecuted):
            findings.report_event(recorded, f"{UNREPORTED_EXIT} order {filled.order_id}")
        match event:
            case (
                StrategySignaled() | StopLossTriggered() | TakeProfitTriggered() | StrategyClosing()
            ):
                check_order_begun(findings, recorded, event, before)
            case StrategyTraded():
                self._check_traded(recorded, event, tracked)
            case StopLossExecuted() | TakeProfitExecuted():
                check_exit_executed(
                    findings, recorded, event, filled, is_complete=self._has_full_history
                )
            case StrategyPositionAdjusted():
                self._check_adjusted(recorded, event, tracked)
            case StrategySplit():
                self._splits.check_strategy(recorded, event, before)
                tracked.holding = AverageCostHolding(now.position, now.entry_price or Decimal(0))
            case StrategyCompleted():
                check_completed(findings, recorded, now)
            case _:
                if isinstance(event, StrategyStopped):
                    check_protected_status(findings, recorded, before)
                if now.order is not None and now.order != before.order:
                    findings.report_event(recorded, f"order {now.order.order_id} is unexpected")

    def _check_changed_fields(
        self, recorded: RecordedEvent, event: StrategyEvent, before: Strategy
    ) -> None:
        findings, now = self._findings, event.strategy
        may = ALLOWED_CHANGES.get(type(event), set())
        for name in _STRATEGY_FIELDS:
            found, was = getattr(now, name), getattr(before, name)
            if name == "is_protected":
                found, was = now.has_protection, before.has_protection
            if found != was and name not in may and name != "timestamp":
                findings.compare(recorded, name, found, was)
        if now.timestamp < before.timestamp:
            findings.report_event(recorded, f"its time goes back to {now.timestamp.isoformat()}")
        if type(event) in STATUS_BY_EVENT:
            findings.compare(recorded, "status", now.status, STATUS_BY_EVENT[type(event)])

    def _check_adjusted(
        self, recorded: RecordedEvent, event: StrategyPositionAdjusted, tracked: _TrackedStrategy
    ) -> None:
        before, after, held = tracked.strategy, event.strategy, Decimal(0)
        self._findings.compare(recorded, "positionBefore", event.position_before, before.position)
        if event.trade_id is None:
            self._findings.compare(recorded, "status", after.status, before.status)
        else:
            held = before.position + self._corrections.match(recorded, event)
        self._findings.compare(recorded, "position", after.position, held)
        priced = after.entry_price is not None
        self._findings.compare(recorded, "having an entry price", priced, bool(after.position))
        tracked.holding = AverageCostHolding(after.position, after.entry_price or Decimal(0))

    def _check_traded(
        self, recorded: RecordedEvent, event: StrategyTraded, tracked: _TrackedStrategy
    ) -> None:
        findings, before, now = self._findings, tracked.strategy, event.strategy
        self._match_fill(recorded, event)
        signed = event.qty if event.side is Side.BUY else -event.qty
        findings.compare(recorded, "position", now.position, before.position + signed)
        if tracked.holding is not None:
            held = tracked.holding = tracked.holding.after_trade(signed, event.price)
            findings.compare(
                recorded, "entryPrice", now.entry_price, held.rounded_as(now.entry_price)
            )
        order = before.order
        if order is None or order.order_id != event.order_id:  # a late execution
            findings.compare(recorded, "order", now.order, order)
            return
        findings.compare(recorded, "side", event.side, order.side)
        filled = order.filled_qty + event.qty
        if event.qty <= 0:
            findings.report_event(recorded, f"the fill is of {event.qty}")
        whole = filled >= order.qty
        left = None if whole else msgspec.structs.replace(order, filled_qty=filled)
        findings.compare(recorded, "order", now.order, left)
        trades = before.trades + (0 if order.filled_qty else 1)
        findings.compare(recorded, "trades", now.trades, trades)
        if whole and order.trigger_price is not None:
            tracked.filled_exit_order = order

    def _match_fill(self, recorded: RecordedEvent, event: StrategyTraded) -> None:
        fill = self._unreported_fills.pop(event.command_id, None)
        if fill is None:
            if self._has_full_history:
                self._findings.report_event(
                    recorded, f"no fill {event.command_id} is pending, or it is applied twice"
                )
            return
        found = (event.order_id, event.trade_id, event.qty, event.price)
        expected = (fill.order_id, fill.trade_id, fill.qty, fill.price)
        self._findings.compare(recorded, "the fill", found, expected)

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
            if tracked.filled_exit_order is not None:
                what = f"{UNREPORTED_EXIT} order {tracked.filled_exit_order.order_id}"
                self._findings.report_at(EventLocation(0, subject), what)
