"""The hub: all connections of a process. It delivers live events to them and watches over them.

Each event of the log tail goes to the live connections of its owner: its frame is rendered once per
serializer and put into each outbox. A connection whose outbox is full leaves live delivery and
reads the log from its own position (`Connection.fall_behind`); `catch_up` brings it back. A tick
finds idle connections, overdue writes and expired sessions. No HTTP, no NATS. Start reading at
`Hub.publish`.
"""

from datetime import datetime

import msgspec
import structlog

from tapewire.log import EVERYBODY, RecordedEvent
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_index import ConnectionIndex
from tapewire_services.edge.delivery.connection_limits import ConnectionLimits, Overdue
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.frames import (
    DEFAULT_RETRY_MS,
    KEEPALIVE_COMMENT,
    PRICES_KEEPALIVE_COMMENT,
    FrameEncoder,
    render_frame,
)
from tapewire_services.edge.delivery.serializers import PricingContext, Serializer, SseMessage
from tapewire_services.edge.delivery.serializers.control_messages import (
    CHECKPOINT,
    ControlMessage,
    connection_limit_message,
    draining_message,
    session_ended_message,
)
from tapewire_services.edge.delivery.serializers.trading import is_urgent
from tapewire_services.edge.delivery.topics import Interest

HEARTBEAT_INTERVAL_SHARE = 5 / 6
"""Share of the keepalive interval after which a steady heartbeat is sent, because the tick may be
late and it must arrive within the interval."""
CLOSE_TIMEOUT_SECONDS = 1.5
"""How long a closing connection may take to write its last bytes."""

logger = structlog.get_logger("edge.hub")


class Hub:
    """All connections of a process."""

    def __init__(
        self,
        *,
        keepalive_seconds: float,
        write_seconds: float,
        quiet_seconds: float = 300.0,
        prices_keepalive_seconds: float = float("inf"),
        retry_ms: int = DEFAULT_RETRY_MS,
        pricing: PricingContext | None = None,
    ) -> None:
        self._limits = ConnectionLimits(
            close_seconds=CLOSE_TIMEOUT_SECONDS,
            write_seconds=write_seconds,
            quiet_seconds=quiet_seconds,
            keepalive_seconds=keepalive_seconds,
            heartbeat_seconds=keepalive_seconds * HEARTBEAT_INTERVAL_SHARE,
            prices_keepalive_seconds=prices_keepalive_seconds,
        )
        self._connections: dict[Connection, None] = {}
        self._index = ConnectionIndex()
        self._by_client: dict[str, Connection] = {}
        self._retry_ms = retry_ms
        self._encoder = FrameEncoder(_log_undecodable, retry_ms, pricing)
        self._epoch = ""
        self._close_counts: dict[CloseReason, int] = dict.fromkeys(CloseReason, 0)

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def close_counts(self) -> dict[CloseReason, int]:
        """How many connections ended, by reason."""
        return dict(self._close_counts)

    def connections(self) -> tuple[Connection, ...]:
        """All connections at this moment."""
        return tuple(self._connections)

    def find_by_client(self, client_id: str) -> Connection | None:
        """The connection of that client id."""
        return self._by_client.get(client_id)

    def owner_count(self) -> int:
        """How many users have a connection on this process."""
        return len(self._index.by_owner)

    def add(self, connection: Connection) -> None:
        """Deliver to `connection` and watch over it until `remove`."""
        self._connections[connection] = None
        self._by_client[connection.info.client_id] = connection
        self._index.add(connection)

    def remove(self, connection: Connection) -> None:
        """Remove `connection` and count its close reason."""
        self._connections.pop(connection, None)
        self._by_client.pop(connection.info.client_id, None)
        self._index.remove(connection)
        self._close_counts[connection.close_reason or CloseReason.GONE] += 1

    def change_interest(self, connection: Connection, interest: Interest) -> None:
        """Let `connection` show `interest` from now on. It is not live."""
        self._index.remove(connection)
        connection.show(interest)
        self._index.add(connection)

    def publish(self, recorded: RecordedEvent) -> int:
        """Deliver an event of the log tail to the live connections that it is for. Return how many
        received it."""
        subject = recorded.event_subject
        delivered = 0
        if subject.owner == EVERYBODY:
            delivered = self._publish_unsequenced(recorded)
            connections = self._index.by_shared_domain.get(subject.domain)
        else:
            connections = self._index.by_owner.get(subject.owner)
        if connections is None:
            return delivered
        sequence = recorded.sequence
        for connection in connections:
            if connection.expects(sequence):
                delivered += self.deliver(connection, recorded)
        return delivered

    def deliver(self, connection: Connection, recorded: RecordedEvent) -> bool:
        """Deliver `recorded` to a live connection, or let it fall behind. Return whether the event
        was put into its outbox: not every event is shown."""
        if connection.selection is not None:
            connection.selection.observe(recorded)
        frame = self.encode_frame(connection, recorded)
        if frame is None:
            connection.advance(recorded.sequence)
            return False
        return connection.deliver(recorded, frame, urgent=is_urgent(recorded.event))

    def encode_frame(self, connection: Connection, recorded: RecordedEvent) -> bytes | None:
        """The frame of `recorded` for `connection`; None when its route does not show it."""
        if not _is_shown(connection, connection.interest, recorded):
            return None
        return self._encoder.encode(recorded, self._epoch, connection.route.family.serializer)

    def serialize(
        self, connection: Connection, interest: Interest, recorded: RecordedEvent
    ) -> SseMessage | None:
        """The name and payload of `recorded` for `connection`, if it had `interest`; None when it
        is not shown."""
        if not _is_shown(connection, interest, recorded):
            return None
        return self._encoder.serialize(recorded, connection.route.family.serializer)

    def _publish_unsequenced(self, recorded: RecordedEvent) -> int:
        """Send `recorded` without an id to the connections that show its domain so, and return how
        many received it. It is sent once, so a connection without room for it is too slow."""
        delivered, frames = 0, dict[Serializer, bytes | None]()
        for connection in tuple(
            self._index.by_unsequenced_domain.get(recorded.event_subject.domain, ())
        ):
            serializer = connection.route.family.unsequenced_serializer
            if serializer not in frames:
                message = self._encoder.serialize(recorded, serializer)
                frames[serializer] = (
                    None if message is None else self._encoder.render_frame(message)
                )
            if (frame := frames[serializer]) is not None:
                if connection.outbox.put(frame):
                    delivered += 1
                else:
                    connection.abort(CloseReason.SLOW)
        return delivered

    def broadcast(self, event_name: str, payload: msgspec.Struct, timestamp: datetime) -> int:
        """Put a frame without an id into every outbox, in the convention of its family. Return how
        many outboxes had room for it."""
        families = {one.route.family.name: one for one in self._connections}
        frames = {
            name: self.render_control_frame(one, (event_name, payload), timestamp)
            for name, one in families.items()
        }
        return sum(
            one.outbox.put(frames[one.route.family.name], urgent=True) for one in self._connections
        )

    def on_log_recreated(self, epoch: str) -> None:
        """The log was recreated as `epoch`, so no earlier position is valid."""
        self._epoch = epoch
        for connection in self.connections():
            if connection.is_live:
                connection.fall_behind()

    def render_control_frame(
        self, connection: Connection, message: ControlMessage, timestamp: datetime
    ) -> bytes:
        """The frame of a control message, in the convention of the connection's family."""
        return render_frame(
            *connection.route.family.control_message(*message, timestamp), retry_ms=self._retry_ms
        )

    def close_session(
        self, connection: Connection, reason: CloseReason, now: float, wall_time: datetime
    ) -> None:
        """Close `connection` because its session expired or was revoked."""
        message = session_ended_message(reason)
        connection.close(reason, now, self.render_control_frame(connection, message, wall_time))

    def close_over_limit(
        self, connection: Connection, limit: int, now: float, wall_time: datetime
    ) -> None:
        """Close `connection`, the oldest of a user with more than `limit` connections."""
        message = connection_limit_message(limit)
        farewell = self.render_control_frame(connection, message, wall_time)
        connection.close(CloseReason.LIMIT, now, farewell)

    def announce_draining(
        self, connection: Connection, seconds: float, wall_time: datetime
    ) -> None:
        """Notify `connection` that it will be closed in `seconds`."""
        message = draining_message(seconds)
        connection.announce_draining(self.render_control_frame(connection, message, wall_time))

    def tick(self, now: float, wall_time: datetime) -> None:
        """Send idle frames, and end connections with overdue writes or ended sessions.

        `now` is the event loop's time in seconds, `wall_time` the time of day.
        """
        for connection in self.connections():
            connection.track_id_age(now)
            overdue = connection.find_overdue(now, wall_time, self._limits)
            if overdue is not None:
                self._handle_overdue(connection, overdue, now, wall_time)

    def _handle_overdue(
        self, connection: Connection, overdue: Overdue, now: float, wall_time: datetime
    ) -> None:
        match overdue:
            case Overdue.END | Overdue.WRITE:
                connection.abort(CloseReason.SLOW)
            case Overdue.QUIET:
                connection.abort(CloseReason.QUIET)
            case Overdue.SESSION:
                self.close_session(connection, CloseReason.EXPIRED, now, wall_time)
            case Overdue.HEARTBEAT:
                connection.heartbeat_sent(now)
                self._send_idle_frame(connection, wall_time)
            case Overdue.CHECKPOINT:
                # Conflated values keep the stream busy, but carry no ids.
                self._send_checkpoint(connection)
            case Overdue.PRICES:
                connection.outbox.put(PRICES_KEEPALIVE_COMMENT)

    def _send_idle_frame(self, connection: Connection, wall_time: datetime) -> None:
        """Send a checkpoint when the client's event id is outdated, otherwise what the selection or
        the family sends to an idle client."""
        is_outdated = connection.is_id_outdated
        if is_outdated:
            self._send_checkpoint(connection)
        message = self._idle_message(connection, wall_time)
        if message is None:
            if not is_outdated:
                connection.outbox.put(KEEPALIVE_COMMENT)
        elif not is_outdated or connection.route.family.has_steady_heartbeat:
            connection.outbox.put(render_frame(*message, retry_ms=self._retry_ms))

    def _idle_message(self, connection: Connection, wall_time: datetime) -> SseMessage | None:
        selection, family = connection.selection, connection.route.family
        message = None if selection is None else selection.idle_message(wall_time)
        if message is None and family.idle_message is not None:
            message = family.idle_message(wall_time)
        return message

    def _send_checkpoint(self, connection: Connection) -> None:
        """Send the position as an event id, when the client's id is outdated."""
        if connection.is_id_outdated:
            event_id = Cursor(self._epoch, connection.position)
            frame = render_frame(*CHECKPOINT, event_id, retry_ms=self._retry_ms)
            if connection.outbox.put(frame):
                connection.sent(event_id.sequence)


def _is_shown(connection: Connection, interest: Interest, recorded: RecordedEvent) -> bool:
    """Whether the route, the topics and the selection of `connection` show `recorded`."""
    subject = recorded.event_subject
    domains = interest.shared_domains if subject.owner == EVERYBODY else interest.own_domains
    if subject.domain not in domains and recorded.tag not in connection.route.declared_event_tags:
        return False
    return connection.selection is None or connection.selection.includes(recorded)


def _log_undecodable(recorded: RecordedEvent, error: Exception) -> None:
    logger.warning("hub.event_undecodable", sequence=recorded.sequence, error=str(error))
