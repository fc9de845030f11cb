"""Attempts from an address, counted by all edge processes together.

Each process says every so often who came to it, and counts who came to the others. A crowd that
comes to all of them within that time gets in everywhere once; nobody keeps more than was allowed.
What is lost on the way is an attempt more for somebody. Run it by `run`.
"""

import asyncio
from collections import Counter

import msgspec
import structlog

from services.edge.limits import Attempts, Wait
from tapewire.log import LogError
from tapewire.runtime.broadcast import Broadcast

TOPIC = "edge.came"
SAY_SECONDS = 0.1
MOST_ADDRESSES = 4096
"""In one word: an address has 43 characters at the most."""
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.comings")


class Came(msgspec.Struct, frozen=True):
    """So many attempts of each address were let through by `process` since it last said so."""

    process: str
    counts: dict[str, int]


class Comings:
    """The attempts at a process, and at the others."""

    def __init__(self, broadcast: Broadcast, process: str, attempts: Attempts) -> None:
        self._broadcast = broadcast
        self._process = process
        self._attempts = attempts
        self._unsaid: Counter[str] = Counter()
        self._some = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    def take(self, address: str) -> Wait | None:
        """Count an attempt of `address`, None; or how long to wait, and nothing is counted."""
        wait = self._attempts.take(address, self._clock())
        if wait is None:
            self._unsaid[address] += 1
            self._some.set()
        return wait

    async def run(self) -> None:
        """Say and hear until cancelled."""
        while True:
            try:
                subscription = await self._broadcast.hear(TOPIC, Came, self._hear)
                break
            except LogError as error:
                logger.warning("cannot listen yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        try:
            while True:
                await self._some.wait()
                await self._say()
                await asyncio.sleep(SAY_SECONDS)
        finally:
            await subscription.close()

    async def _say(self) -> None:
        said = dict(self._unsaid.most_common(MOST_ADDRESSES))
        for address in said:
            del self._unsaid[address]
        if not self._unsaid:
            self._some.clear()
        await self._broadcast.say(TOPIC, Came(self._process, said))

    def _hear(self, word: Came) -> None:
        if word.process != self._process:
            now = self._clock()
            for address, count in word.counts.items():
                self._attempts.add(address, count, now)
