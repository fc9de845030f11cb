"""Who is connected, who wants what, and why a connection ends. No HTTP, no NATS.

The hub hands each event of the tape to the live connections of its owner: the frame is made once a
dialect, and put into each outbox. A connection whose outbox is full leaves live delivery and reads
the log from its own position (`Connection.behind`); `follow` brings it back. A tick looks for idle
connections, overdue writes and sessions that ended.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
import structlog

from services.edge.connection import Connection, Reason
from services.edge.cursor import Cursor
from services.edge.dialects import Dialect, Scene, Told
from services.edge.dialects.trading import urgent
from services.edge.frames import (
    CHECKPOINT,
    KEEPALIVE,
    RETRY_MS,
    AuthExpired,
    Draining,
    Encoder,
    frame,
)
from tapewire.log import EVERYBODY, Recorded

STEADY_SHARE = 5 / 6
"""Of the interval, when a steady heartbeat comes: so that a client that expects one within the
interval never waits a tick longer."""
FAREWELL_SECONDS = 1.5
"""How long a connection that was told to end may take to write its last bytes."""

logger = structlog.get_logger("edge.hub")


class Hub:
    """All connections of a process."""

    def __init__(
        self,
        *,
        keepalive_seconds: float,
        write_seconds: float,
        quiet_seconds: float = 300.0,
        retry_ms: int = RETRY_MS,
        scene: Scene | None = None,
    ) -> None:
        self._keepalive = keepalive_seconds
        self._write_seconds = write_seconds
        self._quiet_seconds = quiet_seconds
        # Ordered: whoever came first is served first, and a simulation plays the same twice.
        self._all: dict[Connection, None] = {}
        self._of_owner: dict[str, dict[Connection, None]] = {}
        self._of_shared: dict[str, dict[Connection, None]] = {}
        self._of_heard: dict[str, dict[Connection, None]] = {}
        self._by_client: dict[str, Connection] = {}
        self._retry_ms = retry_ms
        self._encoder = Encoder(_unreadable, retry_ms, scene)
        self.epoch = ""
        self.closed: dict[Reason, int] = dict.fromkeys(Reason, 0)

    def __len__(self) -> int:
        return len(self._all)

    def connections(self) -> tuple[Connection, ...]:
        """Everybody, as of now."""
        return tuple(self._all)

    def add(self, connection: Connection) -> None:
        """Watch over `connection` until `remove`."""
        self._all[connection] = None
        self._by_client[connection.opening.client] = connection
        for index, name in self._places(connection):
            index.setdefault(name, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget `connection`; its reason is counted."""
        self._all.pop(connection, None)
        self._by_client.pop(connection.opening.client, None)
        for index, name in self._places(connection):
            if name in index:
                index[name].pop(connection, None)
                if not index[name]:
                    del index[name]
        self.closed[connection.reason or Reason.GONE] += 1

    def _places(
        self, connection: Connection
    ) -> Iterator[tuple[dict[str, dict[Connection, None]], str]]:
        """Where `connection` is listed."""
        if connection.opening.owner is not None:
            yield self._of_owner, connection.opening.owner
        for domain in sorted(connection.interest.shared):
            yield self._of_shared, domain
        for domain in sorted(connection.interest.heard):
            yield self._of_heard, domain

    def of_client(self, client: str) -> Connection | None:
        """The connection with that client id."""
        return self._by_client.get(client)

    def owners(self) -> int:
        """How many users have a connection here."""
        return len(self._of_owner)

    def encode(self, connection: Connection, recorded: Recorded) -> bytes | None:
        """The frame of `recorded` for `connection`, None when its feed does not show it."""
        if not _shown(connection, recorded):
            return None
        return self._encoder.encode(recorded, self.epoch, connection.feed.family.dialect)

    def tell(self, connection: Connection, recorded: Recorded) -> Told | None:
        """The same as name and payload, for a frame of its own."""
        if not _shown(connection, recorded):
            return None
        return self._encoder.tell(recorded, connection.feed.family.dialect)

    def publish(self, recorded: Recorded) -> int:
        """Give an event of the tape to the live connections that it is for; how many it was put
        into the outbox of."""
        place = recorded.place
        given = 0
        if place.owner == EVERYBODY:
            given = self._mention(recorded)
            connections = self._of_shared.get(place.domain)
        else:
            connections = self._of_owner.get(place.owner)
        if connections is None:
            return given
        for connection in connections:
            if connection.live and recorded.sequence > connection.position:
                given += self.deliver(connection, recorded)
        return given

    def _mention(self, recorded: Recorded) -> int:
        """Tell those who are to hear of `recorded` in passing; how many did. Who has no room for it
        is too slow for what is told once."""
        given, made = 0, dict[Dialect, bytes | None]()
        for connection in tuple(self._of_heard.get(recorded.place.domain, ())):
            dialect = connection.feed.family.in_passing
            if dialect not in made:
                told = self._encoder.tell(recorded, dialect)
                made[dialect] = None if told is None else self._encoder.frame(told)
            if (words := made[dialect]) is not None:
                if connection.outbox.put(words):
                    given += 1
                else:
                    self.cut(connection, Reason.SLOW)
        return given

    def deliver(self, connection: Connection, recorded: Recorded) -> bool:
        """Put `recorded` into the outbox of a live connection, or let it fall behind. Whether it
        was put there: not every event is shown."""
        made = self.encode(connection, recorded)
        if made is not None:
            now = urgent(recorded.event)
            if now:
                connection.urgent.append(recorded)
            if not connection.outbox.put(made, urgent=now):
                if now:
                    connection.urgent.pop()
                connection.behind()
                return False
            connection.told = recorded.sequence
        connection.position = recorded.sequence
        return made is not None

    def say(self, name: str, told: msgspec.Struct, at: datetime) -> int:
        """Put a frame without an id into every outbox, as its family says it; how many took it."""
        families = {one.feed.family.name: one for one in self._all}
        made = {of: self.words(one, name, told, at) for of, one in families.items()}
        return sum(one.outbox.put(made[one.feed.family.name], urgent=True) for one in self._all)

    def restart(self, epoch: str) -> None:
        """The log was made anew as `epoch`: nobody's position can be taken for granted."""
        self.epoch = epoch
        for connection in self.connections():
            if connection.live:
                connection.behind()

    def end(
        self, connection: Connection, reason: Reason, now: float, farewell: bytes = b""
    ) -> None:
        """Let `connection` write what waits and `farewell`, and end."""
        if connection.reason is not None:
            return
        connection.reason = reason
        connection.ended_at = now
        connection.outbox.end(farewell)

    def words(self, connection: Connection, name: str, told: msgspec.Struct, at: datetime) -> bytes:
        """A frame about `connection` itself, as its family says it."""
        return frame(*connection.feed.family.says(name, told, at), retry_ms=self._retry_ms)

    def tell_of_leaving(self, connection: Connection, seconds: float, wall: datetime) -> None:
        """Tell `connection` that it will be closed in `seconds`; a reader that is too slow to be
        told is closed all the same."""
        connection.leaves = True
        told = Draining(closes_in_ms=round(seconds * 1000))
        connection.outbox.put(self.words(connection, "stream:draining", told, wall), urgent=True)

    def cut(self, connection: Connection, reason: Reason) -> None:
        """End `connection` at once, whatever it still had to write."""
        if connection.reason is None:
            connection.reason = reason
        connection.abort()

    def tick(self, now: float, wall: datetime) -> None:
        """Look after everybody: idle frames, overdue writes, ended sessions. `now` is loop time in
        seconds, `wall` the time of day."""
        for connection in self.connections():
            self._look_after(connection, now, wall)

    def _look_after(self, connection: Connection, now: float, wall: datetime) -> None:
        since = connection.writing_since
        if connection.reason is not None:
            if now - connection.ended_at > FAREWELL_SECONDS:
                connection.abort()
        elif since is not None and now - since > self._write_seconds:
            self.cut(connection, Reason.SLOW)
        elif now - connection.written_at > self._quiet_seconds:
            self.cut(connection, Reason.QUIET)
        elif connection.opening.expires_at is not None and wall >= connection.opening.expires_at:
            farewell = self.words(connection, "auth:expired", AuthExpired("expired"), wall)
            self.end(connection, Reason.EXPIRED, now, farewell)
        elif since is None and self._is_idle(connection, now):
            connection.beaten_at = now
            connection.outbox.put(self._idle(connection, wall))
        elif since is None and connection.stale_seconds(now) >= self._keepalive:
            # Values keep the stream from being idle, and have no ids.
            connection.outbox.put(self._checkpoint(connection))

    def _is_idle(self, connection: Connection, now: float) -> bool:
        """Whether an idle frame is due."""
        if connection.feed.family.steady:
            return now - connection.beaten_at >= self._keepalive * STEADY_SHARE
        return now - connection.written_at >= self._keepalive

    def _idle(self, connection: Connection, wall: datetime) -> bytes:
        """A checkpoint when the user's position moved on unseen, so that the client's id stays
        fresh; otherwise what the family is sent."""
        checkpoint = self._checkpoint(connection)
        idle = connection.feed.family.idle
        selection = connection.opening.selection
        told = selection.idle(wall) if selection is not None else None
        if told is None and idle is not None:
            told = idle(wall)
        if told is None:
            return checkpoint or KEEPALIVE
        if checkpoint and not connection.feed.family.steady:
            return checkpoint
        return checkpoint + frame(*told, retry_ms=self._retry_ms)

    def _checkpoint(self, connection: Connection) -> bytes:
        """The position as an id, when the client's is older."""
        lossless = connection.interest.lossless
        if not lossless or not connection.live or connection.position <= connection.told:
            return b""
        connection.told = connection.position
        at = Cursor(self.epoch, connection.position)
        return frame(CHECKPOINT, {}, at, retry_ms=self._retry_ms)


def _shown(connection: Connection, recorded: Recorded) -> bool:
    """Whether `recorded` is for `connection`, by its topics and by what it picked."""
    place, interest_ = recorded.place, connection.interest
    domains = interest_.shared if place.owner == EVERYBODY else interest_.own
    if place.domain not in domains and recorded.tag not in connection.feed.tags:
        return False
    selection = connection.opening.selection
    return selection is None or selection.takes(recorded)


def _unreadable(recorded: Recorded, error: Exception) -> None:
    logger.warning("an event cannot be shown", sequence=recorded.sequence, error=str(error))
