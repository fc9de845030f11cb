"""`tapewire provision`: creates or updates the streams and buckets in NATS. Safe to repeat."""

import click

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import CliError
from tapewire.log import LogError
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream import provision as provision_streams
from tapewire.runtime import Settings


@click.command()
@nats_option
def provision(nats: str | None) -> None:
    """Make the streams and buckets in NATS, or bring them up to date; nothing is deleted."""

    async def make_streams(connection: NatsConnection, settings: Settings) -> list[str]:
        return await provision_streams(connection, replicas=settings.replicas)

    try:
        changed = run_connected("provision", nats, make_streams, log_level=None)
    except LogError as error:
        raise CliError(f"the streams cannot be made: {error}", 1) from error
    click.echo(f"as configured: {', '.join(changed)}" if changed else "nothing to do")
