"""The command `tail`: its options, its output, and Ctrl-C."""

import contextlib
import re
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
from rich.console import Console

from tapewire.cli.completion import complete_streams, complete_symbols
from tapewire.cli.connection import DEFAULT_EDGE_URL, data_dir_option, resolve_edge_url
from tapewire.cli.errors import CliError
from tapewire.cli.tail.follower import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, StreamFollower
from tapewire.cli.tail.formatting import escape_unprintable, format_event
from tapewire.cli.tail.session import EdgeSession
from tapewire.events import CODEC

_STREAM_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.-]*")
_HOST_PATTERN = re.compile(r"[\w.:-]+")
_EVENT_ID_PATTERN = re.compile(r"[!-~]+")


@click.command()
@click.argument("stream", shell_complete=complete_streams)
@click.option("--user", metavar="NAME", help="Sign in as NAME by the development sign-in.")
@click.option(
    "--session",
    metavar="COOKIE",
    envvar="TAPEWIRE_SESSION",
    show_envvar=True,
    help="Use this session, instead of signing in.",
)
@click.option("--symbols", metavar="A,B", shell_complete=complete_symbols,
              help="Only these symbols (prices).")  # fmt: skip
@click.option(
    "--url",
    metavar="URL",
    help="The edge [that of the `tapewire up` that runs in this directory, or "
    f"{DEFAULT_EDGE_URL}].",
)
@data_dir_option
@click.option("--since-id", default="", metavar="ID", help="Begin after the event ID.")
@click.option("--json", "as_json", is_flag=True,
              help="One JSON object a line: event, id, data.")  # fmt: skip
def tail(
    stream: str,
    user: str | None,
    session: str | None,
    symbols: str | None,
    url: str | None,
    since_id: str,
    as_json: bool,
) -> None:
    """Show STREAM live: orders, trading, prices, or any other that the edge has.

    After any disconnect it connects again by itself and carries on after the last event. Ctrl-C
    ends it.
    """
    if user and session:
        raise click.UsageError("--user and --session exclude each other")
    if not _STREAM_PATTERN.fullmatch(stream):
        raise CliError(f"{stream!r} is no name of a stream; try orders, trading or prices")
    if since_id and not _EVENT_ID_PATTERN.fullmatch(since_id):
        raise CliError(f"{since_id!r} is no id of an event")
    timeout = httpx.Timeout(CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS)
    with httpx.Client(base_url=_validate_url(resolve_edge_url(url)), timeout=timeout) as client:
        follower = StreamFollower(
            client,
            EdgeSession(client, user, session),
            f"/api/stream/{stream}",
            {"symbols": symbols} if symbols else {},
            last_event_id=since_id,
            on_event=_print_json if as_json else _create_line_printer(),
            on_status=_print_status,
        )
        _run_until_interrupted(follower.run)


def _validate_url(url: str) -> str:
    """Return `url` if it can be that of an edge. httpx would try to resolve any text."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and _HOST_PATTERN.fullmatch(parts.hostname or "")
        if good and parts.port != 0:
            return url
    except ValueError:
        pass
    raise CliError(f"{url!r} is no URL of an edge; one is http://127.0.0.1:8000")


def _run_until_interrupted(work: Callable[[], None]) -> None:
    """Run `work` until Ctrl-C, or until the reader of the output exits (`| head`)."""
    try:
        work()
    except KeyboardInterrupt:
        click.echo(err=True)
    except BrokenPipeError:
        # The rest of the buffer cannot be written; keep the interpreter from trying at its exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()


def _print_status(text: str) -> None:
    click.secho(f"tapewire tail: {escape_unprintable(text)}", err=True, fg="yellow")


def _print_json(event: str, id_: str, data: Any) -> None:
    click.echo(CODEC.encode({"event": event, "id": id_ or None, "data": data}))


class _PipeSafeConsole(Console):
    def on_broken_pipe(self) -> None:
        """Leave the error to `_run_until_interrupted`; rich would exit with 1."""
        raise BrokenPipeError


def _create_line_printer() -> Callable[[str, str, Any], None]:
    console = _PipeSafeConsole(highlight=False, soft_wrap=True)

    def show(event: str, _id: str, data: Any) -> None:
        for line in format_event(event, data, datetime.now().astimezone()):
            console.print(line)

    return show
