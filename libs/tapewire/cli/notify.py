"""`tapewire notify`: sends a notification, by the same request as any other program."""

from typing import Any

import click
import msgspec

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import CliError
from tapewire.events import CODEC
from tapewire.log import new_id
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import RequestClient, RequestTimeout, Settings
from tapewire.runtime.contracts.notifications import SEND, SERVICE, SendNotification, SendReply

MAX_TRIES = 3
"""Every try has the same command id, so no user is notified twice."""


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
    request = SendNotification(
        user_ids=users, title=title, message=message, type=type_, payload=_parse_payload(payload)
    )

    async def send(connection: NatsConnection, _: Settings) -> SendReply:
        return await _send_notification(RequestClient(connection), request)

    reply = run_connected("notify", nats, send)
    for user, id_ in zip(dict.fromkeys(users), reply.ids, strict=True):
        click.echo(f"{id_} {user}")


def _parse_payload(text: str) -> dict[str, Any]:
    try:
        return CODEC.decode(text.encode(), dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise CliError(f"--payload {text!r} is no JSON object: {error}") from error


async def _send_notification(requests: RequestClient, request: SendNotification) -> SendReply:
    command_id, tries = new_id(), 0
    while True:
        tries += 1
        try:
            return await requests.request(
                SERVICE, SEND, request, SendReply, correlation=new_id(), command_id=command_id
            )
        except RequestTimeout:
            if tries == MAX_TRIES:
                raise
