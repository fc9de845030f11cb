"""Corrects and retracts items, each change once, at the number that the item has in the list.

A change expects the item's last event, so of two changes at a time the later one sees the earlier.
Start at `ItemChanger.change`.
"""

from collections.abc import Callable

import msgspec

from tapewire.events import Item, ItemChangedEvent, ItemCorrected, ItemRetracted
from tapewire.log import (
    EVERYBODY,
    AlreadyStored,
    CommandRejected,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    LatestValueStore,
    OutcomeUnknown,
    TooManyConflicts,
)
from tapewire.log.history import HistoryReader
from tapewire.log.list_cursor import decode_number
from tapewire.runtime import RequestContext
from tapewire.views import ItemHistory
from tapewire_services.insights.item_writer import (
    MAX_ATTEMPTS,
    RecordedItem,
    item_subject,
    read_last_event,
)

MAX_SEARCHES = 50
"""Readings of the list to find an item, of some 2,000 items each. Older items cannot be changed."""

ItemChange = Callable[[Item], Item]


class ChangedItem(msgspec.Struct, frozen=True):
    """The item after a command. `changed` is true if the command changed it."""

    item: Item
    changed: bool


class ItemChanger:
    """Appends corrections and retractions to the log."""

    def __init__(self, log: EventLog, values: LatestValueStore) -> None:
        self._log = log
        self._history = HistoryReader(log, values, ItemHistory)

    async def change(
        self, id_: str, change: ItemChange, reason: str, context: RequestContext
    ) -> ChangedItem:
        """Replace the item `id_` by ``change(item)``; nothing is stored if they are equal.

        Raises:
            CommandRejected: `not_found`: there is no such item, or it was retracted before.
            TooManyConflicts: Others kept changing it.
            LogError: The log cannot be reached.
        """
        for _ in range(MAX_ATTEMPTS):
            last = await read_last_event(self._log, id_)
            if last is None:
                raise CommandRejected("not_found", "there is no such item", "id")
            current = last.event.item
            if last.metadata.causation == context.command_id:
                return ChangedItem(current, isinstance(last.event, ItemChangedEvent))
            after = change(current)
            if after == current:
                return ChangedItem(current, changed=False)
            if current.retracted:
                raise CommandRejected("not_found", "the item was retracted", "id")
            event_type = ItemRetracted if after.retracted else ItemCorrected
            event = event_type(
                item=after, previous=current, number=await self._find_number(last), reason=reason
            )
            try:
                await self._log.append([_build_draft(event, last.sequence, context)])
            except (Conflict, AlreadyStored, OutcomeUnknown):
                continue
            return ChangedItem(after, changed=True)
        raise TooManyConflicts(f"the item could not be changed in {MAX_ATTEMPTS} attempts")

    async def _find_number(self, last: RecordedItem) -> int:
        """The number of the item in the list of all items."""
        if isinstance(last.event, ItemChangedEvent):
            return last.event.number
        id_, cursor = last.event.item.id, None
        for _ in range(MAX_SEARCHES):
            page = await self._history.read_matching_page(
                EVERYBODY, 1, cursor, lambda item: item.id == id_
            )
            if page.rows:
                if page.next is None:
                    return 0
                return decode_number(page.next, ItemHistory.domain, page.bounds.epochs)
            if page.next is None:
                break
            cursor = page.next
        raise CommandRejected("not_found", "the item is too old to be changed", "id")


def _build_draft(event: ItemChangedEvent, after: int, context: RequestContext) -> EventDraft:
    meta = EventMetadata(
        id=f"item.{event.item.id}.{after}",
        correlation=context.correlation,
        causation=context.command_id,
        traceparent=context.traceparent,
    )
    return EventDraft(
        subject=item_subject(event.item.id), event=event, metadata=meta, expected_sequence=after
    )
