"""Attempts from an address, counted by all edge processes together.

Each process says every so often who came to it, and counts who came to the others. A crowd that
comes to all of them within that time gets in everywhere once; nobody keeps more than was allowed.
What is lost on the way is an attempt more for somebody. Run it by `run`.
"""

import asyncio
from collections import Counter

import msgspec
import structlog

from tapewire.log import LogError
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.limits import RateLimiter, RetryAfter

TOPIC = "edge.came"
PUBLISH_INTERVAL_SECONDS = 0.1
MAX_ADDRESSES_PER_MESSAGE = 4096
"""In one word: an address has 43 characters at the most."""
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.comings")


class AttemptCounts(msgspec.Struct, frozen=True):
    """So many attempts of each address were let through by `process` since it last said so."""

    process: str
    counts: dict[str, int]


class DistributedRateLimiter:
    """The attempts at a process, and at the others."""

    def __init__(self, broadcast: Broadcast, instance: str, limiter: RateLimiter) -> None:
        self._broadcast = broadcast
        self._instance = instance
        self._limiter = limiter
        self._unpublished: Counter[str] = Counter()
        self._has_unpublished = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    def try_acquire(self, address: str) -> RetryAfter | None:
        """Count an attempt of `address`, None; or how long to wait, and nothing is counted."""
        wait = self._limiter.try_acquire(address, self._clock())
        if wait is None:
            self._unpublished[address] += 1
            self._has_unpublished.set()
        return wait

    async def run(self) -> None:
        """Say and hear until cancelled."""
        while True:
            try:
                subscription = await self._broadcast.subscribe(TOPIC, AttemptCounts, self._receive)
                break
            except LogError as error:
                logger.warning("cannot listen yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        try:
            while True:
                await self._has_unpublished.wait()
                await self._publish()
                await asyncio.sleep(PUBLISH_INTERVAL_SECONDS)
        finally:
            await subscription.close()

    async def _publish(self) -> None:
        said = dict(self._unpublished.most_common(MAX_ADDRESSES_PER_MESSAGE))
        for address in said:
            del self._unpublished[address]
        if not self._unpublished:
            self._has_unpublished.clear()
        await self._broadcast.publish(TOPIC, AttemptCounts(self._instance, said))

    def _receive(self, message: AttemptCounts) -> None:
        if message.process != self._instance:
            now = self._clock()
            for address, count in message.counts.items():
                self._limiter.record(address, count, now)
