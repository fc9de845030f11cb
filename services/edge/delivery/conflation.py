"""Conflation: newest-wins values, rendered and compressed once for all their readers. Pure.

A `ConflationGroup` is all connections that subscribe to the same values at the same rate. The
newest value of each key leaves at most `max_rate` times a second, in chunks that are rendered and
compressed once for the whole group. A reader that has not taken the last chunk receives, when it
does, the newest value of every key that it missed.

A group is flushed less often when it has so many readers that writing takes long, and when its
values change so often that its readers would wake for a few of them each time. Start reading at
`ConflationGroup.mark_changed`.
"""

import asyncio
from collections.abc import Callable, Container, Iterable

import msgspec

from tapewire_services.edge.delivery.compression import SharedCompressor
from tapewire_services.edge.delivery.outbox import Outbox
from tapewire_services.edge.ingest.bar_feed import BarSeries

MAX_UPDATES_PER_SECOND = 10.0
"""Updates a second that a reader gets of one key at most."""
MAX_WRITE_SHARE = 0.48
"""Share of the process's time that writing the chunks of one group may take. Thousands of readers
get them at longer intervals, and other tasks get their turn."""
MAX_WRITE_PAUSE_SECONDS = 0.03
"""Longest pause of a group after a round of writes."""
BUSY_CHANGES_PER_SECOND = 1000.0
"""Changes a second above which a group is busy."""
BUSY_ENTRY_FACTOR = 1.05
"""A group becomes busy only this far above the rate, because a steady rate arrives in jumps."""
BUSY_SAMPLE_SECONDS = 1.0
"""Interval over which changes are counted."""

MIN_SHARING_READERS = 4
"""Readers of a group from which on a chunk is compressed once for all of them."""


class ValueSubscription(msgspec.Struct, frozen=True):
    """The values that a client asks for: quotes of `symbols` (None: all) and `bars` of series, each
    at most `max_rate` times a second."""

    symbols: frozenset[str] | None
    max_rate: float
    bars: frozenset[BarSeries] = frozenset()


class ConflationGroup:
    """All readers of the same values at the same rate.

    Chunks leave at least `window_seconds` apart, and `busy_window_seconds` apart while more than
    `BUSY_CHANGES_PER_SECOND` of the wanted values change. `keys` are the wanted keys, None all.
    `render_latest` renders the newest values of the given keys.
    """

    __slots__ = (
        "_busy_window_seconds", "_change_count", "_changed_keys", "_compressor",
        "_count_started_at", "_interval_seconds", "_is_busy", "_is_writing", "_key_allowed_at",
        "_keys", "_next_flush_at", "_timer", "_timer_at", "_window_seconds", "outboxes",
        "render_latest",
    )  # fmt: skip

    def __init__(
        self,
        max_rate: float,
        render_latest: Callable[[Iterable[str]], bytes],
        window_seconds: float,
        busy_window_seconds: float = 0.0,
        *,
        keys: Container[str] | None = None,
    ) -> None:
        self.outboxes: set[Outbox] = set()
        self.render_latest = render_latest
        self._keys = keys
        self._window_seconds = window_seconds
        self._busy_window_seconds = max(window_seconds, busy_window_seconds)
        self._interval_seconds = 1.0 / max_rate
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

    def mark_changed(self, key: str, *, is_urgent: bool = False) -> None:
        """Record that `key` has a newer value, and flush when its rate allows it. An urgent change
        waits for the flush window only."""
        if self._keys is not None and key not in self._keys:
            return
        if is_urgent:
            self._key_allowed_at.pop(key, None)
        self._change_count += 1
        self._changed_keys.add(key)
        if not self._is_writing and (self._timer is None or self._due_at(key) < self._timer_at):
            self._schedule_flush()

    def close(self) -> None:
        """Flush no more; for a group without readers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_at(self, key: str) -> float:
        """When `key` may leave: by its own rate, and by the group's flush window and pause."""
        return max(self._key_allowed_at.get(key, 0.0), self._next_flush_at)

    def _schedule_flush(self) -> None:
        """Flush when the first changed key is due."""
        self.close()
        loop = asyncio.get_running_loop()
        self._timer_at = min(map(self._due_at, self._changed_keys))
        if self._timer_at <= loop.time():
            self._flush()
        else:
            self._timer = loop.call_at(self._timer_at, self._flush)

    def _flush(self) -> None:
        self._timer = None
        # A timer may fire a moment early.
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
            for outbox in self.outboxes if chunk else ():
                outbox.offer_chunk(self, chunk, ready)
            self._is_writing = True
            asyncio.get_running_loop().call_soon(self._after_write, now)
        elif self._changed_keys:
            self._schedule_flush()

    def _after_write(self, write_started_at: float) -> None:
        """Pause in proportion to the time that the writes took; the loop runs this after them."""
        self._is_writing = False
        now = asyncio.get_running_loop().time()
        pause = min((now - write_started_at) * (1 / MAX_WRITE_SHARE - 1), MAX_WRITE_PAUSE_SECONDS)
        self._next_flush_at = max(self._next_flush_at, now + pause)
        if self._changed_keys and self.outboxes:
            self._schedule_flush()

    def _update_busy(self, now: float) -> None:
        """Decide once per sample interval whether the group is busy."""
        elapsed = now - self._count_started_at
        if elapsed >= BUSY_SAMPLE_SECONDS:
            threshold = (
                BUSY_CHANGES_PER_SECOND
                if self._is_busy
                else BUSY_CHANGES_PER_SECOND * BUSY_ENTRY_FACTOR
            )
            self._is_busy = self._change_count > threshold * elapsed
            self._count_started_at, self._change_count = now, 0

    def _render_chunk(self, keys: frozenset[str]) -> bytes:
        """Render `keys`. Few readers compress with their own compressors: sharing would keep one
        more."""
        if len(self.outboxes) >= MIN_SHARING_READERS:
            return self._compressor.append_chunk(self.render_latest(keys))
        self._compressor = SharedCompressor()
        return self.render_latest(keys)
