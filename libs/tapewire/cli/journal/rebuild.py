"""`tapewire journal rebuild`: folds stored views anew, beside the old ones, and replaces them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from tapewire.archive import Archive, ArchiveError, open_archive
from tapewire.archive.archived_log import ArchivedLog
from tapewire.cli.connection import nats_option
from tapewire.cli.errors import CliError
from tapewire.cli.journal.running import EXIT_FAILED, run_on_journal
from tapewire.cli.progress import ProgressDisplay
from tapewire.log import BadSubject, Conflict, EventLog, pattern
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.page_reader import read_pages
from tapewire.log.view_checkpoints import checkpoint_name
from tapewire.log.view_rebuild import rebuild_view
from tapewire.log.work_progress import OnProgress, WorkProgress
from tapewire.runtime import Settings
from tapewire.verify.checkpoints import VIEW_TYPES


@click.command("rebuild")
@click.option(
    "--view",
    "names",
    multiple=True,
    type=click.Choice(sorted(VIEW_TYPES)),
    help="Only this view; may be repeated.",
)
@click.option("--user", metavar="NAME", help="Only what this user has.")
@click.option(
    "--archive",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Read the events from before the journal from this archive.",
)
@nats_option
def rebuild_command(
    names: tuple[str, ...], user: str | None, folder: Path | None, nats: str | None
) -> None:
    """Fold the stored views of users from all events, and replace the stored ones by them: after
    the code of a view was corrected, or when `tapewire verify` says that a view differs.

    The services serve the old views until the new ones take their places, and go on with these. May
    be interrupted and repeated. What services hold for themselves, such as open orders, is not
    among the views.

    Exits with 0 when all are replaced, 1 when one kept changing, 2 when the archive is missing or
    cannot be used, 3 when NATS is away.
    """

    async def work(connection: NatsConnection, _: Settings) -> tuple[int, list[str]]:
        log = await _complete_log(connection, None if folder is None else open_archive(folder))
        store = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        conflicts: list[str] = []
        with ProgressDisplay() as progress:
            wanted = await _list_views(log, names or tuple(VIEW_TYPES), user, progress)
            for number, (view_type, owner) in enumerate(wanted):
                name = checkpoint_name(view_type)
                progress(WorkProgress("rebuilding", number, len(wanted), "views", note=name))
                try:
                    await rebuild_view(log, store, view_type, owner)
                except Conflict as error:
                    conflicts.append(str(error))
        return len(wanted), conflicts

    try:
        count, conflicts = run_on_journal("journal rebuild", nats, work)
    except ArchiveError as error:
        raise CliError(str(error)) from error
    click.echo(f"rebuilt {count - len(conflicts):,} views")
    if conflicts:
        message = f"{len(conflicts):,} of {count:,} views were not replaced, run the command again"
        raise CliError(f"{message}: {conflicts[0]}", EXIT_FAILED)


async def _complete_log(connection: NatsConnection, archive: Archive | None) -> EventLog:
    """The log with all events. Raises CliError if some are in an archive that is not given."""
    log = JetStreamEventLog(connection)
    if archive is not None:
        return cast("EventLog", ArchivedLog(log, archive))  # nothing is appended or subscribed to
    journal, _ = await find_recorded_losses(connection)
    record = journal.record
    if record is not None and record.first > record.erased_first:
        raise CliError(
            f"events before {record.first} were archived: name their folder by --archive"
        )
    return log


async def _list_views(
    log: EventLog, names: Sequence[str], user: str | None, on_progress: OnProgress
) -> list[tuple[Any, str]]:
    """The types and owners of all views that have events."""
    domains = {VIEW_TYPES[name].domain for name in names}
    found: dict[tuple[str, str], None] = {}
    bounds = await log.bounds()
    async for events in read_pages(log, pattern(owner=user), after=0, up_to=bounds.last):
        for recorded in events:
            try:
                subject = recorded.event_subject
            except BadSubject:
                continue
            if subject.domain in domains:
                found[subject.owner, subject.domain] = None
        read = events[-1].sequence if events else bounds.last
        on_progress(WorkProgress("reading", read, bounds.last, "events"))
    return [
        (VIEW_TYPES[name], owner)
        for owner, domain in found
        for name in names
        if VIEW_TYPES[name].domain == domain
    ]
