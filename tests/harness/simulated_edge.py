"""An edge process without sockets, on a log in memory: `tapewire_services.edge.__main__` for tests.

It can be started, drained and killed; its memory is lost when it ends.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, cast

from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime import Settings
from tapewire.runtime.contracts.bars import GetNewestBars, NewestBars
from tapewire_services.edge.auth import SessionStore, TicketStore, build_authenticator
from tapewire_services.edge.cluster.limits import RateLimiter
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.drain import drain
from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http import server
from tapewire_services.edge.http.admission import StreamAdmission
from tapewire_services.edge.http.streams import ABORT_EXTENSION, StreamHandler
from tests.harness.simulated_stream import SimulatedStream

CLEANUP_INTERVAL_SECONDS = 0.25

_ROUTES_BY_PATH = {route.path: route for route in STREAM_ROUTES}


async def no_bars(request: GetNewestBars) -> NewestBars:
    """No symbol has a bar."""
    return NewestBars(series=[[] for _ in request.series])


class SimulatedEdge:
    """One process, from `start` to `kill`. It collects the errors that its tasks failed with."""

    def __init__(
        self,
        server: MemoryServer,
        faults: Faults,
        settings: Settings,
        now: Callable[[], datetime],
        seed: int,
    ) -> None:
        self.settings = settings
        self._server, self._faults = server, faults
        self._valuation_stores: list[MemoryLatestValueStore] = []
        self.log = MemoryEventLog(server, faults)
        self.views = MemoryLatestValueStore(server, faults, stream="VIEWS", prefix="view")
        self.session_store = MemoryLatestValueStore(
            server, faults, stream="SESSIONS", prefix="$KV.sessions"
        )
        self.market = MemoryLatestValueStore(server, faults)
        self.engine = Engine(
            instance="edge",
            log=self.log,
            views=self.views,
            quotes=self.market,
            user_valuations=self._open_valuation_store,
            declared_values=MemoryLatestValueStore(server, faults, prefix="val"),
            get_newest_bars=no_bars,
            settings=settings,
            now=now,
            seed=seed,
        )
        self.hub, self.log_tail = self.engine.hub, self.engine.log_tail
        self.sessions = SessionStore(self.session_store, now, settings.session_hours)
        clock, attempts = asyncio.get_running_loop().time, RateLimiter(settings.connect_rate)
        authenticator = build_authenticator(
            settings,
            session_store=self.sessions,
            ticket_store=TicketStore(self.session_store, now, settings.ticket_seconds),
            now=now,
            clock=clock,
            on_stop=lambda _: None,
        )
        self.streams = StreamHandler(
            stream_service=self.engine.stream_service,
            hub=self.hub,
            admission=StreamAdmission(
                log=self.log,
                log_tail=self.log_tail,
                authenticator=authenticator,
                count_attempt=lambda address: attempts.try_acquire(address, clock()),
                settings=settings,
            ),
            settings=settings,
            now=now,
        )
        self.now = now
        self.is_accepting = False
        self.task_errors: list[BaseException] = []
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._open_streams: dict[SimulatedStream, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Accept connections once the log tail follows the log."""
        self._spawn(server.run_hub_ticks(self.hub, self.now, CLEANUP_INTERVAL_SECONDS))
        self._spawn(self.log_tail.run())
        await self.log_tail.ready.wait()
        self._spawn(self.sessions.watch(self.engine.close_session, self.engine.open_session_ids))
        self.is_accepting = True

    def open_stream(
        self, stream: SimulatedStream, path: str, query: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Serve a request."""
        scope = cast(
            "Any",
            {
                "method": "GET",
                "headers": headers,
                "query_string": query.encode(),
                "extensions": {ABORT_EXTENSION: stream.abort},
            },
        )
        handling = self.streams.handle(_ROUTES_BY_PATH[path], scope, stream.receive, stream.send)
        self._open_streams[stream] = task = self._spawn(handling)
        task.add_done_callback(lambda _: self._open_streams.pop(stream, None))

    async def drain(self, seconds: float) -> None:
        """Drain as after SIGTERM."""
        self.is_accepting = False
        await drain(_FakeHttpServer(), self.streams, self.hub, seconds, self.now)

    async def kill(self, on_broken: Callable[[SimulatedStream], None]) -> None:
        """Kill the process at once; call `on_broken` with each connection."""
        self.is_accepting = False
        self.log.kill()
        for store in (self.views, self.session_store, self.market, *self._valuation_stores):
            store.kill()
        for stream in [*self._open_streams]:
            on_broken(stream)
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.task_errors.append(error)

    def _open_valuation_store(self, user: str) -> MemoryLatestValueStore:
        values = MemoryLatestValueStore(self._server, self._faults, prefix=f"mk.{user}")
        self._valuation_stores.append(values)
        return values


class _FakeHttpServer:
    """The part of the HTTP server that a drain uses."""

    def close_listeners(self) -> None: ...
    async def shutdown(self) -> None: ...
