"""A client that watches its user's orders, disconnects without notice, and resumes with its last
id.

Its history holds the frames that it parsed completely. It ignores a frame that is incomplete when
it disconnects.
"""

import asyncio
import contextlib
import random
import time
from urllib.parse import quote

from tests.harness import sse
from tests.harness.history import HistoryEntry, ReceivedEvent, StreamOpened
from tests.harness.order_trial.plan import WatcherBehavior

MAX_RECONNECT_DELAY_SECONDS = 0.4
"""The longest delay between two connections."""
RELOAD_PROBABILITY = 0.3
"""The share of reconnects without the last id, for clients that reload their page."""
NO_TIMEOUT_SECONDS = 3600.0


class OrderStreamClient:
    """Call `run` and cancel it at the end. Until `is_calm` is set, the client disconnects as its
    `behavior` says.

    `longest_silence_seconds` is the longest time between two events, connected or not.
    `refused_statuses` counts 503 responses and connections that broke before a response.
    """

    def __init__(
        self, url: str, number: int, behavior: WatcherBehavior, cookie: str, rng: random.Random
    ) -> None:
        self.number = number
        self.behavior = behavior
        self.history: list[HistoryEntry] = []
        self.last_id: str | None = None
        self.is_calm = False
        self.longest_silence_seconds = 0.0
        self.refused_statuses = 0
        self._url = url
        self._cookie = cookie
        self._rng = rng
        self._last_frame_at: float | None = None

    async def run(self) -> None:
        """Watch until cancelled. Raises AssertionError on a response that must never occur."""
        while True:
            await self._open_stream()
            await asyncio.sleep(self._rng.uniform(0, MAX_RECONNECT_DELAY_SECONDS))

    async def _open_stream(self) -> None:
        if (
            self.behavior.reloads_page
            and not self.is_calm
            and self._rng.random() < RELOAD_PROBABILITY
        ):
            self.last_id = None
        path, headers, via = self._resume_request()
        try:
            stream = await sse.connect(self._url, path, cookie=self._cookie, headers=headers)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.refused_statuses += 1
            return
        try:
            if stream.status == 200:
                self.history.append(StreamOpened(self.last_id, via))
                await self._read_stream(stream)
            else:
                self.refused_statuses += 1
                body = await stream.body()
                assert stream.status == 503, f"client {self.number}: {stream.status} {body!r}"
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            stream.writer.transport.abort()
            await stream.close()

    def _resume_request(self) -> tuple[str, dict[str, str], str]:
        """The path, the query and the headers of the next request, which pass the last id in one of
        three ways."""
        path, last = self.behavior.path, self.last_id
        if last is None:
            return path, {}, "anew"
        way = self._rng.choice(["Last-Event-ID", "lastEventId", "last_event_id"])
        if way == "Last-Event-ID":
            return path, {way: last}, way
        return f"{path}?{way}={quote(last)}", {}, way

    async def _read_stream(self, stream: sse.SseStream) -> None:
        """Read until the client disconnects or the stream ends."""
        stay = self._rng.expovariate(1 / self.behavior.mean_connection_seconds)
        with contextlib.suppress(sse.StreamEnded, TimeoutError):
            async with asyncio.timeout(None if self.is_calm else stay):
                while True:
                    self._record_frame(await stream.read(seconds=NO_TIMEOUT_SECONDS))

    def _record_frame(self, frame: sse.Frame) -> None:
        if frame.event is None:
            return
        data = frame.raw.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0]
        self.history.append(ReceivedEvent(frame.event, data, frame.id))
        if frame.id is not None:
            self.last_id = frame.id
            now = time.monotonic()
            if self._last_frame_at is not None:
                self.longest_silence_seconds = max(
                    self.longest_silence_seconds, now - self._last_frame_at
                )
            self._last_frame_at = now
