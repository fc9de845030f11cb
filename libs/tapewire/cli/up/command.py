"""The command `up`. It checks options, settings, feed, port and data directory before it starts
anything.
"""

import asyncio
import contextlib
import importlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

import click

from tapewire.cli.errors import CliError, load_settings
from tapewire.cli.nats_config.declarations import load_accesses
from tapewire.cli.run import check_extras, installed_services
from tapewire.cli.up import plan, registry
from tapewire.cli.up.console import Console
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, DataDir
from tapewire.cli.up.embedded_nats import EmbeddedNats
from tapewire.cli.up.lifecycle import Lifecycle
from tapewire.cli.up.plan import UpOptions
from tapewire.runtime import BadSetting, Settings, logging_setup

HOST = "127.0.0.1"
BACKLOG = 1024
"""Connections that wait while the edge is restarted."""


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
def up(**options_given: Any) -> None:
    """Start everything on this machine: message server, services, edge.

    Prints one line `ready http://127.0.0.1:PORT` on stdout when all are ready; everything else
    goes to stderr. Ctrl-C stops all in order, a second Ctrl-C kills all at once. Settings without
    an option are taken from the environment: see `tapewire settings`.

    Exits with 0 after a clean stop, 1 when a process had to be killed or never got ready, 2 for an
    option or setting that cannot work, 3 when the message server of --nats cannot be reached.
    """
    options = UpOptions(**options_given)
    environ = plan.build_environment(options, os.environ)
    settings = load_settings(environ)
    is_human_readable = _uses_console_format(environ)
    format_ = "console" if is_human_readable else "json"
    environ["TAPEWIRE_LOG_FORMAT"] = format_
    logging_setup.configure_logging("up", format_=format_, level=settings.log_level)
    console = Console(sys.stderr, plan.process_names(options), is_human_readable=is_human_readable)
    _check_services()
    _check_feed(settings)
    with contextlib.ExitStack() as resources:
        listener = resources.enter_context(_bind(settings.port))
        data_dir = DataDir.acquire(options.data_dir)
        resources.callback(data_dir.release)
        registry.register(data_dir.path)
        resources.callback(registry.unregister, data_dir.path)
        lifecycle = _prepare(options, environ, settings, data_dir, listener, console)
        code = asyncio.run(lifecycle.run())
    sys.exit(code)


def _prepare(
    options: UpOptions,
    environ: dict[str, str],
    settings: Settings,
    data_dir: DataDir,
    listener: socket.socket,
    console: Console,
) -> Lifecycle:
    embedded = None
    if options.nats is None:
        embedded = EmbeddedNats.prepare(data_dir.path, load_accesses(settings))
        embedded.journal_bytes = settings.journal_bytes
    nats_url = options.nats or "" if embedded is None else embedded.url
    logging_setup.remember_url_secrets(nats_url)
    environ = {**environ, "TAPEWIRE_NATS_URL": nats_url}
    environ["TAPEWIRE_PORT"] = str(listener.getsockname()[1])
    stages = plan.build_stages(
        options,
        environ,
        nats=embedded.process_spec(environ, data_dir.lock_fd) if embedded is not None else None,
        listen_fd=listener.fileno(),
        lock_fd=data_dir.lock_fd,
        drain_seconds=settings.drain_seconds,
        nats_environment=embedded.users.environment if embedded is not None else lambda _: {},
    )
    return Lifecycle(
        stages,
        console,
        data_dir,
        listener,
        settings=load_settings(environ),
        admin_url=embedded.admin_url if embedded is not None else None,
    )


def _uses_console_format(environ: dict[str, str]) -> bool:
    """Whether to log for a person: as the environment states, else if stderr is a terminal."""
    log_format = environ.get("TAPEWIRE_LOG_FORMAT")
    return sys.stderr.isatty() if log_format is None else log_format == "console"


def _check_feed(settings: Settings) -> None:
    """Raises CliError if the recording, which the price service would play, has no tick."""
    factory = importlib.import_module("tapewire_services.prices.feed.factory")
    try:
        factory.check_recording(settings)
    except BadSetting as error:
        raise CliError(str(error)) from error


def _check_services() -> None:
    installed = installed_services()
    missing = [name for name in (*plan.SERVICES, plan.EDGE_SERVICE) if name not in installed]
    if missing:
        raise CliError(f"not installed: {', '.join(missing)}")
    check_extras(installed)


def _bind(port: int) -> socket.socket:
    """Return a listening socket. Connections wait in it while the edge is restarted."""
    try:
        return socket.create_server((HOST, port), backlog=BACKLOG)
    except OSError as error:
        raise CliError(
            f"port {port} of {HOST} cannot be had: {os.strerror(error.errno or 0)}; "
            "choose another: --port N (0: a free one)"
        ) from error
