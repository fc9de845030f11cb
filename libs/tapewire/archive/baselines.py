"""Baselines: the checkpoints that users' views are loaded from once older events are archived.

They are the checkpoints that the services write anyway. Services write one after 64 events of a
user, so here those are written that do not cover all events before the horizon yet.

All missing ones are folded together while the log is read once, each from the stored checkpoint on.
A baseline replaces that checkpoint and no later one, which covers more. Memory holds `MAX_VIEWS`
views at most, and `MAX_CHANGED_BLOCKS` blocks of histories that are not stored yet; for more views
the log is read again. Start at `BaselineWriter`.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import msgspec

from tapewire.log import (
    BadSubject,
    Conflict,
    EventLog,
    LatestValueStore,
    LogError,
    OutcomeUnknown,
    RecordedEvent,
    Unavailable,
    pattern,
)
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint_revision, restore_state
from tapewire.log.history_store import HistoryWriter
from tapewire.log.page_reader import read_pages
from tapewire.log.view_checkpoints import EVENTS_PER_STEP, apply_event, checkpoint_name, save
from tapewire.log.work_progress import OnProgress, WorkProgress
from tapewire.verify.checkpoints import VIEW_TYPES
from tapewire.views import HistoryView

MAX_VIEWS = 5_000
"""Views that are folded in one reading of the log."""
MAX_CHANGED_BLOCKS = 256
"""Full blocks of all histories together that are held until they are stored."""
MAX_ATTEMPTS = 5
"""Readings, if services store views at the same time or the journal does not answer."""
RETRY_SECONDS = 1.0

OwnerAndDomain = tuple[str, str]


@dataclass(eq=False)
class _Fold:
    """A view that is folded. The stored checkpoint `name` is as of `start`, 0 if there is none, and
    has `revision`; `writer` replaces that of a history. Once `is_lost`, it is not stored."""

    view: Any
    name: str
    owner: str
    start: int
    revision: int
    writer: HistoryWriter | None = None
    is_lost: bool = False


class BaselineWriter:
    """Learns which views the events before the horizon concern, and writes their baselines."""

    def __init__(self, log: EventLog, checkpoint_store: LatestValueStore) -> None:
        self._log = log
        self._store = checkpoint_store
        self._last_events: dict[OwnerAndDomain, tuple[int, str]] = {}
        """The sequence and the subject of the last event that concerns a view."""
        self._types_by_domain: defaultdict[str, list[Any]] = defaultdict(list)
        for view_type in VIEW_TYPES.values():
            self._types_by_domain[view_type.domain].append(view_type)
        self._written = 0

    def apply(self, recorded: RecordedEvent) -> None:
        """Take note of the next event before the horizon."""
        key = _owner_and_domain(recorded)
        if key[1] in self._types_by_domain:
            self._last_events[key] = recorded.sequence, recorded.subject

    async def write(self, up_to: int, on_progress: OnProgress) -> int:
        """Write the baselines that are missing, as of sequence `up_to`; how many were written.

        Args:
            on_progress: called for each page that was read.

        Raises:
            LogError: the journal cannot be read, or the store not be written.
        """
        wanted = [
            (view_type, owner)
            for owner, domain in self._last_events
            for view_type in self._types_by_domain[domain]
        ]
        error: LogError = Conflict("services stored views again each time before these were")
        for _ in range(MAX_ATTEMPTS):
            try:
                conflicts = 0
                for first in range(0, len(wanted), MAX_VIEWS):
                    part = wanted[first : first + MAX_VIEWS]
                    on_progress(WorkProgress("baselines", first, len(wanted), "views"))
                    conflicts += await self._write_part(part, up_to, on_progress)
                if not conflicts:
                    return self._written
            except (Unavailable, OutcomeUnknown) as unavailable:
                error = unavailable
                await asyncio.sleep(RETRY_SECONDS)
        raise error

    async def _write_part(
        self, part: list[tuple[Any, str]], up_to: int, on_progress: OnProgress
    ) -> int:
        """Write those of some views; how many a service stored at the same time."""
        bounds, folds = await self._log.bounds(), list[_Fold]()
        for view_type, owner in part:
            fold = await self._start(view_type, owner, bounds)
            if fold is not None:
                folds.append(fold)
        await self._fold_all(folds, up_to, bounds, on_progress)
        stored = [await self._try_to_store(fold, up_to, bounds) for fold in folds]
        self._written += sum(stored)
        return len(folds) - sum(stored)

    async def _fold_all(
        self,
        folds: list[_Fold],
        up_to: int,
        bounds: Bounds,
        on_progress: OnProgress,
    ) -> None:
        """Read the log up to `up_to` and apply each event to the views that it concerns."""
        by_key, changed = defaultdict[OwnerAndDomain, list[_Fold]](list), set[_Fold]()
        for fold in folds:
            by_key[fold.owner, fold.view.domain].append(fold)
        after = min((fold.start for fold in folds), default=up_to)
        async for events in read_pages(self._log, pattern(), after=after, up_to=up_to):
            for number, recorded in enumerate(events, 1):
                for fold in by_key.get(_owner_and_domain(recorded), ()):
                    if recorded.sequence > fold.start and not fold.is_lost:
                        apply_event(fold.view, recorded)
                        changed.add(fold)
                if not number % EVENTS_PER_STEP:
                    await self._store_blocks(changed, recorded.sequence, bounds)
            if events:
                phase = f"folding {len(folds):,} views"
                on_progress(WorkProgress(phase, events[-1].sequence, up_to, "events"))

    async def _start(self, view_type: Any, owner: str, bounds: Bounds) -> _Fold | None:
        """The stored view, to be folded further; None if its baseline is not missing."""
        last, subject = self._last_events[owner, view_type.domain]
        if not await self._log.last_sequence(subject):
            return None
        name = checkpoint_name(view_type)
        key = checkpoint_key(owner, name)
        checkpoint, revision = await read_checkpoint_revision(self._store, key)
        if checkpoint is not None and checkpoint.is_ahead_of(bounds):
            bounds = await self._log.bounds()
        view = restore_state(checkpoint, bounds, view_type.decode, name=key)
        start = 0 if checkpoint is None or view is None else checkpoint.as_of
        if start >= last:
            return None
        fold = _Fold(view_type() if view is None else view, name, owner, start, revision)
        if isinstance(fold.view, HistoryView):
            fold.writer = HistoryWriter(self._store, view_type, owner, bounds, revision)
        return fold

    async def _store_blocks(self, changed: set[_Fold], as_of: int, bounds: Bounds) -> None:
        """Store the changed histories if they have many blocks."""
        histories = [fold for fold in changed if fold.writer is not None]
        if sum(fold.view.changed_block_count for fold in histories) >= MAX_CHANGED_BLOCKS:
            for fold in histories:
                if fold.view.changed_block_count:
                    await self._try_to_store(fold, as_of, bounds)
            changed.clear()

    async def _try_to_store(self, fold: _Fold, as_of: int, bounds: Bounds) -> bool:
        """Whether the view could be stored: not if a service has stored it meanwhile, or if its
        events were removed, because the user was erased."""
        subject = self._last_events[fold.owner, fold.view.domain][1]
        if fold.is_lost or not await self._log.last_sequence(subject):
            fold.is_lost = True
            return False
        try:
            if fold.writer is not None:
                await fold.writer.store(fold.view, as_of)
            else:
                end = msgspec.structs.replace(bounds, last=as_of)
                await save(
                    self._store, fold.owner, fold.name, fold.view, end, revision=fold.revision
                )
        except Conflict:
            fold.is_lost = True
        return not fold.is_lost


def _owner_and_domain(recorded: RecordedEvent) -> OwnerAndDomain:
    """The owner and the domain of an event; empty if its subject is none of Tapewire's."""
    try:
        subject = recorded.event_subject
    except BadSubject:
        return "", ""
    return subject.owner, subject.domain
