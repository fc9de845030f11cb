"""An edge process without sockets: what `services.edge.__main__` wires, over the log in memory.

It can be started, drained and killed; whatever it had in memory is gone then.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, cast

from services.edge import server
from services.edge.access import Sessions, Tickets, open_entrance
from services.edge.drain import drain
from services.edge.engine import Engine
from services.edge.feeds import FEEDS
from services.edge.http.admission import Admission
from services.edge.http.streams import ABORT, Streams
from services.edge.limits import Attempts
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
        self._of, self._faults = of, faults
        self._valued: list[MemoryValues] = []
        self.log = MemoryLog(of, faults)
        self.views = MemoryValues(of, faults, stream="VIEWS", prefix="view")
        self.store = MemoryValues(of, faults, stream="SESSIONS", prefix="$KV.sessions")
        self.market = MemoryValues(of, faults)
        self.engine = Engine(
            log=self.log,
            views=self.views,
            market=self.market,
            valuations=self._valuations,
            own_values=MemoryValues(of, faults, prefix="val"),
            settings=settings,
            now=now,
            seed=seed,
        )
        self.hub, self.tape = self.engine.hub, self.engine.tape
        self.sessions = Sessions(self.store, now, settings.session_hours)
        clock, attempts = asyncio.get_running_loop().time, Attempts(settings.connect_rate)
        entrance = open_entrance(
            settings,
            sessions=self.sessions,
            tickets=Tickets(self.store, now, settings.ticket_seconds),
            now=now,
            clock=clock,
            on_stop=lambda _: None,
        )
        self.streams = Streams(
            followers=self.engine.followers,
            hub=self.hub,
            admission=Admission(
                log=self.log,
                tape=self.tape,
                entrance=entrance,
                attempt=lambda address: attempts.take(address, clock()),
                settings=settings,
            ),
            settings=settings,
            now=now,
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
        self._spawn(self.sessions.watch(self.engine.revoked, self.engine.sessions))
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
        await drain(_Sockets(), self.streams, self.hub, seconds, self.now)

    async def kill(self, broken: Callable[[Wire], None]) -> None:
        """Be gone at once; `broken` is told each connection."""
        self.accepts = False
        for connection in (self.log, self.views, self.store, self.market, *self._valued):
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

    def _valuations(self, user: str) -> MemoryValues:
        values = MemoryValues(self._of, self._faults, prefix=f"mk.{user}")
        self._valued.append(values)
        return values


class _Sockets:
    """What a drain asks of the server that listens."""

    def close_listeners(self) -> None: ...
    async def shutdown(self) -> None: ...
