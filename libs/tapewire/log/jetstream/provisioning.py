"""Creates, changes and checks the streams.

`provision` is the only code that creates or changes a stream, and only `tapewire provision` and
`tapewire up` call it. It reads the configuration that it finds, changes the fields that Tapewire
relies on, and keeps everything else as the operator has set it. Services call
`find_stream_problems` and wait while it finds any. Both may be repeated, also by several processes
at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.dead_streams import MemoryStreamMonitor
from tapewire.log.jetstream.durable_subscription import ensure_consumer
from tapewire.log.jetstream.journal_admin import begin_epoch, ensure_record, find_recorded_losses
from tapewire.log.jetstream.journal_record import read_journal
from tapewire.log.jetstream.pending_replies import NotPermitted
from tapewire.log.jetstream.stream_changes import format_value, provision_stream, read_config
from tapewire.log.jetstream.streams import (
    DEFAULT_JOURNAL_BYTES,
    EVENTS,
    JOURNAL,
    MARKET,
    stream_specs,
)
from tapewire.log.ports import LogError, OutcomeUnknown, Unavailable

PROVISION_RETRY_SECONDS = 0.5
REPROVISION_RETRY_SECONDS = 2.0
MONITOR_SECONDS = 5.0
"""How often the stream in memory is looked at."""

logger = structlog.get_logger("tapewire.streams")


async def provision(
    connection: NatsConnection,
    *,
    replicas: int = 1,
    lower_replicas: bool = False,
    journal_bytes: int = DEFAULT_JOURNAL_BYTES,
    durables: Mapping[str, str] | None = None,
    replace_journal: bool = True,
    continues: bool = True,
    changes: list[str] | None = None,
) -> list[str]:
    """Create the streams that do not exist, and restore what Tapewire relies on in the others.

    Args:
        replicas: copies of each stream. A stream that has more keeps them.
        lower_replicas: remove copies of streams that have more than `replicas`.
        journal_bytes: the limit of EVENTS, from which the room of VIEWS follows. A limit that an
            operator has set stays.
        durables: durable subscriptions to create, the filter by name, for services that may not.
        replace_journal: create EVENTS even if there was a journal before, which accepts its loss.
            Without it, a lost journal stays missing, and services hold.
        continues: somebody knows that the server's volume was not set back. Otherwise a new epoch
            begins if the server was restarted, which shows by the loss of the streams in memory.
        changes: takes the lines as the changes are made, for a caller that tries again after an
            error.

    Returns:
        What was changed, one line a change; empty if nothing was.

    Raises:
        AppendRejected: the server rejects a configuration; the message says which and why.
        Unavailable, OutcomeUnknown: as `NatsConnection.request`.
    """
    changes = [] if changes is None else changes
    specs = {spec.name: spec for spec in stream_specs(journal_bytes)}
    changes += await provision_stream(connection, specs.pop(JOURNAL), replicas, lower_replicas)
    recorded = (await read_journal(connection)).record
    is_lost = recorded is not None and await read_config(connection, EVENTS) is None
    if is_lost and not replace_journal:
        del specs[EVENTS]
    market = specs.pop(MARKET)
    for spec in specs.values():
        changes += await provision_stream(connection, spec, replicas, lower_replicas)
    for name, filter_ in (durables or {}).items() if EVENTS in specs else ():
        if await ensure_consumer(connection, name, filter_):
            changes.append(f"{EVENTS}: durable subscription {name} created")
    await ensure_record(connection, replaces=recorded if is_lost else None)
    if not continues and recorded is not None and await read_config(connection, MARKET) is None:
        epoch = await begin_epoch(connection)
        if epoch is not None:
            changes.append(f"{EVENTS}: epoch {epoch}, since the server was restarted")
    # Last: once it is there, a server that was restarted is not recognized any more.
    changes += await provision_stream(connection, market, replicas, lower_replicas)
    if EVENTS not in specs:
        changes.append(
            "EVENTS: missing, and not created again. Restore it, or accept the loss of the "
            "journal: `tapewire journal accept-loss`"
        )
    return changes


async def provision_when_available(
    connection: NatsConnection, *, wait_seconds: float, **options: Any
) -> list[str]:
    """`provision` with `options`, repeated for `wait_seconds` while JetStream has no leader."""
    deadline = asyncio.get_running_loop().time() + wait_seconds
    changes: list[str] = []
    while True:
        try:
            return await provision(connection, **options, changes=changes)
        except NotPermitted:
            raise
        except (Unavailable, OutcomeUnknown):
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(PROVISION_RETRY_SECONDS)


async def keep_provisioned(
    connection: NatsConnection,
    *,
    replicas: int,
    on_change: Callable[[str], None],
    journal_bytes: int = DEFAULT_JOURNAL_BYTES,
    durables: Mapping[str, str] | None = None,
) -> None:
    """Provision again after every reconnect, until cancelled. A server that was restarted has lost
    the streams that it keeps in memory. In a cluster, such a stream can be there and have lost
    every complete copy: it is removed first. `on_change` is called with a line for each change."""
    reconnected = asyncio.Event()
    connection.state_listeners.append(
        lambda is_connected: reconnected.set() if is_connected else None
    )
    monitor = MemoryStreamMonitor(connection)
    changes: list[str] = []
    while True:
        try:
            async with asyncio.timeout(MONITOR_SECONDS):
                await reconnected.wait()
        except TimeoutError:
            if not await monitor.remove_dead():
                continue
        reconnected.clear()
        try:
            await provision(
                connection,
                replicas=replicas,
                journal_bytes=journal_bytes,
                durables=durables,
                replace_journal=False,
                changes=changes,
            )
        except LogError as error:
            logger.warning("streams.provision_failed", error=str(error))
            await asyncio.sleep(REPROVISION_RETRY_SECONDS)
            reconnected.set()
        else:
            for change in changes:
                on_change(change)
            changes.clear()


async def find_stream_problems(connection: NatsConnection) -> list[str]:
    """What a service cannot work with: missing streams, and fields that differ from what it relies
    on. Empty if all is well.

    Raises:
        Unavailable, OutcomeUnknown: JetStream does not answer.
    """
    problems = []
    for spec in stream_specs():
        found = await read_config(connection, spec.name)
        if found is None:
            problems.append(f"stream {spec.name} is missing: run `tapewire provision`")
            continue
        problems += [
            f"stream {spec.name} has {field} {format_value(present)} instead of "
            f"{format_value(required)}: run `tapewire provision`"
            for field, (present, required) in spec.deviations(found).items()
        ]
    return problems


async def find_hold_reasons(
    connection: NatsConnection, check_journal: Callable[[], Awaitable[list[str]]] | None = None
) -> list[str]:
    """Why services must hold: unfit streams, and events that the journal has lost.

    Args:
        check_journal: what has been lost, as a guard knows it; by the records alone if None.

    Raises:
        Unavailable, OutcomeUnknown: JetStream does not answer.
    """
    problems = await find_stream_problems(connection)
    if any(problem.startswith(f"stream {JOURNAL} ") for problem in problems):
        return problems
    losses = (
        (await find_recorded_losses(connection))[1]
        if check_journal is None
        else await check_journal()
    )
    if losses:
        missing = f"stream {EVENTS} is missing"
        problems = [*losses, *(each for each in problems if not each.startswith(missing))]
    return problems
