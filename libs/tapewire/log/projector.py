"""Checkpoints of users' views, so that a snapshot is a short read.

A durable reaction counts each user's events; once a second the views of those with
`CHECKPOINT_EVENTS` or more are brought up to date and saved. Checkpoints only save time: counts
that a crash or a full memory forgets make one later, never wrong.
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


class Projector:
    """`note` is the reaction's handler, `run` saves."""

    def __init__(self, log: EventLog, values: Values, kind: ViewType[View]) -> None:
        self._log = log
        self._values = values
        self._kind = kind
        self._counts: OrderedDict[str, int] = OrderedDict()

    @property
    def reaction(self) -> str:
        """The name to react under, which all processes share."""
        return f"{views.name_of(self._kind)}-view"

    async def note(self, recorded: Recorded) -> None:
        """Count an event of a user."""
        user = recorded.place.owner
        self._counts[user] = self._counts.get(user, 0) + 1
        self._counts.move_to_end(user)
        if len(self._counts) > USERS:
            self._counts.popitem(last=False)

    def due(self) -> list[str]:
        """Users whose checkpoint is worth renewing."""
        return [user for user, count in self._counts.items() if count >= CHECKPOINT_EVENTS]

    async def run(self) -> None:
        """Save what is due, once a second, until canceled."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            for user in self.due():
                await self._save(user)

    async def _save(self, user: str) -> None:
        noted = self._counts.get(user, 0)
        try:
            view, bounds = await views.load(self._log, self._values, self._kind, user)
            await views.save(self._values, user, views.name_of(self._kind), view, bounds)
        except LogError as error:
            logger.warning("cannot keep a checkpoint", user=user, error=str(error))
            return
        if user in self._counts:
            self._counts[user] -= noted
