"""Carries the words of rosters between edge processes, and tells each other of tests.

Run it by `run`. What is lost on the way the rosters notice by themselves: a call for everybody's
list follows each gap that NATS tells of, and `Here` is said every few seconds.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable

import structlog

from services.edge.roster import Entry, Gone, Roster, Tell, Word
from tapewire.log import LogError
from tapewire.runtime.broadcast import Broadcast

TOPIC = "edge.roster"
HERE_SECONDS = 3.0
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.rollcall")


class Rollcall:
    """A process's roster among the others'."""

    def __init__(
        self,
        broadcast: Broadcast,
        instance: str,
        most: int,
        on_excess: Callable[[str], None],
    ) -> None:
        self.roster = Roster(instance, most, on_excess)
        self._broadcast = broadcast
        self._instance = instance
        self._to_say: asyncio.Queue[Word] = asyncio.Queue()
        self._clock = asyncio.get_running_loop().time

    def opened(self, client: str, user: str | None, at: float) -> None:
        """This process has a new connection."""
        self._to_say.put_nowait(self.roster.open(Entry(client, user, at)))

    def closed(self, client: str) -> None:
        """A connection of this process is gone."""
        word = self.roster.close(client)
        if word is not None:
            self._to_say.put_nowait(word)

    async def run(self) -> None:
        """Say and hear until cancelled."""
        while True:
            try:
                subscription = await self._broadcast.hear(TOPIC, Word, self._hear, self._on_gap)
                break
            except LogError as error:
                logger.warning("cannot listen yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        self._on_gap("new")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._say())
                group.create_task(self._tick())
        finally:
            await subscription.close()

    async def leaves(self) -> None:
        """Tell the others that this process begins to send its clients away. They have it before
        any of these clients can come to them, where the log can be reached at all."""
        await self._broadcast.say(TOPIC, self.roster.leave(), arrives=True)

    async def leave(self) -> None:
        """Tell the others that this process's connections are gone."""
        with contextlib.suppress(LogError):
            await self._broadcast.say(TOPIC, Gone(self._instance))

    def _hear(self, word: Word) -> None:
        self._put(self.roster.hear(word, self._clock()))

    def _on_gap(self, _reason: str) -> None:
        self._put([Tell(None), *self.roster.whole()])

    def _put(self, words: Iterable[Word]) -> None:
        for word in words:
            self._to_say.put_nowait(word)

    async def _say(self) -> None:
        while True:
            await self._broadcast.say(TOPIC, await self._to_say.get())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(HERE_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            self.roster.look(self._clock())
            self._put([self.roster.here()])
