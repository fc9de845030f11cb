"""Follows newest-wins values: what is stored, and every change, in the order of their stream.

Of two values of a key, the one that the stream holds later is newer (`StoredValue`). No time
decides that: neither one in the value, which is its producer's, nor the message server's. The
server keeps such streams in memory, so one may be made anew and count from 1 again. The follower
detects that by the stream's epoch, or by a stream that ends before a value that was received. It
then takes every stored value as newer than what it had.

One subscription receives the changes. All values are read again after a gap and, when asked for, on
a timer: nothing else repairs a lost last change. A change whose sequence is not above that of the
change before it is put aside until the values have been read again. Start at `ValueFollower.run`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.log.backoff import jittered, retry
from tapewire.log.light_objects import LightEvent
from tapewire.log.ports import LatestValueStore, Subscription
from tapewire.log.stored_value import StoredValue

logger = structlog.get_logger("tapewire.values")


class ValueFollower:
    """Calls `on_value` with each key and its newest value, whenever that is another one.

    The same bytes stored again are no other value: publishers store values again that they believe
    lost. A key stays known when the stream loses its value.

    Args:
        name: appears in logs.
        on_arrival: is called with the key of every change that arrives in order, also of the same
            bytes again, before `on_value`.
        reload_interval_seconds: mean time between two reads of all values, jittered by half; None
            reads again only after a gap.
    """

    __slots__ = (
        "_doubtful", "_epoch", "_highest_sequence", "_last_live_sequence", "_name", "_newest",
        "_on_arrival", "_on_value", "_reload_interval_seconds", "_reload_requested", "_rng",
        "_store", "_subscription",
    )  # fmt: skip

    def __init__(
        self,
        store: LatestValueStore,
        on_value: Callable[[str, StoredValue], None],
        *,
        name: str,
        rng: random.Random,
        on_arrival: Callable[[str], None] | None = None,
        reload_interval_seconds: float | None = None,
    ) -> None:
        self._store = store
        self._on_value = on_value
        self._on_arrival = on_arrival
        self._name = name
        self._rng = rng
        self._reload_interval_seconds = reload_interval_seconds
        self._reload_requested = LightEvent()
        self._subscription: Subscription | None = None
        self._newest: dict[str, StoredValue] = {}
        self._epoch: str | None = None
        self._highest_sequence = self._last_live_sequence = 0
        self._doubtful: dict[str, StoredValue] = {}
        """Changes that came out of order. They are of a new order, or late."""

    @property
    def epoch(self) -> str | None:
        """The name of the stream's present order; None before the first read."""
        return self._epoch

    async def start(self) -> None:
        """Subscribe, then read all values. Raises LogError; it may be called again then."""
        if self._subscription is None:
            self._subscription = await self._store.subscribe(self._receive, self._on_gap)
        await self._reload()

    async def run(self) -> None:
        """Follow the values until cancelled; `start` need not have been called."""
        try:
            if self._subscription is None:
                await retry(self.start, self._rng, logger, "values.load_failed", name=self._name)
            while True:
                await self._wait_for_reload()
                await retry(self._reload, self._rng, logger, "values.load_failed", name=self._name)
        finally:
            await self.close()

    async def close(self) -> None:
        """Unsubscribe."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def forget(self, prefix: str) -> None:
        """Forget the values whose keys begin with `prefix`. One that is received again is passed
        on."""
        for values in (self._newest, self._doubtful):
            for key in [key for key in values if key.startswith(prefix)]:
                del values[key]

    async def _reload(self) -> None:
        """Read all values. Raises LogError."""
        self._reload_requested.clear()
        highest = self._highest_sequence
        bounds = await self._store.bounds()
        if self._epoch not in (None, bounds.epoch) or bounds.last < highest:
            self._begin_order(bounds.epoch)
        self._epoch = bounds.epoch
        for key, value in (await self._store.read_all()).items():
            self._apply(key, value)
        doubtful, self._doubtful = self._doubtful, {}
        for key, value in doubtful.items():
            self._apply(key, value)

    def _begin_order(self, epoch: str) -> None:
        """Put what is known before everything that the stream holds now."""
        logger.info("values.order_began", name=self._name, epoch=epoch)
        self._newest = {
            key: msgspec.structs.replace(value, sequence=0) for key, value in self._newest.items()
        }
        self._highest_sequence = self._last_live_sequence = 0

    async def _wait_for_reload(self) -> None:
        seconds = self._reload_interval_seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds is None else jittered(seconds, self._rng)):
                await self._reload_requested.wait()

    def _receive(self, key: str, value: StoredValue) -> None:
        known = self._newest.get(key)
        if value.sequence <= self._last_live_sequence or (
            known is not None
            and value.sequence < known.sequence
            and value.stored_at > known.stored_at
        ):
            self._doubtful[key] = value
            self._reload_requested.set()
            return
        self._last_live_sequence = value.sequence
        if self._on_arrival is not None:
            self._on_arrival(key)
        self._apply(key, value)

    def _apply(self, key: str, value: StoredValue) -> None:
        """Take over `value` unless the known one is newer."""
        known = self._newest.get(key)
        if known is not None and value.sequence <= known.sequence:
            return
        self._highest_sequence = max(self._highest_sequence, value.sequence)
        self._newest[key] = value
        if known is None or value.data != known.data:
            self._on_value(key, value)

    def _on_gap(self, _reason: str) -> None:
        self._reload_requested.set()
