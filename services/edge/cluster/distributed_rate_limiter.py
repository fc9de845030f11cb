"""A rate limit that all edge processes enforce together: of the new streams from an address, and of
the calls of a user.

Each process counts the attempts that it lets through and publishes the counts every
`PUBLISH_INTERVAL_SECONDS`; the others add them to their own. Clients that reach all processes
within one interval can exceed the limit once. A lost message allows a few attempts more.
"""

import asyncio
from collections import Counter

import msgspec

from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel
from tapewire_services.edge.cluster.limits import RateLimiter, RetryAfter

STREAMS_TOPIC = "edge.came"
CALLS_TOPIC = "edge.calls"
PUBLISH_INTERVAL_SECONDS = 0.1
MAX_KEYS_PER_MESSAGE = 4096
"""An address has at most 43 characters, a key of a user 24."""


class AttemptCounts(msgspec.Struct, frozen=True):
    """The attempts of each address that `process` let through since its last message."""

    process: str
    counts: dict[str, int]


class DistributedRateLimiter:
    """`limiter`, fed with the attempts at all processes, which tell each other on `topic`."""

    def __init__(
        self,
        broadcast: Broadcast,
        instance: str,
        limiter: RateLimiter,
        topic: str = STREAMS_TOPIC,
    ) -> None:
        self._channel: Channel[AttemptCounts] = Channel(broadcast, topic, AttemptCounts)
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
        counts = dict(self._unpublished.most_common(MAX_KEYS_PER_MESSAGE))
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
