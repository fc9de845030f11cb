"""Stores one event or one value, with retries and without duplicates.

The id of an event is fixed before the first try, and all tries share it, so the log stores the
event once. A handler whose event is redelivered publishes under the ids of the first delivery; if
the log no longer remembers those ids, `_find_stored_sequence` searches the log. Start at `publish`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from tapewire.client import propagation
from tapewire.client.errors import PublishTimeout
from tapewire.log import (
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.ports import PAGE_EVENTS

MAX_RETRY_SECONDS = 60.0
"""The longest `retry_seconds`: well within the two minutes for which ids are remembered."""
DEDUPLICATION_SAFE_SECONDS = 60.0
"""If a redelivered event is older than this, the log may have forgotten the ids of the first
delivery, allowing for differences of the clocks."""

T = TypeVar("T")

logger = structlog.get_logger("tapewire.client")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An event is stored as `id` at `sequence`. `is_duplicate`: it had been stored before."""

    id: str
    sequence: int | None
    is_duplicate: bool = False


async def publish(log: EventLog, draft: EventDraft, retry_seconds: float) -> Receipt:
    """Append `draft`, retrying for `retry_seconds`.

    Raises:
        Conflict: The entity has another last event than the draft expects.
        AppendRejected: The log rejects the event.
        PublishTimeout: The log did not answer in time.
    """
    subject = str(draft.subject)
    receipt = await retry_until_answered(
        subject, draft.metadata.id, retry_seconds, lambda: _append_once(log, draft)
    )
    logger.info(
        "client.event_published",
        subject=subject,
        type=type(draft.event).__name__,
        id=receipt.id,
        sequence=receipt.sequence,
        repeated=receipt.is_duplicate,
    )
    return receipt


async def retry_until_answered(
    target: str, id_: str | None, retry_seconds: float, attempt: Callable[[], Awaitable[T]]
) -> T:
    """Return the result of `attempt`, repeated while there is no server or no answer.

    Raises:
        PublishTimeout: There was no answer within `retry_seconds`.
    """
    clock, backoff, may_be_stored = asyncio.get_running_loop().time, Backoff(new_rng()), False
    deadline = clock() + retry_seconds
    while True:
        try:
            return await attempt()
        except (OutcomeUnknown, Unavailable) as error:
            may_be_stored = may_be_stored or isinstance(error, OutcomeUnknown)
            if clock() >= deadline:
                raise PublishTimeout(
                    target, id_, str(error), may_be_stored=may_be_stored
                ) from error
            logger.warning("client.publish_retried", subject=target, id=id_, error=str(error))
            await backoff.wait()


async def _append_once(log: EventLog, draft: EventDraft) -> Receipt:
    handled = propagation.current_handled_event()
    if (
        handled is not None
        and handled.recorded.delivery_count > 1
        and handled.age_seconds() > DEDUPLICATION_SAFE_SECONDS
    ):
        found = await _find_stored_sequence(log, draft, after=handled.recorded.sequence)
        if found is not None:
            return Receipt(id=draft.metadata.id, sequence=found, is_duplicate=True)
    try:
        return Receipt(id=draft.metadata.id, sequence=await log.append([draft]))
    except AlreadyStored as known:
        return Receipt(id=draft.metadata.id, sequence=known.sequence, is_duplicate=True)
    except Conflict as conflict:
        return await _resolve_conflict(log, draft, conflict)


async def _resolve_conflict(log: EventLog, draft: EventDraft, conflict: Conflict) -> Receipt:
    """Find out whether `conflict` is real.

    A retried event that is stored conflicts with itself. An entity that still has the expected last
    event was only being written to, which raises Unavailable. Otherwise `conflict` is raised.
    """
    expected = draft.expected_sequence or 0
    found = await _find_stored_sequence(log, draft, after=expected, max_events=1)
    if found is not None:
        return Receipt(id=draft.metadata.id, sequence=found, is_duplicate=True)
    if await log.last_sequence(str(draft.subject)) == expected:
        raise Unavailable(str(conflict)) from conflict
    raise conflict


async def _find_stored_sequence(
    log: EventLog, draft: EventDraft, *, after: int, max_events: int = PAGE_EVENTS
) -> int | None:
    """Return the sequence of the event among the entity's events after `after`, or None.

    With `max_events=1` only the first of them is examined.

    Raises:
        Unavailable: A replica lags behind the leader.
    """
    subject = str(draft.subject)
    last = await log.last_sequence(subject)
    while after < last:
        page = await log.page(subject, after=after, limit=max_events)
        if not page.events:
            raise Unavailable(f"{subject} should reach {last}, a replica ends at {after}")
        for recorded in page.events:
            if recorded.metadata.id == draft.metadata.id:
                return recorded.sequence
            after = recorded.sequence
        if max_events == 1:
            return None
    return None
