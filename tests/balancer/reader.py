"""A client that does what an EventSource does, and nothing more: it reads, and when its stream ends
or breaks it waits for as long as it was last told to and asks again, with its last id.

An EventSource gives up for good on any answer but a stream: such answers are noted in `refused`.
The reader of the trial comes back all the same after `Retry-After`, so that one refusal is told as
one and not as a reader without a history.
"""

import asyncio
import time
from collections import Counter

import msgspec

from tests import sse
from tests.history import Connect, Entry, Frame

RETRY_MS = 5000
"""What an EventSource waits for as long as nobody told it."""
FOREVER_SECONDS = 3600.0


class Arrival(msgspec.Struct, frozen=True):
    """When an event came, seconds since 1970."""

    sequence: int
    at: float


class Reader:
    """`run` it until cancelled.

    `silence` is the longest time in seconds between two frames of any kind, connected or not, since
    it was last set to 0. `ends` counts how streams ended: ``clean`` or ``cut``.
    """

    def __init__(self, url: str, number: int, user: str, path: str, cookie: str) -> None:
        self.number = number
        self.user = user
        self.path = path
        self.history: list[Entry] = []
        self.arrivals: list[Arrival] = []
        self.last_id: str | None = None
        self.connected = False
        self.silence = 0.0
        self.ends: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self._url = url
        self._cookie = cookie
        self._heard: float | None = None
        self._retry = RETRY_MS

    async def run(self) -> None:
        """Raises AssertionError when it gets what it never should."""
        while True:
            seconds = await self._visit()
            await asyncio.sleep(seconds)

    async def _visit(self) -> float:
        """One connection; how many seconds to wait before the next."""
        try:
            stream = await sse.connect(
                self._url, self.path, cookie=self._cookie, last_event_id=self.last_id
            )
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.ends["unanswered"] += 1
            return self._retry / 1000
        try:
            if stream.status != 200:
                self.refused[stream.status] += 1
                return float(stream.header("retry-after") or 1)
            self.history.append(Connect(self.last_id))
            await self._read(stream)
        finally:
            self.connected = False
            stream.writer.transport.abort()
            await stream.close()
        return self._retry / 1000

    async def _read(self, stream: sse.Stream) -> None:
        try:
            while True:
                self._take(await stream.read(seconds=FOREVER_SECONDS))
        except sse.Ended as end:
            self.ends["clean" if end.clean else "cut"] += 1

    def _take(self, frame: sse.Frame) -> None:
        now = time.monotonic()
        if self._heard is not None:
            self.silence = max(self.silence, now - self._heard)
        self._heard = now
        self._retry = frame.retry if frame.retry is not None else self._retry
        if frame.event is None:
            return
        data = frame.raw.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0]
        self.history.append(Frame(frame.event, data, frame.id))
        self.connected = True
        if frame.id is not None:
            self.last_id = frame.id
            self.arrivals.append(Arrival(frame.sequence, time.time()))
