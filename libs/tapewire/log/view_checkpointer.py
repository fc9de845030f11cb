"""Writes checkpoints of users' views. With them, loading a snapshot reads few events.

A durable subscription counts each user's events. Once a second the checkpointer loads and saves the
views of users with `MIN_CHECKPOINT_EVENTS` or more. A saved view covers everything in the log at
that time, so events that the subscription delivers late are not counted again. A large view is
saved less often, in proportion to its size. Counts live in memory: a lost count delays a checkpoint
and has no other effect. Start at `ViewCheckpointer`.
"""

import asyncio
from collections import OrderedDict
from typing import Any

import structlog

from tapewire.log import view_checkpoints
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import CHECKPOINT_BYTES_PER_SECOND
from tapewire.log.history_store import HistoryType, store_history
from tapewire.log.ports import Conflict, EventLog, LatestValueStore, LogError, RecordedEvent
from tapewire.log.subjects import pattern
from tapewire.log.view_checkpoints import View, ViewType

CHECKPOINT_INTERVAL_SECONDS = 1.0
MIN_CHECKPOINT_EVENTS = 64
"""Events of a user since the last checkpoint that justify another."""
MAX_HISTORY_STEPS = 4
"""Steps of storing one user's history before other users' views are saved."""
MAX_COUNTED_USERS = 10_000
"""Users whose events are counted. Beyond that the checkpointer forgets the user without events for
the longest time."""

logger = structlog.get_logger("tapewire.checkpoint")


def durable_name(view_type: ViewType[View]) -> str:
    """The name of the durable subscription that counts the events of a view."""
    return f"{view_checkpoints.checkpoint_name(view_type)}-view"


class _EventCount:
    """The events of one user since the checkpoint at `checkpoint_sequence`, and the subject of the
    last one."""

    __slots__ = ("checkpoint_sequence", "events", "last_subject", "next_save_at")

    def __init__(self) -> None:
        self.last_subject = ""
        self.events = self.checkpoint_sequence = 0
        self.next_save_at = 0.0


class ViewCheckpointer:
    """Counts events and saves checkpoints of one view, and of the history of the same domain if
    there is one. `handle` is the handler of the durable subscription; `run` saves."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        view_type: ViewType[View] | None,
        history_type: HistoryType[Any] | None = None,
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._view_type: Any = view_type
        self._history_type = history_type
        self._main_type: Any = view_type or history_type
        self._counts: OrderedDict[str, _EventCount] = OrderedDict()
        self._last_event: RecordedEvent | None = None

    @property
    def durable_name(self) -> str:
        """The name of the durable subscription that all processes share."""
        return durable_name(self._main_type)

    @property
    def domain(self) -> str:
        """The domain of the events that change the views."""
        domain: str = self._main_type.domain
        return domain

    async def handle(self, recorded: RecordedEvent) -> None:
        """Count a user's event, unless a newer checkpoint already covers it."""
        self._detect_recreated_log(recorded)
        user = recorded.event_subject.owner
        count = self._counts.get(user)
        if count is None:
            count = self._counts[user] = _EventCount()
        if recorded.sequence > count.checkpoint_sequence:
            count.events += 1
            count.last_subject = recorded.subject
        self._counts.move_to_end(user)
        if len(self._counts) > MAX_COUNTED_USERS:
            self._counts.popitem(last=False)

    def _detect_recreated_log(self, recorded: RecordedEvent) -> None:
        """Forget all counts if a later event has a lower sequence: the log was recreated."""
        last = self._last_event
        if last is not None and recorded.sequence <= last.sequence:
            if recorded.time <= last.time:
                return
            self._counts.clear()
        self._last_event = recorded

    def users_due(self) -> list[str]:
        """The users whose view is worth saving."""
        now = asyncio.get_running_loop().time()
        return [
            user
            for user, count in self._counts.items()
            if count.events >= MIN_CHECKPOINT_EVENTS and count.next_save_at <= now
        ]

    async def run(self) -> None:
        """Save the views that are due, once a second, until cancelled."""
        while True:
            await asyncio.sleep(CHECKPOINT_INTERVAL_SECONDS)
            for user in self.users_due():
                await self._save(user)

    async def _save(self, user: str) -> None:
        count = self._counts.get(user) or _EventCount()
        counted_events = count.events
        try:
            if await self._is_erased(user, count):
                self._counts.pop(user, None)
                return
            bounds = await self._log.bounds()
            if self._history_type is not None and not await store_history(
                self._log,
                self._checkpoint_store,
                self._history_type,
                user,
                bounds,
                max_steps=MAX_HISTORY_STEPS,
            ):
                return  # the next round goes on; other users come first
            size = 0 if self._view_type is None else await self._save_view(user, bounds)
        except Conflict:
            return  # another process has stored it meanwhile; the next round sees that
        except LogError as error:
            logger.warning("checkpoint.write_failed", user_id=user, error=str(error))
            return
        count.events -= counted_events
        count.checkpoint_sequence = bounds.last
        pause = max(0.0, size / CHECKPOINT_BYTES_PER_SECOND - CHECKPOINT_INTERVAL_SECONDS)
        count.next_save_at = asyncio.get_running_loop().time() + pause

    async def _is_erased(self, user: str, count: _EventCount) -> bool:
        """Whether no event of the user is left. One subject is looked up at once; for all of them
        the server looks at each, which takes tens of milliseconds if they are a million."""
        if count.last_subject and await self._log.last_sequence(count.last_subject):
            return False
        return not await self._log.last_sequence(pattern(owner=user, domain=self.domain))

    async def _save_view(self, user: str, bounds: Bounds) -> int:
        """Save the view as of ``bounds.last``; returns the bytes of its state."""
        view, bounds, start = await view_checkpoints.load_with_start(
            self._log, self._checkpoint_store, self._view_type, user, bounds=bounds
        )
        name = view_checkpoints.checkpoint_name(self._view_type)
        return await view_checkpoints.save(
            self._checkpoint_store, user, name, view, bounds, revision=start.revision
        )
