"""Why a user saw an event, or did not: what is known of it, put into words. Pure.

`find_routes` says which streams show an event, `judge_connection` where one connection stands, and
`find_reasons` draws the conclusions. `event_explainer` gathers what they need.
"""

import enum
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tapewire.events import Undecodable, UnknownType
from tapewire.log import EVERYBODY, RecordedEvent
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.subjects import matches
from tapewire_services.edge.cluster.process_reports import ConnectionReport
from tapewire_services.edge.delivery.serializers import EmptyPricingContext
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import (
    PUBLIC_VARIANTS,
    SELECTABLE_TOPICS,
    Topic,
    combine_topics,
)
from tapewire_services.edge.http.service_lag import ServiceLag


class Storage(enum.Enum):
    """Whether the journal has the event."""

    STORED = "stored"
    ARCHIVED = "archived"
    ERASED = "erased"
    REMOVED = "removed"
    NOT_STORED = "not_stored"
    OTHER_JOURNAL = "other_journal"


class DeliveryState(enum.Enum):
    """Where a connection stands with respect to an event."""

    NOT_SHOWN = "not_shown"
    BEFORE_START = "before_start"
    PROCESS_BEHIND = "process_behind"
    BEHIND = "behind"
    QUEUED = "queued"
    SENT = "sent"


class ConclusionCode(enum.Enum):
    """A conclusion."""

    ARCHIVED = "archived"
    ERASED = "erased"
    REMOVED = "removed"
    NOT_STORED = "not_stored"
    OTHER_JOURNAL = "other_journal"
    OTHER_USER = "other_user"
    UNREADABLE = "unreadable"
    SHOWN_NOWHERE = "shown_nowhere"
    PARKED = "parked"
    SERVICE_BEHIND = "service_behind"
    NO_CONNECTION = "no_connection"
    NOT_SHOWN = "not_shown"
    BEFORE_START = "before_start"
    PROCESS_BEHIND = "process_behind"
    BEHIND = "behind"
    QUEUED = "queued"
    SENT = "sent"


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """A conclusion, for programs and in words."""

    code: ConclusionCode
    message: str


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event of the journal, without its content. `owner` is ``_all`` for one that every user
    may see."""

    id: str
    type: str
    owner: str
    domain: str
    entity: str
    stored_at: datetime
    correlation_id: str


class ShowingStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that shows the event, under the name `event`."""

    stream: str
    path: str
    event: str


class JudgedConnection(ConnectionReport, frozen=True, kw_only=True):
    """A connection, and where it stands with respect to the event."""

    delivery: DeliveryState


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event that a subscription of a service could not handle. One that is not parked is tried
    again at `next_attempt_at`."""

    subscription: str
    sequence: int
    subject: str
    type: str
    attempts: int
    error: str
    failed_at: datetime
    is_parked: bool
    next_attempt_at: datetime | None


_STORAGE_WORDS = {
    Storage.ARCHIVED: "It was moved to an archive. Streams replay what the journal still has.",
    Storage.ERASED: "The user was erased after it.",
    Storage.REMOVED: "It is not in the journal any more: it was repaired, or its user was erased.",
    Storage.NOT_STORED: "The journal has not come so far: nothing was stored under this id.",
    Storage.OTHER_JOURNAL: "The id belongs to another journal than the present one.",
}
_DELIVERY_WORDS = {
    DeliveryState.SENT: "It was sent on {connections}.",
    DeliveryState.QUEUED: "It waits in the outbox of {connections}: the browser reads slowly.",
    DeliveryState.BEHIND: "Earlier events are still being read by {connections}.",
    DeliveryState.PROCESS_BEHIND: "The edge process of {connections} has not received it.",
    DeliveryState.BEFORE_START: "The start of {connections}, or a change of what is shown there, "
    "came after it: what it changed is in the snapshot, or was sent before.",
}


def find_routes(
    routes: Sequence[StreamRoute], recorded: RecordedEvent
) -> tuple[list[ShowingStream], list[str]]:
    """The streams and the selectable topics that show `recorded` to those who may see it. A stream
    of one strategy or configuration shows only its own."""
    streams = list[ShowingStream]()
    for route in routes:
        name = _shown_name(route, recorded)
        if name is not None:
            streams.append(ShowingStream(stream=route.name, path=route.path, event=name))
    topics = [name for name, topic in SELECTABLE_TOPICS.items() if _has_domain([topic], recorded)]
    shows_topics = any(one.stream == "topics" for one in streams)
    return streams, topics if shows_topics else []


def _shown_name(route: StreamRoute, recorded: RecordedEvent) -> str | None:
    """The name of the SSE event on `route`; None if it does not show the event."""
    is_selectable = route.parameter is RouteParameter.TOPICS
    topics = [*SELECTABLE_TOPICS.values(), *PUBLIC_VARIANTS.values()]
    if recorded.tag not in route.declared_event_tags and not _has_domain(
        topics if is_selectable else route.topics, recorded
    ):
        return None
    try:
        message = route.family.serializer(
            recorded.event, recorded.event_subject.owner, EmptyPricingContext()
        )
    except (UnknownType, Undecodable):
        return None
    return None if message is None else message[0]


def _has_domain(topics: Sequence[Topic], recorded: RecordedEvent) -> bool:
    interest, subject = combine_topics(topics), recorded.event_subject
    if subject.owner == EVERYBODY:
        return subject.domain in interest.shared_domains | interest.unsequenced_domains
    return subject.domain in interest.own_domains


def judge_connection(
    report: ConnectionReport, process_sequence: int, sequence: int
) -> JudgedConnection:
    """Where the connection stands. `process_sequence` is what its process has received."""
    fields = msgspec.structs.asdict(report)
    position, start = _sequence(report.position), _sequence(report.starts_after)
    if not report.shows_event:
        delivery = DeliveryState.NOT_SHOWN
    elif process_sequence < sequence:
        delivery = DeliveryState.PROCESS_BEHIND
    elif position < sequence:
        delivery = DeliveryState.BEHIND
    elif sequence <= start:
        delivery = DeliveryState.BEFORE_START
    else:
        delivery = DeliveryState.QUEUED if report.outbox_bytes else DeliveryState.SENT
    return JudgedConnection(**fields, delivery=delivery)


def _sequence(event_id: str | None) -> int:
    return 0 if event_id is None else int(event_id.rpartition("-")[2])


def find_behind(lags: Sequence[ServiceLag], recorded: RecordedEvent) -> list[ServiceLag]:
    """The subscriptions that are to handle `recorded`, and have not come so far."""
    return [
        lag
        for lag in lags
        if matches(lag.filter, recorded.subject) and lag.sequence < recorded.sequence
    ]


def parked_event(failed: FailedEvent) -> ParkedEvent:
    """`failed` as operators see it."""
    return ParkedEvent(
        subscription=failed.subscription,
        sequence=failed.sequence,
        subject=failed.subject,
        type=failed.tag,
        attempts=failed.attempts,
        error=failed.error,
        failed_at=failed.failed_at,
        is_parked=failed.is_parked,
        next_attempt_at=failed.next_attempt_at,
    )


def find_reasons(
    user: str,
    storage: Storage,
    recorded: RecordedEvent | None,
    *,
    streams: Sequence[ShowingStream] = (),
    connections: Sequence[JudgedConnection] = (),
    parked: Sequence[ParkedEvent] = (),
    behind: Sequence[ServiceLag] = (),
) -> list[Conclusion]:
    """Why `user` saw the event or did not, the most important reason first."""
    if recorded is None:
        return [Conclusion(code=ConclusionCode(storage.value), message=_STORAGE_WORDS[storage])]
    owner = recorded.event_subject.owner
    if owner not in (user, EVERYBODY):
        return [
            Conclusion(code=ConclusionCode.OTHER_USER, message=f"It belongs to the user {owner!r}.")
        ]
    reasons = list[Conclusion]()
    if not _is_readable(recorded):
        message = f"This version cannot read events of type {recorded.tag}: no stream shows it."
        reasons.append(Conclusion(code=ConclusionCode.UNREADABLE, message=message))
    elif not streams:
        message = f"No stream shows events of type {recorded.tag}."
        reasons.append(Conclusion(code=ConclusionCode.SHOWN_NOWHERE, message=message))
    elif not connections:
        message = "The user has no stream open now. The event is replayed to who resumes before it."
        reasons.append(Conclusion(code=ConclusionCode.NO_CONNECTION, message=message))
    else:
        reasons += _delivery_reasons(connections)
    for one in parked:
        state = "is parked" if one.is_parked else "is tried again"
        message = f"It {state} by {one.subscription}, so its consequences are missing: {one.error}"
        reasons.append(Conclusion(code=ConclusionCode.PARKED, message=message))
    for lag in behind:
        message = f"The service {lag.service} is {lag.behind} events behind in {lag.filter}."
        reasons.append(Conclusion(code=ConclusionCode.SERVICE_BEHIND, message=message))
    return reasons


def _is_readable(recorded: RecordedEvent) -> bool:
    try:
        return recorded.event is not None
    except (UnknownType, Undecodable):
        return False


def _delivery_reasons(connections: Sequence[JudgedConnection]) -> list[Conclusion]:
    counts = {
        delivery: sum(one.delivery is delivery for one in connections)
        for delivery in _DELIVERY_WORDS
    }
    reasons = [
        Conclusion(
            code=ConclusionCode(delivery.value),
            message=words.format(connections=_connections_in_words(counts[delivery])),
        )
        for delivery, words in _DELIVERY_WORDS.items()
        if counts[delivery]
    ]
    if reasons:
        return reasons
    message = f"It is not shown on {_connections_in_words(len(connections))}: see the topics."
    return [Conclusion(code=ConclusionCode.NOT_SHOWN, message=message)]


def _connections_in_words(count: int) -> str:
    """Such as "1 of the user's connections"."""
    return f"{count} of the user's connections"
