"""The server that all processes share, and what it has forgotten: the truth."""

from collections.abc import Callable
from datetime import datetime

from tapewire.log import Recorded
from tapewire.log.memory import MemoryServer
from tests.history import Epoch, Log


class Server(MemoryServer):
    """A server that keeps apart what is trimmed, and the logs that were made anew."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self._trimmed: list[Recorded] = []
        self._past: list[Epoch] = []

    def trim(self, upto: int) -> None:
        self._trimmed += [r for r in self.journal._events if r.sequence <= upto]
        super().trim(upto)

    def recreate(self) -> None:
        self._past.append(self._epoch())
        self._trimmed = []
        super().recreate()

    def truth(self) -> Log:
        """Everything that was ever stored."""
        return Log([*self._past, self._epoch()])

    def _epoch(self) -> Epoch:
        journal = self.journal
        return Epoch(journal.epoch, [*self._trimmed, *journal._events], first=journal.first)
