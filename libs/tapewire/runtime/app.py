"""A service's life: connect, wire, say ready, wait for the end, and stop in reverse order.

    async def wiring(app: App) -> None:
        service = Orders(app.log, ...)
        await app.answer({"place": Endpoint(PlaceOrder, service.place)})

    run("orders", wiring)

`run` is the whole of a service's main; `App` is what its wiring is given.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NoReturn

import nats.errors
import structlog

from tapewire.events import BadDeclaration
from tapewire.log import LogError, Unavailable, pattern, token
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, Wire, connect, provision
from tapewire.log.jetstream.streams import MARKET, SESSIONS, TICKETS, VIEWS
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.projector import Projector
from tapewire.log.views import View, ViewType
from tapewire.runtime import extensions, logs, requests, telemetry
from tapewire.runtime.agents import LEASE, Announcer, Check, Watch
from tapewire.runtime.leases import Leases
from tapewire.runtime.requests import Endpoint, Requests
from tapewire.runtime.settings import BadSetting, Settings

STREAMS_RETRY_SECONDS = 0.5
STREAMS_AGAIN_SECONDS = 5.0

EXIT_BAD_SETTING = 2
EXIT_UNAVAILABLE = 3


class App:
    """What a service stands on. What is registered is undone in reverse order at the end."""

    def __init__(self, name: str, settings: Settings, wire: Wire) -> None:
        self.name = name
        self.settings = settings
        self.wire = wire
        self.instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        self.log = JetStreamLog(wire)
        self.market = JetStreamValues(wire, stream=MARKET, prefix="px", live="live.px")
        self.valuations = JetStreamValues(wire, stream=MARKET, prefix="mk", live="live.mk")
        self.own_values = JetStreamValues(wire, stream=MARKET, prefix="val", live="live.val")
        self.views = JetStreamValues(wire, stream=VIEWS, prefix="view")
        self.sessions = JetStreamValues(wire, stream=SESSIONS, prefix="$KV.sessions")
        self.tickets = JetStreamValues(wire, stream=TICKETS, prefix="$KV.tickets")
        self.heartbeats = JetStreamValues(wire, stream=MARKET, prefix="hb", live="live.hb")
        self.requests = Requests(wire)
        self.leases = Leases(wire, self.instance)
        self.logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
        self.ready = False
        self.announcer = Announcer(
            self.log, self.heartbeats, name, self.instance, every=settings.agent_heartbeat
        )
        self._stop = asyncio.Event()
        self.failure: BaseException | None = None
        self._undo = contextlib.AsyncExitStack()

    def valuations_of(self, user: str) -> JetStreamValues:
        """What the positions of one user are worth."""
        name = token(user)
        return JetStreamValues(
            self.wire, stream=MARKET, prefix=f"mk.{name}", live=f"live.mk.{name}"
        )

    def on_stop(self, undo: Callable[[], Awaitable[Any]]) -> None:
        """Call `undo` at the end, before whatever was registered earlier."""
        self._undo.push_async_callback(undo)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` beside the service until the end; if it fails, the service ends with it."""
        task = asyncio.create_task(work, name=name)

        def watch(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and done.exception() is not None:
                self.logger.error("a task failed", task=name, exc_info=done.exception())
                self.failure = done.exception()
                self._stop.set()

        async def cancel() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

        task.add_done_callback(watch)
        self.on_stop(cancel)
        return task

    def check(self, unwell: Check) -> None:
        """Announce the service as degraded while `unwell` says what is wrong with it; it is asked
        with every heartbeat."""
        self.announcer.checks.append(unwell)

    def leased(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        endpoints: Mapping[str, Endpoint[Any]] | None = None,
    ) -> None:
        """Run `work` while this process holds the lease `name`, and stand by for it otherwise.
        `endpoints` are what only the holder can answer: it does while it works."""

        async def answering() -> None:
            answers = await self._answering(endpoints or {})
            try:
                await work()
            finally:
                await answers.close()

        self.spawn(self.leases.hold(name, answering if endpoints else work), name=f"lease {name}")

    async def project(self, kind: ViewType[View]) -> None:
        """Keep checkpoints of the views of `kind`, together with all other processes."""
        projector = Projector(self.log, self.views, kind)
        reaction = await self.log.react(
            projector.reaction, pattern(domain=kind.domain), projector.note
        )
        self.on_stop(reaction.close)
        self.spawn(projector.run(), name=projector.reaction)

    async def _answering(self, endpoints: Mapping[str, Endpoint[Any]]) -> requests.Answering:
        """Answer as soon as the connection allows it: the lease was won, so it does or will."""
        patience = Patience(fresh_chance())
        while True:
            try:
                return await requests.answer(self.wire, self.name, endpoints)
            except (LogError, nats.errors.Error) as error:
                self.logger.warning("cannot answer yet", error=str(error))
                await patience.wait()

    async def answer(self, endpoints: Mapping[str, Endpoint[Any]]) -> None:
        """Answer requests to ``svc.{name}.{verb}`` until the end."""
        answering = await requests.answer(self.wire, self.name, endpoints)
        self.on_stop(answering.close)

    def stop(self) -> None:
        """Begin the end."""
        self._stop.set()

    async def serve(self) -> None:
        """Say that the service is ready and wait for its end.

        Raises:
            BaseException: what a spawned task failed with.
        """
        self.ready = True
        self.announcer.ready()
        self.logger.info("ready", instance=self.instance)
        if self.settings.ready_fd >= 0:
            os.write(self.settings.ready_fd, b"ready\n")
        await self._stop.wait()
        self.ready = False
        self.logger.info("stopping")
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Undo everything, last first."""
        await self._undo.aclose()


async def _streams(wire: Wire, settings: Settings) -> None:
    """Make the streams exist, however late JetStream itself starts."""
    deadline = asyncio.get_running_loop().time() + settings.nats_wait
    while True:
        try:
            await provision(wire, replicas=settings.replicas)
        except Unavailable:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(STREAMS_RETRY_SECONDS)
        else:
            return


async def _keep_streams(app: App) -> None:
    """Make the streams again whenever the connection is back: a single server that was restarted
    has lost those that it keeps in memory, and nobody but its clients is there to make them."""
    back = asyncio.Event()
    app.wire.on_state.append(lambda connected: back.set() if connected else None)
    while True:
        await back.wait()
        back.clear()
        try:
            await _streams(app.wire, app.settings)
        except LogError as error:
            app.logger.warning("the streams may be missing; trying again", error=str(error))
            await asyncio.sleep(STREAMS_AGAIN_SECONDS)
            back.set()


def _check_settings(settings: Settings) -> None:
    """Raises BadSetting when settings contradict each other."""
    if settings.agent_silence < 2 * settings.agent_heartbeat:
        raise BadSetting(
            f"TAPEWIRE_AGENT_SILENCE={settings.agent_silence:g}: must be at least twice "
            f"TAPEWIRE_AGENT_HEARTBEAT, which is {settings.agent_heartbeat:g}"
        )


def _announce(app: App) -> None:
    """Say what state the service is in until the end, and watch over all services in turn."""
    if not app.settings.agent_heartbeat:
        return

    async def farewell() -> None:
        # Every user sees it: what the failure says of files and addresses is for the log.
        failure = app.failure
        await app.announcer.stopped(
            None if failure is None else f"failed: {type(failure).__name__}"
        )

    app.on_stop(farewell)
    app.wire.on_state.append(app.announcer.connection)
    app.spawn(app.announcer.run(), name="announcer")
    watch = Watch(app.log, app.views, app.heartbeats, silence=app.settings.agent_silence)
    app.leased(LEASE, watch.run)


async def _health(app: App) -> None:
    if not app.settings.health_port:
        return
    from tapewire.runtime.health import Health, serve_health

    def state() -> Health:
        healthy = app.ready and app.wire.connected
        word = "ok" if healthy else ("degraded" if app.ready else "starting")
        return Health(word, app.name, app.wire.connected)

    server = await serve_health(app.settings.health_host, app.settings.health_port, state)
    app.on_stop(server.close)


async def _run(name: str, settings: Settings, wiring: Callable[[App], Awaitable[None]]) -> None:
    wire = await connect(settings.nats_url, f"tapewire {name}", wait_seconds=settings.nats_wait)
    app = App(name, settings, wire)
    app.on_stop(wire.close)
    app.spawn(wire.ended(), name="connection")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    try:
        await _streams(wire, settings)
        app.spawn(_keep_streams(app), name="streams")
        _announce(app)
        await _health(app)
        await wiring(app)
        await app.serve()
    except Exception as failure:
        app.failure = failure
        raise
    finally:
        await app.close()


def run(name: str, wiring: Callable[[App], Awaitable[None]]) -> NoReturn:
    """Be the service `name` until a signal, then exit: 0 after a clean stop, 2 for a bad setting,
    3 when NATS cannot be reached, 1 for anything else."""
    try:
        settings = Settings.from_env()
        extensions.load(settings.event_packages)
        _check_settings(settings)
    except BadSetting as error:
        sys.stderr.write(f"tapewire {name}: {error}\n")
        sys.exit(EXIT_BAD_SETTING)
    logs.set_up(name, format_=settings.log_format, level=settings.log_level)
    telemetry.set_up(name, settings.otlp_endpoint)
    logger = structlog.get_logger(name)
    try:
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.install()
        asyncio.run(_run(name, settings, wiring))
    except (BadSetting, BadDeclaration) as error:
        logger.error("a setting cannot be used", error=str(error))
        sys.exit(EXIT_BAD_SETTING)
    except Unavailable as error:
        logger.error("cannot start", error=str(error))
        sys.exit(EXIT_UNAVAILABLE)
    except Exception:
        logger.exception("failed")
        sys.exit(1)
    finally:
        telemetry.flush()
    sys.exit(0)
