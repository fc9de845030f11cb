"""A client that behaves as an EventSource does. When its stream ends or breaks it waits for the
announced reconnection time and reconnects with its last id.

An EventSource gives up on any response that is not a stream. `refused_statuses` counts such
responses. This reader still reconnects after `Retry-After`, so the trial reports one refusal and
keeps the history of the reader.
"""

import asyncio
import time
from collections import Counter

import msgspec

from tests.harness import sse
from tests.harness.history import HistoryEntry, ReceivedEvent, StreamOpened

DEFAULT_RETRY_MS = 5000
"""The reconnection time of an EventSource that has not received another one."""
NO_TIMEOUT_SECONDS = 3600.0


class EventArrival(msgspec.Struct, frozen=True):
    """When an event arrived, in seconds since the epoch (1970)."""

    sequence: int
    received_at: float


class EventSourceReader:
    """Call `run` and cancel it at the end.

    `longest_silence_seconds` is the longest time between two frames of any kind, connected or not,
    since it was last set to 0. `stream_end_counts` counts how streams ended: ``clean`` or ``cut``.
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
        """Read until cancelled. Raises AssertionError on a response that must never occur."""
        while True:
            seconds = await self._open_stream()
            await asyncio.sleep(seconds)

    async def _open_stream(self) -> float:
        """Read one connection; return the seconds to wait before the next one."""
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
