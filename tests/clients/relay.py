"""What lies between a client and the edge: it can cut, end early, and send elsewhere first.

`Relay` takes connections and gives each to the next of its `plans` (by itself: pass all on). It
keeps the head of every request, and when it came, so that a test sees what a client asked for.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536

Plan = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, on a connection that is closed afterwards."""


@dataclass
class Asked:
    """A request for a stream that came `at` that second of the loop's clock, and what its answer
    was so far."""

    at: float
    head: str
    answer: str = ""
    body: bytearray = field(default_factory=bytearray)

    @property
    def last_id(self) -> str:
        """What the client gave back: by its header, or else in the query."""
        header = re.search(r"^last-event-id: *(\S+)", self.head, re.MULTILINE | re.IGNORECASE)
        query = re.search(r"[?&]lastEventId=([^& ]+)", self.head.splitlines()[0])
        found = header or query
        return found[1] if found else ""

    @property
    def is_compressed(self) -> bool:
        return "content-encoding: gzip" in self.answer.lower()


class Relay:
    """A way to the edge at `port`; start with `relay`. What is no stream passes, uncounted."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self.plans: deque[Plan] = deque()
        self.asked: list[Asked] = []
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Every connection that there is breaks."""
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.decode("latin-1"), writer)
                await writer.drain()
        finally:
            self._ends.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        asked = Asked(asyncio.get_running_loop().time(), head)
        if "/stream" not in head.splitlines()[0]:
            await self.passing()(asked, writer)
            return
        self.asked.append(asked)
        plan = self.plans.popleft() if self.plans else self.passing()
        await plan(asked, writer)

    def passing(self) -> Plan:
        """All that the edge says."""

        async def plan(asked: Asked, writer: asyncio.StreamWriter) -> None:
            async with self._far(self.port, asked) as far:
                writer.write(asked.answer.encode("latin-1"))
                while chunk := await far.read(CHUNK_BYTES):
                    asked.body += chunk
                    writer.write(chunk)
                    await writer.drain()

        return plan

    def cut_after(self, mark: bytes, *, whole: bool) -> Plan:
        """What the edge says up to and including `mark`, and then the connection ends. `whole`: as
        if that were all, as proxies make it look that know no chunks (the end is the end)."""

        async def plan(asked: Asked, writer: asyncio.StreamWriter) -> None:
            async with self._far(self.port, asked) as far:
                answer = asked.answer
                if whole:
                    answer = re.sub(r"transfer-encoding:.*?\r\n", "", answer, flags=re.IGNORECASE)
                writer.write(answer.encode("latin-1"))
                while mark not in asked.body:
                    size = await far.readuntil(b"\r\n")
                    chunk = (await far.readexactly(int(size, 16) + 2))[:-2]
                    assert chunk, f"it ended before {mark!r}: {bytes(asked.body[-300:])!r}"
                    before = len(asked.body)
                    asked.body += chunk
                    at = asked.body.find(mark)
                    part = chunk if at < 0 else chunk[: at + len(mark) - before]
                    writer.write(part if whole else size + part + (b"\r\n" if at < 0 else b""))
                    await writer.drain()

        return plan

    def refusing(self, port: int) -> Plan:
        """What the edge at `port` says, which is a refusal, and to come back in two seconds. It is
        asked twice: one that takes one stream a minute may have one left to take."""

        async def plan(asked: Asked, writer: asyncio.StreamWriter) -> None:
            async with self._far(port, asked):
                pass
            async with self._far(port, asked) as far:
                length = re.search(r"content-length: *([0-9]+)", asked.answer, re.IGNORECASE)
                assert length, f"no refusal: {asked.answer}"
                body = await far.readexactly(int(length[1]))
                answer, times = re.subn(r"(?i)(retry-after: *)[0-9]+", r"\g<1>2", asked.answer)
                assert times == 1, f"no Retry-After: {asked.answer}"
                writer.write(answer.encode("latin-1") + body)

        return plan

    @contextlib.asynccontextmanager
    async def _far(self, port: int, asked: Asked) -> AsyncIterator[asyncio.StreamReader]:
        """The edge, asked, once on this connection; the head of its answer is read."""
        head = re.sub(r"\r\nconnection:[^\r]*", "", asked.head, flags=re.IGNORECASE)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._ends.add(writer)
        try:
            writer.write(head[:-2].encode("latin-1") + b"Connection: close\r\n\r\n")
            asked.answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            yield reader
        finally:
            self._ends.discard(writer)
            writer.transport.abort()

    async def close(self) -> None:
        """Cut, and wait until that is noticed."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """A relay to `port`, at its `url`."""
    made = Relay(port)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        await made.close()
        server.close()
        await server.wait_closed()
