"""Events that the handler of a durable subscription could not handle.

An event whose handler raises must not hold up other events. `RetryingHandler` therefore records it
in a `FailedEventStore`, and the subscription acknowledges it. One of the processes of the
subscription tries it again after a growing delay. After `MAX_ATTEMPTS` the event is parked: nobody
tries it again until an operator asks for it (`tapewire parked`). Start at `RetryingHandler`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from tapewire.log.failed_event_index import FailedEventIndex
from tapewire.log.failed_event_store import (
    REMOVAL_MEMORY_SECONDS,
    FailedEvent,
    FailedEventStore,
    StoredFailedEvent,
    StorePosition,
)
from tapewire.log.ports import Conflict, LogError, Page, RecordedEvent, Unavailable

MAX_ATTEMPTS = 10
"""Tries before an event is parked. With the delays between them they take a minute and a half."""
INITIAL_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 30.0
CLAIM_SECONDS = 30.0
"""How long a process keeps others from trying an event that it tries itself."""
POLL_SECONDS = 5.0
"""How often a process reads what other processes and operators changed."""
FULL_READ_SECONDS = 600.0
"""How often a process reads all failed events, because an operator may have purged some."""
MAX_ERROR_LENGTH = 1000

logger = structlog.get_logger("tapewire.subscription")


class EventReader(Protocol):
    """The part of the log that reads one event again."""

    async def page(
        self,
        filter: str,  # noqa: A002 - JetStream's term
        *,
        after: int,
        limit: int,
    ) -> Page: ...

    async def last_sequence(self, filter: str) -> int: ...  # noqa: A002


class RetryingHandler:
    """Runs one subscription's handler in one process, one event at a time.

    Args:
        in_order: while an event of a subject has failed, record later events of that subject
            without trying them; they are handled in order when the first one has been handled or
            dropped.
        now: the time, comparable between processes.
    """

    def __init__(
        self,
        subscription: str,
        handler: Callable[[RecordedEvent], Awaitable[None]],
        log: EventReader,
        store: FailedEventStore,
        now: Callable[[], datetime],
        *,
        in_order: bool = False,
    ) -> None:
        self._subscription = subscription
        self._handler = handler
        self._log = log
        self._store = store
        self._now = now
        self._in_order = in_order
        self._handler_lock = asyncio.Lock()
        self._index = FailedEventIndex(in_order=in_order)
        self._position: StorePosition | None = None
        self._read_at = self._read_all_at = float("-inf")
        self._failure_recorded = asyncio.Event()

    @property
    def parked_count(self) -> int:
        """Parked events of the subscription, of all processes, a few seconds ago."""
        return self._index.parked_count

    async def handle(self, recorded: RecordedEvent) -> None:
        """Handle an event for the first time. Raises LogError if it failed and could not be
        recorded; the log must then deliver it again."""
        if self._in_order and await self._store.sequences(self._subscription, recorded.subject):
            await self._record_failure(recorded, 0, "an earlier event of the subject failed", 0)
            return
        error = await self._try(recorded)
        if error is not None:
            await self._record_failure(recorded, recorded.delivery_count, error, 0)

    async def run(self) -> None:
        """Try failed events again until cancelled."""
        while True:
            self._failure_recorded.clear()
            try:
                seconds = await self._retry_due_events()
            except LogError as error:
                logger.warning(
                    "durable_subscription.retry_failed", name=self._subscription, error=str(error)
                )
                seconds = POLL_SECONDS
            try:
                async with asyncio.timeout(seconds):
                    await self._failure_recorded.wait()
            except TimeoutError:
                pass

    async def _retry_due_events(self) -> float:
        """Try every event that is due; the seconds until the next one is."""
        clock = asyncio.get_running_loop().time
        if clock() >= self._read_at + POLL_SECONDS:
            await self._read_changes(clock())
        stored = self._index.first_due(self._now())
        while stored is not None and clock() < self._read_at + POLL_SECONDS:
            await self._retry(stored)
            stored = self._index.first_due(self._now())
        seconds = self._read_at + POLL_SECONDS - clock()
        due_at = self._index.next_due_at()
        if due_at is not None:
            seconds = min(seconds, (due_at - self._now()).total_seconds())
        return max(seconds, 0.0)

    async def _read_changes(self, now: float) -> None:
        """Bring the index up to date at the loop's time `now`."""
        is_old = now - self._read_at > REMOVAL_MEMORY_SECONDS / 2
        if is_old or now - self._read_all_at >= FULL_READ_SECONDS:
            self._position = None
        changes = await self._store.changes(self._subscription, self._position)
        if changes.is_all:
            self._index.clear()
            self._read_all_at = now
        for sequence, revision in changes.removed.items():
            self._index.remove(sequence, revision)
        for stored in changes.stored:
            self._index.put(stored)
        self._position, self._read_at = changes.position, now

    async def _retry(self, stored: StoredFailedEvent) -> None:
        failed = stored.event
        if self._in_order:
            waiting = await self._store.sequences(self._subscription, failed.subject)
            if waiting[:1] != [failed.sequence]:
                self._index.postpone(stored, self._now() + timedelta(seconds=POLL_SECONDS))
                return
        claim = msgspec.structs.replace(
            failed,
            attempts=failed.attempts + 1,
            next_attempt_at=self._now() + timedelta(seconds=CLAIM_SECONDS),
        )
        try:
            revision = await self._store.put(claim, stored.revision)
        except Conflict:
            # Another process tries it, or an operator changed it: the next read says how it is.
            self._index.remove(failed.sequence, stored.revision)
            return
        self._index.put(StoredFailedEvent(claim, revision))
        page = await self._log.page(failed.subject, after=failed.sequence - 1, limit=1)
        recorded = page.events[0] if page.events else None
        if recorded is None and await self._log.last_sequence(failed.subject) >= failed.sequence:
            raise Unavailable(f"a lagging replica does not know event {failed.sequence} yet")
        if recorded is None or recorded.metadata.id != failed.event_id:
            logger.warning(
                "durable_subscription.event_gone",
                name=self._subscription,
                sequence=failed.sequence,
            )
            await self._remove(failed, revision)
            return
        recorded.delivery_count = claim.attempts
        error = await self._try(recorded)
        if error is None:
            await self._remove(failed, revision)
        else:
            await self._record_failure(recorded, claim.attempts, error, revision)

    async def _remove(self, failed: FailedEvent, revision: int) -> None:
        if await self._store.remove(failed, revision):
            self._index.remove(failed.sequence, revision)

    async def _try(self, recorded: RecordedEvent) -> str | None:
        """Run the handler; the error if it raised."""
        async with self._handler_lock:
            try:
                await self._handler(recorded)
            except Exception as error:
                logger.exception(
                    "durable_subscription.handler_failed",
                    name=self._subscription,
                    sequence=recorded.sequence,
                    attempt=recorded.delivery_count,
                )
                return f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH]
        return None

    async def _record_failure(
        self, recorded: RecordedEvent, attempts: int, error: str, revision: int
    ) -> None:
        now = self._now()
        is_parked = attempts >= MAX_ATTEMPTS
        delay = min(INITIAL_RETRY_SECONDS * 2.0**attempts, MAX_RETRY_SECONDS)
        failed = FailedEvent(
            subscription=self._subscription,
            sequence=recorded.sequence,
            subject=recorded.subject,
            tag=recorded.tag,
            event_id=recorded.metadata.id,
            attempts=attempts,
            error=error,
            failed_at=now,
            next_attempt_at=None if is_parked else now + timedelta(seconds=delay),
        )
        try:
            stored_revision = await self._store.put(failed, revision)
        except Conflict:
            return  # it is recorded already, or an operator changed it meanwhile
        self._index.put(StoredFailedEvent(failed, stored_revision))
        if is_parked:
            logger.error(
                "durable_subscription.event_parked",
                name=self._subscription,
                sequence=failed.sequence,
                subject=failed.subject,
                attempts=attempts,
                error=error,
            )
        self._failure_recorded.set()
