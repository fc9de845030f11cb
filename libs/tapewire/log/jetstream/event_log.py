"""`JetStreamEventLog`: the event log as the JetStream stream EVENTS."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.events import CATALOGUE, CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.failed_events import RetryingHandler
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES, store_together
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.durable_subscription import DurableSubscription
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.gap_aware_subscription import GapAwareSubscription
from tapewire.log.jetstream.journal_guard import JournalGuard
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import (
    MAX_BATCH_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    AlreadyStored,
    AppendRejected,
    Conflict,
    EventDraft,
    OutcomeUnknown,
    Page,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.request_scope import guard_append

_ALL_EVENTS = "ev.>"
_DUPLICATE_IN_BATCH_CODE = 10201
_ABANDONED_BATCH_CODES = {10158, 10163}
"""The server abandoned the batch before its commit: nothing was stored; decide again."""
_UNAVAILABLE_CODES = {10008, 10009, 10023, 10077}
"""No leader, insufficient resources, or a failed store: nothing was stored."""


class JetStreamEventLog:
    """The event log over one connection, which other objects may share.

    With a `guard`, every call waits until the guard has verified the journal, and the guard learns
    of every event that is seen.
    """

    def __init__(self, connection: NatsConnection, guard: JournalGuard | None = None) -> None:
        self._connection = connection
        self._guard = guard

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        if not 0 < len(drafts) <= MAX_BATCH_EVENTS:
            raise AppendRejected(
                f"{len(drafts)} events in one append: it must have 1 to {MAX_BATCH_EVENTS}"
            )
        await self._wait_verified()
        with guard_append():
            return await self._append(drafts)

    async def _append(self, drafts: Sequence[EventDraft]) -> int:
        messages = [_encode_message(draft) for draft in drafts]
        answer = await store_together(self._connection, messages)
        sequence = _stored_sequence(msgspec.json.decode(answer.data))
        self._observe(sequence, drafts[-1].metadata.id)
        return sequence

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        await self._wait_verified()
        try:
            # For this filter the server knows the number of remaining messages without counting.
            stream_filter = ">" if filter == _ALL_EVENTS else filter
            stored = await stream_reads.read_page(
                self._connection,
                EVENTS,
                stream_filter,
                after=after,
                limit=limit,
                max_bytes=max_bytes,
            )
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        events = [stream_reads.to_recorded_event(m.headers or {}, m.data) for m in stored.messages]
        if events:
            self._observe(events[-1].sequence, events[-1].metadata.id)
        return Page(events, stored.remaining)

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        await self._wait_verified()
        try:
            found = await stream_reads.last_messages(self._connection, EVENTS, subjects)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        return [stream_reads.to_recorded_event(m.headers or {}, m.data) for m in found]

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        await self._wait_verified()
        try:
            return await stream_reads.last_sequence(self._connection, EVENTS, filter)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        await self._wait_verified()
        try:
            return await stream_reads.next_sequence(self._connection, EVENTS, filter, after)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def bounds(self) -> Bounds:
        await self._wait_verified()
        seen = self._guard.seen_sequence if self._guard is not None else 0
        found = await stream_reads.bounds(self._connection, EVENTS)
        if self._guard is not None:
            self._guard.reject_stale(found, seen)
        return found

    async def last_sequence_before(self, moment: datetime) -> int:
        await self._wait_verified()
        try:
            return await stream_reads.last_sequence_before(self._connection, EVENTS, moment)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> GapAwareSubscription:
        async def receive(message: Msg) -> None:
            recorded = stream_reads.to_recorded_event(message.headers or {}, message.data)
            self._observe(recorded.sequence, recorded.metadata.id)
            on_event(recorded)

        return await self._connection.subscribe(f"live.{filter}", receive, on_gap)

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[RecordedEvent], Awaitable[None]],
        *,
        in_order: bool = False,
    ) -> DurableSubscription:

        async def handle(recorded: RecordedEvent) -> None:
            self._observe(recorded.sequence, recorded.metadata.id)
            await handler(recorded)

        await self._wait_verified()
        retrying_handler = RetryingHandler(
            name,
            handle,
            self,
            JetStreamFailedEventStore(self._connection),
            lambda: datetime.now(UTC),
            in_order=in_order,
        )
        subscription = DurableSubscription(
            self._connection,
            name,
            filter,
            retrying_handler,
            self._wait_verified,
            in_order=in_order,
        )
        await subscription.start()
        return subscription

    async def _wait_verified(self) -> None:
        if self._guard is not None:
            await self._guard.wait_verified()

    def _observe(self, sequence: int, event_id: str) -> None:
        if self._guard is not None:
            self._guard.observe(sequence, event_id)


def _encode_message(draft: EventDraft) -> tuple[str, bytes, dict[str, str]]:
    headers = {
        "Nats-Msg-Id": draft.metadata.id,
        "Tw-Type": CATALOGUE.tag_of(type(draft.event)),
        "Tw-Correlation": draft.metadata.correlation,
    }
    if draft.metadata.causation is not None:
        headers["Tw-Causation"] = draft.metadata.causation
    if draft.metadata.traceparent is not None:
        headers["traceparent"] = draft.metadata.traceparent
    if draft.expected_sequence is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(draft.expected_sequence)
    return str(draft.subject), CODEC.encode(draft.event), headers


def _stored_sequence(answer: dict[str, Any]) -> int:
    error = answer.get("error")
    if error is None:
        if answer.get("duplicate"):
            raise AlreadyStored(f"an event of this id is at {answer['seq']}", int(answer["seq"]))
        return int(answer["seq"])
    code, description = error.get("err_code"), str(error.get("description"))
    if code in CONFLICT_CODES:
        raise Conflict(description)
    if code == _DUPLICATE_IN_BATCH_CODE:
        raise AlreadyStored(description)
    if code in _ABANDONED_BATCH_CODES:
        raise OutcomeUnknown(description)
    if code in _UNAVAILABLE_CODES or error.get("code") == 503:
        raise Unavailable(description)
    raise AppendRejected(f"{description} ({code})")
