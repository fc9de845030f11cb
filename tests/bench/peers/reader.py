"""The readers: one process, any number of connections, every event's time of arrival.

`python -m tests.bench.peers.reader` takes orders as lines of JSON on its input (`Order`) and
answers each with a line (`Report`). Events carry the time they were published at
(``"timestamp":"…"``), and how long each took is what is measured.

Python would be too slow to look at a million events a second one by one. It does not: readers of a
broadcast get the same bytes, so what was received is looked up by its bytes, and only what was not
seen before is searched for times. For the rest the arrival is noted, and the sum is done when the
measuring is over. What is read is left as the kernel gave it; only a chunk cut in the middle of an
event is put together first.
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

STAMP = re.compile(rb'"timestamp":"([^"]+)"')
BUFFER_BYTES = 256 * 1024
AT_ONCE = 128
"""Connections being opened at the same time."""
STEPS_A_SECOND = 10_000
"""Resolution of latencies: 0.1 ms."""
OPEN_SECONDS = 120.0
GRACE_SECONDS = 1.0
"""How long what was published last may take, when the measuring is over."""


class Open(msgspec.Struct, tag=True, kw_only=True):
    """Open a connection for each of `requests`, from `sources` in turn. It is open when `marker`
    was received `wanted` times after the head; the report comes when all are."""

    port: int
    requests: list[str]
    sources: tuple[str, ...] = ("127.0.0.1",)
    marker: str = ""
    wanted: int = 0
    at_once: int = AT_ONCE


class Measure(msgspec.Struct, tag=True, kw_only=True):
    """Note what arrives for so long."""

    seconds: float


class Close(msgspec.Struct, tag=True, kw_only=True):
    """Cut every connection."""


Order = Open | Measure | Close


class Report(msgspec.Struct, kw_only=True):
    """`opened`: seconds from the first connect until each was open. `steps`: how many events took
    how long (in 0.1 ms), of those published while it was measured; `events` and `received` count
    all that arrived."""

    opened: list[float] = []
    began: float = 0.0
    steps: dict[int, int] = {}
    events: int = 0
    received: int = 0
    writes: int = 0
    lost: int = 0
    cpu: float = 0.0


class _Seen:
    """A piece of the stream that was received before: its events' times, and each arrival."""

    __slots__ = ("arrivals", "stamps")

    def __init__(self, stamps: list[float]) -> None:
        self.stamps = stamps
        self.arrivals: list[float] = []


class _Connection:
    __slots__ = ("answered", "decoder", "socket", "tail", "text")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.tail = b""
        self.text = b""
        self.answered = False
        self.decoder: Unpacked | None = None


class Unpacked:
    """Takes HTTP chunks and gzip off."""

    def __init__(self) -> None:
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._wire = b""

    def take(self, data: bytes) -> bytes:
        self._wire += data
        plain = []
        while True:
            size, end, rest = self._wire.partition(b"\r\n")
            if not end or len(rest) < int(size, 16) + 2:
                return b"".join(plain)
            plain.append(self._gzip.decompress(rest[: int(size, 16)]))
            self._wire = rest[int(size, 16) + 2 :]


class Readers:
    """All connections of this process."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._all: dict[int, _Connection] = {}
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._seen: dict[bytes, _Seen] = {}
        self._received = self._writes = self._lost = 0

    def do(self, order: Order) -> Report:
        if isinstance(order, Open):
            return self._open(order)
        if isinstance(order, Measure):
            return self._measure(order.seconds)
        self.close()
        return Report()

    def close(self) -> None:
        """Cut every connection."""
        for connection in self._all.values():
            connection.socket.close()
        self._all.clear()

    # -- opening ------------------------------------------------------------------------------

    def _open(self, order: Open) -> Report:
        began = time.perf_counter()
        marker = order.marker.encode()
        waiting: dict[int, _Connection] = {}
        opened: list[float] = []
        requests = iter(enumerate(order.requests))
        deadline = began + OPEN_SECONDS
        while len(opened) < len(order.requests):
            while len(waiting) < order.at_once and (turn := next(requests, None)):
                number, request = turn
                source = order.sources[number % len(order.sources)]
                made = self._connect(order.port, request.encode(), source)
                waiting[made.socket.fileno()] = made
            for fd, _ in self._epoll.poll(1.0, 4096):
                connection = self._all[fd]
                if fd not in waiting:
                    self._take(connection)
                    continue
                data = self._receive(connection)
                if not self._is_open(connection, data, marker, order.wanted):
                    continue
                del waiting[fd]
                opened.append(time.perf_counter() - began)
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{len(opened)} of {len(order.requests)} streams opened")
        return Report(opened=opened)

    def _connect(self, port: int, request: bytes, source: str) -> _Connection:
        made = socket.socket()
        made.bind((source, 0))
        made.connect(("127.0.0.1", port))
        made.setblocking(False)
        made.sendall(request)
        self._epoll.register(made.fileno(), select.EPOLLIN)
        connection = self._all[made.fileno()] = _Connection(made)
        return connection

    def _is_open(self, connection: _Connection, data: bytes, marker: bytes, wanted: int) -> bool:
        connection.text += data
        if not connection.answered:
            head, end, data = connection.text.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(connection.text[:500].decode("latin-1"))
            connection.answered = True
            if b"content-encoding: gzip" in head.lower():
                connection.decoder = Unpacked()
            connection.text = data if connection.decoder is None else connection.decoder.take(data)
        elif connection.decoder is not None:
            connection.text = connection.text[: -len(data)] + connection.decoder.take(data)
        if connection.text.count(marker) < wanted:
            return False
        _, connection.tail = _whole(connection.text)
        connection.text = b""
        return True

    # -- measuring ----------------------------------------------------------------------------

    def _measure(self, seconds: float) -> Report:
        self._seen = {}
        self._received = self._writes = self._lost = 0
        cpu, began = time.process_time(), time.time()
        until, last = began + seconds, began + seconds + GRACE_SECONDS
        poll, take = self._epoll.poll, self._take
        while (now := time.time()) < last:
            for fd, _ in poll(min(last - now, 0.1), 4096):
                take(self._all[fd])
        steps: Counter[int] = Counter()
        for seen in self._seen.values():
            for stamp in seen.stamps:
                if began <= stamp < until:
                    steps.update(
                        [max(int((at - stamp) * STEPS_A_SECOND), 0) for at in seen.arrivals]
                    )
        return Report(
            began=began,
            steps=dict(steps),
            events=sum(len(s.stamps) * len(s.arrivals) for s in self._seen.values()),
            received=self._received,
            writes=self._writes,
            lost=self._lost,
            cpu=time.process_time() - cpu,
        )

    def _take(self, connection: _Connection) -> None:
        data = self._receive(connection)
        now = time.time()
        if not data:
            return
        self._received += len(data)
        self._writes += 1
        if connection.decoder is not None:
            data = connection.decoder.take(data)
        if connection.tail:
            data = connection.tail + data
        data, connection.tail = _whole(data)
        seen = self._seen.get(data)
        if seen is None:
            seen = self._seen[data] = _Seen([_time(found) for found in STAMP.findall(data)])
        seen.arrivals.append(now)

    def _receive(self, connection: _Connection) -> bytes:
        try:
            size = connection.socket.recv_into(self._buffer)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.ECONNRESET:
                raise
            size = 0
        if not size:
            self._lost += 1
            fd = connection.socket.fileno()
            self._epoll.unregister(fd)
            connection.socket.close()
            del self._all[fd]
        return bytes(self._view[:size])


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """`data` up to its last whole event, and what is of the next one; two bytes behind an event
    are the end of an HTTP chunk."""
    end = data.rfind(b"\n\n")
    if end < 0:
        return b"", data
    return (data, b"") if len(data) - end <= 4 else (data[: end + 2], data[end + 2 :])


def _time(stamp: bytes) -> float:
    return datetime.fromisoformat(stamp.decode()).timestamp()


def main() -> None:
    readers = Readers()
    decoder = msgspec.json.Decoder(Order)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            report = readers.do(decoder.decode(line))
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
