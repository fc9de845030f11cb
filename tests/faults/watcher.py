"""A client that watches its user's orders, drops without a word, and comes back with its last id.

What it parsed to the end of a frame is its history; a frame under way when it drops is nothing.
"""

import asyncio
import contextlib
import random
import time
from urllib.parse import quote

from tests import sse
from tests.faults.plan import Manner
from tests.history import Connect, Entry, Frame

AWAY_SECONDS = 0.4
"""Between two connections, at most."""
RELOADS = 0.3
"""Share of returns without the last id, for those whose manner it is."""
FOREVER_SECONDS = 3600.0


class Watcher:
    """`run` it until cancelled. Until `calm` it drops as its manner is.

    `silence` is the longest time in seconds between two events, connected or not; `refused` counts
    answers of 503 and connections that broke before an answer.
    """

    def __init__(
        self, url: str, number: int, manner: Manner, cookie: str, chance: random.Random
    ) -> None:
        self.number = number
        self.manner = manner
        self.history: list[Entry] = []
        self.last_id: str | None = None
        self.calm = False
        self.silence = 0.0
        self.refused = 0
        self._url = url
        self._cookie = cookie
        self._chance = chance
        self._heard: float | None = None

    async def run(self) -> None:
        """Raises AssertionError when it gets what it never should."""
        while True:
            await self._visit()
            await asyncio.sleep(self._chance.uniform(0, AWAY_SECONDS))

    async def _visit(self) -> None:
        if self.manner.reloads and not self.calm and self._chance.random() < RELOADS:
            self.last_id = None
        path, headers, via = self._way()
        try:
            stream = await sse.connect(self._url, path, cookie=self._cookie, headers=headers)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.refused += 1
            return
        try:
            if stream.status == 200:
                self.history.append(Connect(self.last_id, via))
                await self._read(stream)
            else:
                self.refused += 1
                body = await stream.body()
                assert stream.status == 503, f"client {self.number}: {stream.status} {body!r}"
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            stream.writer.transport.abort()
            await stream.close()

    def _way(self) -> tuple[str, dict[str, str], str]:
        """Where to ask, and by which of the three ways to give the last id."""
        path, last = self.manner.path, self.last_id
        if last is None:
            return path, {}, "anew"
        way = self._chance.choice(["Last-Event-ID", "lastEventId", "last_event_id"])
        if way == "Last-Event-ID":
            return path, {way: last}, way
        return f"{path}?{way}={quote(last)}", {}, way

    async def _read(self, stream: sse.Stream) -> None:
        """Until it drops, or the stream ends."""
        stay = self._chance.expovariate(1 / self.manner.stay)
        with contextlib.suppress(sse.Ended, TimeoutError):
            async with asyncio.timeout(None if self.calm else stay):
                while True:
                    self._take(await stream.read(seconds=FOREVER_SECONDS))

    def _take(self, frame: sse.Frame) -> None:
        if frame.event is None:
            return
        data = frame.raw.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0]
        self.history.append(Frame(frame.event, data, frame.id))
        if frame.id is not None:
            self.last_id = frame.id
            now = time.monotonic()
            if self._heard is not None:
                self.silence = max(self.silence, now - self._heard)
            self._heard = now
