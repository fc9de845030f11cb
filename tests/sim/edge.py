"""An edge process without sockets: what `services.edge.__main__` wires, over the log in memory.

It can be started, drained and killed; whatever it had in memory is gone then.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, cast

from services.edge import server
from services.edge.access import Sessions, Tickets, open_entrance
from services.edge.feeds import FEEDS
from services.edge.follow import Board, Followers, Tape
from services.edge.http.streams import ABORT, Streams
from services.edge.hub import Hub, Reason, auth_expired
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.runtime import Settings
from tests.sim.wire import Wire

TICK_SECONDS = 0.25

_BY_PATH = {feed.path: feed for feed in FEEDS}


class Edge:
    """One process, from `start` to `kill`. `deaths` collects what its tasks died of."""

    def __init__(
        self,
        of: MemoryServer,
        faults: Faults,
        settings: Settings,
        now: Callable[[], datetime],
        seed: int,
    ) -> None:
        self.settings = settings
        self.log = MemoryLog(of, faults)
        self.views = MemoryValues(of, faults, stream="VIEWS", prefix="view")
        self.store = MemoryValues(of, faults, stream="SESSIONS", prefix="$KV.sessions")
        self.market = MemoryValues(of, faults)
        self.hub = Hub(
            keepalive_seconds=settings.keepalive_interval, write_seconds=settings.write_seconds
        )
        self.tape = Tape(
            self.log, self.hub.publish, lambda: self.hub.restart(self.tape.epoch), seed=seed
        )
        self.sessions = Sessions(self.store, now, settings.session_hours)
        entrance = open_entrance(
            settings,
            sessions=self.sessions,
            tickets=Tickets(self.store, now, settings.ticket_seconds),
            now=now,
            clock=asyncio.get_running_loop().time,
            on_stop=lambda _: None,
        )
        followers = Followers(
            log=self.log,
            views=self.views,
            tape=self.tape,
            hub=self.hub,
            board=Board(self.market, settings.flush_ms / 1000),
            now=now,
            retry_ms=settings.retry_ms,
            replay_limit=settings.replay_limit,
            replays_at_once=settings.replays_at_once,
        )
        self.streams = Streams(
            followers=followers, hub=self.hub, entrance=entrance, settings=settings, now=now
        )
        self.now = now
        self.accepts = False
        self.deaths: list[BaseException] = []
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._wires: dict[Wire, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Accept connections when the tape follows the log."""
        self._spawn(server.look_after(self.hub, self.now, TICK_SECONDS))
        self._spawn(self.tape.run())
        await self.tape.ready.wait()
        self._spawn(self.sessions.watch(self._ended, self._open_keys))
        self.accepts = True

    def open(self, wire: Wire, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Take a request."""
        scope = cast(
            "Any",
            {
                "method": "GET",
                "headers": headers,
                "query_string": query.encode(),
                "extensions": {ABORT: wire.abort},
            },
        )
        handling = self.streams.handle(_BY_PATH[path], scope, wire.receive, wire.send)
        self._wires[wire] = task = self._spawn(handling)
        task.add_done_callback(lambda _: self._wires.pop(wire, None))

    async def drain(self, seconds: float) -> None:
        """End as after a SIGTERM."""
        self.accepts = False
        await server.drain(cast("Any", _Sockets()), self.streams, self.hub, seconds)

    async def kill(self, broken: Callable[[Wire], None]) -> None:
        """Be gone at once; `broken` is told each connection."""
        self.accepts = False
        for connection in (self.log, self.views, self.store, self.market):
            connection.kill()
        for wire in [*self._wires]:
            broken(wire)
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.deaths.append(error)

    def _ended(self, key: str) -> None:
        for connection in self.hub.connections():
            if connection.opening.session == key:
                now = asyncio.get_running_loop().time()
                self.hub.end(connection, Reason.REVOKED, now, auth_expired(Reason.REVOKED))

    def _open_keys(self) -> list[str]:
        return [c.opening.session for c in self.hub.connections() if c.opening.session is not None]


class _Sockets:
    """What a drain asks of the server that listens."""

    def close_listeners(self) -> None: ...
    async def shutdown(self) -> None: ...
