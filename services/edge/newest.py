"""Lanes of newest-wins values: what many readers want alike is joined, and compressed, once. Pure.

A `Lane` is all connections with the same wants: the same symbols at the same rate. Each symbol's
newest value leaves at most `rate` times a second, and the lane joins its chunk once for all, as one
of a strand, which is compressed once for all. A reader that has not taken the last chunk is given,
when it does, the newest of what it missed.
A lane with so many readers that writing takes long is flushed at longer intervals.
"""

import asyncio
from collections.abc import Callable, Iterable

from services.edge.gzip import Strand
from services.edge.lanes import Outbox, Wants

LANE_SHARE = 0.48
"""Of the process's time, what writing a lane's chunks may take: thousands of readers get them at
longer intervals, and nobody has to wait for a process that is busy with nothing else."""
MOST_WINDOW_SECONDS = 0.25


class Lane:
    """All readers of the same wants; each value's newest frame, at the wanted rate."""

    def __init__(
        self,
        wants: Wants,
        newest: Callable[[Iterable[str]], bytes],
        window_seconds: float,
    ) -> None:
        self.wants = wants
        self.members: set[Outbox] = set()
        self.newest = newest
        self._window = window_seconds
        self._interval = 1.0 / wants.rate
        self._dirty: set[str] = set()
        self._allowed_at: dict[str, float] = {}
        self._flushed_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._busy = 0.0
        self._strand = Strand()

    def changed(self, key: str) -> None:
        """`key` has a newer value."""
        if self.wants.symbols is not None and key not in self.wants.symbols:
            return
        self._dirty.add(key)
        if self._timer is None or self._due(key) < self._timer_at:
            self._arm()

    def close(self) -> None:
        """Forget what waits; for a lane without members."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, key: str) -> float:
        """When `key` may leave: at its rate, and a flush window after the last flush."""
        window = max(self._window, min(self._busy / LANE_SHARE, MOST_WINDOW_SECONDS))
        return max(self._allowed_at.get(key, 0.0), self._flushed_at + window)

    def _arm(self) -> None:
        """Flush when the first dirty key is due."""
        self.close()
        loop = asyncio.get_running_loop()
        self._timer_at = min(map(self._due, self._dirty))
        if self._timer_at <= loop.time():
            self._flush()
        else:
            self._timer = loop.call_at(self._timer_at, self._flush)

    def _flush(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        ready = frozenset(key for key in self._dirty if self._allowed_at.get(key, 0.0) <= now)
        if ready:
            self._dirty -= ready
            self._flushed_at = now
            self._allowed_at.update(dict.fromkeys(ready, now + self._interval))
            chunk = self._chunk(ready)
            for outbox in self.members:
                outbox.offer(self, chunk, ready)
            asyncio.get_running_loop().call_soon(self._written, now)
        if self._dirty:
            self._arm()

    def _written(self, began: float) -> None:
        """The loop writes what it was given before it goes on to this."""
        self._busy = asyncio.get_running_loop().time() - began

    def _chunk(self, keys: frozenset[str]) -> bytes:
        """A lone reader's own compressor does for it: with the strand's it would have two."""
        if len(self.members) > 1:
            return self._strand.next(self.newest(keys))
        self._strand = Strand()
        return self.newest(keys)
