"""`tapewire verify`: checks every entity and every view against the log and prints differences."""

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tapewire.archive import ArchiveError, open_archive
from tapewire.archive.archived_log import ArchivedLog, recorded_removals
from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.cli.progress import ProgressDisplay
from tapewire.events import CODEC
from tapewire.log import LogError
from tapewire.log.checkpoint_checks import CheckpointCheck
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import Settings
from tapewire.verify import VerificationSummary
from tapewire.verify import verify as check

EXIT_DIFFERENCES = 1


@click.command()
@click.option("--user", metavar="NAME", help="Only what this user has.")
@click.option(
    "--archive",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Read the events from before the journal from this archive.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, the summary last.")
@nats_option
def verify(user: str | None, folder: Path | None, as_json: bool, nats: str | None) -> None:
    """Fold the whole log from scratch and compare: orders, trades, positions, strategies, alerts,
    notifications, and every checkpoint of a view. Reads only; the system may run meanwhile.

    Exits with 0 when nothing differs, 1 when something does or events are missing, 2 when the
    archive cannot be used, 3 when NATS is away.
    """
    write = CODEC.encode if as_json else str

    async def work(
        connection: NatsConnection, _: Settings
    ) -> tuple[list[str], VerificationSummary]:
        journal, losses = await find_recorded_losses(connection)
        archive = None if folder is None else open_archive(folder)
        log = JetStreamEventLog(connection)
        with ProgressDisplay(is_mostly_short=True) as progress:
            return losses, await check(
                log if archive is None else ArchivedLog(log, archive),
                JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view"),
                lambda difference: progress.echo(write(difference)),
                user=user,
                checkpoint_checks=load_checkpoint_checks(),
                removals=recorded_removals(journal.record, archive),
                on_progress=progress,
            )

    try:
        losses, summary = run_connected("verify", nats, work)
    except ArchiveError as error:
        raise CliError(str(error)) from error
    except LogError as error:
        raise CliError(f"the log cannot be read: {error}", EXIT_UNAVAILABLE) from error
    if as_json:
        click.echo(CODEC.encode(summary))
    else:
        for line in _format_summary(summary):
            click.echo(line)
    for loss in losses:
        click.echo(f"the journal has lost events: {loss}", err=as_json)
    if summary.differences or losses:
        raise SystemExit(EXIT_DIFFERENCES)


def load_checkpoint_checks() -> Sequence[CheckpointCheck]:
    """Return the checks that the services declare; none if no service is installed."""
    checks: Sequence[CheckpointCheck] = _load_declared("CHECKPOINT_CHECKS", ())
    return checks


def load_subscription_filters() -> Mapping[str, str]:
    """Return the filters of the services' catch-up subscriptions by name, as they declare them."""
    filters: Mapping[str, str] = _load_declared("SUBSCRIPTION_FILTERS", {})
    return filters


def _load_declared(name: str, default: Any) -> Any:
    if importlib.util.find_spec("tapewire_services") is None:
        return default
    return getattr(importlib.import_module("tapewire_services.checkpoints"), name)


def _format_summary(summary: VerificationSummary) -> Iterable[str]:
    seconds = max(summary.seconds, 1e-9)
    yield (
        f"{summary.events:,} events ({summary.first} to {summary.last} of {summary.epoch}), "
        f"{summary.views:,} checkpoints, {seconds:.1f} s, {summary.events / seconds:,.0f} events/s"
    )
    if summary.first > 1:
        yield f"the log begins at {summary.first}: what came before is taken as it is said to be"
    if summary.missing:
        yield f"not in the log: {summary.missing:,} events; erasures of users: {summary.erasures:,}"
    for what, counts in (
        ("entities", summary.entities),
        ("to be done yet", summary.pending),
        ("repaired", summary.repaired),
        ("types unknown here", summary.unknown),
        ("checkpoints not compared", summary.passed_over),
    ):
        if counts:
            yield f"{what}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}"
    yield f"{summary.differences:,} differences" if summary.differences else "nothing differs"
