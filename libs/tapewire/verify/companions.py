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
from tapewire.log import Recorded
from tapewire.verify.findings import Findings

OWED: dict[type[Event], tuple[type[Event], str]] = {
    OrderFilled: (TradeExecuted, "trade"),
    RuleTriggered: (AlertRaised, "alert"),
    StrategySignaled: (DecisionMade, "decision"),
}


class Companions:
    """Who owes whom."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._owing: Recorded | None = None

    def of(self, recorded: Recorded, event: Event | None) -> Recorded | None:
        """The event right before that owes this one, if that is so. None for `event` is one that
        cannot be read."""
        owing, self._owing = self._owing, None
        if event is not None and type(event) in OWED:
            self._owing = recorded
        if owing is None:
            return None
        wanted, word = OWED[type(owing.event)]
        if recorded.sequence == owing.sequence + 1 and isinstance(event, wanted):
            return owing
        self._findings.at(owing, f"its {word} does not follow it")
        return None

    def finish(self) -> None:
        """No event follows."""
        if self._owing is not None:
            word = OWED[type(self._owing.event)][1]
            self._findings.at(self._owing, f"its {word} does not follow it")
