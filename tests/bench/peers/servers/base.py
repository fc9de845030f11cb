"""The interface of a measured server, and the code that all of them share."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.bench.peers.cpu_affinity import LOAD_CORES, SERVER_CORES, pin_to_cores
from tests.harness.pacing import call_at_rate

START_TIMEOUT_SECONDS = 120.0
REPLAYED_EVENTS = 100
"""The number of events that a reconnecting reader missed."""


class BenchServer:
    """A server under load."""

    name = ""
    marker = ""
    """Bytes that a reader receives once it is being served."""

    settings: Mapping[str, object] = {}
    """Settings other than the server's defaults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._measured_process: psutil.Process | None = None

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Why the server cannot run here, or None."""
        return None

    async def start(self) -> None:
        """Serve on `port`."""
        raise NotImplementedError

    async def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:
        """The HTTP request of a reader: for the events of `user`, or for public events; after
        `last_id`, which is `REPLAYED_EVENTS` behind."""
        raise NotImplementedError

    async def publish_to_all(self, number: int) -> None:
        """Publish an event to all readers."""
        raise NotImplementedError

    async def publish_to_user(self, user: str, number: int) -> None:
        """Publish an event to `user`."""
        raise NotImplementedError

    async def last_event_id(self) -> str | None:
        """The last event id of a reader that has everything; None if readers cannot resume."""
        return None

    async def wait_stored(self) -> None:
        """Return when everything published is in its history."""

    async def publish_at_rate(self, rate: float, seconds: float) -> list[float]:
        """Broadcast `rate` events a second for `seconds`; return when each was published."""
        return await call_at_rate(rate, seconds, self.publish_to_all)

    def cpu_seconds(self) -> float:
        """The CPU seconds of the measured process."""
        assert self._measured_process is not None
        times = self._measured_process.cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        """Its resident memory in bytes."""
        assert self._measured_process is not None
        return int(self._measured_process.memory_info().rss)

    def _start_process(
        self, command: Sequence[str], *, is_measured: bool, **popen_options: Any
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=pin_to_cores(SERVER_CORES if is_measured else LOAD_CORES),
                **popen_options,
            )
        self._processes.append(process)
        if is_measured:
            self._measured_process = psutil.Process(process.pid)
        return process

    def _log_tail(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()[-2000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_until_accepting(
    port: int, process: subprocess.Popen[bytes], log: Callable[[], str]
) -> None:
    """Wait until `port` accepts connections."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise RuntimeError(f"nothing answers on {port}: {log()}")


STATUS_LINE_START = b"HTTP/1.1 "


class HttpPipeline:
    """A connection that sends requests without waiting for their responses; it counts the responses
    and discards them. Each write is one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._unanswered_count = 0
        self._drain_task = asyncio.create_task(self._count_responses(reader))

    @classmethod
    async def connect(cls, port: int) -> "HttpPipeline":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def wait_all_answered(self) -> bool:
        """Whether every request has its response."""
        return self._unanswered_count == 0

    async def write(self, data: bytes) -> None:
        self._unanswered_count += 1
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._drain_task.cancel()
        self._writer.transport.abort()

    async def _count_responses(self, reader: asyncio.StreamReader) -> None:
        tail = b""
        while data := await reader.read(1 << 16):
            seen = tail + data
            self._unanswered_count -= seen.count(STATUS_LINE_START)
            tail = seen[1 - len(STATUS_LINE_START) :]
