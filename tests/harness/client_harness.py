"""Tapes of programs over a server in memory, and what the log then holds."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from tapewire import Client
from tapewire.events import CODEC, Event, PriceUpdated
from tapewire.log import RecordedEvent, encode_token
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestClient


class ClientHarness:
    """A server, and any number of programs on it."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self.server = MemoryServer(now=self.now)

    def client(
        self, source: str = "desk", *, faults: Faults | None = None, retry_seconds: float = 20.0
    ) -> Client:
        """A program's tape; asking needs a real server, and is tested on one."""
        return Client(
            source,
            log=MemoryEventLog(self.server, faults),
            quotes=MemoryLatestValueStore(self.server, faults),
            declared_values=MemoryLatestValueStore(self.server, faults, prefix="val"),
            requests=cast("RequestClient", None),
            retry_seconds=retry_seconds,
            clock=self.now,
        )

    def recorded_events(self) -> list[RecordedEvent]:
        """All there is."""
        journal = self.server.journal
        found = [journal.event_at(one) for one in range(journal.first, journal.last + 1)]
        return [one for one in found if one is not None]

    def stored_events(self) -> list[tuple[str, Event]]:
        """Subjects and events."""
        return [(one.subject, one.event) for one in self.recorded_events()]

    def stored_quote(self, symbol: str) -> PriceUpdated:
        return CODEC.decode(self.server.values["MARKET/px"][encode_token(symbol)][0], PriceUpdated)

    def stored_value(self, key: str) -> dict[str, Any]:
        return CODEC.decode(self.server.values["MARKET/val"][key][0], dict[str, Any])
