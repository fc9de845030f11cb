"""`ArchivedLog`: the events of an archive and of its journal, as one log that is read.

`tapewire verify --archive` reads it: it has every event from the archive's first to the journal's
last, although the journal itself holds only some of the archived ones.
"""

import asyncio
from bisect import bisect_left
from collections import OrderedDict

import msgspec

from tapewire.archive.files import Archive, ArchiveError, ArchiveSegment
from tapewire.log import Bounds, EventLog, Page, RecordedEvent, matches
from tapewire.log.jetstream.journal_record import IncarnationRecord
from tapewire.log.ports import PAGE_BYTES, PAGE_EVENTS
from tapewire.verify import RecordedRemovals

MAX_CACHED_SEGMENTS = 2


def recorded_removals(
    record: IncarnationRecord | None, archive: Archive | None
) -> RecordedRemovals:
    """What may be missing in a journal, and in its archive if there is one, by their records."""
    erased = 0 if archive is None else sum(one.missing for one in archive.manifest.segments)
    if record is None:
        return RecordedRemovals(count=erased)
    return RecordedRemovals(count=record.removed + erased, erased_first=record.erased_first)


class ArchivedLog:
    """Reads the archived events from files, and all later ones from `log`."""

    def __init__(self, log: EventLog, archive: Archive) -> None:
        self._log = log
        self._archive = archive
        self._segments = archive.manifest.segments
        self._last_sequences = [segment.last for segment in self._segments]
        self._cache: OrderedDict[str, list[RecordedEvent]] = OrderedDict()

    async def bounds(self) -> Bounds:
        """The extent of both together.

        Raises:
            ArchiveError: the archive is of another journal, or there is a gap between both.
            Unavailable: the journal cannot be read.
        """
        bounds, archive = await self._log.bounds(), self._archive
        if not bounds.includes(archive.manifest.epoch, archive.last):
            raise ArchiveError(
                f"{archive.folder} belongs to another journal: its epoch is "
                f"{archive.manifest.epoch}, that of the journal is {bounds.epoch}"
            )
        if bounds.first > archive.last + 1:
            raise ArchiveError(
                f"{archive.folder} ends at {archive.last}, but the journal begins at {bounds.first}"
            )
        return msgspec.structs.replace(bounds, first=archive.first)

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """As `EventLog.page`. In the archive, `remaining` is 1 if there are more events, else 0."""
        found = await self._find(filter, after)
        if not found:
            return await self._log.page(
                filter, after=max(after, self._archive.last), limit=limit, max_bytes=max_bytes
            )
        events = found[:limit]
        has_more = len(found) > limit or await self.next_sequence(filter, found[-1].sequence) > 0
        return Page(events, int(has_more))

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        """As `EventLog.next_sequence`."""
        found = await self._find(filter, after)
        if found:
            return found[0].sequence
        return await self._log.next_sequence(filter, max(after, self._archive.last))

    async def _find(self, filter_: str, after: int) -> list[RecordedEvent]:
        """The archived events after `after` that match, of the first segment that has any."""
        while after < self._archive.last:
            segment = self._segments[bisect_left(self._last_sequences, after + 1)]
            events = [
                event
                for event in await self._read(segment)
                if event.sequence > after and matches(filter_, event.subject)
            ]
            if events:
                return events
            after = segment.last
        return []

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        """As `EventLog.last_sequence`."""
        last = await self._log.last_sequence(filter)
        if last > self._archive.last:
            return last
        for segment in reversed(self._segments):
            for event in reversed(await self._read(segment)):
                if matches(filter, event.subject):
                    return event.sequence
        return 0

    async def _read(self, segment: ArchiveSegment) -> list[RecordedEvent]:
        found = self._cache.get(segment.file)
        if found is None:
            found = await asyncio.to_thread(self._archive.read_segment, segment)
            self._cache[segment.file] = found
            if len(self._cache) > MAX_CACHED_SEGMENTS:
                self._cache.popitem(last=False)
        return found
