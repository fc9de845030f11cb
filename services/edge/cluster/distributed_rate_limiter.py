"""A limit of connection attempts from an address that all edge processes enforce together.

Each process counts the attempts that it lets through and publishes the counts every
`PUBLISH_INTERVAL_SECONDS`; the others add them to their own. Clients that reach all processes
within one interval can exceed the limit once. A lost message allows an address a few attempts more.
"""

import asyncio
from collections import Counter

import msgspec

from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel
from tapewire_services.edge.cluster.limits import RateLimiter, RetryAfter

TOPIC = "edge.came"
PUBLISH_INTERVAL_SECONDS = 0.1
MAX_ADDRESSES_PER_MESSAGE = 4096
"""An address has at most 43 characters."""


class AttemptCounts(msgspec.Struct, frozen=True):
    """The attempts of each address that `process` let through since its last message."""

    process: str
    counts: dict[str, int]


class DistributedRateLimiter:
    """`limiter`, fed with the attempts at all processes."""

    def __init__(self, broadcast: Broadcast, instance: str, limiter: RateLimiter) -> None:
        self._channel: Channel[AttemptCounts] = Channel(broadcast, TOPIC, AttemptCounts)
        self._instance = instance
        self._limiter = limiter
        self._unpublished: Counter[str] = Counter()
        self._has_unpublished = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    def try_acquire(self, address: str) -> RetryAfter | None:
        """Count an attempt of `address` and return None; over the limit, count nothing and return
        how long to wait."""
        rejection = self._limiter.try_acquire(address, self._clock())
        if rejection is None:
            self._unpublished[address] += 1
            self._has_unpublished.set()
        return rejection

    async def run(self) -> None:
        """Exchange counts with the other processes, until cancelled."""
        async with self._channel.subscribe(self._receive):
            while True:
                await self._has_unpublished.wait()
                await self._publish()
                await asyncio.sleep(PUBLISH_INTERVAL_SECONDS)

    async def _publish(self) -> None:
        counts = dict(self._unpublished.most_common(MAX_ADDRESSES_PER_MESSAGE))
        for address in counts:
            del self._unpublished[address]
        if not self._unpublished:
            self._has_unpublished.clear()
        await self._channel.publish(AttemptCounts(self._instance, counts))

    def _receive(self, message: AttemptCounts) -> None:
        if message.process != self._instance:
            now = self._clock()
            for address, count in message.counts.items():
                self._limiter.record(address, count, now)
