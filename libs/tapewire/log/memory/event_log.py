"""`MemoryEventLog`: one process's view of the journal of a `MemoryServer`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.failed_events import RetryingHandler
from tapewire.log.memory.connection import DeliveryQueue, MemoryConnection, MemorySubscription
from tapewire.log.memory.durable import MemoryDurableSubscription
from tapewire.log.memory.failed_events import MemoryFailedEventStore
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.server import MAX_PAYLOAD_BYTES, MemoryServer
from tapewire.log.ports import (
    MAX_BATCH_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    AppendRejected,
    Conflict,
    EventDraft,
    Page,
    RecordedEvent,
    Subscription,
)
from tapewire.log.request_scope import guard_append

ESTIMATED_HEADER_BYTES = 100
"""A rough size of an event's headers."""
MAX_LAG_EVENTS = 16
"""How many events a lagging replica may be behind."""

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryEventLog:
    """One process's event log. `faults` are injected between it and the server."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self._server = server
        self._connection = MemoryConnection(server, faults)
        self._durable_subscriptions: list[MemoryDurableSubscription] = []

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        """As `EventLog.append`."""
        if not drafts:
            raise AppendRejected("an append holds at least one event")
        if len(drafts) > MAX_BATCH_EVENTS:
            raise AppendRejected(f"{len(drafts)} events in one append: at most {MAX_BATCH_EVENTS}")
        payloads = [CODEC.encode(draft.event) for draft in drafts]
        if any(len(payload) + ESTIMATED_HEADER_BYTES > MAX_PAYLOAD_BYTES for payload in payloads):
            raise AppendRejected(
                f"an event of more than {MAX_PAYLOAD_BYTES} bytes, headers included"
            )
        faults = self._connection.faults

        def arrive() -> int:
            if drafts[0].expected_sequence is not None and faults.occurs(faults.conflict_rate):
                raise Conflict(f"{drafts[0].subject} is being written to by another batch")
            return self._server.append(drafts, payloads)

        with guard_append():
            return await self._connection.write(arrive)

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """As `EventLog.page`."""
        return await self._connection.read(
            lambda: self._server.journal.page(
                filter,
                after=after,
                limit=limit,
                max_bytes=max_bytes,
                upto=self._replica_last_sequence(),
            )
        )

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        """As `EventLog.last_events`."""
        return await self._connection.read(
            lambda: self._server.journal.last_events(subjects, upto=self._replica_last_sequence())
        )

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        """As `EventLog.last_sequence`."""
        return await self._connection.read(lambda: self._server.journal.last_sequence(filter))

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        """As `EventLog.next_sequence`."""
        return await self._connection.read(
            lambda: self._server.journal.next_sequence(filter, after)
        )

    async def last_sequence_before(self, moment: datetime) -> int:
        """As `EventLog.last_sequence_before`."""
        return await self._connection.read(
            lambda: self._server.journal.last_sequence_before(moment)
        )

    async def bounds(self) -> Bounds:
        """As `EventLog.bounds`."""

        def arrive() -> Bounds:
            journal = self._server.journal
            return Bounds(epoch=journal.epoch, first=journal.first, last=journal.last)

        return await self._connection.read(arrive)

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        """As `EventLog.subscribe`."""
        await self._connection.ensure_connected()
        queue = DeliveryQueue(on_event, on_gap, self._connection.faults)
        self._server.subscribe(filter, queue)
        self._connection.subscribe(queue)
        return MemorySubscription(
            self._connection, queue, lambda: self._server.unsubscribe(filter, queue)
        )

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[RecordedEvent], Awaitable[None]],
        *,
        in_order: bool = False,
    ) -> Subscription:
        """As `EventLog.subscribe_durable`."""
        consumer = await self._connection.read(
            lambda: self._server.durable_consumer(name, filter, in_order=in_order)
        )
        retrying_handler = RetryingHandler(
            name,
            handler,
            self,
            MemoryFailedEventStore(self._connection, self._server.failed_events),
            _loop_time,
            in_order=in_order,
        )
        subscription = MemoryDurableSubscription(consumer, self._connection, retrying_handler)
        self._durable_subscriptions.append(subscription)
        return subscription

    def _replica_last_sequence(self) -> int:
        """The last event that the answering replica has."""
        faults, last = self._connection.faults, self._server.journal.last
        return (
            last - faults.rng.randrange(MAX_LAG_EVENTS + 1)
            if faults.occurs(faults.stale_read_rate)
            else last
        )

    def sever(self, seconds: float) -> None:
        """Break the connection for `seconds`: requests fail and live messages are lost."""
        self._connection.sever(seconds)

    def kill(self) -> None:
        """Stop without notifying the server, like a killed process. No callback is called."""
        for subscription in self._durable_subscriptions:
            subscription.kill()
        self._connection.close()


def _loop_time() -> datetime:
    """The loop's time, which may be virtual, as a date."""
    return _UNIX_EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
