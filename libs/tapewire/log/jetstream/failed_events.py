"""`JetStreamFailedEventStore`: the failed events of durable subscriptions, in the stream PARKED.

The subject ``parked.{subscription}.{sequence}.{subject of the event}`` holds one failed event, or
for a while a marker that it was removed.
"""

from collections.abc import AsyncIterator

import msgspec
from nats.aio.msg import Msg

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.failed_event_store import (
    REMOVAL_MEMORY_SECONDS,
    FailedEvent,
    FailedEventChanges,
    StoredFailedEvent,
    StorePosition,
)
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.latest_values import MARKER_HEADERS, is_marker
from tapewire.log.jetstream.streams import PARKED
from tapewire.log.ports import (
    PAGE_BYTES,
    PAGE_EVENTS,
    AppendRejected,
    Conflict,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.subjects import encode_token


class JetStreamFailedEventStore:
    """The failed events over one connection."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def get_all(self, subscription: str | None = None) -> list[StoredFailedEvent]:
        found = [
            _to_stored(message)
            async for message in self._read(_filter_of(subscription), 0)
            if not is_marker(message)
        ]
        return sorted(found, key=lambda one: (one.event.subscription, one.event.sequence))

    async def find(self, sequence: int) -> list[FailedEvent]:
        """The event `sequence` as each subscription failed to handle it. The newest may be
        missing. Raises Unavailable."""
        filter_ = f"parked.*.{sequence}.>"
        return [
            _to_stored(message).event
            async for message in self._read(filter_, 0)
            if not is_marker(message)
        ]

    async def read_first(self, limit: int) -> tuple[list[FailedEvent], bool]:
        """The first `limit` failed events of all subscriptions, as they were recorded, and whether
        there are more. The newest may be missing. Raises Unavailable."""
        found = list[FailedEvent]()
        async for message in self._read(_filter_of(None), 0):
            if is_marker(message):
                continue
            if len(found) == limit:
                return found, True
            found.append(_to_stored(message).event)
        return found, False

    async def changes(self, subscription: str, since: StorePosition | None) -> FailedEventChanges:
        bounds = await self._bounds()
        if since is None or since.epoch != bounds.epoch or since.revision > bounds.last:
            since = StorePosition(bounds.epoch, 0)
        stored, removed, last = list[StoredFailedEvent](), dict[int, int](), since.revision
        if last < bounds.last:
            async for message in self._read(_filter_of(subscription), last):
                last = _revision_of(message)
                if is_marker(message):
                    removed[_sequence_in(_header_of(message, "Nats-Subject"))] = last
                else:
                    stored.append(_to_stored(message))
        return FailedEventChanges(
            stored, removed, StorePosition(bounds.epoch, last), is_all=since.revision == 0
        )

    async def _bounds(self) -> Bounds:
        try:
            return await stream_reads.bounds(self._connection, PARKED)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def _read(self, filter_: str, after: int) -> AsyncIterator[Msg]:
        """The messages after `after` that match `filter_`, markers too."""
        more = True
        while more:
            page = await stream_reads.read_page(
                self._connection,
                PARKED,
                filter_,
                after=after,
                limit=PAGE_EVENTS,
                max_bytes=PAGE_BYTES,
            )
            for message in page.messages:
                after = _revision_of(message)
                yield message
            more = page.remaining > 0

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        filter_ = f"parked.{encode_token(subscription)}.*.{subject}"
        subjects = set(await stream_reads.subjects(self._connection, PARKED, filter_))
        if subjects:
            last = await stream_reads.last_messages(self._connection, PARKED, sorted(subjects))
            subjects -= {_header_of(one, "Nats-Subject") for one in last if is_marker(one)}
        return sorted(_sequence_in(one) for one in subjects)

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
        try:
            return await self._put(event, expected_revision)
        except Conflict:
            marker = 0 if expected_revision else await self._marker_revision(event)
            if not marker:
                raise
        return await self._put(event, marker)

    async def _marker_revision(self, event: FailedEvent) -> int:
        """The revision of the marker in place of `event`, 0 for none. It is not the event's own
        if the journal was replaced."""
        last = await stream_reads.last_messages(self._connection, PARKED, [_subject_of(event)])
        return _revision_of(last[0]) if last and is_marker(last[0]) else 0

    async def _put(self, event: FailedEvent, expected_revision: int) -> int:
        message = await self._connection.request(
            _subject_of(event),
            CODEC.encode(event),
            {"Nats-Expected-Last-Subject-Sequence": str(expected_revision)},
        )
        answer = msgspec.json.decode(message.data)
        if "error" not in answer:
            return int(answer["seq"])
        description = f"the failed event {event.sequence}: {answer['error'].get('description')}"
        if answer["error"].get("err_code") in CONFLICT_CODES:
            raise Conflict(description)
        raise AppendRejected(description)

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        headers = {
            **MARKER_HEADERS,
            "Nats-TTL": f"{REMOVAL_MEMORY_SECONDS}s",
            "Nats-Expected-Last-Subject-Sequence": str(revision),
        }
        try:
            message = await self._connection.request(_subject_of(event), b"", headers)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        error_ = msgspec.json.decode(message.data).get("error")
        if error_ is None:
            return True
        if error_.get("err_code") in CONFLICT_CODES:
            return False
        raise Unavailable(f"{PARKED}: {error_.get('description')}")


def _subject_of(event: FailedEvent) -> str:
    return f"parked.{encode_token(event.subscription)}.{event.sequence}.{event.subject}"


def _filter_of(subscription: str | None) -> str:
    return "parked.>" if subscription is None else f"parked.{encode_token(subscription)}.>"


def _to_stored(message: Msg) -> StoredFailedEvent:
    return StoredFailedEvent(CODEC.decode(message.data, FailedEvent), _revision_of(message))


def _sequence_in(subject: str) -> int:
    return int(subject.split(".")[2])


def _revision_of(message: Msg) -> int:
    return int(_header_of(message, "Nats-Sequence"))


def _header_of(message: Msg, name: str) -> str:
    return (message.headers or {})[name]
