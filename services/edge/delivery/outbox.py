"""Outboxes: the bytes that wait for one reader, and the windows in which they are flushed. Pure.

The first frame after a pause leaves at once, and so do a few more. When a stream keeps going, all
frames of a flush window leave as one write. An outbox is bounded: a lossless reader that overflows
it leaves live delivery and reads the log again at its own pace. Start reading at `Outbox.put`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

BURST_WRITES = 4
"""Writes that may follow the first one without waiting for a window. The few events of one order
arrive one by one; only a continuous stream is gathered."""

Sink = Callable[[Callable[[], bytes]], bool]
"""Writes the chunk that its argument returns to the peer at once. Returns False, without calling
its argument, when the peer has no room."""


class ChunkSource(Protocol):
    """Shared chunks of conflated values; see `conflation.ConflationGroup`."""

    def render_latest(self, keys: Iterable[str], /) -> bytes:
        """The newest values of `keys`."""

    def __hash__(self) -> int: ...


class FlushClock:
    """One timer for all outboxes of a process that wait for their window to pass."""

    def __init__(self, window_seconds: float) -> None:
        self.window_seconds = window_seconds
        self._waiting_outboxes: list[Outbox] = []

    def schedule(self, outbox: "Outbox") -> None:
        """Call `outbox.on_window_elapsed` within the window."""
        if not self._waiting_outboxes:
            asyncio.get_running_loop().call_later(self.window_seconds, self._fire)
        self._waiting_outboxes.append(outbox)

    def _fire(self) -> None:
        waiting, self._waiting_outboxes = self._waiting_outboxes, []
        for outbox in waiting:
            outbox.on_window_elapsed()


class Outbox:
    """Bytes that wait for one reader, in order, bounded in number and size."""

    __slots__ = (
        "_flush_clock",
        "_frames",
        "_has_ended",
        "_is_interrupted",
        "_is_scheduled",
        "_loop",
        "_max_bytes",
        "_max_frames",
        "_next_write_at",
        "_offered_chunks",
        "_sink",
        "_size_bytes",
        "_stale_keys",
        "_waiter",
        "_write_budget_used_until",
    )

    def __init__(self, flush_clock: FlushClock, max_frames: int, max_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._flush_clock = flush_clock
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._size_bytes = 0
        self._next_write_at = 0.0
        self._write_budget_used_until = 0.0
        self._is_scheduled = False
        self._waiter: asyncio.Future[None] | None = None
        self._offered_chunks: dict[ChunkSource, tuple[bytes, frozenset[str]]] = {}
        self._stale_keys: dict[ChunkSource, set[str]] = {}
        self._has_ended = False
        self._is_interrupted = False
        self._sink: Sink | None = None

    @property
    def is_empty(self) -> bool:
        return not self._frames and not self._offered_chunks

    @property
    def has_ended(self) -> bool:
        return self._has_ended

    @property
    def size_bytes(self) -> int:
        """Bytes of waiting frames. Shared chunks of conflated values do not count."""
        return self._size_bytes

    def write_through(self, sink: Sink) -> None:
        """Write chunks through `sink` while the reader's task waits in `next_chunk`."""
        self._sink = sink

    def put(self, frame: bytes, *, urgent: bool = False) -> bool:
        """Add `frame`. Return False, and drop it, when it does not fit.

        An empty outbox accepts a frame of any size. An outbox that has ended accepts and drops
        every frame.
        """
        if self._has_ended:
            return True
        if self._frames and (
            len(self._frames) >= self._max_frames or self._size_bytes + len(frame) > self._max_bytes
        ):
            return False
        self._frames.append(frame)
        self._size_bytes += len(frame)
        self._wake(urgent=urgent)
        return True

    def offer_chunk(self, group: ChunkSource, chunk: bytes, keys: frozenset[str]) -> None:
        """Add the chunk of `keys` of a conflation group. If an earlier chunk of the group still
        waits, record that `keys` changed instead.

        A group flushes once per window, so its chunk waits for no other window.
        """
        if self._has_ended:
            return
        if group not in self._offered_chunks:
            self._offered_chunks[group] = (chunk, keys)
            self._flush()
        elif group in self._stale_keys:
            self._stale_keys[group] |= keys
        else:
            self._stale_keys[group] = set(keys)

    def discard_group(self, group: ChunkSource) -> None:
        """Drop the waiting chunk of a group that the reader has left."""
        self._offered_chunks.pop(group, None)
        self._stale_keys.pop(group, None)

    def end(self, farewell: bytes = b"") -> None:
        """Accept nothing more, and let `farewell` be the last frame. Conflated values would follow
        it, so they are dropped."""
        if self._has_ended:
            return
        self._offered_chunks.clear()
        self._stale_keys.clear()
        if farewell:
            self._frames.append(farewell)
            self._size_bytes += len(farewell)
        self._has_ended = True
        self._wake(urgent=True)

    async def next_chunk(self) -> bytes:
        """Return everything that waits, as soon as there is something and the window allows it.

        Returns empty bytes only when the outbox has ended or `interrupt` was called.
        """
        while not self._is_ready():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._collect()

    def on_window_elapsed(self) -> None:
        """The flush clock calls this at the end of a window."""
        self._is_scheduled = False
        self._next_write_at = 0.0
        self._flush()

    def interrupt(self) -> None:
        """Let `next_chunk` return at once, even with nothing."""
        self._is_interrupted = True
        self._flush()

    def _is_ready(self) -> bool:
        if self._has_ended or self._is_interrupted or self._offered_chunks:
            return True
        if not self._frames:
            return False
        if self._loop.time() >= self._next_write_at:
            return True
        self._schedule_flush()
        return False

    def _collect(self) -> bytes:
        if self._frames:
            self._charge_write()
        self._is_interrupted = False
        parts, self._frames, self._size_bytes = self._frames, [], 0
        if self._offered_chunks:
            parts += [
                self._latest_chunk(group, *offered)
                for group, offered in self._offered_chunks.items()
            ]
            self._offered_chunks.clear()
            self._stale_keys.clear()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _charge_write(self) -> None:
        """Charge one window of time for a write; up to `BURST_WRITES` of them are on credit."""
        now, window = self._loop.time(), self._flush_clock.window_seconds
        credit = BURST_WRITES * window
        self._write_budget_used_until = (
            min(max(self._write_budget_used_until, now), now + credit) + window
        )
        self._next_write_at = self._write_budget_used_until - credit

    def _latest_chunk(self, group: ChunkSource, chunk: bytes, keys: frozenset[str]) -> bytes:
        stale = self._stale_keys.get(group)
        return chunk if stale is None else group.render_latest(keys | stale)

    def _wake(self, *, urgent: bool) -> None:
        if urgent:
            self._next_write_at = 0.0
        if self._waiter is None:
            return
        if self._loop.time() >= self._next_write_at:
            self._flush()
        else:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._flush_clock.schedule(self)

    def _flush(self) -> None:
        """Write what waits through the sink while a task waits in `next_chunk`, which then need not
        wake. Wake the task when the sink has no room, or when the outbox was ended or
        interrupted."""
        if self._waiter is None or self._waiter.done():
            return
        if self._sink is not None and not (
            self._has_ended or self._is_interrupted or self.is_empty
        ):
            try:
                if self._sink(self._collect):
                    return
            except Exception as error:  # the caller serves other readers too
                self._waiter.set_exception(error)
                return
        self._waiter.set_result(None)
