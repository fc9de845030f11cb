"""The command `tail`: its options, its output, and Ctrl-C."""

import contextlib
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import click
import httpx
from rich.console import Console

from tapewire.cli.completion import complete_streams, complete_symbols
from tapewire.cli.connection import DEFAULT_EDGE_URL, data_dir_option, resolve_edge_url
from tapewire.cli.errors import CliError
from tapewire.cli.tail.follower import follow
from tapewire.cli.tail.formatting import escape_unprintable, format_event
from tapewire.cli.tail.session import EdgeSession
from tapewire.events import CODEC
from tapewire.sse import StreamEvent
from tapewire.sse.protocol.addresses import check_event_id, check_url, format_place
from tapewire.values import InvalidArgument

_STREAM_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.-]*")
_AGO_PATTERN = re.compile(r"([0-9]{1,5})([smhd])")
_SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.argument("stream", shell_complete=complete_streams)
@click.option("--user", metavar="NAME", help="Sign in as NAME by the development sign-in.")
@click.option(
    "--session",
    "session_cookie",
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
@click.option("--since", metavar="TIME", help="Replay what followed TIME: a time in ISO 8601 "
              "(UTC without an offset), an event id, or 90s, 15m, 2h, 3d ago.")  # fmt: skip
@click.option("--until", metavar="TIME", help="End the replay at TIME.")
@click.option("--json", "as_json", is_flag=True,
              help="One JSON object a line: event, id, data.")  # fmt: skip
def tail(
    stream: str,
    user: str | None,
    session_cookie: str | None,
    symbols: str | None,
    url: str | None,
    since_id: str,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Show STREAM live: orders, trading, prices, or any other that the edge has.

    After any disconnect it connects again by itself and carries on after the last event; standard
    error shows what it does. Ctrl-C ends it, and so does the end of a replay with --until.
    """
    if user and session_cookie:
        raise click.UsageError("--user and --session exclude each other")
    if since and since_id:
        raise click.UsageError("--since and --since-id exclude each other")
    if not _STREAM_PATTERN.fullmatch(stream):
        raise CliError(f"{stream!r} is no name of a stream; try orders, trading or prices")
    now = datetime.now(UTC)
    try:
        check_event_id("--since-id", since_id)
        begin, end = _parse_place("--since", since, now), _parse_place("--until", until, now)
    except InvalidArgument as error:
        raise CliError(str(error)) from None
    edge = _check_edge_url(resolve_edge_url(url))
    query = f"?symbols={quote(symbols)}" if symbols else ""
    with httpx.Client(base_url=edge) as client:
        session = EdgeSession(client, user, session_cookie)
        _run_until_interrupted(
            lambda: follow(
                f"{edge}/api/stream/{stream}{query}",
                session,
                on_event=_print_json if as_json else _create_line_printer(),
                on_status=_print_status,
                last_event_id=since_id,
                since=begin,
                until=end,
            )
        )


def _parse_place(option: str, text: str | None, now: datetime) -> str | None:
    """Return `text` as a stream takes it; ``15m`` is 15 minutes before `now`. Raises
    InvalidArgument."""
    if text is None:
        return None
    ago = _AGO_PATTERN.fullmatch(text)
    if ago is None:
        return format_place(option, text)
    seconds = int(ago[1]) * _SECONDS_BY_UNIT[ago[2]]
    return format_place(option, now - timedelta(seconds=seconds))


def _check_edge_url(url: str) -> str:
    """Return `url`, without a slash at its end, if it can be that of an edge."""
    try:
        return check_url(url).rstrip("/")
    except InvalidArgument:
        raise CliError(f"{url!r} is no URL of an edge; one is http://127.0.0.1:8000") from None


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


def _print_json(event: StreamEvent) -> None:
    click.echo(CODEC.encode({"event": event.type, "id": event.id, "data": event.data}))


class _PipeSafeConsole(Console):
    def on_broken_pipe(self) -> None:
        """Leave the error to `_run_until_interrupted`; rich would exit with 1."""
        raise BrokenPipeError


def _create_line_printer() -> Callable[[StreamEvent], None]:
    console = _PipeSafeConsole(highlight=False, soft_wrap=True)

    def show(event: StreamEvent) -> None:
        for line in format_event(event.type, event.data, datetime.now().astimezone()):
            console.print(line)

    return show
