"""The group `tapewire journal`, and its commands `status` and `accept-loss`.

Each other command is a module beside this one, and is added to the group here.
"""

from datetime import UTC, datetime

import click
import msgspec

from tapewire.cli.connection import nats_option
from tapewire.cli.journal.archive import archive_command
from tapewire.cli.journal.backup import backup_command
from tapewire.cli.journal.erase import erase_command
from tapewire.cli.journal.rebuild import rebuild_command
from tapewire.cli.journal.repair import repair_command
from tapewire.cli.journal.restore import restore_command
from tapewire.cli.journal.running import run_on_journal
from tapewire.cli.nats_config.declarations import all_durables, load_accesses
from tapewire.events import CODEC
from tapewire.log.jetstream import NatsConnection, journal_admin, provision
from tapewire.log.jetstream.journal_growth import (
    JournalGrowth,
    describe_days_left,
    measure_growth,
)
from tapewire.log.jetstream.journal_record import HighWaterMark, JournalAndRecords
from tapewire.runtime import Settings

EXIT_LOSS = 1


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The journal, and what the guards of the services say about it. `losses` is empty if services
    may use it; `max_bytes` is -1 without a limit; `growth` is None for a new journal."""

    epoch: str | None
    created: str | None
    first: int
    last: int
    events: int
    bytes: int
    max_bytes: int
    growth: JournalGrowth | None
    mark: HighWaterMark | None
    losses: list[str]


@click.group()
def journal() -> None:
    """Show, archive, back up, restore and repair the journal, accept a loss, rebuild views, and
    erase users."""


for _command in (
    archive_command,
    backup_command,
    restore_command,
    repair_command,
    rebuild_command,
    erase_command,
):
    journal.add_command(_command)


@journal.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@nats_option
def status_command(as_json: bool, nats: str | None) -> None:
    """Show the incarnation, range and size of the journal, the days until it is full at the rate of
    the last one, and whether services may use it.

    Exits with 0 when they may, 1 when they hold, 3 when NATS is away.
    """

    async def read(connection: NatsConnection, _: Settings) -> JournalStatus:
        found, losses = await journal_admin.find_recorded_losses(connection)
        growth = None
        if found.extent is not None:
            growth = await measure_growth(connection, found.extent, datetime.now(UTC))
        return _make_status(found, losses, growth)

    status = run_on_journal("journal status", nats, read)
    if as_json:
        click.echo(CODEC.encode(status))
    else:
        _print_status(status)
    if status.losses:
        raise SystemExit(EXIT_LOSS)


@journal.command("accept-loss")
@nats_option
def accept_loss_command(nats: str | None) -> None:
    """Let the services go on with the events that are left, after some were lost.

    A new incarnation of the journal begins: every client gets a stream:reset and a new snapshot,
    and checkpoints of the lost journal are discarded. Restore a backup first if there is one.
    """

    async def accept(connection: NatsConnection, settings: Settings) -> tuple[list[str], str]:
        found, losses = await journal_admin.find_recorded_losses(connection)
        if not losses:
            return [], found.record.epoch if found.record is not None else ""
        durables = all_durables(load_accesses(settings))
        await provision(
            connection,
            replicas=settings.replicas,
            journal_bytes=settings.journal_bytes,
            durables=durables,
        )
        return losses, (await journal_admin.accept_loss(connection)).epoch

    losses, epoch = run_on_journal("journal accept-loss", nats, accept)
    if not losses:
        click.echo("nothing is missing: there is no loss to accept")
        return
    for loss in losses:
        click.echo(f"accepted: {loss}")
    click.echo(f"the journal is {epoch} from now on")


def _make_status(
    found: JournalAndRecords, losses: list[str], growth: JournalGrowth | None
) -> JournalStatus:
    extent = found.extent
    return JournalStatus(
        epoch=extent.bounds.epoch if extent else None,
        created=extent.created if extent else None,
        first=extent.bounds.first if extent else 0,
        last=extent.bounds.last if extent else 0,
        events=extent.event_count if extent else 0,
        bytes=extent.byte_count if extent else 0,
        max_bytes=extent.max_bytes if extent else -1,
        growth=growth,
        mark=found.mark,
        losses=losses,
    )


def _print_status(status: JournalStatus) -> None:
    limit = f" of {status.max_bytes:,}" if status.max_bytes >= 0 else ", without a limit"
    mark = status.mark
    rows = {
        "incarnation": f"{status.epoch or 'none'}, created {status.created or 'never'}",
        "range": f"{status.first:,} to {status.last:,}, {status.events:,} events",
        "bytes": f"{status.bytes:,}{limit}",
        "days left": describe_days_left(status.growth),
        "high-water mark": "none yet"
        if mark is None
        else f"{mark.sequence:,} ({mark.event_id}) at {mark.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
        "verdict": "; ".join(status.losses) or "nothing is missing",
    }
    for name, text in rows.items():
        click.echo(f"{name:<17}{text}")
