"""The command `tapewire journal erase`."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from tapewire.archive import ArchiveError, open_archive
from tapewire.archive.files import remove_from_archive
from tapewire.cli.connection import nats_option
from tapewire.cli.errors import CliError
from tapewire.cli.journal.running import EXIT_FAILED, run_on_journal
from tapewire.cli.progress import ProgressDisplay
from tapewire.events import CODEC
from tapewire.log import EVERYBODY, BadSubject, encode_token
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.erasure_receipt import ErasureReceipt, sign_receipt
from tapewire.log.jetstream.provisioning import find_stream_problems
from tapewire.log.jetstream.user_erasure import (
    DEFAULT_WAIT_SECONDS,
    ErasureIncomplete,
    erase_user,
)
from tapewire.runtime import Settings
from tapewire.runtime.agents.monitor import CHECKPOINT_NAME as AGENTS_CHECKPOINT
from tapewire.verify.checkpoints import VIEW_TYPES

T = TypeVar("T")


@click.command("erase")
@click.option("--user", required=True, metavar="NAME", help="The user to erase.")
@click.option(
    "--archive",
    "archives",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Remove the user from this archive too; may be repeated.",
)
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the receipt to this file instead of the output.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    default=DEFAULT_WAIT_SECONDS,
    show_default=True,
    help="Seconds to wait for services to forget the user.",
)
@nats_option
def erase_command(
    user: str,
    archives: tuple[Path, ...],
    receipt: Path | None,
    wait_seconds: float,
    nats: str | None,
) -> None:
    """Remove everything that is stored of a user, while services run.

    Removes the user's events, views, valuations, failed events, sessions and tickets, also from the
    files of the message server, and prints a receipt as JSON. Keep the user from signing in first.
    Older backups still hold the user: after restoring one, run this command again. It may be
    interrupted and run again at any time.

    Exits with 0 when nothing is left, 1 when a service still holds the user or the user remains
    active, 2 when an archive cannot be used, 3 when NATS is away.
    """
    _check_user(user)
    for folder in archives:
        _use_archive(open_archive, folder)

    async def work(connection: NatsConnection, _: Settings) -> ErasureReceipt:
        problems = await find_stream_problems(connection)
        if problems:
            raise CliError("; ".join(problems), EXIT_FAILED)
        try:
            with ProgressDisplay() as progress:
                return await erase_user(
                    connection,
                    user,
                    ignored_checkpoints=(*VIEW_TYPES, AGENTS_CHECKPOINT),
                    wait_seconds=wait_seconds,
                    on_progress=progress,
                )
        except ErasureIncomplete as error:
            raise CliError(str(error), EXIT_FAILED) from error

    erased = run_on_journal("journal erase", nats, work)
    prefix = f"ev.{encode_token(user)}."

    def remove(folder: Path) -> int:
        return remove_from_archive(folder, lambda recorded: recorded.subject.startswith(prefix))

    removed = {str(folder): _use_archive(remove, folder) for folder in archives}
    data = CODEC.encode(sign_receipt(msgspec.structs.replace(erased, archives=removed)))
    if receipt is None:
        click.echo(data)
        return
    _write_file(receipt, data + b"\n")
    click.echo(f"nothing of the user is left; the receipt is in {receipt}", err=True)


def _use_archive(action: Callable[[Path], T], folder: Path) -> T:
    """The result of `action`. Raises CliError."""
    try:
        return action(folder)
    except (ArchiveError, OSError) as error:
        raise CliError(f"--archive: {error}") from error


def _check_user(user: str) -> None:
    """Raises CliError."""
    if user == EVERYBODY:
        raise CliError(f"--user: {EVERYBODY} is no user: it stands for what all users may see")
    try:
        encode_token(user)
    except BadSubject as error:
        raise CliError(f"--user: {error}") from error


def _write_file(file: Path, data: bytes) -> None:
    """Replace the file at once. Raises CliError."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        raise CliError(f"--receipt: {file} cannot be written: {error}") from error
