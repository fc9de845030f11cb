"""Lanes of newest-wins values: what many readers want alike is joined, and compressed, once. Pure.

A `Lane` is all connections with the same wants: the same symbols at the same rate. Each symbol's
newest value leaves at most `rate` times a second, and the lane joins its chunk once for all, as one
of a strand, which is compressed once for all. A reader that has not taken the last chunk is given,
when it does, the newest of what it missed.
A lane with so many readers that writing takes long is flushed at longer intervals, and so is one
whose values change so often that its readers would be woken for each few of them.
"""

import asyncio
from collections.abc import Callable, Iterable

from services.edge.gzip import Strand
from services.edge.lanes import Outbox, Wants

LANE_SHARE = 0.48
"""Of the process's time, what writing a lane's chunks may take: thousands of readers get them at
longer intervals, and nobody has to wait for a process that is busy with nothing else."""
MOST_REST_SECONDS = 0.03
"""How long a lane rests after a round of writes at the most: enough for everybody else's turn."""
BUSY_RATE = 1000.0
"""Changes a second above which a lane is busy."""
BUSY_MARGIN = 1.05
"""How far above: a steady rate comes in jumps, and one of `BUSY_RATE` is not busy now and then."""
LOOK_SECONDS = 1.0
"""Over how long changes are counted."""


class Lane:
    """All readers of the same wants; each value's newest frame, at the wanted rate.

    Chunks leave at least `window_seconds` apart, and `busy_seconds` when there are more than
    `BUSY_RATE` changes a second of what is wanted.
    """

    def __init__(
        self,
        wants: Wants,
        newest: Callable[[Iterable[str]], bytes],
        window_seconds: float,
        busy_seconds: float = 0.0,
    ) -> None:
        self.wants = wants
        self.members: set[Outbox] = set()
        self.newest = newest
        self._window = window_seconds
        self._busy_window = max(window_seconds, busy_seconds)
        self._interval = 1.0 / wants.rate
        self._dirty: set[str] = set()
        self._allowed_at: dict[str, float] = {}
        self._opens_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._writing = False
        self._changes = 0
        self._counted_from = float("-inf")
        self._busy = False
        self._strand = Strand()

    def changed(self, key: str) -> None:
        """`key` has a newer value."""
        if self.wants.symbols is not None and key not in self.wants.symbols:
            return
        self._changes += 1
        self._dirty.add(key)
        if not self._writing and (self._timer is None or self._due(key) < self._timer_at):
            self._arm()

    def close(self) -> None:
        """Forget what waits; for a lane without members."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, key: str) -> float:
        """When `key` may leave: at its rate, a flush window after the last flush, and rested."""
        return max(self._allowed_at.get(key, 0.0), self._opens_at)

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
        # A timer may come a moment early.
        now = max(asyncio.get_running_loop().time(), self._timer_at)
        ready = frozenset(key for key in self._dirty if self._due(key) <= now)
        if ready:
            self._dirty -= ready
            self._count(now)
            self._opens_at = now + (self._busy_window if self._busy else self._window)
            self._allowed_at.update(dict.fromkeys(ready, now + self._interval))
            chunk = self._chunk(ready)
            for outbox in self.members:
                outbox.offer(self, chunk, ready)
            self._writing = True
            asyncio.get_running_loop().call_soon(self._written, now)
        elif self._dirty:
            self._arm()

    def _written(self, began: float) -> None:
        """The loop writes what it was given before it goes on to this."""
        self._writing = False
        now = asyncio.get_running_loop().time()
        rest = min((now - began) * (1 / LANE_SHARE - 1), MOST_REST_SECONDS)
        self._opens_at = max(self._opens_at, now + rest)
        if self._dirty and self.members:
            self._arm()

    def _count(self, now: float) -> None:
        """Look, once in a while, whether the lane is busy."""
        lasted = now - self._counted_from
        if lasted >= LOOK_SECONDS:
            most = BUSY_RATE if self._busy else BUSY_RATE * BUSY_MARGIN
            self._busy = self._changes > most * lasted
            self._counted_from, self._changes = now, 0

    def _chunk(self, keys: frozenset[str]) -> bytes:
        """A lone reader's own compressor does for it: with the strand's it would have two."""
        if len(self.members) > 1:
            return self._strand.next(self.newest(keys))
        self._strand = Strand()
        return self.newest(keys)
