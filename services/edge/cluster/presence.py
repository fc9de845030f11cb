"""Who is connected, on all edge processes together: every process knows, and none is asked.

Each process tells the others of a connection that opens or closes, numbers what it tells, and says
now and then how many it has. Who notices a gap asks for the whole list; who hears nothing of a
process for `SILENT_SECONDS` forgets it. So after any loss the rosters agree again within seconds;
meanwhile a limit may be off by what was lost.

`Roster` is the state and what follows from a word: pure, times come in. `roll` (in `rollcall`)
carries the words. Start reading at `Roster.hear`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

SILENCE_TIMEOUT_SECONDS = 15.0
"""A process that says nothing for so long is gone, and its connections with it."""
MAX_SNAPSHOT_ENTRIES = 1000
"""Entries of a whole list in one word."""


class PresenceEntry(msgspec.Struct, frozen=True, array_like=True):
    """A connection. `at` is when it opened, seconds since 1970; `user` None is somebody who is not
    signed in."""

    client: str
    user: str | None
    at: float


class ConnectionOpened(msgspec.Struct, frozen=True, tag="opened"):
    instance: str
    number: int
    entry: PresenceEntry


class ConnectionClosed(msgspec.Struct, frozen=True, tag="closed"):
    instance: str
    number: int
    client: str


class PresenceHeartbeat(msgspec.Struct, frozen=True, tag="here"):
    """Said every few seconds: what the last word's number was, and how many are connected. A
    process that `leaves` sends its clients to the others."""

    instance: str
    number: int
    count: int
    leaves: bool = False


class PresenceSnapshot(msgspec.Struct, frozen=True, tag="whole"):
    """All connections of a process as they were after word `number`, in `parts` words."""

    instance: str
    number: int
    part: int
    parts: int
    entries: list[PresenceEntry]
    leaves: bool = False


class SnapshotRequest(msgspec.Struct, frozen=True, tag="tell"):
    """Asks `instance` for its whole list; None asks everybody."""

    instance: str | None


class InstanceStopped(msgspec.Struct, frozen=True, tag="gone"):
    """A process ended, and its connections with it."""

    instance: str


PresenceMessage = (
    ConnectionOpened
    | ConnectionClosed
    | PresenceHeartbeat
    | PresenceSnapshot
    | SnapshotRequest
    | InstanceStopped
)


class ConnectionTotals(NamedTuple):
    """What all processes serve together."""

    connection_count: int
    user_count: int
    connections_per_user: Mapping[str, int]


class _RemoteInstance:
    """What is known of another process."""

    __slots__ = ("entries", "is_draining", "last_message_at", "last_number", "snapshot_parts")

    def __init__(self, now: float) -> None:
        self.entries: dict[str, PresenceEntry] = {}
        self.last_number = -1
        self.last_message_at = now
        self.is_draining = False
        self.snapshot_parts: dict[int, PresenceSnapshot] = {}


class Presence:
    """Of process `instance`. `on_excess` is called with the ids of this process's own connections
    that must go, because their user has more than `most` and they are the oldest.

    Connections of a process that leaves are not among those that a user may have so many of: each
    is about to be closed, and its client may have opened its successor already.
    """

    def __init__(
        self, instance: str, max_connections: int, on_excess: Callable[[str], None]
    ) -> None:
        self._instance = instance
        self._max_connections = max_connections
        self._on_excess = on_excess
        self._number = 0
        self._is_draining = False
        self._own: dict[str, PresenceEntry] = {}
        self._remote_instances: dict[str, _RemoteInstance] = {}
        self._by_user: dict[str, dict[str, PresenceEntry]] = {}
        self._anonymous_count = 0
        self.version = 0
        """Changes whenever the totals may have."""

    def add_connection(self, entry: PresenceEntry) -> ConnectionOpened:
        """This process has a new connection; the word for the others."""
        self._number += 1
        self._own[entry.client] = entry
        self._add(entry)
        self._enforce_limit(entry.user)
        return ConnectionOpened(self._instance, self._number, entry)

    def remove_connection(self, client_id: str) -> ConnectionClosed | None:
        """A connection of this process is gone."""
        entry = self._own.pop(client_id, None)
        if entry is None:
            return None
        self._number += 1
        self._remove(entry)
        return ConnectionClosed(self._instance, self._number, client_id)

    def start_draining(self) -> PresenceHeartbeat:
        """This process begins to send its clients away; the word for the others."""
        self._is_draining = True
        return self.heartbeat()

    def heartbeat(self) -> PresenceHeartbeat:
        """What to say every few seconds."""
        return PresenceHeartbeat(self._instance, self._number, len(self._own), self._is_draining)

    def snapshot_messages(self) -> Iterator[PresenceSnapshot]:
        """All of this process's connections."""
        entries = [*self._own.values()]
        parts = max(1, -(-len(entries) // MAX_SNAPSHOT_ENTRIES))
        for part in range(parts):
            some = entries[part * MAX_SNAPSHOT_ENTRIES : (part + 1) * MAX_SNAPSHOT_ENTRIES]
            yield PresenceSnapshot(
                self._instance, self._number, part, parts, some, self._is_draining
            )

    def receive(self, message: PresenceMessage, now: float) -> list[PresenceMessage]:
        """Take a word of another process; what to answer. `now` is a clock in seconds."""
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
        """Forget the processes that are silent."""
        for instance, other in [*self._remote_instances.items()]:
            if now - other.last_message_at > SILENCE_TIMEOUT_SECONDS:
                self._remove_instance(instance)

    def totals(self) -> ConnectionTotals:
        """Everybody's connections."""
        per_user = {user: len(entries) for user, entries in self._by_user.items()}
        return ConnectionTotals(
            sum(per_user.values()) + self._anonymous_count, len(per_user), per_user
        )

    def count_connections(self, user_id: str) -> int:
        """How many connections `user` has."""
        return len(self._by_user.get(user_id, ()))

    def _apply(
        self,
        other: _RemoteInstance,
        message: ConnectionOpened | ConnectionClosed | PresenceHeartbeat,
    ) -> list[PresenceMessage]:
        if isinstance(message, PresenceHeartbeat):
            other.is_draining = message.leaves
            right = message.number == other.last_number and message.count == len(other.entries)
            return [] if right else [SnapshotRequest(message.instance)]
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
        """Every process comes to the same verdict, and each carries out its own part."""
        if user_id is None:
            return
        staying = self._by_user.get(user_id, {})
        if len(staying) <= self._max_connections:
            return
        staying = {
            client: entry
            for client, entry in staying.items()
            if not self._is_on_draining_instance(client)
        }
        excess = len(staying) - self._max_connections
        if excess > 0:
            for entry in _oldest(staying.values(), excess):
                if entry.client in self._own:
                    self._on_excess(entry.client)

    def _is_on_draining_instance(self, client_id: str) -> bool:
        """Whether it is a connection of a process that leaves."""
        if client_id in self._own:
            return self._is_draining
        return any(
            other.is_draining and client_id in other.entries
            for other in self._remote_instances.values()
        )


def _oldest(entries: Iterable[PresenceEntry], count: int) -> list[PresenceEntry]:
    return sorted(entries, key=lambda entry: (entry.at, entry.client))[:count]
