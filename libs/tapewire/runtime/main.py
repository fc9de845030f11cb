"""`run`: the main function of a service.

    async def wiring(app: App) -> None:
        service = OrdersService(app.log, ...)
        await app.serve_requests({"place": Endpoint(PlaceOrder, service.place)})

    run("orders", wiring)

`run` reads the settings, connects to NATS, and runs a `ServiceProcess`: it checks the streams,
calls the wiring, waits for a signal, and stops everything in reverse order.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import NoReturn

import structlog

from tapewire.events import BadDeclaration
from tapewire.log import Unavailable
from tapewire.log.jetstream import BadCredentials, NatsConnection, connect
from tapewire.runtime import event_packages, logging_setup, telemetry
from tapewire.runtime.service_process import HoldServer, ServiceProcess, Wiring
from tapewire.runtime.settings import BadSetting, Settings
from tapewire.runtime.user_check import find_wrong_user

EXIT_BAD_SETTING = 2
EXIT_UNAVAILABLE = 3


def _check_settings(settings: Settings) -> None:
    """Raises BadSetting if settings contradict each other."""
    if settings.agent_silence < 2 * settings.agent_heartbeat:
        raise BadSetting(
            f"TAPEWIRE_AGENT_SILENCE={settings.agent_silence:g}: must be at least twice "
            f"TAPEWIRE_AGENT_HEARTBEAT, which is {settings.agent_heartbeat:g}"
        )


async def _run(
    name: str, settings: Settings, wiring: Wiring, hold_server: HoldServer | None
) -> None:
    async with contextlib.AsyncExitStack() as connections:
        connection, lease_connection = [
            await connections.enter_async_context(_connected(connection_name, settings))
            for connection_name in (f"tapewire {name}", f"tapewire {name} leases")
        ]
        if wrong_user := await find_wrong_user(connection, name):
            raise BadSetting(wrong_user)
        process = ServiceProcess(name, settings, connection, lease_connection, wiring, hold_server)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        await process.run()


@contextlib.asynccontextmanager
async def _connected(name: str, settings: Settings) -> AsyncIterator[NatsConnection]:
    """A connection to NATS with the credentials of `settings`. Raises Unavailable."""
    connection = await connect(
        settings.nats_url,
        name,
        wait_seconds=settings.nats_wait,
        credentials=settings.nats_credentials(),
    )
    try:
        yield connection
    finally:
        await connection.close()


def run(name: str, wiring: Wiring, *, hold_server: HoldServer | None = None) -> NoReturn:
    """Run the service `name` until a signal arrives, then exit: 0 after a clean stop, 2 for a bad
    setting, 3 if NATS cannot be reached, 1 for anything else.

    `hold_server` serves in place of the service while the streams are unfit.
    """
    sys.excepthook = logging_setup.print_masked_traceback
    try:
        settings = Settings.from_env()
        event_packages.load(settings.event_packages)
        _check_settings(settings)
    except BadSetting as error:
        sys.stderr.write(f"tapewire {name}: {logging_setup.redact(str(error))}\n")
        sys.exit(EXIT_BAD_SETTING)
    logging_setup.configure_logging(name, format_=settings.log_format, level=settings.log_level)
    telemetry.configure_tracing(name, settings.otlp_endpoint)
    logger = structlog.get_logger(name)
    try:
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.install()
        asyncio.run(_run(name, settings, wiring, hold_server))
    except (BadSetting, BadCredentials, BadDeclaration) as error:
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
