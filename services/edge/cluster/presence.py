"""Who is connected to which edge process: every process has a list of all connections.

Each process publishes its connections as they open and close, in numbered messages, and sends a
heartbeat with the last number and the number of its connections. A process that notices a gap asks
for a snapshot; a process that is silent for `SILENCE_TIMEOUT_SECONDS` is forgotten. After any loss
all processes agree again within seconds; until then a limit can be off by the number of lost
messages.

This module is pure: the time is an argument, and messages to send are results. `presence_sync`
does the I/O. Start reading at `Presence.receive`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tapewire_services.edge.cluster.presence_messages import (
    ConnectionClosed,
    ConnectionOpened,
    InstanceStopped,
    PresenceEntry,
    PresenceHeartbeat,
    PresenceMessage,
    PresenceSnapshot,
    SnapshotRequest,
)

SILENCE_TIMEOUT_SECONDS = 15.0
"""A process that sends nothing for so long is removed with its connections."""
MAX_SNAPSHOT_ENTRIES = 1000
"""Entries of a snapshot in one message."""


class ConnectionTotals(NamedTuple):
    """The connections of all processes together."""

    connection_count: int
    user_count: int
    connections_per_user: Mapping[str, int]


class _RemoteInstance:
    """The state of another process, according to its messages."""

    __slots__ = ("entries", "is_draining", "last_message_at", "last_number", "snapshot_parts")

    def __init__(self, now: float) -> None:
        self.entries: dict[str, PresenceEntry] = {}
        self.last_number = -1
        self.last_message_at = now
        self.is_draining = False
        self.snapshot_parts: dict[int, PresenceSnapshot] = {}


class Presence:
    """The connections of all processes, as seen by process `instance`.

    A user may have `max_connections`. Each process finds its own connections that exceed the limit:
    the oldest of a user with too many. Connections of a draining process do not count, because they
    are about to be closed and their clients may have opened the successors already.
    """

    def __init__(self, instance: str, max_connections: int) -> None:
        self._instance = instance
        self._max_connections = max_connections
        self._over_limit: list[str] = []
        self._number = 0
        self._is_draining = False
        self._own: dict[str, PresenceEntry] = {}
        self._remote_instances: dict[str, _RemoteInstance] = {}
        self._by_user: dict[str, dict[str, PresenceEntry]] = {}
        self._anonymous_count = 0
        self.version = 0
        """Changes whenever the totals may have changed."""

    def add_connection(self, entry: PresenceEntry) -> ConnectionOpened:
        """Add a connection of this process. Returns the message for the others."""
        self._number += 1
        self._own[entry.client] = entry
        self._add(entry)
        self._enforce_limit(entry.user)
        return ConnectionOpened(self._instance, self._number, entry)

    def remove_connection(self, client_id: str) -> ConnectionClosed | None:
        """Remove a connection of this process. Returns the message for the others, or None when
        there is no such connection."""
        entry = self._own.pop(client_id, None)
        if entry is None:
            return None
        self._number += 1
        self._remove(entry)
        return ConnectionClosed(self._instance, self._number, client_id)

    def start_draining(self) -> PresenceHeartbeat:
        """Mark this process as draining. Returns the message for the others."""
        self._is_draining = True
        return self.heartbeat()

    def pop_over_limit(self) -> list[str]:
        """The client ids of this process's connections that must be closed, each once."""
        over_limit, self._over_limit = self._over_limit, []
        return over_limit

    def heartbeat(self) -> PresenceHeartbeat:
        """The message to send every few seconds."""
        return PresenceHeartbeat(self._instance, self._number, len(self._own), self._is_draining)

    def snapshot_messages(self) -> Iterator[PresenceSnapshot]:
        """All connections of this process, in messages of at most `MAX_SNAPSHOT_ENTRIES`."""
        entries = [*self._own.values()]
        parts = max(1, -(-len(entries) // MAX_SNAPSHOT_ENTRIES))
        for part in range(parts):
            chunk = entries[part * MAX_SNAPSHOT_ENTRIES : (part + 1) * MAX_SNAPSHOT_ENTRIES]
            yield PresenceSnapshot(
                self._instance, self._number, part, parts, chunk, self._is_draining
            )

    def receive(self, message: PresenceMessage, now: float) -> list[PresenceMessage]:
        """Apply a message of another process. Returns the messages to send in reply. `now` is a
        monotonic time in seconds."""
        if isinstance(message, SnapshotRequest):
            return [*self.snapshot_messages()] if message.instance in (None, self._instance) else []
        if message.instance == self._instance:
            return []
        if isinstance(message, InstanceStopped):
            self._remove_instance(message.instance)
            return []
        other = self._remote_instances.get(message.instance)
        if other is None:
            other = self._remote_instances[message.instance] = _RemoteInstance(now)
        other.last_message_at = now
        if isinstance(message, PresenceSnapshot):
            self._apply_snapshot(other, message)
            return []
        return self._apply(other, message)

    def expire_silent_instances(self, now: float) -> None:
        """Forget the processes that have sent nothing for `SILENCE_TIMEOUT_SECONDS`."""
        for instance, other in [*self._remote_instances.items()]:
            if now - other.last_message_at > SILENCE_TIMEOUT_SECONDS:
                self._remove_instance(instance)

    def totals(self) -> ConnectionTotals:
        """The connections of all processes."""
        per_user = {user: len(entries) for user, entries in self._by_user.items()}
        return ConnectionTotals(
            sum(per_user.values()) + self._anonymous_count, len(per_user), per_user
        )

    def other_instances(self) -> list[str]:
        """The other processes that have sent something lately."""
        return list(self._remote_instances)

    def has_connection(self, user_id: str | None, client_id: str) -> bool:
        """Whether a process has that connection of the user, or of a client without a session."""
        if user_id is not None:
            return client_id in self._by_user.get(user_id, ())
        lists = (self._own, *(other.entries for other in self._remote_instances.values()))
        found = (entries.get(client_id) for entries in lists)
        return any(entry is not None and entry.user is None for entry in found)

    def count_connections(self, user_id: str) -> int:
        """How many connections the user has on all processes."""
        return len(self._by_user.get(user_id, ()))

    def _apply(
        self,
        other: _RemoteInstance,
        message: ConnectionOpened | ConnectionClosed | PresenceHeartbeat,
    ) -> list[PresenceMessage]:
        if isinstance(message, PresenceHeartbeat):
            other.is_draining = message.leaves
            agrees = message.number == other.last_number and message.count == len(other.entries)
            return [] if agrees else [SnapshotRequest(message.instance)]
        if message.number <= other.last_number:
            return []
        if message.number != other.last_number + 1:
            return [SnapshotRequest(message.instance)]
        other.last_number = message.number
        if isinstance(message, ConnectionOpened):
            other.entries[message.entry.client] = message.entry
            self._add(message.entry)
            self._enforce_limit(message.entry.user)
        elif (entry := other.entries.pop(message.client, None)) is not None:
            self._remove(entry)
        return []

    def _apply_snapshot(self, other: _RemoteInstance, message: PresenceSnapshot) -> None:
        if message.number < other.last_number:
            return
        if any(part.number != message.number for part in other.snapshot_parts.values()):
            other.snapshot_parts.clear()
        other.snapshot_parts[message.part] = message
        if len(other.snapshot_parts) < message.parts:
            return
        for entry in other.entries.values():
            self._remove(entry)
        entries = [entry for part in other.snapshot_parts.values() for entry in part.entries]
        other.snapshot_parts = {}
        other.is_draining = message.leaves
        other.last_number = message.number
        other.entries = {entry.client: entry for entry in entries}
        for entry in other.entries.values():
            self._add(entry)
        for user in {entry.user for entry in entries}:
            self._enforce_limit(user)

    def _remove_instance(self, instance: str) -> None:
        other = self._remote_instances.pop(instance, None)
        if other is not None:
            for entry in other.entries.values():
                self._remove(entry)

    def _add(self, entry: PresenceEntry) -> None:
        self.version += 1
        if entry.user is None:
            self._anonymous_count += 1
        else:
            self._by_user.setdefault(entry.user, {})[entry.client] = entry

    def _remove(self, entry: PresenceEntry) -> None:
        self.version += 1
        if entry.user is None:
            self._anonymous_count -= 1
            return
        of_user = self._by_user.get(entry.user, {})
        of_user.pop(entry.client, None)
        if not of_user:
            self._by_user.pop(entry.user, None)

    def _enforce_limit(self, user_id: str | None) -> None:
        """Find the user's oldest connections over the limit. All processes find the same ones, and
        each closes its own."""
        if user_id is None:
            return
        counted = self._by_user.get(user_id, {})
        if len(counted) <= self._max_connections:
            return
        counted = {
            client: entry
            for client, entry in counted.items()
            if not self._is_on_draining_instance(client)
        }
        excess = len(counted) - self._max_connections
        if excess > 0:
            for entry in _oldest(counted.values(), excess):
                if entry.client in self._own:
                    self._over_limit.append(entry.client)

    def _is_on_draining_instance(self, client_id: str) -> bool:
        """Whether the connection is one of a draining process."""
        if client_id in self._own:
            return self._is_draining
        return any(
            other.is_draining and client_id in other.entries
            for other in self._remote_instances.values()
        )


def _oldest(entries: Iterable[PresenceEntry], count: int) -> list[PresenceEntry]:
    return sorted(entries, key=lambda entry: (entry.at, entry.client))[:count]
