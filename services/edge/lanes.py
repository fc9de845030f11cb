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
    from services.edge.newest import Lane

BURST_WRITES = 4
"""Writes that may follow the first one without waiting for a window: an order's few events come one
by one, as they happen, and only a stream that goes on and on is gathered."""


Sink = Callable[[Callable[[], bytes]], bool]
"""Writes what its argument gives to the peer, now; False, when there is no room, and then it did
not ask."""


class FlushClock:
    """One timer for all outboxes of a process that wait for their window to pass."""

    def __init__(self, window_seconds: float) -> None:
        self.window = window_seconds
        self._waiting: list[Outbox] = []

    def later(self, outbox: "Outbox") -> None:
        """Wake `outbox` within the window."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(self.window, self._fire)
        self._waiting.append(outbox)

    def _fire(self) -> None:
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            outbox.due()


class Outbox:
    """Bytes on their way to one reader, in order, bounded in number and size."""

    __slots__ = (
        "_clock",
        "_ended",
        "_frames",
        "_loop",
        "_most_bytes",
        "_most_frames",
        "_nudged",
        "_opens_at",
        "_paid_until",
        "_scheduled",
        "_shared",
        "_size",
        "_stale",
        "_waiter",
        "sink",
    )

    def __init__(self, clock: FlushClock, most_frames: int, most_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._most_frames = most_frames
        self._most_bytes = most_bytes
        self._frames: list[bytes] = []
        self._size = 0
        self._opens_at = 0.0
        self._paid_until = 0.0
        self._scheduled = False
        self._waiter: asyncio.Future[None] | None = None
        self._shared: dict[Lane, tuple[bytes, frozenset[str]]] = {}
        self._stale: dict[Lane, set[str]] = {}
        self._ended = False
        self._nudged = False
        self.sink: Sink | None = None

    @property
    def empty(self) -> bool:
        return not self._frames and not self._shared

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def size(self) -> int:
        """Bytes waiting, without what lanes share."""
        return self._size

    def put(self, frame: bytes, *, urgent: bool = False) -> bool:
        """Take `frame`; False when it does not fit, and then it was not taken.

        An empty outbox takes any frame, so that none is too large to be sent.
        """
        if self._ended:
            return True
        if self._frames and (
            len(self._frames) >= self._most_frames or self._size + len(frame) > self._most_bytes
        ):
            return False
        self._frames.append(frame)
        self._size += len(frame)
        self._wake(urgent=urgent)
        return True

    def offer(self, lane: "Lane", chunk: bytes, keys: frozenset[str]) -> None:
        """Take a lane's chunk of `keys`, or remember that they changed if one waits already. It is
        a window's worth, and waits for no other."""
        if self._ended:
            return
        if lane not in self._shared:
            self._shared[lane] = (chunk, keys)
            self._release()
        elif lane in self._stale:
            self._stale[lane] |= keys
        else:
            self._stale[lane] = set(keys)

    def forget(self, lane: "Lane") -> None:
        """Let go what waits of a lane that the reader left."""
        self._shared.pop(lane, None)
        self._stale.pop(lane, None)

    def end(self, farewell: bytes = b"") -> None:
        """Let `farewell` be the last that leaves; nothing is taken any more. A lane's values would
        come after it, and are worth nothing to who leaves: they go."""
        if self._ended:
            return
        self._shared.clear()
        self._stale.clear()
        if farewell:
            self._frames.append(farewell)
            self._size += len(farewell)
        self._ended = True
        self._wake(urgent=True)

    async def take(self) -> bytes:
        """Everything that waits, as soon as there is something and the window allows; empty bytes
        only when the outbox has ended or was woken by `nudge`."""
        while not self._ready():
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._join()

    def due(self) -> None:
        """The window is over."""
        self._scheduled = False
        self._opens_at = 0.0
        self._release()

    def nudge(self) -> None:
        """Let `take` return now with what there is, be it nothing."""
        self._nudged = True
        self._release()

    def _ready(self) -> bool:
        if self._ended or self._nudged or self._shared:
            return True
        if not self._frames:
            return False
        if self._loop.time() >= self._opens_at:
            return True
        self._schedule()
        return False

    def _join(self) -> bytes:
        if self._frames:
            self._pay()
        self._nudged = False
        parts, self._frames, self._size = self._frames, [], 0
        if self._shared:
            parts += [self._newest(lane, *shared) for lane, shared in self._shared.items()]
            self._shared.clear()
            self._stale.clear()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _pay(self) -> None:
        """Each write is paid for with a window's time, up to `BURST_WRITES` of them on credit."""
        now, window = self._loop.time(), self._clock.window
        credit = BURST_WRITES * window
        self._paid_until = min(max(self._paid_until, now), now + credit) + window
        self._opens_at = self._paid_until - credit

    def _newest(self, lane: "Lane", chunk: bytes, keys: frozenset[str]) -> bytes:
        stale = self._stale.get(lane)
        return chunk if stale is None else lane.newest(keys | stale)

    def _wake(self, *, urgent: bool) -> None:
        if urgent:
            self._opens_at = 0.0
        if self._waiter is None:
            return
        if self._loop.time() >= self._opens_at:
            self._release()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock.later(self)

    def _release(self) -> None:
        """Let what waits go: straight into the sink while somebody waits in `take`, who then has
        not to be woken; to `take` when there is no room, or something else to be said."""
        if self._waiter is None or self._waiter.done():
            return
        if self.sink is not None and not (self._ended or self._nudged or self.empty):
            try:
                if self.sink(self._join):
                    return
            except Exception as error:  # this reader's alone: whoever puts has others to serve
                self._waiter.set_exception(error)
                return
        self._waiter.set_result(None)


class Wants(msgspec.Struct, frozen=True):
    """What a lane is for: `symbols` (None: all) at most `rate` times a second each, told as `told`
    (the name of a family) has it."""

    symbols: frozenset[str] | None
    rate: float
    told: str = ""
