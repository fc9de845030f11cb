"""`tapewire verify`: checks every entity and every view against the log and prints differences."""

import importlib
import importlib.util
from collections.abc import Iterable, Sequence

import click

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.events import CODEC
from tapewire.log import LogError
from tapewire.log.checkpoint_checks import CheckpointCheck
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.log.jetstream.journal_record import IncarnationRecord
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import Settings
from tapewire.verify import RecordedRemovals, VerificationDifference, VerificationSummary
from tapewire.verify import verify as check

EXIT_DIFFERENCES = 1


@click.command()
@click.option("--user", metavar="NAME", help="Only what this user has.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, the summary last.")
@nats_option
def verify(user: str | None, as_json: bool, nats: str | None) -> None:
    """Fold the whole log from scratch and compare: orders, trades, positions, strategies, alerts,
    notifications, and every checkpoint of a view. Reads only; the system may run meanwhile.

    Exits with 0 when nothing differs, 1 when something does or events are missing, 3 when NATS is
    away.
    """
    report = _print_difference_json if as_json else _print_difference

    async def work(
        connection: NatsConnection, _: Settings
    ) -> tuple[list[str], VerificationSummary]:
        journal, losses = await find_recorded_losses(connection)
        return losses, await check(
            JetStreamEventLog(connection),
            JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view"),
            report,
            user=user,
            checkpoint_checks=load_checkpoint_checks(),
            removals=_recorded_removals(journal.record),
        )

    try:
        losses, summary = run_connected("verify", nats, work)
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


def _recorded_removals(record: IncarnationRecord | None) -> RecordedRemovals:
    if record is None:
        return RecordedRemovals()
    return RecordedRemovals(count=record.removed, erased_first=record.erased_first)


def load_checkpoint_checks() -> Sequence[CheckpointCheck]:
    """Return the checks that the services declare; none if no service is installed."""
    if importlib.util.find_spec("tapewire_services") is None:
        return ()
    checks: Sequence[CheckpointCheck] = importlib.import_module(
        "tapewire_services.checkpoints"
    ).CHECKPOINT_CHECKS
    return checks


def _print_difference(difference: VerificationDifference) -> None:
    click.echo(str(difference))


def _print_difference_json(difference: VerificationDifference) -> None:
    click.echo(CODEC.encode(difference))


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
