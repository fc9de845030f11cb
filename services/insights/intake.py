"""Puts items on the tape, each once: many in one atomic batch.

An item's subject is its id's alone, and an append expects it to be empty. So the common case, that
all are new, is one append; only when that is refused is it asked which of them are there. Whoever
adds the same items, again or at the same time, adds none twice.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from tapewire.events import Item, ItemAnalysed
from tapewire.log import (
    EVERYBODY,
    AlreadyStored,
    Conflict,
    Draft,
    EventLog,
    Meta,
    Overloaded,
    Recorded,
    Subject,
    Unavailable,
    Uncertain,
)
from tapewire.runtime import Context

DOMAIN = "items"
ATTEMPTS = 8
"""Appends that are tried before conflicts are given up."""
READS = 5
LAG_SECONDS = 0.02
"""What a replica is given to catch up before the second read; twice as long before each later."""


class Stored(msgspec.Struct, frozen=True):
    """The item of an id as the tape has it; `created` when this very command put it there."""

    item: Item
    created: bool


class Intake:
    """The one way of items into the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def add(self, events: Sequence[ItemAnalysed], context: Context) -> dict[str, Stored]:
        """Once this returns, every item of `events` is on the tape; by id, what is there.

        Raises:
            Overloaded: others kept adding the same items.
            Unavailable, Refused: from the log.
        """
        stored: dict[str, Stored] = {}
        missing: dict[str, ItemAnalysed] = {}
        for event in events:
            missing.setdefault(event.item.id, event)
        for _ in range(ATTEMPTS):
            if not missing:
                return stored
            try:
                await self._log.append([_draft(event, context) for event in missing.values()])
            except (Conflict, AlreadyStored, Uncertain):
                found = await asyncio.gather(*[self._find(id_, context) for id_ in missing])
                there = {one.item.id: one for one in found if one is not None}
            else:
                there = {id_: Stored(event.item, created=True) for id_, event in missing.items()}
            stored |= there
            missing = {id_: event for id_, event in missing.items() if id_ not in there}
        if missing:
            raise Overloaded(f"{len(missing)} items could not be added in {ATTEMPTS} attempts")
        return stored

    async def _find(self, id_: str, context: Context) -> Stored | None:
        """The item on the tape. An answer that got lost, and a command that came twice, are known
        by the command that is noted with the event."""
        recorded = await self._first(str(_subject(id_)))
        if recorded is None:
            return None
        event = recorded.event
        if not isinstance(event, ItemAnalysed):
            raise TypeError(f"{recorded} is no item")
        return Stored(event.item, created=recorded.meta.causation == context.command_id)

    async def _first(self, subject: str) -> Recorded | None:
        """The event, if the leader knows of one. Raises Unavailable when a replica lags on."""
        for attempt in range(READS):
            page = await self._log.page(subject, after=0, limit=1)
            if page.events:
                return page.events[0]
            if not await self._log.last(subject):
                return None
            await asyncio.sleep(LAG_SECONDS * 2**attempt)
        raise Unavailable(f"{subject} is there, and a replica does not have it yet")


def _subject(id_: str) -> Subject:
    return Subject(EVERYBODY, DOMAIN, id_)


def _draft(event: ItemAnalysed, context: Context) -> Draft:
    meta = Meta(
        id=f"item.{event.item.id}",
        correlation=context.correlation,
        causation=context.command_id,
        traceparent=context.traceparent,
    )
    return Draft(subject=_subject(event.item.id), event=event, meta=meta, expect=0)
