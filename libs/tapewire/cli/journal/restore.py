"""`tapewire journal restore`: replaces a lost journal by a backup."""

from pathlib import Path

import click

from tapewire.cli.connection import nats_option
from tapewire.cli.errors import CliError
from tapewire.cli.journal.backup import describe
from tapewire.cli.journal.running import run_on_journal
from tapewire.cli.nats_config.declarations import all_durables, load_accesses
from tapewire.cli.progress import ProgressDisplay
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.backup import (
    BadBackup,
    JournalInUse,
    RestoreOptions,
    RestoreReport,
    open_backup,
    restore,
)
from tapewire.runtime import Settings


@click.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Delete the events that are there, also later ones.")
@nats_option
def restore_command(folder: Path, replace: bool, nats: str | None) -> None:
    """Restore the journal, with checkpoints and parked events, from the backup in FOLDER.

    Every file is compared with its digest first. All services hold until the restore is complete;
    after an interruption run the command again. Clients that saw later events get a stream:reset
    and a new snapshot. Users that were erased since the backup are back: erase them again.

    Exits with 0 when the journal is that of the backup, 1 when the server rejects it, 2 when FOLDER
    holds no intact backup or there is a journal and no --replace, 3 when NATS is away.
    """
    try:
        backup, manifest = open_backup(folder)
    except BadBackup as error:
        raise CliError(str(error)) from error

    async def work(connection: NatsConnection, settings: Settings) -> RestoreReport | None:
        options = RestoreOptions(
            replicas=settings.replicas,
            journal_bytes=settings.journal_bytes,
            durables=all_durables(load_accesses(settings)),
            replace=replace,
        )
        with ProgressDisplay() as progress:
            return await restore(connection, backup, manifest, options, progress)

    try:
        restored = run_on_journal("journal restore", nats, work)
    except JournalInUse as error:
        raise CliError(f"{error}: use --replace") from error
    except BadBackup as error:
        raise CliError(str(error)) from error
    if restored is None:
        click.echo(f"nothing to do: the journal is that of {folder}; --replace restores it again")
        return
    for change in restored.changes:
        click.echo(change)
    if restored.dropped:
        click.echo(f"left out: the last {restored.dropped} events, of a batch that is incomplete")
    click.echo(f"restored: {describe(manifest)}; the journal is {restored.epoch} from now on")
