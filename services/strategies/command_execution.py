"""Stores what the runner decides about a strategy, and retries while the log is unavailable.

Every command has an id that follows from its subject (`domain/command_builders`), so a command that
is repeated after a lost answer, or given by two runners at once, is stored once. Start at
`execute_command`; `publish_decision` appends a declined decision, which changes no strategy.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from tapewire.events import Action, Strategy, Undecodable, UnknownType
from tapewire.log import (
    AlreadyStored,
    CommandHandler,
    CommandRejected,
    EventDraft,
    EventLog,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.arrival_time import ArrivalTime
from tapewire.log.backoff import Backoff
from tapewire_services.strategies.decision_maker import DecisionMakerFactory
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.exposure import JOURNAL_NEARLY_FULL, closes_position
from tapewire_services.strategies.domain.strategy import AbsentStrategyState, State
from tapewire_services.strategies.order_placement import OrderClient

DECISION_RETRY_SECONDS = 5.0
"""A decision that the log has not stored after this time is given up: its price is too old."""

logger = structlog.get_logger("strategies")


class WorkerDependencies(msgspec.Struct, frozen=True):
    """What all workers of a process share.

    `holds_lease` returns whether this process is certain to hold the runner's lease. A process that
    was suspended is not, and must not act on the quotes it still has. While
    `is_journal_nearly_full`, no strategy adds exposure, and declined decisions are not published.
    `arrival_time` says when a quote counts: intervals between decisions are measured on it.
    """

    log: EventLog
    command_handler: CommandHandler[State, Command]
    order_client: OrderClient
    make_decision_maker: DecisionMakerFactory
    clock: Callable[[], datetime]
    rng: random.Random
    arrival_time: ArrivalTime
    holds_lease: Callable[[], bool] = lambda: True
    is_journal_nearly_full: Callable[[], bool] = lambda: False

    def find_exposure_objection(self, strategy: Strategy, action: Action) -> str | None:
        """Why the strategy must not follow `action` now; None when it may."""
        if not self.is_journal_nearly_full() or closes_position(strategy, action):
            return None
        return JOURNAL_NEARLY_FULL


class CommandOutcome(msgspec.Struct, frozen=True):
    """The result of a command. `latest` is the strategy afterwards, or None when it could not be
    read; `rejection` is why the command was not executed, or None when it was."""

    latest: Versioned[State] | None
    rejection: str | None = None

    def apply_to(self, tracked: TrackedStrategy, correlation: str) -> TrackedStrategy | None:
        """`tracked` after the command with `correlation`; None when nothing newer is known."""
        latest = self.latest
        if latest is None or isinstance(latest.state, AbsentStrategyState):
            return None
        if latest.sequence <= tracked.sequence:
            return None
        cause = correlation if self.rejection is None else tracked.correlation
        return tracked.after_command(latest.state.strategy, latest.sequence, cause)


async def execute_command(
    dependencies: WorkerDependencies,
    subject: EventSubject,
    command: Command,
    *,
    correlation: str,
    retry_seconds: float | None = None,
) -> CommandOutcome:
    """Execute `command` on the strategy at `subject`.

    Waits while this process does not hold the lease. Retries while the log is unavailable, for
    `retry_seconds` at most (None: without a limit).
    """
    clock, backoff = asyncio.get_running_loop().time, Backoff(dependencies.rng)
    deadline = None if retry_seconds is None else clock() + retry_seconds
    while True:
        await _wait_for_lease(dependencies, backoff)
        try:
            latest = await dependencies.command_handler.handle(
                subject, command, correlation=correlation
            )
        except CommandRejected as error:
            logger.info("command.rejected", command_id=command.id, reason=error.message)
            return CommandOutcome(await _load_latest(dependencies, subject), error.message)
        except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
            logger.warning("command.failed", command_id=command.id, error=str(error))
            if deadline is not None and clock() >= deadline:
                return CommandOutcome(None, f"it could not be stored: {error}")
            await backoff.wait()
        else:
            return CommandOutcome(latest)


async def publish_decision(dependencies: WorkerDependencies, draft: EventDraft) -> bool:
    """Append a declined decision. Return whether it was stored within `DECISION_RETRY_SECONDS`. A
    journal with hardly any room left gets none."""
    if dependencies.is_journal_nearly_full():
        return False
    clock, backoff = asyncio.get_running_loop().time, Backoff(dependencies.rng)
    deadline = clock() + DECISION_RETRY_SECONDS
    while True:
        await _wait_for_lease(dependencies, backoff)
        try:
            await dependencies.log.append([draft])
        except AlreadyStored:
            return True
        except LogError as error:
            if clock() >= deadline:
                logger.warning(
                    "decision.not_published", event_id=draft.metadata.id, error=str(error)
                )
                return False
            await backoff.wait()
        else:
            return True


async def _wait_for_lease(dependencies: WorkerDependencies, backoff: Backoff) -> None:
    while not dependencies.holds_lease():
        await backoff.wait()


async def _load_latest(
    dependencies: WorkerDependencies, subject: EventSubject
) -> Versioned[State] | None:
    try:
        return await dependencies.command_handler.load_latest(subject)
    except (LogError, UnknownType, Undecodable):
        return None  # the runner's consumer delivers the strategy's events later
