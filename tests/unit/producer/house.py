"""Tapes of programs over a server in memory, and what the log then holds."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from tapewire import Tape
from tapewire.events import CODEC, Event, PriceUpdated
from tapewire.log import Recorded, token
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.runtime import Requests


class House:
    """A server, and any number of programs on it."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self.server = MemoryServer(now=self.now)

    def tape(
        self, source: str = "desk", *, faults: Faults | None = None, patience: float = 20.0
    ) -> Tape:
        """A program's tape; asking needs a real server, and is tested on one."""
        return Tape(
            source,
            log=MemoryLog(self.server, faults),
            market=MemoryValues(self.server, faults),
            own_values=MemoryValues(self.server, faults, prefix="val"),
            requests=cast("Requests", None),
            patience=patience,
            clock=self.now,
        )

    def log(self) -> list[Recorded]:
        """All there is."""
        journal = self.server.journal
        found = [journal.at(one) for one in range(journal.first, journal.last + 1)]
        return [one for one in found if one is not None]

    def told(self) -> list[tuple[str, Event]]:
        """Subjects and events."""
        return [(one.subject, one.event) for one in self.log()]

    def quote(self, symbol: str) -> PriceUpdated:
        return CODEC.decode(self.server.values["MARKET/px"][token(symbol)][0], PriceUpdated)

    def value(self, key: str) -> dict[str, Any]:
        return CODEC.decode(self.server.values["MARKET/val"][key][0], dict[str, Any])
