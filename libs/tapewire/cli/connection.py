"""Where commands find NATS and the edge, and how they connect.

An address comes from the option, else from the environment, else from the `tapewire up` that runs
in the current directory.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, find_running
from tapewire.log import CommandRejected, Unavailable
from tapewire.log.jetstream import BadCredentials, NatsConnection, NotPermitted, connect
from tapewire.runtime import RequestTimeout, Settings, logging_setup

DEFAULT_EDGE_URL = "http://127.0.0.1:8000"
NATS_URL_VARIABLE = "TAPEWIRE_NATS_URL"

T = TypeVar("T")


def nats_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--nats`, for `run_connected`."""
    return click.option(
        "--nats",
        metavar="URL",
        help=f"NATS servers, comma-separated [{NATS_URL_VARIABLE}, or that of the `tapewire up` "
        "that runs in this directory].",
    )(command)


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
            the request.
    """
    settings = load_settings()
    logging_setup.configure_logging(
        command, format_=settings.log_format, level=log_level or settings.log_level
    )
    url = resolve_nats_url(nats, settings)
    logging_setup.remember_url_secrets(url)

    async def connect_and_work() -> T:
        connection = await connect(
            url,
            f"tapewire {command}",
            wait_seconds=settings.nats_wait,
            credentials=settings.nats_credentials(),
        )
        try:
            return await work(connection, settings)
        finally:
            await connection.close()

    try:
        return asyncio.run(connect_and_work())
    except CommandRejected as rejection:
        raise CliError(rejection.message) from rejection
    except BadCredentials as error:
        raise CliError(f"cannot connect to NATS: {error}") from error
    except UnicodeEncodeError as error:
        raise CliError(f"what to send is no text: {error}") from error
    except NotPermitted as error:
        cure = "sign in as one that may, such as admin (TAPEWIRE_NATS_USER and _PASSWORD_FILE)"
        raise CliError(f"{error}: {cure}") from error
    except (Unavailable, RequestTimeout) as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error


def resolve_nats_url(option: str | None, settings: Settings) -> str:
    """Return the NATS servers: the option, the environment, or those of a running `up`."""
    if option or NATS_URL_VARIABLE in os.environ:
        return option or settings.nats_url
    run = find_running(Path(DEFAULT_DATA_DIR))
    return run.nats_url if run is not None else settings.nats_url


def resolve_edge_url(option: str | None) -> str:
    """Return the edge: the option, that of a running `up`, or the default address of `up`."""
    run = find_running(Path(DEFAULT_DATA_DIR)) if option is None else None
    return run.url if run is not None else option or DEFAULT_EDGE_URL
