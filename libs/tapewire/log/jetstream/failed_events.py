"""`JetStreamFailedEventStore`: the failed events of durable subscriptions, in the stream PARKED.

The subject ``parked.{subscription}.{sequence}.{subject of the event}`` holds one failed event.
"""

import msgspec

from tapewire.events import CODEC
from tapewire.log.failed_events import FailedEvent, StoredFailedEvent
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
        filter_ = "parked.>" if subscription is None else f"parked.{encode_token(subscription)}.>"
        found: list[StoredFailedEvent] = []
        after, more = 0, True
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
                after = int((message.headers or {})["Nats-Sequence"])
                if is_marker(message):
                    continue
                found.append(StoredFailedEvent(CODEC.decode(message.data, FailedEvent), after))
            more = page.remaining > 0
        return sorted(found, key=lambda one: (one.event.subscription, one.event.sequence))

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        filter_ = f"parked.{encode_token(subscription)}.*.{subject}"
        subjects = set(await stream_reads.subjects(self._connection, PARKED, filter_))
        if subjects:
            last = await stream_reads.last_messages(self._connection, PARKED, sorted(subjects))
            subjects -= {(one.headers or {})["Nats-Subject"] for one in last if is_marker(one)}
        return sorted(int(one.split(".")[2]) for one in subjects)

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
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
        expected = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        try:
            message = await self._connection.request(
                _subject_of(event), b"", MARKER_HEADERS | expected
            )
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
