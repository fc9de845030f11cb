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

from tapewire.log import EVERYBODY, RecordedEvent
from tapewire_services.edge.delivery.connection import CloseReason, Connection
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.frames import (
    CHECKPOINT_EVENT,
    DEFAULT_RETRY_MS,
    KEEPALIVE_COMMENT,
    AuthExpiredPayload,
    FrameEncoder,
    StreamDrainingPayload,
    render_frame,
)
from tapewire_services.edge.delivery.serializers import PricingContext, Serializer, SseMessage
from tapewire_services.edge.delivery.serializers.trading import is_urgent

HEARTBEAT_INTERVAL_SHARE = 5 / 6
"""Of the interval, when a steady heartbeat comes: so that a client that expects one within the
interval never waits a tick longer."""
CLOSE_TIMEOUT_SECONDS = 1.5
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
        retry_ms: int = DEFAULT_RETRY_MS,
        pricing: PricingContext | None = None,
    ) -> None:
        self._keepalive_seconds = keepalive_seconds
        self._write_seconds = write_seconds
        self._quiet_seconds = quiet_seconds
        # Ordered: whoever came first is served first, and a simulation plays the same twice.
        self._connections: dict[Connection, None] = {}
        self._by_owner: dict[str, dict[Connection, None]] = {}
        self._by_shared_domain: dict[str, dict[Connection, None]] = {}
        self._by_unsequenced_domain: dict[str, dict[Connection, None]] = {}
        self._by_client: dict[str, Connection] = {}
        self._retry_ms = retry_ms
        self._encoder = FrameEncoder(_log_undecodable, retry_ms, pricing)
        self.epoch = ""
        self.close_counts: dict[CloseReason, int] = dict.fromkeys(CloseReason, 0)

    def __len__(self) -> int:
        return len(self._connections)

    def connections(self) -> tuple[Connection, ...]:
        """Everybody, as of now."""
        return tuple(self._connections)

    def add(self, connection: Connection) -> None:
        """Watch over `connection` until `remove`."""
        self._connections[connection] = None
        self._by_client[connection.info.client_id] = connection
        for index, name in self._index_entries(connection):
            index.setdefault(name, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget `connection`; its reason is counted."""
        self._connections.pop(connection, None)
        self._by_client.pop(connection.info.client_id, None)
        for index, name in self._index_entries(connection):
            if name in index:
                index[name].pop(connection, None)
                if not index[name]:
                    del index[name]
        self.close_counts[connection.close_reason or CloseReason.GONE] += 1

    def _index_entries(
        self, connection: Connection
    ) -> Iterator[tuple[dict[str, dict[Connection, None]], str]]:
        """Where `connection` is listed."""
        if connection.info.owner is not None:
            yield self._by_owner, connection.info.owner
        for domain in sorted(connection.interest.shared_domains):
            yield self._by_shared_domain, domain
        for domain in sorted(connection.interest.unsequenced_domains):
            yield self._by_unsequenced_domain, domain

    def find_by_client(self, client_id: str) -> Connection | None:
        """The connection with that client id."""
        return self._by_client.get(client_id)

    def owner_count(self) -> int:
        """How many users have a connection here."""
        return len(self._by_owner)

    def encode_frame(self, connection: Connection, recorded: RecordedEvent) -> bytes | None:
        """The frame of `recorded` for `connection`, None when its feed does not show it."""
        if not _is_shown(connection, recorded):
            return None
        return self._encoder.encode(recorded, self.epoch, connection.route.family.serializer)

    def serialize(self, connection: Connection, recorded: RecordedEvent) -> SseMessage | None:
        """The same as name and payload, for a frame of its own."""
        if not _is_shown(connection, recorded):
            return None
        return self._encoder.serialize(recorded, connection.route.family.serializer)

    def publish(self, recorded: RecordedEvent) -> int:
        """Give an event of the tape to the live connections that it is for; how many it was put
        into the outbox of."""
        place = recorded.event_subject
        given = 0
        if place.owner == EVERYBODY:
            given = self._publish_unsequenced(recorded)
            connections = self._by_shared_domain.get(place.domain)
        else:
            connections = self._by_owner.get(place.owner)
        if connections is None:
            return given
        for connection in connections:
            if connection.is_live and recorded.sequence > connection.position:
                given += self.deliver(connection, recorded)
        return given

    def _publish_unsequenced(self, recorded: RecordedEvent) -> int:
        """Tell those who are to hear of `recorded` in passing; how many did. Who has no room for it
        is too slow for what is told once."""
        given, made = 0, dict[Serializer, bytes | None]()
        for connection in tuple(self._by_unsequenced_domain.get(recorded.event_subject.domain, ())):
            dialect = connection.route.family.unsequenced_serializer
            if dialect not in made:
                told = self._encoder.serialize(recorded, dialect)
                made[dialect] = None if told is None else self._encoder.render_frame(told)
            if (words := made[dialect]) is not None:
                if connection.outbox.put(words):
                    given += 1
                else:
                    self.abort(connection, CloseReason.SLOW)
        return given

    def deliver(self, connection: Connection, recorded: RecordedEvent) -> bool:
        """Put `recorded` into the outbox of a live connection, or let it fall behind. Whether it
        was put there: not every event is shown."""
        made = self.encode_frame(connection, recorded)
        if made is not None:
            now = is_urgent(recorded.event)
            if now:
                connection.urgent_events.append(recorded)
            if not connection.outbox.put(made, urgent=now):
                if now:
                    connection.urgent_events.pop()
                connection.fall_behind()
                return False
            connection.last_sent_sequence = recorded.sequence
        connection.position = recorded.sequence
        return made is not None

    def broadcast(self, event_name: str, payload: msgspec.Struct, at: datetime) -> int:
        """Put a frame without an id into every outbox, as its family says it; how many took it."""
        families = {one.route.family.name: one for one in self._connections}
        made = {
            of: self.render_control_frame(one, event_name, payload, at)
            for of, one in families.items()
        }
        return sum(
            one.outbox.put(made[one.route.family.name], urgent=True) for one in self._connections
        )

    def on_log_recreated(self, epoch: str) -> None:
        """The log was made anew as `epoch`: nobody's position can be taken for granted."""
        self.epoch = epoch
        for connection in self.connections():
            if connection.is_live:
                connection.fall_behind()

    def end(
        self, connection: Connection, reason: CloseReason, now: float, farewell: bytes = b""
    ) -> None:
        """Let `connection` write what waits and `farewell`, and end."""
        if connection.close_reason is not None:
            return
        connection.close_reason = reason
        connection.ended_at = now
        connection.outbox.end(farewell)

    def render_control_frame(
        self, connection: Connection, event_name: str, payload: msgspec.Struct, at: datetime
    ) -> bytes:
        """A frame about `connection` itself, as its family says it."""
        return render_frame(
            *connection.route.family.control_message(event_name, payload, at),
            retry_ms=self._retry_ms,
        )

    def announce_draining(
        self, connection: Connection, seconds: float, wall_time: datetime
    ) -> None:
        """Tell `connection` that it will be closed in `seconds`; a reader that is too slow to be
        told is closed all the same."""
        connection.is_draining = True
        told = StreamDrainingPayload(closes_in_ms=round(seconds * 1000))
        connection.outbox.put(
            self.render_control_frame(connection, "stream:draining", told, wall_time), urgent=True
        )

    def abort(self, connection: Connection, reason: CloseReason) -> None:
        """End `connection` at once, whatever it still had to write."""
        if connection.close_reason is None:
            connection.close_reason = reason
        connection.abort()

    def tick(self, now: float, wall_time: datetime) -> None:
        """Look after everybody: idle frames, overdue writes, ended sessions. `now` is loop time in
        seconds, `wall` the time of day."""
        for connection in self.connections():
            self._check_connection(connection, now, wall_time)

    def _check_connection(self, connection: Connection, now: float, wall_time: datetime) -> None:
        since = connection.write_started_at
        if connection.close_reason is not None:
            if now - connection.ended_at > CLOSE_TIMEOUT_SECONDS:
                connection.abort()
        elif since is not None and now - since > self._write_seconds:
            self.abort(connection, CloseReason.SLOW)
        elif now - connection.last_write_at > self._quiet_seconds:
            self.abort(connection, CloseReason.QUIET)
        elif connection.info.expires_at is not None and wall_time >= connection.info.expires_at:
            farewell = self.render_control_frame(
                connection, "auth:expired", AuthExpiredPayload("expired"), wall_time
            )
            self.end(connection, CloseReason.EXPIRED, now, farewell)
        elif since is None and self._is_heartbeat_due(connection, now):
            connection.last_heartbeat_at = now
            connection.outbox.put(self._render_idle_frame(connection, wall_time))
        elif since is None and connection.id_stale_seconds(now) >= self._keepalive_seconds:
            # Values keep the stream from being idle, and have no ids.
            connection.outbox.put(self._render_checkpoint(connection))

    def _is_heartbeat_due(self, connection: Connection, now: float) -> bool:
        """Whether an idle frame is due."""
        if connection.route.family.has_steady_heartbeat:
            return (
                now - connection.last_heartbeat_at
                >= self._keepalive_seconds * HEARTBEAT_INTERVAL_SHARE
            )
        return now - connection.last_write_at >= self._keepalive_seconds

    def _render_idle_frame(self, connection: Connection, wall_time: datetime) -> bytes:
        """A checkpoint when the user's position moved on unseen, so that the client's id stays
        fresh; otherwise what the family is sent."""
        checkpoint = self._render_checkpoint(connection)
        idle = connection.route.family.idle_message
        selection = connection.info.selection
        told = selection.idle_message(wall_time) if selection is not None else None
        if told is None and idle is not None:
            told = idle(wall_time)
        if told is None:
            return checkpoint or KEEPALIVE_COMMENT
        if checkpoint and not connection.route.family.has_steady_heartbeat:
            return checkpoint
        return checkpoint + render_frame(*told, retry_ms=self._retry_ms)

    def _render_checkpoint(self, connection: Connection) -> bytes:
        """The position as an id, when the client's is older."""
        lossless = connection.interest.is_lossless
        if (
            not lossless
            or not connection.is_live
            or connection.position <= connection.last_sent_sequence
        ):
            return b""
        connection.last_sent_sequence = connection.position
        at = Cursor(self.epoch, connection.position)
        return render_frame(CHECKPOINT_EVENT, {}, at, retry_ms=self._retry_ms)


def _is_shown(connection: Connection, recorded: RecordedEvent) -> bool:
    """Whether `recorded` is for `connection`, by its topics and by what it picked."""
    place, interest_ = recorded.event_subject, connection.interest
    domains = interest_.shared_domains if place.owner == EVERYBODY else interest_.own_domains
    if place.domain not in domains and recorded.tag not in connection.route.declared_event_tags:
        return False
    selection = connection.info.selection
    return selection is None or selection.includes(recorded)


def _log_undecodable(recorded: RecordedEvent, error: Exception) -> None:
    logger.warning("an event cannot be shown", sequence=recorded.sequence, error=str(error))
