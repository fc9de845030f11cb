"""Follows a store of newest-wins values: what is stored, and every change.

One subscription receives the changes. All values are read again after a gap and, when asked for, on
a timer: nothing else repairs a lost last change. A value that was received during a read is newer
than the one that was read. Start reading at `ValueFollower.run`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from tapewire.log import LatestValueStore
from tapewire.log.backoff import jittered, retry
from tapewire_services.edge.light_event import LightEvent

RELOAD_INTERVAL_SECONDS = 15.0
"""Mean time between two reads of all values; jittered by half."""

logger = structlog.get_logger("edge.value_follower")


class ValueFollower:
    """Calls `on_value` with the key and the data of every stored value, and of every change.

    `name` appears in logs. `reload_interval_seconds` None reads again only after a gap.
    """

    def __init__(
        self,
        store: LatestValueStore,
        on_value: Callable[[str, bytes], None],
        *,
        name: str,
        rng: random.Random,
        reload_interval_seconds: float | None = RELOAD_INTERVAL_SECONDS,
    ) -> None:
        self._store = store
        self._on_value = on_value
        self._name = name
        self._rng = rng
        self._reload_interval_seconds = reload_interval_seconds
        self._reload_requested = LightEvent()
        self._received_keys: set[str] = set()

    async def run(self) -> None:
        """Follow the values until cancelled."""
        subscription = await retry(
            lambda: self._store.subscribe(self._receive, self._on_gap),
            self._rng,
            logger,
            "values.subscribe_failed",
            name=self._name,
        )
        try:
            while True:
                await retry(
                    self._reload, self._rng, logger, "values.reload_failed", name=self._name
                )
                await self._wait_for_reload()
        finally:
            await subscription.close()

    async def _reload(self) -> None:
        """Read all values. Raises LogError."""
        self._reload_requested.clear()
        self._received_keys.clear()
        for key, data in (await self._store.get_all()).items():
            if key not in self._received_keys:
                self._on_value(key, data)

    async def _wait_for_reload(self) -> None:
        if self._reload_interval_seconds is None:
            await self._reload_requested.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(jittered(self._reload_interval_seconds, self._rng)):
                await self._reload_requested.wait()

    def _receive(self, key: str, data: bytes) -> None:
        self._received_keys.add(key)
        self._on_value(key, data)

    def _on_gap(self, _reason: str) -> None:
        self._reload_requested.set()
