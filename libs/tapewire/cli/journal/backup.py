"""`tapewire journal backup`: writes a backup of the journal to a folder."""

from pathlib import Path

import click

from tapewire.cli.connection import nats_option
from tapewire.cli.errors import CliError
from tapewire.cli.journal.running import EXIT_FAILED, run_on_journal
from tapewire.cli.progress import ProgressDisplay
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.backup import (
    BackupManifest,
    BadBackup,
    EventsRemoved,
    back_up,
    create_folder,
)
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.runtime import Settings


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@nats_option
def backup_command(folder: Path, nats: str | None) -> None:
    """Write a backup of the journal to FOLDER, a new or an empty one. Services may run meanwhile.

    It holds every event up to one sequence, the durable subscriptions, the checkpoints and the
    parked events, but no sessions. The file manifest.json completes it: after an interruption run
    the command again, which starts afresh.

    Exits with 0 when the backup is complete, 1 when the server cannot make it, 2 when FOLDER cannot
    be used, 3 when NATS is away.
    """

    async def work(connection: NatsConnection, _: Settings) -> BackupManifest:
        target = create_folder(folder)
        for loss in (await find_recorded_losses(connection))[1]:
            click.echo(f"warning: {loss}", err=True)
        with ProgressDisplay() as progress:
            return await back_up(connection, target, progress)

    try:
        manifest = run_on_journal("journal backup", nats, work)
    except BadBackup as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"{folder} cannot be written: {error}") from error
    except EventsRemoved as error:
        raise CliError(str(error), EXIT_FAILED) from error
    total = sum(file.bytes for file in manifest.files.values())
    click.echo(f"{folder}: {describe(manifest)}, {total:,} bytes")


def describe(manifest: BackupManifest) -> str:
    """What a backup holds, in a few words."""
    epoch = manifest.epochs[-1][0]
    return f"{manifest.events:,} events ({manifest.first:,} to {manifest.last:,} of {epoch})"
