"""`run`: the main function of a service.

    async def wiring(app: App) -> None:
        service = OrdersService(app.log, ...)
        await app.serve_requests({"place": Endpoint(PlaceOrder, service.place)})

    run("orders", wiring)

`run` reads the settings, connects to NATS, provisions the streams, starts status reports and the
health server, calls the wiring, waits for a signal, and stops everything in reverse order.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from tapewire.events import BadDeclaration
from tapewire.log import LogError, Unavailable
from tapewire.log.jetstream import NatsConnection, connect, provision
from tapewire.runtime import event_packages, logging_setup, telemetry
from tapewire.runtime.agents import LEASE, AgentMonitor
from tapewire.runtime.app import App
from tapewire.runtime.settings import BadSetting, Settings

PROVISION_RETRY_SECONDS = 0.5
REPROVISION_RETRY_SECONDS = 5.0

EXIT_BAD_SETTING = 2
EXIT_UNAVAILABLE = 3


async def _provision_streams(connection: NatsConnection, settings: Settings) -> None:
    """Create and update the streams, waiting for JetStream to start."""
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
    """Provision again after every reconnect. A single server that was restarted has lost the
    streams that it keeps in memory, and only its clients can create them again."""
    reconnected = asyncio.Event()
    app.connection.state_listeners.append(
        lambda is_connected: reconnected.set() if is_connected else None
    )
    while True:
        await reconnected.wait()
        reconnected.clear()
        try:
            await _provision_streams(app.connection, app.settings)
        except LogError as error:
            app.logger.warning("streams.provision_failed", error=str(error))
            await asyncio.sleep(REPROVISION_RETRY_SECONDS)
            reconnected.set()


def _check_settings(settings: Settings) -> None:
    """Raises BadSetting if settings contradict each other."""
    if settings.agent_silence < 2 * settings.agent_heartbeat:
        raise BadSetting(
            f"TAPEWIRE_AGENT_SILENCE={settings.agent_silence:g}: must be at least twice "
            f"TAPEWIRE_AGENT_HEARTBEAT, which is {settings.agent_heartbeat:g}"
        )


def _start_status_reporting(app: App) -> None:
    """Report this process's state until it stops, and monitor all services while holding the
    lease."""
    if not app.settings.agent_heartbeat:
        return

    async def report_stopped() -> None:
        # Every user sees this status, so it contains no details of the failure; the log has them.
        failure = app.failure
        await app.status_reporter.report_stopped(
            None if failure is None else f"failed: {type(failure).__name__}"
        )

    app.on_stop(report_stopped)
    app.connection.state_listeners.append(app.status_reporter.on_connection_state)
    app.spawn(app.status_reporter.run(), name="status reporter")
    monitor = AgentMonitor(
        app.log, app.views, app.heartbeats, silence_seconds=app.settings.agent_silence
    )
    app.run_leased(LEASE, monitor.run)


async def _start_health_server(app: App) -> None:
    if not app.settings.health_port:
        return
    from tapewire.runtime.health import HealthStatus, serve_health

    def get_status() -> HealthStatus:
        is_healthy = app.is_ready and app.connection.is_connected
        status = "ok" if is_healthy else ("degraded" if app.is_ready else "starting")
        return HealthStatus(status, app.name, app.connection.is_connected)

    server = await serve_health(app.settings.health_host, app.settings.health_port, get_status)
    app.on_stop(server.close)


async def _run(name: str, settings: Settings, wiring: Callable[[App], Awaitable[None]]) -> None:
    connection = await connect(
        settings.nats_url, f"tapewire {name}", wait_seconds=settings.nats_wait
    )
    app = App(name, settings, connection)
    app.on_stop(connection.close)
    app.spawn(connection.wait_closed(), name="connection")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    try:
        await _provision_streams(connection, settings)
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
    """Run the service `name` until a signal arrives, then exit: 0 after a clean stop, 2 for a bad
    setting, 3 if NATS cannot be reached, 1 for anything else."""
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
        logger.error("service.bad_setting", error=str(error))
        sys.exit(EXIT_BAD_SETTING)
    except Unavailable as error:
        logger.error("service.start_failed", error=str(error))
        sys.exit(EXIT_UNAVAILABLE)
    except Exception:
        logger.exception("service.failed")
        sys.exit(1)
    finally:
        telemetry.shutdown()
    sys.exit(0)
