"""Gathers what is known of an event and a user, for `event_explanation`: from the journal, the
edge processes, the failed events and the services. Start reading at `EventExplainer.explain`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from tapewire.log import (
    EVERYBODY,
    Bounds,
    EventLog,
    LatestValueStore,
    RecordedEvent,
    Unavailable,
    new_id,
    pattern,
)
from tapewire.log.erasures import ERASURE_TAG, erasure_of
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.runtime import RequestClient
from tapewire_services.edge.cluster.presence import Presence
from tapewire_services.edge.cluster.process_reports import (
    ProcessReport,
    ReportedEvent,
    ReportExchange,
    ReportRequest,
)
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.http.event_explanation import (
    Conclusion,
    JudgedConnection,
    ParkedEvent,
    ShowingStream,
    Storage,
    StoredEvent,
    find_behind,
    find_reasons,
    find_routes,
    judge_connection,
    parked_event,
)
from tapewire_services.edge.http.service_lag import ServiceLag, read_lags

ALL_EVENTS = "ev.>"
ERASURES = pattern(owner=EVERYBODY, domain="orders")
"""Where every erasure is stored, beside other domains."""
MAX_REPORTED_BYTES = 256 * 1024
"""The other processes are not sent a larger event, and do not say whether they show it."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why `user` saw the event `id`, or did not: `reasons` has the conclusions.

    `streams` and `topics` show events of this type. `connections` are those that the user has open
    now. `parked` are subscriptions that could not handle the event, `behind` those that have not
    come to it. `unanswered` names edge processes and services that did not answer.
    """

    user: str
    id: str
    storage: Storage
    event: StoredEvent | None
    reasons: list[Conclusion]
    streams: list[ShowingStream]
    topics: list[str]
    connections: list[JudgedConnection]
    parked: list[ParkedEvent]
    behind: list[ServiceLag]
    unanswered: list[str]


class OperatorSources(NamedTuple):
    """What the calls of operators read."""

    log: EventLog
    views: LatestValueStore
    failed_events: JetStreamFailedEventStore
    reports: ReportExchange
    requests: RequestClient
    explainer: "EventExplainer"


class EventExplainer:
    """Explains events, of a process that serves `routes`. `find_failed` is called with a sequence.
    All calls raise LogError when the journal cannot be read."""

    def __init__(
        self,
        *,
        log: EventLog,
        routes: Sequence[StreamRoute],
        presence: Presence,
        reports: ReportExchange,
        requests: RequestClient,
        find_failed: Callable[[int], Awaitable[list[FailedEvent]]],
    ) -> None:
        self._log = log
        self._routes = routes
        self._presence = presence
        self._reports = reports
        self._requests = requests
        self._find_failed = find_failed

    async def explain(self, user: str, cursor: Cursor, correlation: str) -> Explanation:
        """Explain the event at `cursor` to an operator who asks about `user`."""
        bounds = await self._log.bounds()
        recorded, storage = await self._find(user, cursor, bounds)
        reports, unanswered = await self._reports.collect(
            ReportRequest(request_id=new_id(), user=user, event=_to_reported(recorded)),
            self._presence.other_instances(),
        )
        streams, topics = ([], []) if recorded is None else find_routes(self._routes, recorded)
        connections = [] if recorded is None else _judge(reports, recorded)
        parked, behind = list[ParkedEvent](), list[ServiceLag]()
        if recorded is not None:
            parked = [
                parked_event(one)
                for one in await self._find_failed(recorded.sequence)
                if one.event_id == recorded.metadata.id
            ]
            lags, silent = await read_lags(self._requests, self._log, correlation)
            behind, unanswered = find_behind(lags, recorded), [*unanswered, *silent]
        return Explanation(
            user=user,
            id=str(cursor),
            storage=storage,
            event=None if recorded is None else _to_stored(recorded, cursor.epoch),
            reasons=find_reasons(
                user,
                storage,
                recorded,
                streams=streams,
                connections=connections,
                parked=parked,
                behind=behind,
            ),
            streams=streams,
            topics=topics,
            connections=connections,
            parked=parked,
            behind=behind,
            unanswered=unanswered,
        )

    async def _find(
        self, user: str, cursor: Cursor, bounds: Bounds
    ) -> tuple[RecordedEvent | None, Storage]:
        """The event, or why it is not there."""
        sequence = cursor.sequence
        if not bounds.includes(cursor.epoch, sequence):
            known = cursor.epoch in bounds.epochs
            return None, Storage.NOT_STORED if known else Storage.OTHER_JOURNAL
        if sequence == 0:
            return None, Storage.NOT_STORED
        if await self._log.next_sequence(ALL_EVENTS, sequence - 1) == sequence:
            page = await self._log.page(ALL_EVENTS, after=sequence - 1, limit=1)
            if not page.events or page.events[0].sequence != sequence:
                raise Unavailable(f"the event {sequence} is not on the replica yet")
            return page.events[0], Storage.STORED
        if await self._is_erased(user, sequence):
            return None, Storage.ERASED
        return None, Storage.ARCHIVED if sequence < bounds.first else Storage.REMOVED

    async def _is_erased(self, user: str, sequence: int) -> bool:
        """Whether the user was erased after the event at `sequence`."""
        after, has_more = sequence, True
        while has_more:
            page = await self._log.page(ERASURES, after=after)
            for recorded in page.events:
                erasure = erasure_of(recorded) if recorded.tag == ERASURE_TAG else None
                if erasure is not None and erasure.concerns(user):
                    return True
                after = recorded.sequence
            has_more = page.has_more
        return False


def _judge(reports: Sequence[ProcessReport], recorded: RecordedEvent) -> list[JudgedConnection]:
    return [
        judge_connection(connection, int(report.log_position.rpartition("-")[2]), recorded.sequence)
        for report in reports
        for connection in report.connections
    ]


def _to_stored(recorded: RecordedEvent, epoch: str) -> StoredEvent:
    subject = recorded.event_subject
    return StoredEvent(
        id=str(Cursor(epoch, recorded.sequence)),
        type=recorded.tag,
        owner=subject.owner,
        domain=subject.domain,
        entity=subject.entity,
        stored_at=recorded.time,
        correlation_id=recorded.metadata.correlation,
    )


def _to_reported(recorded: RecordedEvent | None) -> ReportedEvent | None:
    if recorded is None or len(recorded.data) > MAX_REPORTED_BYTES:
        return None
    return ReportedEvent(
        sequence=recorded.sequence,
        subject=recorded.subject,
        tag=recorded.tag,
        data=recorded.data,
        event_id=recorded.metadata.id,
        correlation=recorded.metadata.correlation,
        time=recorded.time,
    )
