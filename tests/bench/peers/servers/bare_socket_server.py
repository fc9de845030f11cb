"""The bare socket: `python -m tests.bench.peers.servers.bare_socket_server PORT`.

Every 20 ms the due events are joined once, and written to each connection by one `send`. ``RATE n``
on a connection sets the number of events a second.
"""

import contextlib
import select
import socket
import sys
import time
from datetime import UTC, datetime

from tests.bench.peers import events

WRITE_WINDOW_SECONDS = 0.02
RESPONSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\n: hi\n\n\r\n"
)


class BareSocketServer:
    """All connections."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._readers: list[socket.socket] = []
        self._rate = 0
        self._event_count = 0
        self._rate_started_at = 0.0

    def run(self) -> None:
        due = time.time() + WRITE_WINDOW_SECONDS
        while True:
            for fd, _ in self._epoll.poll(max(due - time.time(), 0), 1024):
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._receive(fd)
            if time.time() >= due:
                due += WRITE_WINDOW_SECONDS
                self._write()

    def _accept(self) -> None:
        made, _ = self._listener.accept()
        made.setblocking(False)
        self._connections[made.fileno()] = made
        self._epoll.register(made.fileno(), select.EPOLLIN)

    def _receive(self, fd: int) -> None:
        connection = self._connections[fd]
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        if data.startswith(b"RATE "):
            self._rate, self._event_count, self._rate_started_at = (
                int(data.split()[1]),
                0,
                time.time(),
            )
        elif data:
            connection.send(RESPONSE_HEAD)
            self._readers.append(connection)
        else:
            self._epoll.unregister(fd)
            del self._connections[fd]
            if connection in self._readers:
                self._readers.remove(connection)
            connection.close()

    def _write(self) -> None:
        due = (
            int((time.time() - self._rate_started_at) * self._rate)
            if self._rate
            else self._event_count
        )
        frames = [self._make_frame(number) for number in range(self._event_count, due)]
        self._event_count = due
        if not frames:
            return
        body = b"".join(frames)
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        for reader in self._readers:
            with contextlib.suppress(OSError):
                reader.send(chunk)

    def _make_frame(self, number: int) -> bytes:
        at = datetime.fromtimestamp(self._rate_started_at + number / self._rate, UTC)
        data = events.streamed_quote(number, at)
        return b"event: price:update\ndata: %b\nretry: 5000\n\n" % data


if __name__ == "__main__":
    BareSocketServer(int(sys.argv[1])).run()
