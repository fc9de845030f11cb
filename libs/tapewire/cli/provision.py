"""`tapewire provision`: make the streams and buckets exist as configured; safe to repeat."""

import asyncio

import click

from tapewire.cli.endpoints import nats_option, resolve_nats_url
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.log import LogError, Unavailable
from tapewire.log.jetstream import connect
from tapewire.log.jetstream import provision as make_streams
from tapewire.runtime import Settings, logging_setup


@click.command()
@nats_option
def provision(nats: str | None) -> None:
    """Make the streams and buckets in NATS, or bring them up to date; nothing is deleted."""
    settings = load_settings()
    logging_setup.configure_logging(
        "provision", format_=settings.log_format, level=settings.log_level
    )
    try:
        made = asyncio.run(_provision_streams(resolve_nats_url(nats, settings), settings))
    except Unavailable as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error
    except LogError as error:
        raise CliError(f"the streams cannot be made: {error}", 1) from error
    click.echo(f"as configured: {', '.join(made)}" if made else "nothing to do")


async def _provision_streams(url: str, settings: Settings) -> list[str]:
    wire = await connect(url, "tapewire provision", wait_seconds=settings.nats_wait)
    try:
        return await make_streams(wire, replicas=settings.replicas)
    finally:
        await wire.close()
