"""`JetStreamFailedEventStore`: the failed events of durable subscriptions, in the stream PARKED.

The subject ``parked.{subscription}.{sequence}.{subject of the event}`` holds one failed event.
"""

import msgspec

from tapewire.events import CODEC
from tapewire.log.failed_events import FailedEvent, StoredFailedEvent
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
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

_CONFLICT_CODE = 10071


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
                found.append(StoredFailedEvent(CODEC.decode(message.data, FailedEvent), after))
            more = page.remaining > 0
        return sorted(found, key=lambda one: (one.event.subscription, one.event.sequence))

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        filter_ = f"parked.{encode_token(subscription)}.*.{subject}"
        subjects = await stream_reads.subjects(self._connection, PARKED, filter_)
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
        if answer["error"].get("err_code") == _CONFLICT_CODE:
            raise Conflict(description)
        raise AppendRejected(description)

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        upto = {"filter": _subject_of(event), "seq": revision + 1}
        try:
            message = await self._connection.request(
                f"$JS.API.STREAM.PURGE.{PARKED}", msgspec.json.encode(upto)
            )
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        answer = msgspec.json.decode(message.data)
        if "error" in answer:
            raise Unavailable(f"{PARKED}: {answer['error'].get('description')}")
        return bool(answer["purged"])


def _subject_of(event: FailedEvent) -> str:
    return f"parked.{encode_token(event.subscription)}.{event.sequence}.{event.subject}"
