"""Appends items to the log, each once, many in one atomic batch.

Every item has a subject of its own, and an append expects that subject to be empty. In the common
case all items are new and one append suffices. Only if that is rejected, the writer reads which
items are stored. Repeated or concurrent requests add no item twice.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from tapewire.events import Item, ItemAnalysed, ItemChangedEvent
from tapewire.log import (
    EVERYBODY,
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    OutcomeUnknown,
    TooManyConflicts,
    Unavailable,
)
from tapewire.runtime import RequestContext

DOMAIN = "items"
MAX_ATTEMPTS = 8
"""Appends that are tried before conflicts raise TooManyConflicts."""
MAX_READS = 5
INITIAL_LAG_WAIT_SECONDS = 0.02
"""How long a replica gets to catch up before the second read; doubled before each later one."""


class StoredItem(msgspec.Struct, frozen=True):
    """An item as stored. `created` is true if the current command stored it."""

    item: Item
    created: bool


class ItemWriter:
    """Appends items to the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def add(
        self, events: Sequence[ItemAnalysed], context: RequestContext
    ) -> dict[str, StoredItem]:
        """Store every item of `events` that is not stored yet; return the stored items by id.

        Raises:
            TooManyConflicts: Others kept adding the same items.
            LogError: The log cannot be reached or rejects the items.
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
                batch = {one.item.id: one for one in found if one is not None}
            else:
                batch = {
                    id_: StoredItem(event.item, created=True) for id_, event in missing.items()
                }
            stored |= batch
            missing = {id_: event for id_, event in missing.items() if id_ not in batch}
        if missing:
            raise TooManyConflicts(
                f"{len(missing)} items could not be added in {MAX_ATTEMPTS} attempts"
            )
        return stored

    async def _find_stored(self, id_: str, context: RequestContext) -> StoredItem | None:
        """Return the stored item of `id_` as it is now, or None.

        The event's causation is the command id, so an item that this command stored before a lost
        acknowledgement or a repetition counts as created by it.
        """
        recorded = await read_last_event(self._log, id_)
        if recorded is None:
            return None
        is_own = recorded.metadata.causation == context.command_id
        created = is_own and isinstance(recorded.event, ItemAnalysed)
        return StoredItem(recorded.event.item, created=created)


class RecordedItem(msgspec.Struct, frozen=True):
    """The last event of an item, and where it is recorded."""

    event: ItemAnalysed | ItemChangedEvent
    sequence: int
    metadata: EventMetadata


async def read_last_event(log: EventLog, id_: str) -> RecordedItem | None:
    """Return the last event of the item `id_`; None if it has none.

    Raises:
        Unavailable: A replica lags too long.
    """
    subject = str(item_subject(id_))
    for attempt in range(MAX_READS):
        sequence = await log.last_sequence(subject)
        if not sequence:
            return None
        page = await log.page(subject, after=sequence - 1, limit=1)
        if page.events:
            recorded = page.events[0]
            if not isinstance(recorded.event, ItemAnalysed | ItemChangedEvent):
                raise TypeError(f"{recorded} is no item")
            return RecordedItem(recorded.event, recorded.sequence, recorded.metadata)
        await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * 2**attempt)
    raise Unavailable(f"{subject} is there, and a replica does not have it yet")


def item_subject(id_: str) -> EventSubject:
    """The subject of the events of an item."""
    return EventSubject(EVERYBODY, DOMAIN, id_)


def _build_draft(event: ItemAnalysed, context: RequestContext) -> EventDraft:
    meta = EventMetadata(
        id=f"item.{event.item.id}",
        correlation=context.correlation,
        causation=context.command_id,
        traceparent=context.traceparent,
    )
    return EventDraft(
        subject=item_subject(event.item.id), event=event, metadata=meta, expected_sequence=0
    )
