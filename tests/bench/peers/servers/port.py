"""What a trial needs of a server, and what all servers have in common."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.bench.peers.cores import LOAD, SERVER, pinned

START_SECONDS = 120.0
BEHIND_EVENTS = 100
"""How many events a reader missed that comes back."""
STEP_SECONDS = 0.002
"""Events that are due within so long are published together, as far as the load is concerned."""


class Server:
    """A server under load."""

    name = ""
    marker = ""
    """What a reader that is being served has received."""

    settings: Mapping[str, object] = {}
    """Other than its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._measured: psutil.Process | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here."""
        return None

    async def start(self) -> None:
        """Serve on `port`."""
        raise NotImplementedError

    async def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:
        """The HTTP request of a reader: of `user`'s events, or of everybody's; after `last_id`,
        which is `BEHIND_EVENTS` behind."""
        raise NotImplementedError

    async def broadcast(self, number: int) -> None:
        """Publish an event to everybody."""
        raise NotImplementedError

    async def tell(self, user: str, number: int) -> None:
        """Publish an event to `user`."""
        raise NotImplementedError

    async def position(self) -> str | None:
        """The id of a reader that has everything; None where no reader can resume."""
        return None

    async def settled(self) -> None:
        """Return when everything published is in its history."""

    async def offer(self, rate: float, seconds: float) -> list[float]:
        """Broadcast `rate` events a second for so long; when each was published."""
        return await paced(rate, seconds, self.broadcast)

    def cpu(self) -> float:
        """CPU seconds of the process that serves."""
        assert self._measured is not None
        times = self._measured.cpu_times()
        return times.user + times.system

    def memory(self) -> int:
        """Its resident bytes."""
        assert self._measured is not None
        return int(self._measured.memory_info().rss)

    def _spawn(
        self, command: Sequence[str], *, measured: bool, **how: object
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=pinned(SERVER if measured else LOAD),
                **how,  # type: ignore[call-overload]
            )
        self._processes.append(process)
        if measured:
            self._measured = psutil.Process(process.pid)
        return process

    def _log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()[-2000:]


async def paced(
    rate: float, seconds: float, act: Callable[[int], "asyncio.Future[None] | object"]
) -> list[float]:
    """Let `act` happen `rate` times a second, evenly; the times at which it did."""
    began, stamps = time.time(), []
    count = int(rate * seconds)
    for number in range(count):
        ahead = began + number / rate - time.time()
        if ahead > STEP_SECONDS / 2:
            await asyncio.sleep(ahead)
        stamps.append(time.time())
        await act(number)  # type: ignore[misc]
        if number % 64 == 0:
            await asyncio.sleep(0)
    return stamps


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(port: int, process: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
    """Wait until something accepts on `port`."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise RuntimeError(f"nothing answers on {port}: {log()}")


ANSWER = b"HTTP/1.1 "


class Pipe:
    """A connection that is written to as fast as one likes; answers are thrown away, HTTP's
    counted. A write is a request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._unanswered = 0
        self._draining = asyncio.create_task(self._drain(reader))

    @classmethod
    async def to(cls, port: int) -> "Pipe":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def answered(self) -> bool:
        """Whether every request has its answer."""
        return self._unanswered == 0

    async def write(self, data: bytes) -> None:
        self._unanswered += 1
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._draining.cancel()
        self._writer.transport.abort()

    async def _drain(self, reader: asyncio.StreamReader) -> None:
        tail = b""
        while data := await reader.read(1 << 16):
            seen = tail + data
            self._unanswered -= seen.count(ANSWER)
            tail = seen[1 - len(ANSWER) :]
