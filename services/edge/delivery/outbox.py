"""How bytes wait for a reader: outboxes and flush windows; `newest` has what shares them. Pure.

An `Outbox` belongs to one connection. What comes after a rest leaves at once, a few writes long;
when there is more, what comes within a flush window leaves as one write. It is bounded: a lossless
reader that overflows it leaves live delivery and reads the log again, at its own pace.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tapewire_services.edge.delivery.conflation import ConflationGroup

BURST_WRITES = 4
"""Writes that may follow the first one without waiting for a window: an order's few events come one
by one, as they happen, and only a stream that goes on and on is gathered."""


Sink = Callable[[Callable[[], bytes]], bool]
"""Writes what its argument gives to the peer, now; False, when there is no room, and then it did
not ask."""


class FlushClock:
    """One timer for all outboxes of a process that wait for their window to pass."""

    def __init__(self, window_seconds: float) -> None:
        self.window_seconds = window_seconds
        self._waiting_outboxes: list[Outbox] = []

    def schedule(self, outbox: "Outbox") -> None:
        """Wake `outbox` within the window."""
        if not self._waiting_outboxes:
            asyncio.get_running_loop().call_later(self.window_seconds, self._fire)
        self._waiting_outboxes.append(outbox)

    def _fire(self) -> None:
        waiting, self._waiting_outboxes = self._waiting_outboxes, []
        for outbox in waiting:
            outbox.on_window_elapsed()


class Outbox:
    """Bytes on their way to one reader, in order, bounded in number and size."""

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
        "_size_bytes",
        "_stale_keys",
        "_waiter",
        "_write_budget_used_until",
        "sink",
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
        self._offered_chunks: dict[ConflationGroup, tuple[bytes, frozenset[str]]] = {}
        self._stale_keys: dict[ConflationGroup, set[str]] = {}
        self._has_ended = False
        self._is_interrupted = False
        self.sink: Sink | None = None

    @property
    def is_empty(self) -> bool:
        return not self._frames and not self._offered_chunks

    @property
    def has_ended(self) -> bool:
        return self._has_ended

    @property
    def size_bytes(self) -> int:
        """Bytes waiting, without what lanes share."""
        return self._size_bytes

    def put(self, frame: bytes, *, urgent: bool = False) -> bool:
        """Take `frame`; False when it does not fit, and then it was not taken.

        An empty outbox takes any frame, so that none is too large to be sent.
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

    def offer_chunk(self, group: "ConflationGroup", chunk: bytes, keys: frozenset[str]) -> None:
        """Take a lane's chunk of `keys`, or remember that they changed if one waits already. It is
        a window's worth, and waits for no other."""
        if self._has_ended:
            return
        if group not in self._offered_chunks:
            self._offered_chunks[group] = (chunk, keys)
            self._flush()
        elif group in self._stale_keys:
            self._stale_keys[group] |= keys
        else:
            self._stale_keys[group] = set(keys)

    def discard_group(self, group: "ConflationGroup") -> None:
        """Let go what waits of a lane that the reader left."""
        self._offered_chunks.pop(group, None)
        self._stale_keys.pop(group, None)

    def end(self, farewell: bytes = b"") -> None:
        """Let `farewell` be the last that leaves; nothing is taken any more. A lane's values would
        come after it, and are worth nothing to who leaves: they go."""
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
        """Everything that waits, as soon as there is something and the window allows; empty bytes
        only when the outbox has ended or was woken by `nudge`."""
        while not self._is_ready():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._collect()

    def on_window_elapsed(self) -> None:
        """The window is over."""
        self._is_scheduled = False
        self._next_write_at = 0.0
        self._flush()

    def interrupt(self) -> None:
        """Let `take` return now with what there is, be it nothing."""
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
                self._latest_chunk(lane, *shared) for lane, shared in self._offered_chunks.items()
            ]
            self._offered_chunks.clear()
            self._stale_keys.clear()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _charge_write(self) -> None:
        """Each write is paid for with a window's time, up to `BURST_WRITES` of them on credit."""
        now, window = self._loop.time(), self._flush_clock.window_seconds
        credit = BURST_WRITES * window
        self._write_budget_used_until = (
            min(max(self._write_budget_used_until, now), now + credit) + window
        )
        self._next_write_at = self._write_budget_used_until - credit

    def _latest_chunk(self, group: "ConflationGroup", chunk: bytes, keys: frozenset[str]) -> bytes:
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
        """Let what waits go: straight into the sink while somebody waits in `take`, who then has
        not to be woken; to `take` when there is no room, or something else to be said."""
        if self._waiter is None or self._waiter.done():
            return
        if self.sink is not None and not (self._has_ended or self._is_interrupted or self.is_empty):
            try:
                if self.sink(self._collect):
                    return
            except Exception as error:  # this reader's alone: whoever puts has others to serve
                self._waiter.set_exception(error)
                return
        self._waiter.set_result(None)


class ValueSubscription(msgspec.Struct, frozen=True):
    """What a lane is for: `symbols` (None: all) at most `rate` times a second each, told as `told`
    (the name of a family) has it."""

    symbols: frozenset[str] | None
    max_rate: float
    family_name: str = ""
