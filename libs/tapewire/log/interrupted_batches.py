"""Finds atomic batches that were stored in part, and appends what is missing.

A server whose store is full may keep the first part of a batch (`tapewire.log.batch_part`). Appends
that lie in the lost part failed for their writers. The last event that was stored may have lost the
events that were decided with it; they can be derived from the events of its entity. A completion
has the id that it would have had, so it is appended once, however often and by whomever. Start at
`find_interrupted_batches` and `complete_batch`.
"""

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from tapewire.events import CATALOGUE
from tapewire.log.batch_part import is_interrupted
from tapewire.log.command_handler import NewEvent
from tapewire.log.ids import following_event_id
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    OutcomeUnknown,
    Page,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.work_progress import OnProgress, WorkProgress, ignore_progress

MAX_ATTEMPTS = 6
"""Reads of a lagging replica, and appends that conflict, before giving up."""
RETRY_DELAY_SECONDS = 0.1
"""The wait before the second attempt; it doubles before each further one."""

FindMissing = Callable[[Sequence[RecordedEvent]], Sequence[NewEvent]]
"""The events that were decided together with the last of an entity's events, and come after it.
Raises CannotComplete."""


class CannotComplete(Exception):
    """What a batch lacks cannot be derived, or does not fit any more; the message says why."""


class CompletionState(enum.Enum):
    COMPLETE = "complete"
    """Nothing is missing: the batch ended between two appends."""
    MISSING = "missing"
    """Events are missing, and can be appended."""
    APPENDED = "appended"
    REPAIRED = "repaired"
    """The missing events had been appended before."""
    IMPOSSIBLE = "impossible"


class BatchCompletion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of an interrupted batch, whose last stored event is at `sequence`. `missing` has
    the tags of the events that it lacks or lacked, `appended_at` the sequence of the last of them,
    0 if it is not stored."""

    owner: str
    domain: str
    entity: str
    sequence: int
    batch: str
    state: CompletionState
    missing: list[str] = []
    appended_at: int = 0
    reason: str | None = None


async def find_interrupted_batches(
    log: EventLog, on_progress: OnProgress = ignore_progress
) -> AsyncIterator[RecordedEvent]:
    """The last stored event of each interrupted batch, in the order of the log. A batch whose next
    event was removed from the log is none of them.

    Args:
        on_progress: called after each page.

    Raises:
        Unavailable: the log cannot be read.
    """
    bounds = await log.bounds()
    previous: RecordedEvent | None = None
    after = bounds.first - 1
    while after < bounds.last:
        page = await _read_page(log, "ev.>", after)
        for recorded in page.events:
            if (
                previous is not None
                and recorded.sequence == previous.sequence + 1
                and is_interrupted(previous.batch, recorded.batch)
            ):
                yield previous
            previous = recorded
            if recorded.sequence >= bounds.last:
                break
        after = page.events[-1].sequence
        read = min(after, bounds.last) - bounds.first + 1
        on_progress(WorkProgress("reading", read, bounds.last - bounds.first + 1, "events"))
    is_last = previous is not None and previous.sequence == bounds.last
    if previous is not None and is_last and is_interrupted(previous.batch, None):
        # The leader stores a batch at once; a replica that is asked may be in the middle of it.
        await asyncio.sleep(MAX_ATTEMPTS * RETRY_DELAY_SECONDS)
        page = await log.page("ev.>", after=previous.sequence, limit=1)
        if is_interrupted(previous.batch, page.events[0].batch if page.events else None):
            yield previous


async def complete_batch(
    log: EventLog, last: RecordedEvent, find_missing: FindMissing, *, dry_run: bool = False
) -> BatchCompletion:
    """Append what the interrupted batch of `last`, its last stored event, lacks.

    Raises:
        AppendRejected: the log will never accept the events.
        Unavailable, OutcomeUnknown: the log cannot be used now. The call may be repeated.
    """
    for attempt in range(MAX_ATTEMPTS):
        try:
            return await _try_to_complete(log, last, find_missing, dry_run=dry_run)
        except CannotComplete as error:
            return _completion(last, CompletionState.IMPOSSIBLE, reason=str(error))
        except (Conflict, AlreadyStored, OutcomeUnknown):
            await asyncio.sleep(RETRY_DELAY_SECONDS * 2**attempt)
    raise Unavailable(f"{last.subject} kept changing: try again")


async def _try_to_complete(
    log: EventLog, last: RecordedEvent, find_missing: FindMissing, *, dry_run: bool
) -> BatchCompletion:
    history = await _read_subject(log, last.subject)
    missing = find_missing([each for each in history if each.sequence <= last.sequence])
    if not missing:
        return _completion(last, CompletionState.COMPLETE)
    tags = [CATALOGUE.tag_of(type(each.event)) for each in missing]
    drafts, stored = await _make_drafts(log, last, missing)
    if not drafts:
        return _completion(last, CompletionState.REPAIRED, missing=tags, appended_at=stored)
    if dry_run:
        return _completion(last, CompletionState.MISSING, missing=tags)
    appended_at = await log.append(drafts)
    return _completion(last, CompletionState.APPENDED, missing=tags, appended_at=appended_at)


async def _make_drafts(
    log: EventLog, last: RecordedEvent, missing: Sequence[NewEvent]
) -> tuple[list[EventDraft], int]:
    """The drafts of those of the missing events that are not stored, and the sequence of the last
    one that is."""
    drafts: list[EventDraft] = []
    stored_at, id_ = 0, last.metadata.id
    for new_event in missing:
        try:
            id_ = following_event_id(id_)
        except ValueError as error:
            raise CannotComplete(str(error)) from error
        subject = str(new_event.subject)
        later = await _read_subject(log, subject, after=last.sequence)
        found = next((each.sequence for each in later if each.metadata.id == id_), 0)
        if found:
            stored_at = found
            continue
        end = later[-1].sequence if later else await log.last_sequence(subject)
        if subject == last.subject and end != last.sequence and not stored_at:
            raise CannotComplete(f"{subject} has changed since, at {end}")
        is_first = all(str(draft.subject) != subject for draft in drafts)
        drafts.append(
            EventDraft(
                subject=new_event.subject,
                event=new_event.event,
                metadata=EventMetadata(
                    id=id_,
                    correlation=last.metadata.correlation,
                    causation=last.metadata.causation,
                    traceparent=last.metadata.traceparent,
                ),
                expected_sequence=end if is_first else None,
            )
        )
    return drafts, stored_at


def _completion(
    last: RecordedEvent,
    state: CompletionState,
    *,
    missing: list[str] | None = None,
    appended_at: int = 0,
    reason: str | None = None,
) -> BatchCompletion:
    subject = last.event_subject
    return BatchCompletion(
        owner=subject.owner,
        domain=subject.domain,
        entity=subject.entity,
        sequence=last.sequence,
        batch="" if last.batch is None else last.batch.id,
        state=state,
        missing=missing or [],
        appended_at=appended_at,
        reason=reason,
    )


async def _read_subject(log: EventLog, subject: str, *, after: int = 0) -> list[RecordedEvent]:
    """All events of `subject` after `after`, the last acknowledged one included."""
    found: list[RecordedEvent] = []
    wanted = await log.last_sequence(subject)
    while after < wanted:
        page = await _read_page(log, subject, after)
        found += page.events
        after = page.events[-1].sequence
    return found


async def _read_page(log: EventLog, filter_: str, after: int) -> Page:
    """At least one event, from a replica that may lag. Raises Unavailable."""
    for attempt in range(MAX_ATTEMPTS):
        page = await log.page(
            filter_, after=after, limit=CATCH_UP_PAGE_EVENTS, max_bytes=CATCH_UP_PAGE_BYTES
        )
        if page.events:
            return page
        await asyncio.sleep(RETRY_DELAY_SECONDS * 2**attempt)
    raise Unavailable(f"{filter_} goes on after {after}, a replica does not")
