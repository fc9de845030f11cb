"""`tapewire journal repair`: completes atomic batches that a full server stored in part."""

import importlib
import importlib.util

import click

from tapewire.cli.connection import nats_option
from tapewire.cli.errors import EXIT_USAGE, CliError
from tapewire.cli.journal.running import run_on_journal
from tapewire.cli.progress import ProgressDisplay
from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.events import CODEC
from tapewire.log.interrupted_batches import (
    BatchCompletion,
    CompletionState,
    FindMissing,
    complete_batch,
    find_interrupted_batches,
)
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection
from tapewire.runtime import Settings

EXIT_INCOMPLETE = 1
_INCOMPLETE = (CompletionState.MISSING, CompletionState.IMPOSSIBLE)


@click.command("repair")
@click.option("--dry-run", is_flag=True, help="Only show what would be appended.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@nats_option
def repair_command(dry_run: bool, as_json: bool, nats: str | None) -> None:
    """Append the events that are missing because a server whose store was full kept only the first
    part of an atomic batch: the trade of a fill, the alert of a trigger, the decision of a signal.

    Reads the whole journal and prints a line for each such batch; progress goes to stderr. Services
    may run meanwhile. What was appended before is not appended again, so the command may be
    interrupted and repeated.

    Exits with 0 when nothing is missing any more, 1 when something is, 3 when NATS is away.
    """
    find_missing = load_find_missing()

    async def work(connection: NatsConnection, _: Settings) -> list[BatchCompletion]:
        log, found = JetStreamEventLog(connection), list[BatchCompletion]()
        with ProgressDisplay() as progress:
            async for last in find_interrupted_batches(log, progress):
                completion = await complete_batch(log, last, find_missing, dry_run=dry_run)
                if as_json:
                    progress.echo(CODEC.encode(completion))
                elif completion.state is not CompletionState.COMPLETE:
                    progress.echo(_describe(completion))
                found.append(completion)
        return found

    found = run_on_journal("journal repair", nats, work)
    if not as_json and all(each.state is CompletionState.COMPLETE for each in found):
        click.echo("nothing is missing")
    if any(completion.state in _INCOMPLETE for completion in found):
        raise SystemExit(EXIT_INCOMPLETE)


def load_find_missing() -> FindMissing:
    """How the services derive what a batch lacks. Raises CliError if they are not installed."""
    if importlib.util.find_spec("tapewire_services") is None:
        raise CliError(
            "the services are not installed here, which know what is missing", EXIT_USAGE
        )
    find_missing: FindMissing = importlib.import_module(
        "tapewire_services.completions"
    ).find_missing_events
    return find_missing


def _describe(completion: BatchCompletion) -> str:
    tags = " and ".join(completion.missing)
    outcome = {
        CompletionState.COMPLETE: "nothing is missing",
        CompletionState.MISSING: f"{tags} is missing, and can be appended",
        CompletionState.APPENDED: f"{tags} appended at {completion.appended_at}",
        CompletionState.REPAIRED: f"{tags} was appended before, at {completion.appended_at}",
        CompletionState.IMPOSSIBLE: f"cannot be completed: {completion.reason}",
    }[completion.state]
    where = f"{completion.owner} {completion.domain} {completion.entity} @{completion.sequence}"
    return escape_unprintable(f"{where}: batch {completion.batch}: {outcome}")
