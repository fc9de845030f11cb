"""What the commands of `tapewire journal` share: how they run, and how they show progress."""

import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from tapewire.cli.connection import run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.log import AppendRejected, LogError
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import Settings

EXIT_FAILED = 1
"""The server, or the state of the journal, does not permit it."""
PROGRESS_SECONDS = 1.0

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


class ProgressPrinter:
    """Prints the newest line of progress on stderr, at most once a second."""

    def __init__(self) -> None:
        self._next_at = time.monotonic() + PROGRESS_SECONDS
        self._phase = ""

    def __call__(self, line: str) -> None:
        """Print `line` if it begins another phase (the text before a colon), or a second later."""
        now = time.monotonic()
        phase = line.partition(":")[0]
        if phase == self._phase and now < self._next_at:
            return
        self._phase, self._next_at = phase, now + PROGRESS_SECONDS
        click.echo(line, err=True)
        sys.stderr.flush()
