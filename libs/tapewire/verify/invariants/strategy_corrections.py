"""The executions that strategies must follow, and the corrections that they may follow."""

from decimal import Decimal

import msgspec

from tapewire.events import OrderExecutionCorrected, Side, StrategyPositionAdjusted
from tapewire.log import RecordedEvent
from tapewire.verify.findings import EventLocation, Findings


class UnreportedFill(msgspec.Struct, frozen=True):
    """A fill that must be applied to its strategy."""

    location: EventLocation
    order_id: str
    trade_id: str
    qty: Decimal
    price: Decimal


class StrategyCorrections:
    """Corrections of strategies' orders, by the id of their event."""

    def __init__(self, findings: Findings, *, has_full_history: bool) -> None:
        self._findings = findings
        self._has_full_history = has_full_history
        self._corrections: dict[str, OrderExecutionCorrected] = {}

    def record(self, recorded: RecordedEvent, event: OrderExecutionCorrected) -> None:
        """Note a correction."""
        self._corrections[recorded.metadata.id] = event

    def match(self, recorded: RecordedEvent, event: StrategyPositionAdjusted) -> Decimal:
        """Check the adjustment against its correction. Returns what the correction adds to the
        position."""
        correction = self._corrections.pop(event.command_id, None)
        if correction is None:
            if self._has_full_history:
                self._findings.report_event(recorded, f"no correction {event.command_id} is known")
            return Decimal(0)
        found, expected = (event.trade_id, event.terms), (correction.trade_id, correction.after)
        self._findings.compare(recorded, "the correction", found, expected)
        change = correction.after.qty - correction.before.qty
        return change if correction.order.side is Side.BUY else -change
