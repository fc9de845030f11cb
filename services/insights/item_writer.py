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
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    OutcomeUnknown,
    RecordedEvent,
    TooManyConflicts,
    Unavailable,
)
from tapewire.runtime import RequestContext

DOMAIN = "items"
MAX_ATTEMPTS = 8
"""Appends that are tried before conflicts are given up."""
MAX_READS = 5
INITIAL_LAG_WAIT_SECONDS = 0.02
"""What a replica is given to catch up before the second read; twice as long before each later."""


class StoredItem(msgspec.Struct, frozen=True):
    """The item of an id as the tape has it; `created` when this very command put it there."""

    item: Item
    created: bool


class ItemWriter:
    """The one way of items into the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def add(
        self, events: Sequence[ItemAnalysed], context: RequestContext
    ) -> dict[str, StoredItem]:
        """Once this returns, every item of `events` is on the tape; by id, what is there.

        Raises:
            Overloaded: others kept adding the same items.
            Unavailable, Refused: from the log.
        """
        stored: dict[str, StoredItem] = {}
        missing: dict[str, ItemAnalysed] = {}
        for event in events:
            missing.setdefault(event.item.id, event)
        for _ in range(MAX_ATTEMPTS):
            if not missing:
                return stored
            try:
                await self._log.append([_build_draft(event, context) for event in missing.values()])
            except (Conflict, AlreadyStored, OutcomeUnknown):
                found = await asyncio.gather(*[self._find_stored(id_, context) for id_ in missing])
                there = {one.item.id: one for one in found if one is not None}
            else:
                there = {
                    id_: StoredItem(event.item, created=True) for id_, event in missing.items()
                }
            stored |= there
            missing = {id_: event for id_, event in missing.items() if id_ not in there}
        if missing:
            raise TooManyConflicts(
                f"{len(missing)} items could not be added in {MAX_ATTEMPTS} attempts"
            )
        return stored

    async def _find_stored(self, id_: str, context: RequestContext) -> StoredItem | None:
        """The item on the tape. An answer that got lost, and a command that came twice, are known
        by the command that is noted with the event."""
        recorded = await self._read_first(str(_item_subject(id_)))
        if recorded is None:
            return None
        event = recorded.event
        if not isinstance(event, ItemAnalysed):
            raise TypeError(f"{recorded} is no item")
        return StoredItem(event.item, created=recorded.metadata.causation == context.command_id)

    async def _read_first(self, subject: str) -> RecordedEvent | None:
        """The event, if the leader knows of one. Raises Unavailable when a replica lags on."""
        for attempt in range(MAX_READS):
            page = await self._log.page(subject, after=0, limit=1)
            if page.events:
                return page.events[0]
            if not await self._log.last_sequence(subject):
                return None
            await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * 2**attempt)
        raise Unavailable(f"{subject} is there, and a replica does not have it yet")


def _item_subject(id_: str) -> EventSubject:
    return EventSubject(EVERYBODY, DOMAIN, id_)


def _build_draft(event: ItemAnalysed, context: RequestContext) -> EventDraft:
    meta = EventMetadata(
        id=f"item.{event.item.id}",
        correlation=context.correlation,
        causation=context.command_id,
        traceparent=context.traceparent,
    )
    return EventDraft(
        subject=_item_subject(event.item.id), event=event, metadata=meta, expected_sequence=0
    )
