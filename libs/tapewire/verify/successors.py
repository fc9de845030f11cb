"""Checks events that are stored together with a successor in one atomic batch.

A fill is followed by its trade, a trigger by its alert, and a signal by its decision, each at the
next sequence. At most one event therefore waits for its successor.
"""

from tapewire.events import (
    AlertRaised,
    DecisionMade,
    Event,
    OrderFilled,
    RuleTriggered,
    StrategySignaled,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import Findings

REQUIRED_SUCCESSORS: dict[type[Event], tuple[type[Event], str]] = {
    OrderFilled: (TradeExecuted, "trade"),
    RuleTriggered: (AlertRaised, "alert"),
    StrategySignaled: (DecisionMade, "decision"),
}


class SuccessorChecker:
    """Matches each event with the one that requires it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._awaiting_successor: RecordedEvent | None = None

    def match_predecessor(
        self, recorded: RecordedEvent, event: Event | None
    ) -> RecordedEvent | None:
        """The event right before this one, if that requires a successor of this type. `event` is
        None if this one cannot be decoded."""
        predecessor, self._awaiting_successor = self._awaiting_successor, None
        if event is not None and type(event) in REQUIRED_SUCCESSORS:
            self._awaiting_successor = recorded
        if predecessor is None:
            return None
        successor_type, word = REQUIRED_SUCCESSORS[type(predecessor.event)]
        if recorded.sequence == predecessor.sequence + 1 and isinstance(event, successor_type):
            return predecessor
        self._findings.report_event(predecessor, f"its {word} does not follow it")
        return None

    def finish(self) -> None:
        """Report a missing successor at the end of the log."""
        if self._awaiting_successor is not None:
            word = REQUIRED_SUCCESSORS[type(self._awaiting_successor.event)][1]
            self._findings.report_event(self._awaiting_successor, f"its {word} does not follow it")
