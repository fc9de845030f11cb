"""Checkpoints of users' views, so that a snapshot is a short read.

A durable reaction counts each user's events; once a second the views of those with
`CHECKPOINT_EVENTS` or more are brought up to date and saved. A view that is saved holds all that
the log had then, so what a reaction far behind hands out later is not counted for it. Checkpoints
only save time: counts that a crash or a full memory forgets make one later, never wrong.
"""

import asyncio
from collections import OrderedDict

import structlog

from tapewire.log import views
from tapewire.log.port import EventLog, LogError, Recorded, Values
from tapewire.log.views import View, ViewType

CHECKPOINT_SECONDS = 1.0
CHECKPOINT_EVENTS = 64
"""Events of a user since its last checkpoint that make another worth while."""
USERS = 10_000
"""Users whose events are counted; the one that was quiet longest is forgotten."""

logger = structlog.get_logger("tapewire.projector")


class _Count:
    """Events of a user since the checkpoint, which holds all `upto`."""

    __slots__ = ("events", "upto")

    def __init__(self) -> None:
        self.events = self.upto = 0


class Projector:
    """`note` is the reaction's handler, `run` saves."""

    def __init__(self, log: EventLog, values: Values, kind: ViewType[View]) -> None:
        self._log = log
        self._values = values
        self._kind = kind
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._newest: Recorded | None = None

    @property
    def reaction(self) -> str:
        """The name to react under, which all processes share."""
        return f"{views.name_of(self._kind)}-view"

    async def note(self, recorded: Recorded) -> None:
        """Count an event of a user, unless a checkpoint that was saved meanwhile holds it."""
        self._notice(recorded)
        user = recorded.place.owner
        count = self._counts.get(user)
        if count is None:
            count = self._counts[user] = _Count()
        if recorded.sequence > count.upto:
            count.events += 1
        self._counts.move_to_end(user)
        if len(self._counts) > USERS:
            self._counts.popitem(last=False)

    def _notice(self, recorded: Recorded) -> None:
        """What came later under a lower number is of a log that was made anew."""
        newest = self._newest
        if newest is not None and recorded.sequence <= newest.sequence:
            if recorded.time <= newest.time:
                return
            self._counts.clear()
        self._newest = recorded

    def due(self) -> list[str]:
        """Users whose checkpoint is worth renewing."""
        return [user for user, one in self._counts.items() if one.events >= CHECKPOINT_EVENTS]

    async def run(self) -> None:
        """Save what is due, once a second, until canceled."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            for user in self.due():
                await self._save(user)

    async def _save(self, user: str) -> None:
        count = self._counts.get(user, _Count())
        noted = count.events
        try:
            view, bounds = await views.load(self._log, self._values, self._kind, user)
            await views.save(self._values, user, views.name_of(self._kind), view, bounds)
        except LogError as error:
            logger.warning("cannot keep a checkpoint", user=user, error=str(error))
            return
        count.events -= noted
        count.upto = bounds.last
