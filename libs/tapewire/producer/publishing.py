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

from tapewire.log import (
    AlreadyStored,
    Conflict,
    Draft,
    EventLog,
    Unavailable,
    Uncertain,
)
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.port import PAGE_EVENTS
from tapewire.producer import trail
from tapewire.producer.errors import Unpublished

MOST_SECONDS = 60.0
"""How long a call may be tried at the most: well within the two minutes that ids are known for."""
KNOWN_SECONDS = 60.0
"""An event that is handled again and is older than this was perhaps answered longer ago than ids
are known for, whatever the clocks say."""

T = TypeVar("T")

logger = structlog.get_logger("tapewire.producer")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An event is in the log under `id`, at `sequence`; `repeated` when it was there already."""

    id: str
    sequence: int | None
    repeated: bool = False


async def publish(log: EventLog, draft: Draft, seconds: float) -> Receipt:
    """Have `draft` stored, trying for `seconds`.

    Raises:
        Conflict: the entity is not where the draft expects it, and not because of this event.
        Refused: never to be taken.
        Unpublished: no answer in time.
    """
    what = f"{draft.subject}"
    receipt = await patiently(what, draft.meta.id, seconds, lambda: _once(log, draft))
    logger.info(
        "published",
        subject=what,
        type=type(draft.event).__name__,
        id=receipt.id,
        sequence=receipt.sequence,
        repeated=receipt.repeated,
    )
    return receipt


async def patiently(
    what: str, id_: str | None, seconds: float, try_: Callable[[], Awaitable[T]]
) -> T:
    """What `try_` gives, tried for `seconds` while there is no server or no answer. Raises
    Unpublished, and what else `try_` raises."""
    clock, patience, maybe = asyncio.get_running_loop().time, Patience(fresh_chance()), False
    deadline = clock() + seconds
    while True:
        try:
            return await try_()
        except (Uncertain, Unavailable) as error:
            maybe = maybe or isinstance(error, Uncertain)
            if clock() >= deadline:
                raise Unpublished(what, id_, str(error), maybe=maybe) from error
            logger.warning("not published yet; trying again", what=what, id=id_, why=str(error))
            await patience.wait()


async def _once(log: EventLog, draft: Draft) -> Receipt:
    at_work = trail.cause()
    if at_work is not None and at_work.recorded.delivered > 1 and at_work.age() > KNOWN_SECONDS:
        found = await _found(log, draft, after=at_work.recorded.sequence)
        if found is not None:
            return Receipt(id=draft.meta.id, sequence=found, repeated=True)
    try:
        return Receipt(id=draft.meta.id, sequence=await log.append([draft]))
    except AlreadyStored as known:
        return Receipt(id=draft.meta.id, sequence=known.sequence, repeated=True)
    except Conflict as conflict:
        return await _judged(log, draft, conflict)


async def _judged(log: EventLog, draft: Draft, conflict: Conflict) -> Receipt:
    """A stored event that is tried again meets its own expectation first, and an entity that is
    where it should be was only being written to. Else raises `conflict`."""
    expected = draft.expect or 0
    found = await _found(log, draft, after=expected, most=1)
    if found is not None:
        return Receipt(id=draft.meta.id, sequence=found, repeated=True)
    if await log.last(str(draft.subject)) == expected:
        raise Unavailable(str(conflict)) from conflict
    raise conflict


async def _found(log: EventLog, draft: Draft, *, after: int, most: int = PAGE_EVENTS) -> int | None:
    """Where the event stands among those of its entity after `after`: all, or the first one when
    `most` is 1.

    Raises Unavailable: a replica lags behind what the leader counts."""
    subject = str(draft.subject)
    last = await log.last(subject)
    while after < last:
        page = await log.page(subject, after=after, limit=most)
        if not page.events:
            raise Unavailable(f"{subject} should reach {last}, a replica ends at {after}")
        for recorded in page.events:
            if recorded.meta.id == draft.meta.id:
                return recorded.sequence
            after = recorded.sequence
        if most == 1:
            return None
    return None
