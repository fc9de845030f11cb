"""The readers of the bench count every event once, whatever pieces it comes in: against a server
that cuts its bytes anywhere."""

import gzip
import random
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tapewire_services.edge.delivery.compression import GzipStream
from tests.bench.peers.reader import MeasureArrivals, OpenConnections, ReaderPool, ReaderReport
from tests.bench.peers.reader_process import delivered_event_count, latency_quantile

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%bTransfer-Encoding: chunked\r\n\r\n"
EVENTS = 300
READERS = 5


def event() -> bytes:
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return b'event: e\ndata: {"timestamp":"%b"}\n\n' % stamp.encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class CuttingServer:
    """Sends each of its peers an opening, and events, cut anywhere, once they are measured."""

    def __init__(self, *, compressed: bool) -> None:
        self._compressed = compressed
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._go = threading.Event()
        self._thread.start()

    def go(self) -> None:
        self._go.set()

    def close(self) -> None:
        self._thread.join(60)
        self._listening.close()

    def _serve(self) -> None:
        peers = []
        for _ in range(READERS):
            peer, _ = self._listening.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.recv(1000)
            pack = GzipStream().write if self._compressed else bytes
            coding = b"Content-Encoding: gzip\r\n" if self._compressed else b""
            peer.sendall(HEAD % coding + chunk(pack(b": hi\n\n")))
            peers.append((peer, pack))
        self._go.wait(60)
        cuts = random.Random(1)
        for _ in range(EVENTS // 10):
            for peer, pack in peers:
                chunks = b"".join(chunk(pack(event())) for _ in range(10))
                at = cuts.randrange(len(chunks))
                peer.sendall(chunks[:at])
                time.sleep(0.0005)
                peer.sendall(chunks[at:])
        for peer, _ in peers:
            peer.close()


@pytest.mark.parametrize("compressed", [False, True])
def test_every_event_counts_once(compressed: bool) -> None:
    server, readers = CuttingServer(compressed=compressed), ReaderPool()
    requests = ["GET / HTTP/1.1\r\n\r\n"] * READERS
    opened = readers.execute(
        OpenConnections(port=server.port, requests=requests, marker=": hi", marker_count=1)
    )
    report = measured(readers, server)
    readers.close()
    assert len(opened.open_seconds) == READERS
    assert (delivered_event_count(report), report.event_count) == (
        EVENTS * READERS,
        EVENTS * READERS,
    )
    assert report.lost_connection_count == READERS
    assert 0 < latency_quantile(report, 0.5) <= latency_quantile(report, 0.99) < float("inf")


def measured(readers: ReaderPool, server: CuttingServer) -> ReaderReport:
    """A report of all that the server sends: it begins when the measuring has, which ends when
    every connection has ended, however long that takes."""
    clock = Clock(began=server.go, over=lambda: not readers._connections)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.bench.peers.reader.time", clock)
        report = readers.execute(MeasureArrivals(seconds=Clock.SECONDS))
    server.close()
    return report


class Clock:
    """The time, which the measuring looks at: it says that it has begun, and jumps to its end."""

    SECONDS = 3600.0

    def __init__(self, began: Callable[..., Any], over: Callable[..., Any]) -> None:
        self._began, self._over, self._looks = began, over, 0

    def time(self) -> float:
        self._looks += 1
        if self._looks == 2:  # the first look is the beginning
            self._began()
        return time.time() + (2 * self.SECONDS if self._looks > 2 and self._over() else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def test_who_is_refused_is_no_reader() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        readers = ReaderPool()
        answer = threading.Thread(target=lambda: refuse(listening))
        answer.start()
        order = OpenConnections(
            port=listening.getsockname()[1], requests=["GET / HTTP/1.1\r\n\r\n"]
        )
        with pytest.raises(RuntimeError, match="503"):
            readers.execute(order)
        answer.join(30)
        readers.close()


def refuse(listening: socket.socket) -> None:
    peer, _ = listening.accept()
    peer.recv(1000)
    peer.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    peer.close()


def test_quantiles() -> None:
    report = ReaderReport(latency_histogram={10: 98, 20: 1, 500: 1})
    assert [round(latency_quantile(report, share), 5) for share in (0.5, 0.98, 0.99, 1.0)] == [
        0.00105,
        0.00105,
        0.00205,
        0.05005,
    ]
    assert latency_quantile(ReaderReport(), 0.5) == float("inf")


def test_it_takes_what_gzip_makes() -> None:
    """The test's own compressor is the one that is read elsewhere by others."""
    stream = GzipStream()
    assert gzip.decompress(stream.write(event()) + stream.end()).startswith(b"event: e")
