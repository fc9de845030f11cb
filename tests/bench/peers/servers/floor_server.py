"""The bare socket: `python -m tests.bench.peers.servers.floor_server PORT`.

Every 20 ms the events that are due are put together once, and written to each connection by one
`send`. ``RATE n`` on a connection says how many events a second there are.
"""

import contextlib
import select
import socket
import sys
import time
from datetime import UTC, datetime

from tests.bench.peers import events

WINDOW_SECONDS = 0.02
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\n: hi\n\n\r\n"
)


class Floor:
    """All connections."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._epoll = select.epoll()
        self._epoll.register(self._listening.fileno(), select.EPOLLIN)
        self._fresh: dict[int, socket.socket] = {}
        self._readers: list[socket.socket] = []
        self._rate = 0
        self._made = 0
        self._since = 0.0

    def run(self) -> None:
        due = time.time() + WINDOW_SECONDS
        while True:
            for fd, _ in self._epoll.poll(max(due - time.time(), 0), 1024):
                if fd == self._listening.fileno():
                    self._accept()
                else:
                    self._hear(fd)
            if time.time() >= due:
                due += WINDOW_SECONDS
                self._write()

    def _accept(self) -> None:
        made, _ = self._listening.accept()
        made.setblocking(False)
        self._fresh[made.fileno()] = made
        self._epoll.register(made.fileno(), select.EPOLLIN)

    def _hear(self, fd: int) -> None:
        connection = self._fresh[fd]
        try:
            said = connection.recv(4096)
        except OSError:
            said = b""
        if said.startswith(b"RATE "):
            self._rate, self._made, self._since = int(said.split()[1]), 0, time.time()
        elif said:
            connection.send(HEAD)
            self._readers.append(connection)
        else:
            self._epoll.unregister(fd)
            del self._fresh[fd]
            if connection in self._readers:
                self._readers.remove(connection)
            connection.close()

    def _write(self) -> None:
        due = int((time.time() - self._since) * self._rate) if self._rate else self._made
        frames = [self._frame(number) for number in range(self._made, due)]
        self._made = due
        if not frames:
            return
        body = b"".join(frames)
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        for reader in self._readers:
            with contextlib.suppress(OSError):
                reader.send(chunk)

    def _frame(self, number: int) -> bytes:
        at = datetime.fromtimestamp(self._since + number / self._rate, UTC)
        data = events.shown_quote(number, at)
        return b"event: price:update\ndata: %b\nretry: 5000\n\n" % data


if __name__ == "__main__":
    Floor(int(sys.argv[1])).run()
