"""A venue on another implementation of FIX, QuickFIX, and the lossy connection to it.

The engine runs in a process of its own. It is installed beside the test environment by `make fix`;
without it the tests skip, saying so. Start at `Acceptor`.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.connections import serve_connections

ENGINE = Path(os.environ.get("TAPEWIRE_TEST_FIX_ENGINE") or f"{sys.prefix}/fix")
SPEC = ENGINE / "share" / "quickfix" / "FIX44.xml"
ACCEPTOR = Path(__file__).parent / "venue" / "acceptor.py"
WAIT_SECONDS = 30.0
CLIENT_COUNT = 100
"""Clients of an acceptor; each test needs one. An acceptor with fewer starts faster."""
CHUNK_BYTES = 4096

Description = dict[str, Any]
"""What the acceptor says of its session and its book."""


def require_engine() -> None:
    """Skip the test if there is no QuickFIX."""
    if not SPEC.exists():
        pytest.skip(f"no QuickFIX in {ENGINE}; `make fix` installs it")


class Acceptor:
    """An acceptor process, at `port`. Each client of it has a book of its own. One that
    `keeps_books` can be restarted."""

    def __init__(
        self, folder: Path, *, client_count: int = CLIENT_COUNT, keeps_books: bool = False
    ) -> None:
        require_engine()
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._errors = (folder / "acceptor.err").open("wb")
        self._command = [sys.executable, "-P", str(ACCEPTOR), str(folder), str(self.port)]
        self._command += [str(SPEC), str(client_count), *(["keep"] if keeps_books else [])]
        self._process = self._start()
        self._unused_clients: list[str] = list(self._read())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": f"{ENGINE}{os.pathsep}{ACCEPTOR.parent}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def restart(self) -> None:
        """Kill the process, and start one that goes on with its books and numbers."""
        self._process.kill()
        self._process.communicate()
        self._process = self._start()
        self._read()

    def open_venue(self) -> "ForeignVenue":
        """The venue as a client knows it that nobody has used before."""
        return ForeignVenue(self, self._unused_clients.pop(0))

    def do(self, client: str, what: str, arguments: dict[str, object]) -> Description:
        """Carry out a command of `acceptor.Client`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([client, what, arguments]).encode() + b"\n")
        self._process.stdin.flush()
        described: Description = self._read()
        return described

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise AssertionError(f"the acceptor ended: {Path(self._errors.name).read_text()}")
        return json.loads(line)


class ForeignVenue:
    """A venue as its client `client` knows it."""

    def __init__(self, acceptor: Acceptor, client: str) -> None:
        self.port, self.client = acceptor.port, client
        self._acceptor = acceptor

    def environment(self, port: int) -> dict[str, str]:
        """The settings of a broker that reaches the venue at `port`."""
        return {
            "TAPEWIRE_FIX_PORT": str(port),
            "TAPEWIRE_FIX_SENDER_COMP_ID": self.client,
            "TAPEWIRE_FIX_TARGET_COMP_ID": "VENUE",
            "TAPEWIRE_FIX_HEARTBEAT_SECONDS": "1",
        }

    def do(self, what: str, **arguments: object) -> Description:
        """Carry out a command of `acceptor.Client`; what the venue is like afterwards."""
        return self._acceptor.do(self.client, what, arguments)

    def describe(self) -> Description:
        """What the venue is like now."""
        return self.do("describe")

    def execute(
        self,
        order: str,
        qty: str,
        price: str = "100",
        *,
        times: int = 1,
        fields: dict[int, str] | None = None,
    ) -> Description:
        """Execute a part of an order, and report it `times` times."""
        return self.do("fill", order=order, qty=qty, price=price, times=times, fields=fields or {})

    def correct(self, order: str, execution: str, qty: str, price: str = "100") -> Description:
        """Correct an execution of an order, or bust it with a `qty` of 0, and report that."""
        return self.do("correct", order=order, execution=execution, qty=qty, price=price)

    async def wait_for(self, what: str, condition: Callable[[Description], object]) -> Description:
        """Wait until `condition` holds for what the venue is like."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_SECONDS
        while not condition(seen := self.describe()):
            if loop.time() > deadline:
                raise AssertionError(f"not within {WAIT_SECONDS:g} s: {what}; last seen: {seen}")
            await asyncio.sleep(0.02)
        return seen


@pytest.fixture(scope="session")
def acceptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptor]:
    """The acceptor of all tests of a worker."""
    acceptor = Acceptor(tmp_path_factory.mktemp("acceptor"))
    yield acceptor
    acceptor.stop()


@pytest.fixture
def venue(acceptor: Acceptor) -> ForeignVenue:
    """A venue with an empty book."""
    return acceptor.open_venue()


class Link:
    """The connection between a broker and its venue, at `port`. It can be cut, also within a
    message, and can damage a message."""

    def __init__(self, venue_port: int) -> None:
        self.port = 0
        self.connection_count = 0
        self.is_refusing = False
        self._venue_port = venue_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._damage_next = False
        self._bytes_until_cut: int | None = None

    def cut(self, *, after_bytes: int = 0) -> None:
        """Abort all connections, once `after_bytes` more bytes have passed."""
        self._bytes_until_cut = after_bytes
        if after_bytes == 0:
            self._abort()

    def damage_next_message(self) -> None:
        """Change a byte in the middle of what the venue sends next."""
        self._damage_next = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one of its sides ends."""
        if self.is_refusing:
            writer.transport.abort()
            return
        with contextlib.suppress(OSError):
            venue = await asyncio.open_connection("127.0.0.1", self._venue_port)
            self.connection_count += 1
            self._writers |= {writer, venue[1]}
            pumps = {
                asyncio.create_task(self._pump(reader, venue[1], is_from_venue=False)),
                asyncio.create_task(self._pump(venue[0], writer, is_from_venue=True)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                venue[1].transport.abort()
        self._writers.discard(writer)
        writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_from_venue: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._damage_next and is_from_venue:
                    self._damage_next = False
                    data = data[: len(data) // 2] + b"#" + data[len(data) // 2 + 1 :]
                if self._bytes_until_cut is not None:
                    data = data[: self._bytes_until_cut]
                    self._bytes_until_cut -= len(data)
                writer.write(data)
                await writer.drain()
                if self._bytes_until_cut == 0:
                    self._bytes_until_cut = None
                    self._abort()

    def _abort(self) -> None:
        self._bytes_until_cut = None
        for writer in self._writers:
            writer.close()
        self._writers.clear()


@contextlib.asynccontextmanager
async def run_link(venue_port: int) -> AsyncIterator[Link]:
    """A link to the venue, for as long as the block lasts."""
    link = Link(venue_port)
    async with serve_connections(link.serve) as port:
        link.port = port
        yield link


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
