"""Events that never come alone: a fill has its trade right behind it, a trigger its alert, a signal
its decision, in one atomic batch. One event owes at a time, for its companion is the very next."""

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
    """Who owes whom."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._awaiting_successor: RecordedEvent | None = None

    def match_predecessor(
        self, recorded: RecordedEvent, event: Event | None
    ) -> RecordedEvent | None:
        """The event right before that owes this one, if that is so. None for `event` is one that
        cannot be read."""
        owing, self._awaiting_successor = self._awaiting_successor, None
        if event is not None and type(event) in REQUIRED_SUCCESSORS:
            self._awaiting_successor = recorded
        if owing is None:
            return None
        wanted, word = REQUIRED_SUCCESSORS[type(owing.event)]
        if recorded.sequence == owing.sequence + 1 and isinstance(event, wanted):
            return owing
        self._findings.report_event(owing, f"its {word} does not follow it")
        return None

    def finish(self) -> None:
        """No event follows."""
        if self._awaiting_successor is not None:
            word = REQUIRED_SUCCESSORS[type(self._awaiting_successor.event)][1]
            self._findings.report_event(self._awaiting_successor, f"its {word} does not follow it")
