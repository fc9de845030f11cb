"""Getting one event, or one value, stored: tried again for a while, and never doubled.

An event's id is fixed before the first try. Where a try had no answer the next one has the same id,
so the log stores it once. A handler that is given its event again publishes under the ids of the
first time; when that is longer ago than the log knows ids, `_found` reads whether they are there.
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
"""How long a call may be tried at the most: well within the two minutes that ids are known for."""
DEDUPLICATION_SAFE_SECONDS = 60.0
"""An event that is handled again and is older than this was perhaps answered longer ago than ids
are known for, whatever the clocks say."""

T = TypeVar("T")

logger = structlog.get_logger("tapewire.client")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An event is in the log under `id`, at `sequence`; `repeated` when it was there already."""

    id: str
    sequence: int | None
    is_duplicate: bool = False


async def publish(log: EventLog, draft: EventDraft, retry_seconds: float) -> Receipt:
    """Have `draft` stored, trying for `seconds`.

    Raises:
        Conflict: the entity is not where the draft expects it, and not because of this event.
        Refused: never to be taken.
        Unpublished: no answer in time.
    """
    what = f"{draft.subject}"
    receipt = await retry_until_answered(
        what, draft.metadata.id, retry_seconds, lambda: _append_once(log, draft)
    )
    logger.info(
        "published",
        subject=what,
        type=type(draft.event).__name__,
        id=receipt.id,
        sequence=receipt.sequence,
        repeated=receipt.is_duplicate,
    )
    return receipt


async def retry_until_answered(
    target: str, id_: str | None, retry_seconds: float, attempt: Callable[[], Awaitable[T]]
) -> T:
    """What `try_` gives, tried for `seconds` while there is no server or no answer. Raises
    Unpublished, and what else `try_` raises."""
    clock, patience, maybe = asyncio.get_running_loop().time, Backoff(new_rng()), False
    deadline = clock() + retry_seconds
    while True:
        try:
            return await attempt()
        except (OutcomeUnknown, Unavailable) as error:
            maybe = maybe or isinstance(error, OutcomeUnknown)
            if clock() >= deadline:
                raise PublishTimeout(target, id_, str(error), may_be_stored=maybe) from error
            logger.warning("not published yet; trying again", what=target, id=id_, why=str(error))
            await patience.wait()


async def _append_once(log: EventLog, draft: EventDraft) -> Receipt:
    at_work = propagation.current_handled_event()
    if (
        at_work is not None
        and at_work.recorded.delivery_count > 1
        and at_work.age_seconds() > DEDUPLICATION_SAFE_SECONDS
    ):
        found = await _find_stored_sequence(log, draft, after=at_work.recorded.sequence)
        if found is not None:
            return Receipt(id=draft.metadata.id, sequence=found, is_duplicate=True)
    try:
        return Receipt(id=draft.metadata.id, sequence=await log.append([draft]))
    except AlreadyStored as known:
        return Receipt(id=draft.metadata.id, sequence=known.sequence, is_duplicate=True)
    except Conflict as conflict:
        return await _resolve_conflict(log, draft, conflict)


async def _resolve_conflict(log: EventLog, draft: EventDraft, conflict: Conflict) -> Receipt:
    """A stored event that is tried again meets its own expectation first, and an entity that is
    where it should be was only being written to. Else raises `conflict`."""
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
    """Where the event stands among those of its entity after `after`: all, or the first one when
    `most` is 1.

    Raises Unavailable: a replica lags behind what the leader counts."""
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
