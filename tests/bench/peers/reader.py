"""The readers: one process, any number of connections, and the arrival time of every event.

`python -m tests.bench.peers.reader` reads commands (`ReaderCommand`) as lines of JSON from its
input, and answers each with a line (`ReaderReport`). Events carry their publication time
(``"timestamp":"…"``); the readers measure the latency of each.

Python is too slow to parse a million events a second one by one. Readers of a broadcast receive the
same bytes, so each received block is looked up by its bytes, and only unknown blocks are searched
for timestamps. For known blocks only the arrival is recorded; latencies are computed after the
measurement. Received data stays as the kernel delivered it; only a chunk that was cut within an
event is joined first.
"""

import contextlib
import errno
import re
import select
import socket
import sys
import time
import zlib
from collections import Counter
from datetime import datetime

import msgspec

TIMESTAMP_PATTERN = re.compile(rb'"timestamp":"([^"]+)"')
BUFFER_BYTES = 256 * 1024
CONCURRENT_CONNECTS = 128
"""The number of connections that are opened at the same time."""
LATENCY_STEPS_PER_SECOND = 10_000
"""The resolution of latencies: 0.1 ms."""
OPEN_TIMEOUT_SECONDS = 120.0
MEASURE_GRACE_SECONDS = 1.0
"""The time allowed for the last published events after the measurement."""


class OpenConnections(msgspec.Struct, tag=True, kw_only=True):
    """Open a connection for each of `requests`, from `sources` in turn. A connection is open once
    `marker` was received `marker_count` times after the response head; the report follows once all
    are open."""

    port: int
    requests: list[str]
    sources: tuple[str, ...] = ("127.0.0.1",)
    marker: str = ""
    marker_count: int = 0
    concurrency: int = CONCURRENT_CONNECTS


class MeasureArrivals(msgspec.Struct, tag=True, kw_only=True):
    """Record arrivals for `seconds`."""

    seconds: float


class CloseConnections(msgspec.Struct, tag=True, kw_only=True):
    """Cut every connection."""


ReaderCommand = OpenConnections | MeasureArrivals | CloseConnections


class ReaderReport(msgspec.Struct, kw_only=True):
    """`open_seconds` are the seconds from the first connect until each connection was open.
    `latency_histogram` counts the events published during the measurement by their latency, in
    units of 0.1 ms. `event_count` and `received_bytes` count everything that arrived."""

    open_seconds: list[float] = []
    started_at: float = 0.0
    latency_histogram: dict[int, int] = {}
    event_count: int = 0
    received_bytes: int = 0
    lost_connection_count: int = 0


class _SharedBlock:
    """A block of the stream that was received before: the timestamps of its events, and each
    arrival."""

    __slots__ = ("arrivals", "timestamps")

    def __init__(self, stamps: list[float]) -> None:
        self.timestamps = stamps
        self.arrivals: list[float] = []


class _ReaderConnection:
    __slots__ = ("decoder", "has_response_head", "open_buffer", "partial_event", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.partial_event = b""
        self.open_buffer = b""
        self.has_response_head = False
        self.decoder: ChunkedGzipDecoder | None = None


class ChunkedGzipDecoder:
    """Removes HTTP chunking and gzip."""

    def __init__(self) -> None:
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._buffer = b""

    def decode(self, data: bytes) -> bytes:
        self._buffer += data
        plain: list[bytes] = []
        while True:
            size, end, rest = self._buffer.partition(b"\r\n")
            if not end or len(rest) < int(size, 16) + 2:
                return b"".join(plain)
            plain.append(self._gzip.decompress(rest[: int(size, 16)]))
            self._buffer = rest[int(size, 16) + 2 :]


class ReaderPool:
    """All connections of this process."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._connections: dict[int, _ReaderConnection] = {}
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._blocks: dict[bytes, _SharedBlock] = {}
        self._received_bytes = self._lost_connection_count = 0

    def execute(self, command: ReaderCommand) -> ReaderReport:
        if isinstance(command, OpenConnections):
            return self._open_connections(command)
        if isinstance(command, MeasureArrivals):
            return self._measure_arrivals(command.seconds)
        self.close()
        return ReaderReport()

    def close(self) -> None:
        """Cut every connection."""
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    # -- opening ------------------------------------------------------------------------------

    def _open_connections(self, command: OpenConnections) -> ReaderReport:
        began = time.perf_counter()
        marker = command.marker.encode()
        waiting: dict[int, _ReaderConnection] = {}
        opened: list[float] = []
        requests = iter(enumerate(command.requests))
        deadline = began + OPEN_TIMEOUT_SECONDS
        while len(opened) < len(command.requests):
            while len(waiting) < command.concurrency and (turn := next(requests, None)):
                number, request = turn
                source = command.sources[number % len(command.sources)]
                made = self._connect(command.port, request.encode(), source)
                waiting[made.socket.fileno()] = made
            for fd, _ in self._epoll.poll(1.0, 4096):
                connection = self._connections[fd]
                if fd not in waiting:
                    self._record_arrival(connection)
                    continue
                data = self._receive(connection)
                if not self._is_open(connection, data, marker, command.marker_count):
                    continue
                del waiting[fd]
                opened.append(time.perf_counter() - began)
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{len(opened)} of {len(command.requests)} streams opened")
        return ReaderReport(open_seconds=opened)

    def _connect(self, port: int, request: bytes, source: str) -> _ReaderConnection:
        made = socket.socket()
        made.bind((source, 0))
        made.connect(("127.0.0.1", port))
        made.setblocking(False)
        made.sendall(request)
        self._epoll.register(made.fileno(), select.EPOLLIN)
        connection = self._connections[made.fileno()] = _ReaderConnection(made)
        return connection

    def _is_open(
        self, connection: _ReaderConnection, data: bytes, marker: bytes, marker_count: int
    ) -> bool:
        connection.open_buffer += data
        if not connection.has_response_head:
            head, end, data = connection.open_buffer.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(connection.open_buffer[:500].decode("latin-1"))
            connection.has_response_head = True
            if b"content-encoding: gzip" in head.lower():
                connection.decoder = ChunkedGzipDecoder()
            connection.open_buffer = (
                data if connection.decoder is None else connection.decoder.decode(data)
            )
        elif connection.decoder is not None:
            connection.open_buffer = connection.open_buffer[
                : -len(data)
            ] + connection.decoder.decode(data)
        if connection.open_buffer.count(marker) < marker_count:
            return False
        _, connection.partial_event = _split_at_last_event(connection.open_buffer)
        connection.open_buffer = b""
        return True

    # -- measuring ----------------------------------------------------------------------------

    def _measure_arrivals(self, seconds: float) -> ReaderReport:
        self._blocks = {}
        self._received_bytes = self._lost_connection_count = 0
        began = time.time()
        until, last = began + seconds, began + seconds + MEASURE_GRACE_SECONDS
        poll, record = self._epoll.poll, self._record_arrival
        while (now := time.time()) < last:
            for fd, _ in poll(min(last - now, 0.1), 4096):
                record(self._connections[fd])
        steps: Counter[int] = Counter()
        for seen in self._blocks.values():
            for stamp in seen.timestamps:
                if began <= stamp < until:
                    steps.update(
                        [
                            max(int((at - stamp) * LATENCY_STEPS_PER_SECOND), 0)
                            for at in seen.arrivals
                        ]
                    )
        return ReaderReport(
            started_at=began,
            latency_histogram=dict(steps),
            event_count=sum(len(s.timestamps) * len(s.arrivals) for s in self._blocks.values()),
            received_bytes=self._received_bytes,
            lost_connection_count=self._lost_connection_count,
        )

    def _record_arrival(self, connection: _ReaderConnection) -> None:
        data = self._receive(connection)
        now = time.time()
        if not data:
            return
        self._received_bytes += len(data)
        if connection.decoder is not None:
            data = connection.decoder.decode(data)
        if connection.partial_event:
            data = connection.partial_event + data
        data, connection.partial_event = _split_at_last_event(data)
        seen = self._blocks.get(data)
        if seen is None:
            seen = self._blocks[data] = _SharedBlock(
                [_parse_timestamp(found) for found in TIMESTAMP_PATTERN.findall(data)]
            )
        seen.arrivals.append(now)

    def _receive(self, connection: _ReaderConnection) -> bytes:
        try:
            size = connection.socket.recv_into(self._buffer)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.ECONNRESET:
                raise
            size = 0
        if not size:
            self._lost_connection_count += 1
            fd = connection.socket.fileno()
            self._epoll.unregister(fd)
            connection.socket.close()
            del self._connections[fd]
        return bytes(self._view[:size])


def _split_at_last_event(data: bytes) -> tuple[bytes, bytes]:
    """Split `data` after its last complete event; the two bytes behind an event are the end of an
    HTTP chunk."""
    end = data.rfind(b"\n\n")
    if end < 0:
        return b"", data
    return (data, b"") if len(data) - end <= 4 else (data[: end + 2], data[end + 2 :])


def _parse_timestamp(text: bytes) -> float:
    return datetime.fromisoformat(text.decode()).timestamp()


def main() -> None:
    readers = ReaderPool()
    decoder = msgspec.json.Decoder(ReaderCommand)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            report = readers.execute(decoder.decode(line))
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
