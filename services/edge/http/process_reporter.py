"""Makes the report of this process for operators: what it has open, and where each stream is."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable

from tapewire.log import EventMetadata, RecordedEvent
from tapewire_services.edge.cluster.process_reports import (
    ConnectionReport,
    ProcessReport,
    ReportedEvent,
    ReportRequest,
)
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.engine import Engine

MAX_REPORTED_CONNECTIONS = 100
"""Connections of a user in one report."""
MAX_SLOW_CONNECTIONS = 20
MAX_REPORTED_TOPICS = 50
"""Topics of one connection in a report: all symbols of many streams are too much for a message."""


class ProcessReporter:
    """Reports the process `instance`."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._clock = asyncio.get_running_loop().time

    def make_report(self, request: ReportRequest) -> ProcessReport:
        """The report that `request` asks for. Reads memory only."""
        engine, event = self._engine, request.event
        connections = engine.hub.connections()
        recorded = None if event is None else _to_recorded_event(event)
        return ProcessReport(
            request_id=request.request_id,
            instance=self._instance,
            follows_log=engine.log_tail.ready.is_set(),
            is_draining=any(connection.is_draining for connection in connections),
            log_position=self._id_of(engine.log_tail.last_sequence),
            connections_by_stream=dict(Counter(one.route.name for one in connections)),
            closed={reason.value: count for reason, count in engine.hub.close_counts.items()},
            resets=dict(engine.stream_service.parts.resume_policy.reset_counts),
            connections=[
                self._report(connection, recorded)
                for connection in self._select(connections, request.user)
            ],
        )

    def _select(self, connections: Iterable[Connection], user: str | None) -> list[Connection]:
        """The connections of `user`, the newest last; the slowest of all if it is None."""
        if user is not None:
            own = [one for one in connections if user in (one.info.owner, one.info.user_id)]
            return own[-MAX_REPORTED_CONNECTIONS:]
        slow = [one for one in connections if self._is_slow(one)]
        return heapq.nlargest(MAX_SLOW_CONNECTIONS, slow, key=self._slowness)

    def _is_slow(self, connection: Connection) -> bool:
        """Whether the connection has not taken all that it is to show."""
        has_left_live = connection.interest.is_lossless and not connection.is_live
        return has_left_live or connection.outbox.size_bytes > 0

    def _slowness(self, connection: Connection) -> tuple[float, int]:
        return connection.write_seconds(self._clock()), self._behind(connection)

    def _behind(self, connection: Connection) -> int:
        if connection.is_live or not connection.interest.is_lossless:
            return 0
        return max(self._engine.log_tail.last_sequence - connection.position, 0)

    def _report(self, connection: Connection, recorded: RecordedEvent | None) -> ConnectionReport:
        info, sent, start = connection.info, connection.last_sent_sequence, connection.starts_after
        return ConnectionReport(
            client_id=info.client_id,
            instance=self._instance,
            user_id=info.user_id,
            owner=info.owner,
            stream=connection.route.name,
            topics=connection.content.topic_names[:MAX_REPORTED_TOPICS],
            is_live=connection.is_live or not connection.interest.is_lossless,
            position=self._id_of(connection.position),
            last_sent_id=self._id_of(sent) if sent else None,
            starts_after=None if start is None else self._id_of(start),
            behind=self._behind(connection),
            outbox_bytes=connection.outbox.size_bytes,
            write_seconds=round(connection.write_seconds(self._clock()), 3),
            shows_event=None if recorded is None else self._shows(connection, recorded),
        )

    def _shows(self, connection: Connection, recorded: RecordedEvent) -> bool:
        subject = recorded.event_subject
        is_followed = subject.owner == connection.info.owner or (
            subject.domain in connection.interest.shared_domains
        )
        message = self._engine.hub.serialize(connection, connection.interest, recorded)
        return is_followed and message is not None

    def _id_of(self, sequence: int) -> str:
        return str(Cursor(self._engine.log_tail.epoch, sequence))


def _to_recorded_event(event: ReportedEvent) -> RecordedEvent:
    return RecordedEvent(
        sequence=event.sequence,
        subject=event.subject,
        tag=event.tag,
        data=event.data,
        metadata=EventMetadata(id=event.event_id, correlation=event.correlation),
        time=event.time,
    )
