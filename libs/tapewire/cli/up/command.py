"""The command `up`: what can be known to be wrong is said before anything is started."""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

import click

from tapewire.cli.errors import CliError, load_settings
from tapewire.cli.run import installed_services
from tapewire.cli.up import plan
from tapewire.cli.up.console import Console
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, DataDir
from tapewire.cli.up.embedded_nats import EmbeddedNats
from tapewire.cli.up.lifecycle import Lifecycle
from tapewire.cli.up.plan import UpOptions
from tapewire.runtime import Settings, logging_setup

HOST = "127.0.0.1"
BACKLOG = 1024
"""Connections that wait for an edge that is being started again."""


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port of the edge; 0: a free one [TAPEWIRE_PORT, 8000].",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_DATA_DIR,
    metavar="DIR",
    show_default=True,
    help="Journal, message server and state of this run.",
)
@click.option(
    "--feed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Recorded market data, CSV or gz; without it, a random walk [TAPEWIRE_FEED].",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Times real time that the feed runs at [TAPEWIRE_SPEED, 1].",
)
@click.option("--nats", metavar="URL", help="Use this message server, not an embedded one.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    metavar="N",
    show_default=True,
    help="Processes of the edge; they share one port.",
)
@click.option("--sign-in/--no-sign-in", default=True, show_default=True,
              help="Development sign-in: anybody may be any user.")  # fmt: skip
def up(**given: Any) -> None:
    """Start everything on this machine: message server, services, edge.

    Prints one line `ready http://127.0.0.1:PORT` on stdout when all are ready; everything else
    goes to stderr. Ctrl-C stops all in order, a second one at once. Settings that have no option
    are taken from the environment: see `tapewire settings`.

    Ends with 0 after a clean stop, 1 when something had to be killed or never got ready, 2 when
    what was asked for cannot be, 3 when the message server of --nats cannot be reached.
    """
    options = UpOptions(**given)
    environ = plan.build_environment(options, os.environ)
    settings = load_settings(environ)
    console = _uses_console_format(environ)
    environ["TAPEWIRE_LOG_FORMAT"] = "console" if console else "json"
    logging_setup.configure_logging(
        "up", format_="console" if console else "json", level=settings.log_level
    )
    voice = Console(sys.stderr, plan.process_names(options), is_human_readable=console)
    _check_feed(settings.feed)
    _check_services()
    with contextlib.ExitStack() as held:
        listener = held.enter_context(_bind(settings.port))
        place = DataDir.acquire(options.data_dir)
        held.callback(place.release)
        life = _prepare(options, environ, settings, place, listener, voice)
        code = asyncio.run(life.run())
    sys.exit(code)


def _prepare(
    options: UpOptions,
    environ: dict[str, str],
    settings: Settings,
    data_dir: DataDir,
    listener: socket.socket,
    console: Console,
) -> Lifecycle:
    embedded = None if options.nats is not None else EmbeddedNats.prepare(data_dir.path)
    nats_url = options.nats if embedded is None else embedded.url
    environ = {**environ, "TAPEWIRE_NATS_URL": nats_url or ""}
    environ["TAPEWIRE_PORT"] = str(listener.getsockname()[1])
    stages = plan.build_stages(
        options,
        environ,
        nats=embedded.process_spec(environ, data_dir.lock_fd) if embedded is not None else None,
        listen_fd=listener.fileno(),
        lock_fd=data_dir.lock_fd,
        drain_seconds=settings.drain_seconds,
    )
    return Lifecycle(
        stages,
        console,
        data_dir,
        listener,
        settings=load_settings(environ),
        is_nats_embedded=embedded is not None,
    )


def _uses_console_format(environ: dict[str, str]) -> bool:
    """Whether people read the log: as the environment says, else when stderr is a terminal."""
    stated = environ.get("TAPEWIRE_LOG_FORMAT")
    return stated == "console" if stated is not None else sys.stderr.isatty()


def _check_feed(feed: str) -> None:
    if not feed:
        return
    try:
        if not Path(feed).is_file():
            raise CliError(f"the feed {feed!r} is not a file; name a CSV file, plain or gz")
        with Path(feed).open("rb"):
            pass
    except OSError as error:
        raise CliError(f"the feed {feed!r} cannot be read: {error.strerror}") from error


def _check_services() -> None:
    there = installed_services()
    missing = [name for name in (*plan.SERVICES, plan.EDGE_SERVICE) if name not in there]
    if missing:
        raise CliError(f"not installed: {', '.join(missing)}")


def _bind(port: int) -> socket.socket:
    """A listening socket. While an edge is started again, connections wait in it."""
    try:
        return socket.create_server((HOST, port), backlog=BACKLOG)
    except OSError as error:
        raise CliError(
            f"port {port} of {HOST} cannot be had: {os.strerror(error.errno or 0)}; "
            "choose another: --port N (0: a free one)"
        ) from error
