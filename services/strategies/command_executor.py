"""What is done for one strategy: commands on it, decided on what the log says.

Each command has an id that follows from what it is about, so that two runners at once, or one that
tries again after an answer was lost, append nothing twice. A log that cannot be reached is tried
until it can, but for a decision, which is too old after `FRESH_SECONDS`.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from tapewire.events import DecisionMade, PriceUpdated, Side, Undecodable, UnknownType
from tapewire.log import (
    AlreadyStored,
    CommandHandler,
    CommandRejected,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.backoff import Backoff
from tapewire_services.strategies.decision_maker import DecisionMakerFactory
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy, is_same_side
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    Command,
    EndOrderCommand,
    FailStrategyCommand,
    TriggerStopLossCommand,
    decision_id,
)
from tapewire_services.strategies.domain.rules import Signal
from tapewire_services.strategies.domain.stop_loss import StopLossTouch
from tapewire_services.strategies.domain.strategy import CreatedStrategyState, State
from tapewire_services.strategies.order_placement import OrderClient

DECISION_RETRY_SECONDS = 5.0
"""How long a decision is tried while the log cannot take it."""
MAX_DETAILS_LENGTH = 300

logger = structlog.get_logger("strategies.hand")


class WorkerDependencies(msgspec.Struct, frozen=True):
    """What all strategies at work share."""

    log: EventLog
    command_handler: CommandHandler[State, Command]
    order_client: OrderClient
    make_decision_maker: DecisionMakerFactory
    clock: Callable[[], datetime]
    rng: random.Random
    holds_lease: Callable[[], bool] = lambda: True
    """Whether this process surely is the only one at work: one that stood still would decide on
    quotes that are over."""


class StrategyCommandExecutor:
    """Acts for `member`, the strategy as it is known; `learn` is called with what became of it."""

    def __init__(
        self,
        dependencies: WorkerDependencies,
        tracked: TrackedStrategy,
        on_change: Callable[[TrackedStrategy], None],
    ) -> None:
        self.tracked = tracked
        self._dependencies = dependencies
        self._on_change = on_change

    async def act_on_signal(
        self, signal: Signal, quote: PriceUpdated, expected_order_count: int
    ) -> str | None:
        """Follow the signal, which was given knowing of `orders` orders. Why it was not done, None
        when it was."""
        command = ActOnSignalCommand(
            id=self._decision_id(quote),
            at=self._dependencies.clock(),
            user=self.tracked.user,
            strategy_id=self._strategy_id,
            expected_order_count=expected_order_count,
            action=signal.action,
            confidence=signal.confidence,
            reasoning=signal.reasoning,
            price=quote.price,
            decided_at=quote.timestamp,
        )
        return await self._execute(command, command.id, retry_seconds=DECISION_RETRY_SECONDS)

    async def trigger_stop_loss(self, touch: StopLossTouch, side: Side) -> None:
        """Close what is held by an order of `side`, for a stop-loss that was touched."""
        command = TriggerStopLossCommand(
            id=f"{self._strategy_id}.stop-loss.{self.tracked.strategy.orders + 1}",
            at=self._dependencies.clock(),
            user=self.tracked.user,
            strategy_id=self._strategy_id,
            expected_order_count=self.tracked.strategy.orders,
            side=side,
            price=touch.price,
            trigger_price=touch.trigger_price,
        )
        await self._execute(command, command.id)

    async def end_rejected_order(self, order_id: str, reason: str) -> None:
        """The order under way was refused."""
        command = EndOrderCommand(
            id=f"{order_id}.refused",
            at=self._dependencies.clock(),
            user=self.tracked.user,
            strategy_id=self._strategy_id,
            order_id=order_id,
            status=None,
            reason=reason,
        )
        await self._execute(command, self.tracked.correlation)

    async def fail_strategy(self, error_code: str, details: str) -> None:
        """The strategy cannot go on."""
        logger.warning("a strategy fails", subject=str(self.tracked.subject), details=details)
        command = FailStrategyCommand(
            id=f"{self._strategy_id}.fail.{self.tracked.sequence}",
            at=self._dependencies.clock(),
            user=self.tracked.user,
            strategy_id=self._strategy_id,
            error_code=error_code,
            details=details[:MAX_DETAILS_LENGTH],
        )
        await self._execute(command, command.id)

    async def publish_declined_decision(
        self, signal: Signal, quote: PriceUpdated, decline_reason: str | None
    ) -> bool:
        """Say that a decision was declined; whether that could be stored in `FRESH_SECONDS`."""
        id_ = self._decision_id(quote)
        decision = DecisionMade(
            decision_id=id_,
            strategy_id=self._strategy_id,
            symbol=self.tracked.strategy.symbol,
            action=signal.action,
            confidence=signal.confidence,
            reasoning=signal.reasoning
            if decline_reason is None
            else f"{signal.reasoning}; declined: {decline_reason}",
            taken=False,
            timestamp=quote.timestamp,
        )
        subject = EventSubject(self.tracked.user, "decisions", self._strategy_id)
        meta = EventMetadata(id=f"{id_}.declined", correlation=id_)
        clock, patience = asyncio.get_running_loop().time, Backoff(self._dependencies.rng)
        deadline = clock() + DECISION_RETRY_SECONDS
        while True:
            while not self._dependencies.holds_lease():
                await patience.wait()
            try:
                await self._dependencies.log.append(
                    [EventDraft(subject=subject, event=decision, metadata=meta)]
                )
            except AlreadyStored:
                return True
            except LogError as error:
                if clock() >= deadline:
                    logger.warning("a decision is not told", decision=id_, error=str(error))
                    return False
                await patience.wait()
            else:
                return True

    @property
    def _strategy_id(self) -> str:
        return self.tracked.strategy.strategy_id

    def _decision_id(self, quote: PriceUpdated) -> str:
        return decision_id(self._strategy_id, quote.timestamp)

    async def _execute(
        self, command: Command, correlation: str, *, retry_seconds: float | None = None
    ) -> str | None:
        """Have `command` decided, trying for `seconds` while the log cannot, and learn what the
        strategy is then. Why it was refused, or came too late; None when it is done."""
        clock, patience = asyncio.get_running_loop().time, Backoff(self._dependencies.rng)
        deadline = None if retry_seconds is None else clock() + retry_seconds
        while True:
            while not self._dependencies.holds_lease():
                await patience.wait()
            try:
                known = await self._dependencies.command_handler.handle(
                    self.tracked.subject, command, correlation=correlation
                )
            except CommandRejected as refusal:
                logger.info("the strategy went another way", id=command.id, why=refusal.message)
                await self._reload()
                return refusal.message
            except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
                logger.warning("cannot decide now", id=command.id, error=str(error))
                if deadline is not None and clock() >= deadline:
                    return f"it could not be stored: {error}"
                await patience.wait()
            else:
                self._apply_result(known, correlation)
                return None

    async def _reload(self) -> None:
        """Know the strategy as it is now, if that can be read."""
        try:
            known = await self._dependencies.command_handler.load_latest(self.tracked.subject)
        except (LogError, UnknownType, Undecodable):
            return  # the runner's follower brings it
        self._apply_result(known, self.tracked.correlation)

    def _apply_result(self, versioned: Versioned[State], correlation: str) -> None:
        """What the follower will say too, only sooner. It knows better since when something is
        held; until then another side is another holding."""
        before = self.tracked
        if (
            not isinstance(versioned.state, CreatedStrategyState)
            or versioned.sequence <= before.sequence
        ):
            return
        strategy = versioned.state.strategy
        held = is_same_side(before.strategy, strategy)
        self._on_change(
            msgspec.structs.replace(
                before,
                strategy=strategy,
                sequence=versioned.sequence,
                since=before.since if held else versioned.sequence,
                correlation=correlation,
            )
        )
