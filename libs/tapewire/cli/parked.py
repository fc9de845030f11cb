"""`tapewire parked`: lists events that durable subscriptions could not handle, and acts on them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from tapewire.cli.completion import complete_subscriptions
from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.events import CODEC
from tapewire.log import Conflict, LogError
from tapewire.log.failed_event_store import FailedEvent, StoredFailedEvent, retry_parked
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.runtime import Settings

EXIT_CHANGED = 1
"""A service changed an event meanwhile; the command may be run again."""

T = TypeVar("T")

subscription_argument = click.argument("subscription", shell_complete=complete_subscriptions)
sequence_argument = click.argument("sequence", type=click.IntRange(min=1))
optional_sequence_argument = click.argument(
    "sequence", type=click.IntRange(min=1), required=False, default=None
)
all_option = click.option("--all", "act_on_all", is_flag=True, help="Every parked event.")


@click.group()
def parked() -> None:
    """List, show, retry or drop events that a durable subscription could not handle.

    An event is tried ten times in a minute and a half, then parked. Every other event goes on.
    """


@parked.command("list")
@click.option("--subscription", metavar="NAME", shell_complete=complete_subscriptions,
              help="Only those of this subscription.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@nats_option
def list_(subscription: str | None, as_json: bool, nats: str | None) -> None:
    """List the events that are parked, tried again, or waiting for an earlier one."""

    async def work(store: JetStreamFailedEventStore, _: NatsConnection) -> list[StoredFailedEvent]:
        return await store.get_all(subscription)

    for stored in _run(nats, work):
        click.echo(CODEC.encode(stored.event) if as_json else _describe(stored.event))


@parked.command("show")
@subscription_argument
@sequence_argument
@nats_option
def show(subscription: str, sequence: int, nats: str | None) -> None:
    """Show one event: why it failed, and what it holds."""

    async def work(
        store: JetStreamFailedEventStore, connection: NatsConnection
    ) -> tuple[FailedEvent, bytes | None]:
        failed = (await _find(store, subscription, sequence)).event
        page = await JetStreamEventLog(connection).page(failed.subject, after=sequence - 1, limit=1)
        found = page.events[0] if page.events else None
        is_same = found is not None and found.metadata.id == failed.event_id
        return failed, found.data if found is not None and is_same else None

    failed, data = _run(nats, work)
    click.echo(_describe(failed))
    click.echo(f"event id: {escape_unprintable(failed.event_id)}")
    click.echo(f"last error, {failed.failed_at.isoformat()}: {escape_unprintable(failed.error)}")
    text = "no longer in the journal" if data is None else data.decode(errors="replace")
    click.echo(f"data: {escape_unprintable(text)}")


@parked.command("retry")
@subscription_argument
@optional_sequence_argument
@all_option
@nats_option
def retry(subscription: str, sequence: int | None, act_on_all: bool, nats: str | None) -> None:
    """Have the subscription try one parked event once more, or all of them."""
    now = datetime.now(UTC)
    _act(
        "to be tried again",
        (subscription, sequence, act_on_all),
        nats,
        lambda store, stored: retry_parked(store, stored, now),
    )


@parked.command("drop")
@subscription_argument
@optional_sequence_argument
@all_option
@nats_option
def drop(subscription: str, sequence: int | None, act_on_all: bool, nats: str | None) -> None:
    """Forget one parked event, or all of them: the subscription never handles them."""

    async def remove(store: JetStreamFailedEventStore, stored: StoredFailedEvent) -> None:
        if not await store.remove(stored.event, stored.revision):
            raise Conflict(f"{stored.event.sequence} changed meanwhile: list it again")

    _act("dropped", (subscription, sequence, act_on_all), nats, remove)


def _act(
    outcome: str,
    selection: tuple[str, int | None, bool],
    nats: str | None,
    action: Callable[[JetStreamFailedEventStore, StoredFailedEvent], Awaitable[None]],
) -> None:
    subscription, sequence, act_on_all = selection
    if (sequence is None) is not act_on_all:
        raise CliError("name a SEQUENCE, or --all for every parked event of the subscription")

    async def work(store: JetStreamFailedEventStore, _: NatsConnection) -> tuple[int, list[str]]:
        if sequence is not None:
            chosen = [await _find(store, subscription, sequence)]
        else:
            chosen = [one for one in await store.get_all(subscription) if one.event.is_parked]
        conflicts: list[str] = []
        for stored in chosen:
            try:
                await action(store, stored)
            except Conflict as error:
                conflicts.append(str(error))
            else:
                subject = escape_unprintable(stored.event.subject)
                click.echo(f"{stored.event.sequence} {subject}: {outcome}")
        return len(chosen), conflicts

    count, conflicts = _run(nats, work)
    if not count:
        click.echo(f"no event of {escape_unprintable(subscription)} is parked")
    if conflicts:
        message = f"{len(conflicts):,} of {count:,} events are not {outcome}"
        raise CliError(f"{message}: {conflicts[0]}", EXIT_CHANGED)


def _run(
    nats: str | None, work: Callable[[JetStreamFailedEventStore, NatsConnection], Awaitable[T]]
) -> T:
    async def with_store(connection: NatsConnection, _: Settings) -> T:
        return await work(JetStreamFailedEventStore(connection), connection)

    try:
        return run_connected("parked", nats, with_store)
    except Conflict as error:
        raise CliError(str(error), EXIT_CHANGED) from error
    except LogError as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error


async def _find(
    store: JetStreamFailedEventStore, subscription: str, sequence: int
) -> StoredFailedEvent:
    for stored in await store.get_all(subscription):
        if stored.event.sequence == sequence:
            return stored
    raise CliError(f"{subscription!r} has no failed event {sequence}: see `tapewire parked list`")


def _describe(failed: FailedEvent) -> str:
    state = (
        "parked"
        if failed.next_attempt_at is None
        else f"next try {failed.next_attempt_at.isoformat(timespec='seconds')}"
    )
    words = (
        failed.subscription,
        str(failed.sequence),
        failed.subject,
        failed.tag,
        f"{failed.attempts} tries",
        state,
        failed.error,
    )
    return "  ".join(escape_unprintable(word) for word in words)
