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

from tests.harness import sse
from tests.harness.history import HistoryEntry, ReceivedEvent, StreamOpened

DEFAULT_RETRY_MS = 5000
"""What an EventSource waits for as long as nobody told it."""
NO_TIMEOUT_SECONDS = 3600.0


class EventArrival(msgspec.Struct, frozen=True):
    """When an event came, seconds since 1970."""

    sequence: int
    received_at: float


class EventSourceReader:
    """`run` it until cancelled.

    `silence` is the longest time in seconds between two frames of any kind, connected or not, since
    it was last set to 0. `ends` counts how streams ended: ``clean`` or ``cut``.
    """

    def __init__(self, url: str, number: int, user: str, path: str, cookie: str) -> None:
        self.number = number
        self.user = user
        self.path = path
        self.history: list[HistoryEntry] = []
        self.arrivals: list[EventArrival] = []
        self.last_id: str | None = None
        self.is_connected = False
        self.longest_silence_seconds = 0.0
        self.stream_end_counts: Counter[str] = Counter()
        self.refused_statuses: Counter[int] = Counter()
        self._url = url
        self._cookie = cookie
        self._last_frame_at: float | None = None
        self._retry_ms = DEFAULT_RETRY_MS

    async def run(self) -> None:
        """Raises AssertionError when it gets what it never should."""
        while True:
            seconds = await self._open_stream()
            await asyncio.sleep(seconds)

    async def _open_stream(self) -> float:
        """One connection; how many seconds to wait before the next."""
        try:
            stream = await sse.connect(
                self._url, self.path, cookie=self._cookie, last_event_id=self.last_id
            )
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.stream_end_counts["unanswered"] += 1
            return self._retry_ms / 1000
        try:
            if stream.status != 200:
                self.refused_statuses[stream.status] += 1
                return float(stream.header("retry-after") or 1)
            self.history.append(StreamOpened(self.last_id))
            await self._read_stream(stream)
        finally:
            self.is_connected = False
            stream.writer.transport.abort()
            await stream.close()
        return self._retry_ms / 1000

    async def _read_stream(self, stream: sse.SseStream) -> None:
        try:
            while True:
                self._record_frame(await stream.read(seconds=NO_TIMEOUT_SECONDS))
        except sse.StreamEnded as end:
            self.stream_end_counts["clean" if end.is_clean else "cut"] += 1

    def _record_frame(self, frame: sse.Frame) -> None:
        now = time.monotonic()
        if self._last_frame_at is not None:
            self.longest_silence_seconds = max(
                self.longest_silence_seconds, now - self._last_frame_at
            )
        self._last_frame_at = now
        self._retry_ms = frame.retry if frame.retry is not None else self._retry_ms
        if frame.event is None:
            return
        data = frame.raw.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0]
        self.history.append(ReceivedEvent(frame.event, data, frame.id))
        self.is_connected = True
        if frame.id is not None:
            self.last_id = frame.id
            self.arrivals.append(EventArrival(frame.sequence, time.time()))
