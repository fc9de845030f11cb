"""Checks events that are stored together with a successor in one atomic batch.

A fill is followed by its trade, a correction by that of its trade, a trigger by its alert, and a
signal by its decision, each at the next sequence. At most one event therefore waits for its
successor. A server whose store was full may have stored the first of the two only; `tapewire
journal repair` then appends the other one later, under the id that it would have had.
"""

import msgspec

from tapewire.events import (
    CATALOGUE,
    AlertRaised,
    DecisionMade,
    Event,
    OrderExecutionCorrected,
    OrderFilled,
    RuleTriggered,
    StrategySignaled,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import BatchPart, RecordedEvent, following_event_id, is_interrupted
from tapewire.verify.findings import Findings, location_of

REQUIRED_SUCCESSORS: dict[type[Event], tuple[type[Event], str]] = {
    OrderFilled: (TradeExecuted, "trade"),
    OrderExecutionCorrected: (TradeCorrected, "correction"),
    RuleTriggered: (AlertRaised, "alert"),
    StrategySignaled: (DecisionMade, "decision"),
}
_SUCCESSOR_TYPES = frozenset(successor for successor, _ in REQUIRED_SUCCESSORS.values())


class SuccessorChecker:
    """Matches each event with the one that requires it. With `reads_all`, it receives every event
    of the log; a sequence that is missing then belongs to an event that was removed."""

    def __init__(self, findings: Findings, *, reads_all: bool) -> None:
        self._findings = findings
        self._reads_all = reads_all
        self._awaiting_successor: RecordedEvent | None = None
        self._interrupted: dict[str, RecordedEvent] = {}
        """The last events of interrupted batches, by the ids of their missing successors."""

    def match_predecessor(
        self, recorded: RecordedEvent, event: Event | None
    ) -> RecordedEvent | None:
        """The event that requires this one: the one right before it, or the last one of an
        interrupted batch that it completes. `event` is None if this one cannot be decoded."""
        predecessor, self._awaiting_successor = self._awaiting_successor, None
        if event is not None and type(event) in REQUIRED_SUCCESSORS:
            self._awaiting_successor = recorded
        if predecessor is not None:
            successor_type, _ = REQUIRED_SUCCESSORS[type(predecessor.event)]
            if recorded.sequence == predecessor.sequence + 1 and isinstance(event, successor_type):
                return predecessor
            is_next = recorded.sequence == predecessor.sequence + 1
            self._note_missing(
                predecessor, recorded.batch, is_removed=self._reads_all and not is_next
            )
        return None if event is None else self._find_completed(recorded, event)

    def finish(self) -> None:
        """Report missing successors at the end of the log."""
        if self._awaiting_successor is not None:
            self._note_missing(self._awaiting_successor, None)
        for predecessor in self._interrupted.values():
            self._report_interrupted(predecessor)

    def _note_missing(
        self, predecessor: RecordedEvent, next_part: BatchPart | None, *, is_removed: bool = False
    ) -> None:
        """Report that no successor follows, unless the batch was interrupted: it may be completed
        later."""
        if not is_removed and is_interrupted(predecessor.batch, next_part):
            try:
                self._interrupted[following_event_id(predecessor.metadata.id)] = predecessor
            except ValueError:
                self._report_interrupted(predecessor)
            return
        _, word = REQUIRED_SUCCESSORS[type(predecessor.event)]
        self._findings.report_event(predecessor, f"its {word} does not follow it")

    def _find_completed(self, recorded: RecordedEvent, event: Event) -> RecordedEvent | None:
        """The last event of the interrupted batch that this event completes."""
        if not self._interrupted or type(event) not in _SUCCESSOR_TYPES:
            return None
        predecessor = self._interrupted.get(recorded.metadata.id)
        if predecessor is None:
            return None
        successor_type, word = REQUIRED_SUCCESSORS[type(predecessor.event)]
        if not isinstance(event, successor_type):
            return None
        del self._interrupted[recorded.metadata.id]
        self._findings.repaired_counts[f"{word}s"] += 1
        return predecessor

    def _report_interrupted(self, predecessor: RecordedEvent) -> None:
        successor_type, word = REQUIRED_SUCCESSORS[type(predecessor.event)]
        batch = "" if predecessor.batch is None else predecessor.batch.id
        what = f"its {word} is missing: atomic batch {batch} was stored in part"
        self._findings.report(
            msgspec.structs.replace(
                location_of(predecessor).to_difference(what),
                batch=batch,
                missing=CATALOGUE.tag_of(successor_type),
            )
        )
