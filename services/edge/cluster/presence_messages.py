"""The messages by which edge processes keep their `Presence` in agreement.

Each message of a process has its `instance`. `number` counts its opened and closed connections: a
receiver that misses a number asks for a snapshot.
"""

import msgspec


class PresenceEntry(msgspec.Struct, frozen=True, array_like=True):
    """A connection. `at` is when it opened, in seconds since 1970; `user` is None for an anonymous
    one."""

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
    """Sent every few seconds: the number of the last message, and how many are connected. A process
    that `leaves` is draining: it sends its clients to the others."""

    instance: str
    number: int
    count: int
    leaves: bool = False


class PresenceSnapshot(msgspec.Struct, frozen=True, tag="whole"):
    """All connections of a process as of message `number`, in `parts` messages."""

    instance: str
    number: int
    part: int
    parts: int
    entries: list[PresenceEntry]
    leaves: bool = False


class SnapshotRequest(msgspec.Struct, frozen=True, tag="tell"):
    """Asks `instance` for a snapshot; None asks all processes."""

    instance: str | None


class InstanceStopped(msgspec.Struct, frozen=True, tag="gone"):
    """A process stopped, and its connections with it."""

    instance: str


PresenceMessage = (
    ConnectionOpened
    | ConnectionClosed
    | PresenceHeartbeat
    | PresenceSnapshot
    | SnapshotRequest
    | InstanceStopped
)
