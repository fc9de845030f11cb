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

from tapewire_services.edge.delivery.compression import SharedCompressor
from tapewire_services.edge.delivery.outbox import Outbox, ValueSubscription

MAX_WRITE_SHARE = 0.48
"""Of the process's time, what writing a lane's chunks may take: thousands of readers get them at
longer intervals, and nobody has to wait for a process that is busy with nothing else."""
MAX_WRITE_PAUSE_SECONDS = 0.03
"""How long a lane rests after a round of writes at the most: enough for everybody else's turn."""
BUSY_CHANGES_PER_SECOND = 1000.0
"""Changes a second above which a lane is busy."""
BUSY_ENTRY_FACTOR = 1.05
"""How far above: a steady rate comes in jumps, and one of `BUSY_RATE` is not busy now and then."""
BUSY_SAMPLE_SECONDS = 1.0
"""Over how long changes are counted."""


class ConflationGroup:
    """All readers of the same wants; each value's newest frame, at the wanted rate.

    Chunks leave at least `window_seconds` apart, and `busy_seconds` when there are more than
    `BUSY_RATE` changes a second of what is wanted.
    """

    def __init__(
        self,
        subscription: ValueSubscription,
        render_latest: Callable[[Iterable[str]], bytes],
        window_seconds: float,
        busy_window_seconds: float = 0.0,
    ) -> None:
        self.subscription = subscription
        self.outboxes: set[Outbox] = set()
        self.render_latest = render_latest
        self._window_seconds = window_seconds
        self._busy_window_seconds = max(window_seconds, busy_window_seconds)
        self._interval_seconds = 1.0 / subscription.max_rate
        self._changed_keys: set[str] = set()
        self._key_allowed_at: dict[str, float] = {}
        self._next_flush_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_writing = False
        self._change_count = 0
        self._count_started_at = float("-inf")
        self._is_busy = False
        self._compressor = SharedCompressor()

    def mark_changed(self, key: str) -> None:
        """`key` has a newer value."""
        if self.subscription.symbols is not None and key not in self.subscription.symbols:
            return
        self._change_count += 1
        self._changed_keys.add(key)
        if not self._is_writing and (self._timer is None or self._due_at(key) < self._timer_at):
            self._schedule_flush()

    def close(self) -> None:
        """Forget what waits; for a lane without members."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_at(self, key: str) -> float:
        """When `key` may leave: at its rate, a flush window after the last flush, and rested."""
        return max(self._key_allowed_at.get(key, 0.0), self._next_flush_at)

    def _schedule_flush(self) -> None:
        """Flush when the first dirty key is due."""
        self.close()
        loop = asyncio.get_running_loop()
        self._timer_at = min(map(self._due_at, self._changed_keys))
        if self._timer_at <= loop.time():
            self._flush()
        else:
            self._timer = loop.call_at(self._timer_at, self._flush)

    def _flush(self) -> None:
        self._timer = None
        # A timer may come a moment early.
        now = max(asyncio.get_running_loop().time(), self._timer_at)
        ready = frozenset(key for key in self._changed_keys if self._due_at(key) <= now)
        if ready:
            self._changed_keys -= ready
            self._update_busy(now)
            self._next_flush_at = now + (
                self._busy_window_seconds if self._is_busy else self._window_seconds
            )
            self._key_allowed_at.update(dict.fromkeys(ready, now + self._interval_seconds))
            chunk = self._render_chunk(ready)
            for outbox in self.outboxes:
                outbox.offer_chunk(self, chunk, ready)
            self._is_writing = True
            asyncio.get_running_loop().call_soon(self._after_write, now)
        elif self._changed_keys:
            self._schedule_flush()

    def _after_write(self, write_started_at: float) -> None:
        """The loop writes what it was given before it goes on to this."""
        self._is_writing = False
        now = asyncio.get_running_loop().time()
        rest = min((now - write_started_at) * (1 / MAX_WRITE_SHARE - 1), MAX_WRITE_PAUSE_SECONDS)
        self._next_flush_at = max(self._next_flush_at, now + rest)
        if self._changed_keys and self.outboxes:
            self._schedule_flush()

    def _update_busy(self, now: float) -> None:
        """Look, once in a while, whether the lane is busy."""
        lasted = now - self._count_started_at
        if lasted >= BUSY_SAMPLE_SECONDS:
            most = (
                BUSY_CHANGES_PER_SECOND
                if self._is_busy
                else BUSY_CHANGES_PER_SECOND * BUSY_ENTRY_FACTOR
            )
            self._is_busy = self._change_count > most * lasted
            self._count_started_at, self._change_count = now, 0

    def _render_chunk(self, keys: frozenset[str]) -> bytes:
        """A lone reader's own compressor does for it: with the strand's it would have two."""
        if len(self.outboxes) > 1:
            return self._compressor.append_chunk(self.render_latest(keys))
        self._compressor = SharedCompressor()
        return self.render_latest(keys)
