"""Baselines: the checkpoints that users' views are loaded from once older events are archived.

They are the checkpoints that the services write anyway. Services write one after 64 events of a
user, so here those are written that do not cover all events before the horizon yet. Start at
`BaselineWriter`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tapewire.log import (
    BadSubject,
    Conflict,
    EventLog,
    LatestValueStore,
    OutcomeUnknown,
    RecordedEvent,
    Unavailable,
)
from tapewire.log import view_checkpoints as checkpoints
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint
from tapewire.log.history_store import store_history
from tapewire.verify.checkpoints import VIEW_TYPES
from tapewire.views import HistoryView

MAX_CONCURRENT_VIEWS = 4
MAX_ATTEMPTS = 5
"""Tries for a view that a service stores at the same time, or while the journal does not answer."""
RETRY_SECONDS = 1.0


class BaselineWriter:
    """Learns which views the events before the horizon concern, and writes their baselines."""

    def __init__(self, log: EventLog, checkpoint_store: LatestValueStore) -> None:
        self._log = log
        self._store = checkpoint_store
        self._last_sequences: dict[tuple[str, str], int] = {}
        self._types_by_domain: defaultdict[str, list[Any]] = defaultdict(list)
        for view_type in VIEW_TYPES.values():
            self._types_by_domain[view_type.domain].append(view_type)

    def apply(self, recorded: RecordedEvent) -> None:
        """Take note of the next event before the horizon."""
        try:
            subject = recorded.event_subject
        except BadSubject:
            return
        if subject.domain in self._types_by_domain:
            self._last_sequences[subject.owner, subject.domain] = recorded.sequence

    async def write(self, on_progress: Callable[[int, int], None]) -> int:
        """Write the baselines that are missing; how many were written.

        Args:
            on_progress: receives the number of views that were examined, and of all.

        Raises:
            LogError: the journal cannot be read, or the store not be written.
        """
        bounds, written = await self._log.bounds(), 0
        wanted = [
            (view_type, owner, last)
            for (owner, domain), last in self._last_sequences.items()
            for view_type in self._types_by_domain[domain]
        ]
        for start in range(0, len(wanted), MAX_CONCURRENT_VIEWS):
            part = wanted[start : start + MAX_CONCURRENT_VIEWS]
            written += sum(await asyncio.gather(*(self._ensure(*one, bounds) for one in part)))
            on_progress(start + len(part), len(wanted))
        return written

    async def _ensure(self, view_type: Any, owner: str, last: int, bounds: Bounds) -> bool:
        """Whether the checkpoint of a view had to be written to cover the event at `last`. Tries
        again while the journal does not answer: beginning with the first view would take long."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._try_to_ensure(view_type, owner, last, bounds)
            except (Conflict, Unavailable, OutcomeUnknown) as error:
                if attempt == MAX_ATTEMPTS:
                    raise
                if not isinstance(error, Conflict):
                    await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError  # the last try returned or raised

    async def _try_to_ensure(self, view_type: Any, owner: str, last: int, bounds: Bounds) -> bool:
        name = checkpoints.checkpoint_name(view_type)
        checkpoint = await read_checkpoint(self._store, checkpoint_key(owner, name))
        if checkpoint is not None and checkpoint.is_usable(bounds) and checkpoint.as_of >= last:
            return False
        if issubclass(view_type, HistoryView):
            await store_history(self._log, self._store, view_type, owner)
        else:
            await self._store_view(view_type, owner)
        return True

    async def _store_view(self, view_type: Any, owner: str) -> None:
        view, bounds, start = await checkpoints.load_with_start(
            self._log, self._store, view_type, owner
        )
        name = checkpoints.checkpoint_name(view_type)
        await checkpoints.save(self._store, owner, name, view, bounds, revision=start.revision)
