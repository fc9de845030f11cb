"""Clients (`tapewire.Client`) on a server in memory, and the contents of the log."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from tapewire import Client
from tapewire.events import CODEC, Event, PriceUpdated
from tapewire.log import RecordedEvent, encode_token
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestClient


class ClientHarness:
    """A server in memory, and any number of clients on it."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self.server = MemoryServer(now=self.now)

    def client(
        self, source: str = "desk", *, faults: Faults | None = None, retry_seconds: float = 20.0
    ) -> Client:
        """Return a client. It cannot send requests, which need a real server and are tested on
        one."""
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
        """All events in the log."""
        journal = self.server.journal
        found = [journal.event_at(one) for one in range(journal.first, journal.last + 1)]
        return [one for one in found if one is not None]

    def stored_events(self) -> list[tuple[str, Event]]:
        """All events in the log, as (subject, event)."""
        return [(one.subject, one.event) for one in self.recorded_events()]

    def stored_quote(self, symbol: str) -> PriceUpdated:
        return CODEC.decode(self.server.values["MARKET/px"][encode_token(symbol)][0], PriceUpdated)

    def stored_value(self, key: str) -> dict[str, Any]:
        return CODEC.decode(self.server.values["MARKET/val"][key][0], dict[str, Any])
