"""`tapewire notify`: tell users something, as any program may by the request `send`."""

import asyncio
from typing import Any

import click
import msgspec

from tapewire.cli.endpoints import nats_option, resolve_nats_url
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.events import CODEC
from tapewire.log import Unavailable, new_id
from tapewire.log.jetstream import connect
from tapewire.runtime import CommandRejected, RequestClient, RequestTimeout, logging_setup
from tapewire.runtime.contracts.notifications import SEND, SERVICE, SendNotification, SendReply

MAX_TRIES = 3
"""The same command each time, so nobody is told twice."""


@click.command()
@click.option("--user", "users", metavar="NAME", multiple=True, required=True,
              help="Whom to tell; may be given several times.")  # fmt: skip
@click.option("--title", required=True, help="What it is about, in a few words.")
@click.option("--message", default="", help="The text.")
@click.option("--type", "type_", metavar="WORD", default="message", show_default=True,
              help="What programs know it by.")  # fmt: skip
@click.option("--payload", metavar="JSON", default="{}", help="An object for programs.")
@nats_option
def notify(
    users: tuple[str, ...], title: str, message: str, type_: str, payload: str, nats: str | None
) -> None:
    """Send a notification to one user, or to several, and print its ids."""
    settings = load_settings()
    logging_setup.configure_logging("notify", format_=settings.log_format, level="error")
    request = SendNotification(
        user_ids=users, title=title, message=message, type=type_, payload=_parse_payload(payload)
    )
    try:
        reply = asyncio.run(
            _send_notification(resolve_nats_url(nats, settings), settings.nats_wait, request)
        )
    except CommandRejected as refusal:
        raise CliError(refusal.message) from refusal
    except UnicodeEncodeError as error:
        raise CliError(f"what to send is no text: {error}") from error
    except (Unavailable, RequestTimeout) as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error
    for user, id_ in zip(dict.fromkeys(users), reply.ids, strict=True):
        click.echo(f"{id_} {user}")


def _parse_payload(text: str) -> dict[str, Any]:
    try:
        return CODEC.decode(text.encode(), dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise CliError(f"--payload {text!r} is no JSON object: {error}") from error


async def _send_notification(url: str, wait_seconds: float, request: SendNotification) -> SendReply:
    wire = await connect(url, "tapewire notify", wait_seconds=wait_seconds)
    try:
        command_id, tries = new_id(), 0
        while True:
            tries += 1
            try:
                return await RequestClient(wire).request(
                    SERVICE, SEND, request, SendReply, correlation=new_id(), command_id=command_id
                )
            except RequestTimeout:
                if tries == MAX_TRIES:
                    raise
    finally:
        await wire.close()
