"""Where commands find NATS and the edge, and how they connect.

An address comes from the options, `--nats` or `--url` or `--data-dir`, else from the environment,
else from the `tapewire up` that runs in the current directory, else it is the default one.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from tapewire.cli import cures
from tapewire.cli.errors import EXIT_UNAVAILABLE, EXIT_USAGE, CliError, load_settings
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, GIVEN_DATA_DIR, RunState, find_running
from tapewire.log import CommandRejected, Unavailable
from tapewire.log.jetstream import (
    BadCredentials,
    CredentialsRefused,
    NatsConnection,
    NotPermitted,
    connect,
)
from tapewire.log.jetstream.credentials import without_credentials
from tapewire.runtime import RequestTimeout, Settings, logging_setup

DEFAULT_EDGE_URL = "http://127.0.0.1:8000"
NATS_URL_VARIABLE = "TAPEWIRE_NATS_URL"
NATS_WAIT_VARIABLE = "TAPEWIRE_NATS_WAIT"
UNNAMED_WAIT_SECONDS = 1.0
"""How long an address is tried that nobody named."""
WAIT_NOTE_SECONDS = 2.0
"""A longer wait for NATS is reported."""
PROBE_SECONDS = 2.0

T = TypeVar("T")


class NatsAddress(msgspec.Struct, frozen=True):
    """The NATS servers of a command. `data_dir` is that of the `up` whose server it is.
    `is_default`: nobody named them, and no `up` was found."""

    url: str
    data_dir: Path | None = None
    is_default: bool = False


def data_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--data-dir`, which `resolve_nats_address` and `resolve_edge_url` read."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_remember_data_dir,
        shell_complete=_complete_data_dir,
        help=f"Address the `tapewire up` that runs with this data directory [{DEFAULT_DATA_DIR}].",
    )(command)


def nats_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--nats` and `--data-dir`, for `run_connected`."""
    return data_dir_option(
        click.option(
            "--nats",
            metavar="URL",
            help=f"NATS servers, comma-separated [{NATS_URL_VARIABLE}, or that of the "
            "`tapewire up` that runs in this directory].",
        )(command)
    )


def _remember_data_dir(
    context: click.Context, _parameter: click.Parameter, value: Path | None
) -> None:
    context.meta[GIVEN_DATA_DIR] = value


def _complete_data_dir(*_: Any) -> list[Any]:
    from tapewire.cli.completion import complete_data_dirs

    return complete_data_dirs()


def run_connected(
    command: str,
    nats: str | None,
    work: Callable[[NatsConnection, Settings], Awaitable[T]],
    *,
    log_level: str | None = "error",
) -> T:
    """Connect to NATS, run `work` to its end, and return its result.

    Args:
        command: The name of the command, for NATS and the log.
        nats: The value of the option `--nats`.
        log_level: None: as the settings state.

    Raises:
        CliError: A setting is malformed, NATS or a service cannot be reached, or a service rejects
            the request. The message ends with what to do about it.
    """
    settings = load_settings()
    logging_setup.configure_logging(
        command, format_=settings.log_format, level=log_level or settings.log_level
    )
    address = resolve_nats_address(nats, settings)
    logging_setup.remember_url_secrets(address.url)

    async def connect_and_work() -> T:
        async with open_connection(command, address, settings) as connection:
            try:
                return await work(connection, settings)
            except (Unavailable, RequestTimeout) as error:
                cure = await cures.find_cure(connection, error)
                raise CliError(
                    str(error) if cure is None else f"{error}: {cure}",
                    EXIT_USAGE if isinstance(error, NotPermitted) else EXIT_UNAVAILABLE,
                ) from error

    try:
        return asyncio.run(connect_and_work())
    except CommandRejected as rejection:
        raise CliError(rejection.message) from rejection
    except UnicodeEncodeError as error:
        raise CliError(f"what to send is no text: {error}") from error


@contextlib.asynccontextmanager
async def open_connection(
    command: str, address: NatsAddress, settings: Settings, *, is_patient: bool = True
) -> AsyncIterator[NatsConnection]:
    """Connect to NATS for the block; without `is_patient` as if nobody had named the address.

    Raises:
        CliError: NATS is not reached.
    """
    is_patient &= not address.is_default or NATS_WAIT_VARIABLE in os.environ
    wait_seconds = settings.nats_wait if is_patient else UNNAMED_WAIT_SECONDS
    shown = without_credentials(address.url)
    note = asyncio.get_running_loop().call_later(
        WAIT_NOTE_SECONDS,
        lambda: click.echo(
            f"tapewire: waiting for NATS at {shown}, up to {wait_seconds:g} s "
            f"({NATS_WAIT_VARIABLE})",
            err=True,
        ),
    )
    try:
        connection = await connect(
            address.url,
            f"tapewire {command}",
            wait_seconds=wait_seconds,
            credentials=settings.nats_credentials(),
        )
    except BadCredentials as error:
        raise CliError(f"cannot connect to NATS: {error}") from error
    except CredentialsRefused as error:
        raise CliError(f"{error}: {cures.ANOTHER_USER}", EXIT_UNAVAILABLE) from error
    except Unavailable as error:
        hint = cures.describe_running("--nats URL")
        raise CliError(f"{error}: {hint}", EXIT_UNAVAILABLE) from error
    finally:
        note.cancel()
    try:
        yield connection
    finally:
        await connection.close()


def resolve_nats_address(option: str | None, settings: Settings) -> NatsAddress:
    """Return the NATS servers that a command addresses. Raises CliError."""
    if option and _given_data_dir() is not None:
        raise click.UsageError("--nats and --data-dir exclude each other")
    if option:
        return NatsAddress(option)
    run = _find_given()
    if run is not None:
        return NatsAddress(run.nats_url, _given_data_dir())
    if NATS_URL_VARIABLE in os.environ:
        return NatsAddress(settings.nats_url)
    run = find_running(Path(DEFAULT_DATA_DIR))
    if run is not None:
        return NatsAddress(run.nats_url, Path(DEFAULT_DATA_DIR))
    return NatsAddress(settings.nats_url, is_default=True)


def resolve_edge_url(option: str | None) -> str:
    """Return the edge that a command addresses: the option, that of a running `up`, or the default
    address of `up` if something listens there. Raises CliError."""
    if option and _given_data_dir() is not None:
        raise click.UsageError("--url and --data-dir exclude each other")
    if option:
        return option
    run = _find_given() or find_running(Path(DEFAULT_DATA_DIR))
    if run is not None:
        return run.url
    host, port = DEFAULT_EDGE_URL.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), PROBE_SECONDS).close()
    except OSError as error:
        raise CliError(
            f"no edge answers at {DEFAULT_EDGE_URL} ({error}): "
            + cures.describe_running("--url URL"),
            EXIT_UNAVAILABLE,
        ) from error
    return DEFAULT_EDGE_URL


def _given_data_dir() -> Path | None:
    context = click.get_current_context(silent=True)
    given: Path | None = context.meta.get(GIVEN_DATA_DIR) if context is not None else None
    return given


def _find_given() -> RunState | None:
    """The state of the `up` of `--data-dir`; None without the option.

    Raises:
        CliError: No `up` runs there.
    """
    data_dir = _given_data_dir()
    if data_dir is None:
        return None
    run = find_running(data_dir)
    if run is not None:
        return run
    if not data_dir.is_dir():
        reason = f"the data directory {str(data_dir)!r} is not a directory"
    else:
        reason = f"no `tapewire up` runs with the data directory {str(data_dir)!r}"
    start = f"start it: tapewire up --data-dir {data_dir}"
    raise CliError(f"{reason}; {start}; {cures.describe_running('--nats URL')}", EXIT_UNAVAILABLE)
