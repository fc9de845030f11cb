"""`MemoryFailedEventStore`: the failed events of durable subscriptions, in a `MemoryServer`."""

from tapewire.log.failed_event_store import (
    FailedEvent,
    FailedEventChanges,
    StoredFailedEvent,
    StorePosition,
)
from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.ports import Conflict


class FailedEventTable:
    """The server's part. Every change has a revision of its own."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], StoredFailedEvent] = {}
        self._removals: dict[tuple[str, int], int] = {}
        """The revision of the removal of each row that is gone."""
        self._last_revision = 0

    def rows(self, subscription: str | None) -> list[StoredFailedEvent]:
        """The failed events of one subscription or of all, in the order of the log."""
        keys = sorted(key for key in self._rows if subscription in (None, key[0]))
        return [self._rows[key] for key in keys]

    def changes(self, subscription: str, since: StorePosition | None) -> FailedEventChanges:
        """As `FailedEventStore.changes`."""
        after = 0 if since is None else since.revision
        return FailedEventChanges(
            [one for one in self.rows(subscription) if one.revision > after],
            {
                sequence: revision
                for (name, sequence), revision in self._removals.items()
                if name == subscription and revision > after
            },
            StorePosition("", self._last_revision),
            is_all=after == 0,
        )

    def put(self, event: FailedEvent, expected_revision: int) -> int:
        """As `FailedEventStore.put`."""
        key = event.subscription, event.sequence
        stored = self._rows.get(key)
        if (stored.revision if stored is not None else 0) != expected_revision:
            raise Conflict(f"the failed event {event.sequence} was changed meanwhile")
        self._last_revision += 1
        self._removals.pop(key, None)
        self._rows[key] = StoredFailedEvent(event, self._last_revision)
        return self._last_revision

    def remove(self, event: FailedEvent, revision: int) -> bool:
        """As `FailedEventStore.remove`."""
        key = event.subscription, event.sequence
        stored = self._rows.get(key)
        if stored is None or stored.revision != revision:
            return False
        del self._rows[key]
        self._last_revision += 1
        self._removals[key] = self._last_revision
        return True


class MemoryFailedEventStore:
    """The failed events over one connection."""

    def __init__(self, connection: MemoryConnection, table: FailedEventTable) -> None:
        self._connection = connection
        self._table = table

    async def get_all(self, subscription: str | None = None) -> list[StoredFailedEvent]:
        """As `FailedEventStore.get_all`."""
        return await self._connection.read(lambda: self._table.rows(subscription))

    async def changes(self, subscription: str, since: StorePosition | None) -> FailedEventChanges:
        """As `FailedEventStore.changes`."""
        return await self._connection.read(lambda: self._table.changes(subscription, since))

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        """As `FailedEventStore.sequences`."""
        rows = await self._connection.read(lambda: self._table.rows(subscription))
        return [one.event.sequence for one in rows if one.event.subject == subject]

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
        """As `FailedEventStore.put`."""
        return await self._connection.write(lambda: self._table.put(event, expected_revision))

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        """As `FailedEventStore.remove`."""
        return await self._connection.write(lambda: self._table.remove(event, revision))
