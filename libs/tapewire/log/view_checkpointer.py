"""Checkpoints of users' view_checkpoints, so that a snapshot is a short read.

A durable reaction counts each user's events; once a second the views of those with
`CHECKPOINT_EVENTS` or more are brought up to date and saved. A view that is saved holds all that
the log had then, so what a reaction far behind hands out later is not counted for it. Checkpoints
only save time: counts that a crash or a full memory forgets make one later, never wrong.
"""

import asyncio
from collections import OrderedDict

import structlog

from tapewire.log import view_checkpoints
from tapewire.log.ports import EventLog, LatestValueStore, LogError, RecordedEvent
from tapewire.log.view_checkpoints import View, ViewType

CHECKPOINT_INTERVAL_SECONDS = 1.0
MIN_CHECKPOINT_EVENTS = 64
"""Events of a user since its last checkpoint that make another worth while."""
MAX_COUNTED_USERS = 10_000
"""Users whose events are counted; the one that was quiet longest is forgotten."""

logger = structlog.get_logger("tapewire.projector")


class _EventCount:
    """Events of a user since the checkpoint, which holds all `upto`."""

    __slots__ = ("checkpoint_sequence", "events")

    def __init__(self) -> None:
        self.events = self.checkpoint_sequence = 0


class ViewCheckpointer:
    """`note` is the reaction's handler, `run` saves."""

    def __init__(
        self, log: EventLog, checkpoint_store: LatestValueStore, view_type: ViewType[View]
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._view_type = view_type
        self._counts: OrderedDict[str, _EventCount] = OrderedDict()
        self._last_event: RecordedEvent | None = None

    @property
    def durable_name(self) -> str:
        """The name to react under, which all processes share."""
        return f"{view_checkpoints.checkpoint_name(self._view_type)}-view"

    async def handle(self, recorded: RecordedEvent) -> None:
        """Count an event of a user, unless a checkpoint that was saved meanwhile holds it."""
        self._detect_recreated_log(recorded)
        user = recorded.event_subject.owner
        count = self._counts.get(user)
        if count is None:
            count = self._counts[user] = _EventCount()
        if recorded.sequence > count.checkpoint_sequence:
            count.events += 1
        self._counts.move_to_end(user)
        if len(self._counts) > MAX_COUNTED_USERS:
            self._counts.popitem(last=False)

    def _detect_recreated_log(self, recorded: RecordedEvent) -> None:
        """What came later under a lower number is of a log that was made anew."""
        newest = self._last_event
        if newest is not None and recorded.sequence <= newest.sequence:
            if recorded.time <= newest.time:
                return
            self._counts.clear()
        self._last_event = recorded

    def users_due(self) -> list[str]:
        """Users whose checkpoint is worth renewing."""
        return [user for user, one in self._counts.items() if one.events >= MIN_CHECKPOINT_EVENTS]

    async def run(self) -> None:
        """Save what is due, once a second, until canceled."""
        while True:
            await asyncio.sleep(CHECKPOINT_INTERVAL_SECONDS)
            for user in self.users_due():
                await self._save(user)

    async def _save(self, user: str) -> None:
        count = self._counts.get(user, _EventCount())
        noted = count.events
        try:
            view, bounds = await view_checkpoints.load(
                self._log, self._checkpoint_store, self._view_type, user
            )
            await view_checkpoints.save(
                self._checkpoint_store,
                user,
                view_checkpoints.checkpoint_name(self._view_type),
                view,
                bounds,
            )
        except LogError as error:
            logger.warning("cannot keep a checkpoint", user=user, error=str(error))
            return
        count.events -= noted
        count.checkpoint_sequence = bounds.last
