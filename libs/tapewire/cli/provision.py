"""`tapewire provision`: creates streams and buckets in NATS, and restores what Tapewire relies on.

It is the only command, beside `tapewire up`, that creates or changes a stream; services check the
streams and wait.
"""

import asyncio
import signal
from collections.abc import Mapping

import click

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import CliError, load_settings
from tapewire.cli.nats_config.declarations import all_durables, load_accesses
from tapewire.extras import find_missing_extra
from tapewire.log import LogError
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.provisioning import keep_provisioned, provision_when_available
from tapewire.log.jetstream.stream_limits import find_limit_warnings
from tapewire.runtime import Settings

EXIT_UNFIT = 1


@click.command()
@nats_option
@click.option(
    "--lower-replicas",
    is_flag=True,
    help="Remove copies of streams that have more than TAPEWIRE_REPLICAS.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Keep running, and create the streams in memory again after a restart of the server.",
)
def provision(nats: str | None, lower_replicas: bool, watch: bool) -> None:
    """Create missing streams and buckets in NATS, and restore what Tapewire relies on.

    Prints each change. Nothing is deleted, no copies are removed without --lower-replicas, and
    what an operator has set (limits, placement, a description) stays.

    Exits with 0 when all is provisioned, 1 when a stream cannot be made or the server's store has
    no room for a stream's limit (stderr says which), 3 when NATS is away.
    """

    if watch and load_settings().health_port:
        missing = find_missing_extra("edge", "--watch with TAPEWIRE_HEALTH_PORT")
        if missing is not None:
            raise CliError(missing)

    async def provision_streams(connection: NatsConnection, settings: Settings) -> list[str]:
        durables = all_durables(load_accesses(settings))
        changes = await provision_when_available(
            connection,
            wait_seconds=settings.nats_wait,
            replicas=settings.replicas,
            journal_bytes=settings.journal_bytes,
            lower_replicas=lower_replicas,
            durables=durables,
            replace_journal=False,
            continues=False,
        )
        for line in changes or ["nothing to do"]:
            click.echo(line)
        warnings = await find_limit_warnings(connection, settings.journal_bytes)
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        if watch:
            await _watch(connection, settings, durables)
        return warnings

    try:
        warnings = run_connected("provision", nats, provision_streams, log_level=None)
    except LogError as error:
        raise CliError(f"the streams cannot be made: {error}", EXIT_UNFIT) from error
    if warnings and not watch:
        raise SystemExit(EXIT_UNFIT)


async def _watch(
    connection: NatsConnection, settings: Settings, durables: Mapping[str, str]
) -> None:
    """Provision after each reconnect until SIGTERM or SIGINT, and answer probes."""
    from tapewire.runtime.health import HealthStatus, serve_health  # needs the extra `edge`

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def get_status() -> HealthStatus:
        is_connected = connection.is_connected
        return HealthStatus("ok" if is_connected else "degraded", "provision", is_connected)

    if settings.health_port:
        await serve_health(settings.health_host, settings.health_port, get_status)
    tasks = [
        asyncio.create_task(
            keep_provisioned(
                connection,
                replicas=settings.replicas,
                journal_bytes=settings.journal_bytes,
                on_change=click.echo,
                durables=durables,
            )
        ),
        asyncio.create_task(connection.wait_closed()),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
