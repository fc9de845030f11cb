"""Events that the handler of a durable subscription could not handle.

An event whose handler raises must not hold up other events. `RetryingHandler` therefore records it
in a `FailedEventStore`, and the subscription acknowledges it. One of the processes of the
subscription tries it again after a growing delay. After `MAX_ATTEMPTS` the event is parked: nobody
tries it again until an operator asks for it (`tapewire parked`). Start at `RetryingHandler`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from tapewire.log.ports import Conflict, LogError, Page, RecordedEvent, Unavailable

MAX_ATTEMPTS = 10
"""Tries before an event is parked. With the delays between them they take a minute and a half."""
INITIAL_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 30.0
CLAIM_SECONDS = 30.0
"""How long a process keeps others from trying an event that it tries itself."""
POLL_SECONDS = 5.0
"""How often a process looks for events that other processes or operators left to it."""
MAX_ERROR_LENGTH = 1000

logger = structlog.get_logger("tapewire.subscription")


class FailedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is tried again or parked.

    `attempts` counts tries that were begun. `error` is the last error. `next_attempt_at` is None
    once the event is parked. An event without attempts waits for an earlier one of its subject.
    """

    subscription: str
    sequence: int
    subject: str
    tag: str
    event_id: str
    attempts: int
    error: str
    failed_at: datetime
    next_attempt_at: datetime | None

    @property
    def is_parked(self) -> bool:
        return self.next_attempt_at is None


class StoredFailedEvent(msgspec.Struct, frozen=True):
    """A failed event as stored; `revision` changes with every change of it."""

    event: FailedEvent
    revision: int


class FailedEventStore(Protocol):
    """Where failed events are recorded. All methods raise LogError."""

    async def get_all(self, subscription: str | None = None) -> list[StoredFailedEvent]:
        """The failed events of one subscription or of all, in the order of the log. The newest may
        be missing."""

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        """The sequences of all failed events of `subject`, ascending, as of this moment."""

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
        """Store `event` in place of its stored version and return the new revision.

        Args:
            expected_revision: 0 if the event is not stored yet.

        Raises:
            Conflict: the stored version has another revision.
        """

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        """Remove the event unless it was changed since `revision`; whether it was removed."""


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
        self.parked_count = 0
        """Parked events of the subscription, of all processes, a few seconds ago."""
        self._failure_recorded = asyncio.Event()

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
        stored = await self._store.get_all(self._subscription)
        self.parked_count = sum(one.event.is_parked for one in stored)
        now, next_at = self._now(), self._now() + timedelta(seconds=POLL_SECONDS)
        for one in _first_of_each_subject(stored) if self._in_order else stored:
            due_at = one.event.next_attempt_at
            if due_at is None:
                continue
            if due_at <= now:
                await self._retry(one)
                next_at = now
            next_at = min(next_at, due_at)
        return max((next_at - self._now()).total_seconds(), 0.0)

    async def _retry(self, stored: StoredFailedEvent) -> None:
        failed = stored.event
        if self._in_order:
            waiting = await self._store.sequences(self._subscription, failed.subject)
            if waiting[:1] != [failed.sequence]:
                return
        claim = msgspec.structs.replace(
            failed,
            attempts=failed.attempts + 1,
            next_attempt_at=self._now() + timedelta(seconds=CLAIM_SECONDS),
        )
        try:
            revision = await self._store.put(claim, stored.revision)
        except Conflict:
            return  # another process tries it, or an operator changed it
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
            await self._store.remove(failed, revision)
            return
        recorded.delivery_count = claim.attempts
        error = await self._try(recorded)
        if error is None:
            await self._store.remove(failed, revision)
        else:
            await self._record_failure(recorded, claim.attempts, error, revision)

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
            await self._store.put(failed, revision)
        except Conflict:
            return  # it is recorded already, or an operator changed it meanwhile
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


def _first_of_each_subject(stored: Iterable[StoredFailedEvent]) -> list[StoredFailedEvent]:
    first: dict[str, StoredFailedEvent] = {}
    for one in stored:
        first.setdefault(one.event.subject, one)
    return list(first.values())


async def retry_parked(store: FailedEventStore, stored: StoredFailedEvent, now: datetime) -> None:
    """Ask the processes of the subscription to try the event once more.

    Raises:
        Conflict: somebody else changed the event meanwhile.
    """
    await store.put(msgspec.structs.replace(stored.event, next_attempt_at=now), stored.revision)
