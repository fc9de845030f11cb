"""What the commands of `tapewire journal` share: how they run."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tapewire.cli.connection import run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.log import AppendRejected, LogError
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import Settings

EXIT_FAILED = 1
"""The server, or the state of the journal, does not permit it."""

T = TypeVar("T")


def run_on_journal(
    command: str, nats: str | None, work: Callable[[NatsConnection, Settings], Awaitable[T]]
) -> T:
    """`run_connected`, with an exit code for every error of the log. Raises CliError."""
    try:
        return run_connected(command, nats, work)
    except AppendRejected as error:
        raise CliError(str(error), EXIT_FAILED) from error
    except LogError as error:
        raise CliError(f"the journal cannot be read: {error}", EXIT_UNAVAILABLE) from error
