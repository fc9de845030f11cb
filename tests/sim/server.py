"""The server that all processes share. It also keeps trimmed events and earlier logs as the
expected log."""

from collections.abc import Callable
from datetime import datetime

from tapewire.log import RecordedEvent
from tapewire.log.memory import MemoryServer
from tests.harness.history import ExpectedLog, LogIncarnation


class SimulatedServer(MemoryServer):
    """A memory server that keeps trimmed events and the logs that were replaced."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self._trimmed_events: list[RecordedEvent] = []
        self._past_epochs: list[LogIncarnation] = []

    def trim(self, sequence: int) -> None:
        self._trimmed_events += [r for r in self.journal._events if r.sequence <= sequence]
        super().trim(sequence)

    def recreate_log(self) -> None:
        self._past_epochs.append(self._current_epoch())
        self._trimmed_events = []
        super().recreate()

    def expected_log(self) -> ExpectedLog:
        """Every event that was ever stored."""
        return ExpectedLog([*self._past_epochs, self._current_epoch()])

    def recorded_events(self) -> list[RecordedEvent]:
        """Every event of the newest log, trimmed ones too."""
        return [*self._trimmed_events, *self.journal._events]

    def _current_epoch(self) -> LogIncarnation:
        journal = self.journal
        return LogIncarnation(journal.epoch, self.recorded_events(), first=journal.first)
