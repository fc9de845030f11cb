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
from tapewire.log import LogError, Unavailable, encode_token, pattern
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    provision,
)
from tapewire.log.jetstream.streams import MARKET, SESSIONS, TICKETS, VIEWS
from tapewire.log.view_checkpointer import ViewCheckpointer
from tapewire.log.view_checkpoints import View, ViewType
from tapewire.runtime import event_packages, logging_setup, requests, telemetry
from tapewire.runtime.agents import LEASE, AgentMonitor, AgentStatusReporter, HealthCheck
from tapewire.runtime.leases import Leases
from tapewire.runtime.requests import Endpoint, RequestClient
from tapewire.runtime.settings import BadSetting, Settings

PROVISION_RETRY_SECONDS = 0.5
REPROVISION_RETRY_SECONDS = 5.0

EXIT_BAD_SETTING = 2
EXIT_UNAVAILABLE = 3


class App:
    """What a service stands on. What is registered is undone in reverse order at the end."""

    def __init__(self, name: str, settings: Settings, connection: NatsConnection) -> None:
        self.name = name
        self.settings = settings
        self.connection = connection
        self.instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        self.log = JetStreamEventLog(connection)
        self.quotes = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="px", live_prefix="live.px"
        )
        self.valuations = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="mk", live_prefix="live.mk"
        )
        self.declared_values = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="val", live_prefix="live.val"
        )
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.sessions = JetStreamLatestValueStore(
            connection, stream=SESSIONS, prefix="$KV.sessions"
        )
        self.tickets = JetStreamLatestValueStore(connection, stream=TICKETS, prefix="$KV.tickets")
        self.heartbeats = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="hb", live_prefix="live.hb"
        )
        self.requests = RequestClient(connection)
        self.leases = Leases(connection, self.instance)
        self.logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
        self.is_ready = False
        self.status_reporter = AgentStatusReporter(
            self.log,
            self.heartbeats,
            name,
            self.instance,
            heartbeat_seconds=settings.agent_heartbeat,
        )
        self._stop_requested = asyncio.Event()
        self.failure: BaseException | None = None
        self._cleanup = contextlib.AsyncExitStack()

    def user_valuations(self, user: str) -> JetStreamLatestValueStore:
        """What the positions of one user are worth."""
        name = encode_token(user)
        return JetStreamLatestValueStore(
            self.connection, stream=MARKET, prefix=f"mk.{name}", live_prefix=f"live.mk.{name}"
        )

    def on_stop(self, cleanup: Callable[[], Awaitable[Any]]) -> None:
        """Call `undo` at the end, before whatever was registered earlier."""
        self._cleanup.push_async_callback(cleanup)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` beside the service until the end; if it fails, the service ends with it."""
        task = asyncio.create_task(work, name=name)

        def watch(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and done.exception() is not None:
                self.logger.error("a task failed", task=name, exc_info=done.exception())
                self.failure = done.exception()
                self._stop_requested.set()

        async def cancel() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

        task.add_done_callback(watch)
        self.on_stop(cancel)
        return task

    def add_health_check(self, check: HealthCheck) -> None:
        """Announce the service as degraded while `unwell` says what is wrong with it; it is asked
        with every heartbeat."""
        self.status_reporter.health_checks.append(check)

    def run_leased(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        endpoints: Mapping[str, Endpoint[Any]] | None = None,
    ) -> None:
        """Run `work` while this process holds the lease `name`, and stand by for it otherwise.
        `endpoints` are what only the holder can answer: it does while it works."""

        async def answering() -> None:
            answers = await self._serve_leased_requests(endpoints or {})
            try:
                await work()
            finally:
                await answers.close()

        self.spawn(
            self.leases.run_while_held(name, answering if endpoints else work), name=f"lease {name}"
        )

    async def checkpoint_views(self, view_type: ViewType[View]) -> None:
        """Keep checkpoints of the views of `kind`, together with all other processes."""
        projector = ViewCheckpointer(self.log, self.views, view_type)
        reaction = await self.log.subscribe_durable(
            projector.durable_name, pattern(domain=view_type.domain), projector.handle
        )
        self.on_stop(reaction.close)
        self.spawn(projector.run(), name=projector.durable_name)

    async def _serve_leased_requests(
        self, endpoints: Mapping[str, Endpoint[Any]]
    ) -> requests.RequestServer:
        """Answer as soon as the connection allows it: the lease was won, so it does or will."""
        patience = Backoff(new_rng())
        while True:
            try:
                return await requests.serve_requests(self.connection, self.name, endpoints)
            except (LogError, nats.errors.Error) as error:
                self.logger.warning("cannot answer yet", error=str(error))
                await patience.wait()

    async def serve_requests(self, endpoints: Mapping[str, Endpoint[Any]]) -> None:
        """Answer requests to ``svc.{name}.{verb}`` until the end."""
        answering = await requests.serve_requests(self.connection, self.name, endpoints)
        self.on_stop(answering.close)

    def stop(self) -> None:
        """Begin the end."""
        self._stop_requested.set()

    async def run_until_stopped(self) -> None:
        """Say that the service is ready and wait for its end.

        Raises:
            BaseException: what a spawned task failed with.
        """
        self.is_ready = True
        self.status_reporter.report_ready()
        self.logger.info("ready", instance=self.instance)
        if self.settings.ready_fd >= 0:
            os.write(self.settings.ready_fd, b"ready\n")
        await self._stop_requested.wait()
        self.is_ready = False
        self.logger.info("stopping")
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Undo everything, last first."""
        await self._cleanup.aclose()


async def _provision_streams(connection: NatsConnection, settings: Settings) -> None:
    """Make the streams exist, however late JetStream itself starts."""
    deadline = asyncio.get_running_loop().time() + settings.nats_wait
    while True:
        try:
            await provision(connection, replicas=settings.replicas)
        except Unavailable:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(PROVISION_RETRY_SECONDS)
        else:
            return


async def _reprovision_on_reconnect(app: App) -> None:
    """Make the streams again whenever the connection is back: a single server that was restarted
    has lost those that it keeps in memory, and nobody but its clients is there to make them."""
    back = asyncio.Event()
    app.connection.state_listeners.append(lambda connected: back.set() if connected else None)
    while True:
        await back.wait()
        back.clear()
        try:
            await _provision_streams(app.connection, app.settings)
        except LogError as error:
            app.logger.warning("the streams may be missing; trying again", error=str(error))
            await asyncio.sleep(REPROVISION_RETRY_SECONDS)
            back.set()


def _check_settings(settings: Settings) -> None:
    """Raises BadSetting when settings contradict each other."""
    if settings.agent_silence < 2 * settings.agent_heartbeat:
        raise BadSetting(
            f"TAPEWIRE_AGENT_SILENCE={settings.agent_silence:g}: must be at least twice "
            f"TAPEWIRE_AGENT_HEARTBEAT, which is {settings.agent_heartbeat:g}"
        )


def _start_status_reporting(app: App) -> None:
    """Say what state the service is in until the end, and watch over all services in turn."""
    if not app.settings.agent_heartbeat:
        return

    async def farewell() -> None:
        # Every user sees it: what the failure says of files and addresses is for the log.
        failure = app.failure
        await app.status_reporter.report_stopped(
            None if failure is None else f"failed: {type(failure).__name__}"
        )

    app.on_stop(farewell)
    app.connection.state_listeners.append(app.status_reporter.on_connection_state)
    app.spawn(app.status_reporter.run(), name="announcer")
    watch = AgentMonitor(
        app.log, app.views, app.heartbeats, silence_seconds=app.settings.agent_silence
    )
    app.run_leased(LEASE, watch.run)


async def _start_health_server(app: App) -> None:
    if not app.settings.health_port:
        return
    from tapewire.runtime.health import HealthStatus, serve_health

    def state() -> HealthStatus:
        healthy = app.is_ready and app.connection.is_connected
        word = "ok" if healthy else ("degraded" if app.is_ready else "starting")
        return HealthStatus(word, app.name, app.connection.is_connected)

    server = await serve_health(app.settings.health_host, app.settings.health_port, state)
    app.on_stop(server.close)


async def _run(name: str, settings: Settings, wiring: Callable[[App], Awaitable[None]]) -> None:
    wire = await connect(settings.nats_url, f"tapewire {name}", wait_seconds=settings.nats_wait)
    app = App(name, settings, wire)
    app.on_stop(wire.close)
    app.spawn(wire.wait_closed(), name="connection")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    try:
        await _provision_streams(wire, settings)
        app.spawn(_reprovision_on_reconnect(app), name="streams")
        _start_status_reporting(app)
        await _start_health_server(app)
        await wiring(app)
        await app.run_until_stopped()
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
        event_packages.load(settings.event_packages)
        _check_settings(settings)
    except BadSetting as error:
        sys.stderr.write(f"tapewire {name}: {error}\n")
        sys.exit(EXIT_BAD_SETTING)
    logging_setup.configure_logging(name, format_=settings.log_format, level=settings.log_level)
    telemetry.configure_tracing(name, settings.otlp_endpoint)
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
        telemetry.shutdown()
    sys.exit(0)
