"""The command `tapewire journal archive`."""

import contextlib
import fcntl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from tapewire.archive import ArchiveError
from tapewire.archive.archiver import Archiver, ArchiveReport, DifferencesFound
from tapewire.cli.connection import nats_option
from tapewire.cli.errors import CliError
from tapewire.cli.journal.running import EXIT_FAILED, run_on_journal
from tapewire.cli.progress import ProgressDisplay
from tapewire.cli.verify import load_checkpoint_checks, load_subscription_filters
from tapewire.events import CODEC
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import Settings
from tapewire.values import InvalidValue, parse_time

DEFAULT_MIN_AGE_SECONDS = 24 * 3600
LOCK_NAME = "lock"


class TimeOrSequence(click.ParamType[datetime | int]):
    """A sequence, or an ISO 8601 time; without an offset it is UTC."""

    name = "time or sequence"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | int:
        if value.isascii() and value.isdigit() and int(value) > 0:
            return int(value)
        try:
            return parse_time("the time", value)
        except InvalidValue as error:
            self.fail(f"{value!r} is neither a sequence above 0 nor a time: {error}", param, ctx)


@click.command("archive")
@click.option(
    "--before",
    type=TimeOrSequence(),
    required=True,
    metavar="TIME|SEQUENCE",
    help="Archive what was stored before this time (ISO 8601, UTC by default) or sequence.",
)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder of the archive; one that has an archive of this journal is continued.",
)
@click.option(
    "--min-age",
    type=click.FloatRange(min=0),
    default=DEFAULT_MIN_AGE_SECONDS,
    metavar="SECONDS",
    show_default=True,
    help="Events that are younger stay: repeated requests are recognised by them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@nats_option
def archive_command(
    before: datetime | int, folder: Path, min_age: float, as_json: bool, nats: str | None
) -> None:
    """Move old events of the journal to files, while the services go on.

    Events of open orders, positions, strategies, rules and configurations stay. Everything is
    copied and verified before anything is removed. Killed at any point, it may be run again.

    Exits with 0 when the events are removed, 1 when the journal has differences and nothing was
    removed, or when the server refuses, 2 when the folder cannot be used, 3 when NATS is away.
    """

    async def work(connection: NatsConnection, _: Settings) -> ArchiveReport:
        with ProgressDisplay() as progress:
            archiver = Archiver(
                connection,
                folder,
                checkpoint_checks=load_checkpoint_checks(),
                subscription_filters=load_subscription_filters(),
                min_age_seconds=min_age,
                on_progress=progress,
                on_difference=lambda difference: progress.echo(str(difference), err=True),
            )
            return await archiver.run(before)

    try:
        with _lock(folder):
            report = run_on_journal("journal archive", nats, work)
    except DifferencesFound as error:
        raise CliError(str(error), EXIT_FAILED) from error
    except ArchiveError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CliError(f"--to: {error.filename or folder} cannot be written: {reason}") from error
    if as_json:
        click.echo(CODEC.encode(report))
    else:
        _print(report, folder)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the archive for this process alone. Raises CliError if another one holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CliError(f"another process archives to {folder}") from error
        yield


def _print(report: ArchiveReport, folder: Path) -> None:
    if report.held_back_by is not None:
        click.echo(f"not further than {report.horizon:,}: {report.held_back_by}")
    click.echo(
        f"archived {report.archived:,} events to {folder} ({report.archive_bytes:,} bytes in all)"
    )
    click.echo(
        f"removed {report.removed:,} events; {report.retained:,} before {report.horizon:,} stay"
    )
    click.echo(f"the journal has {report.bytes_after:,} bytes, before {report.bytes_before:,}")
