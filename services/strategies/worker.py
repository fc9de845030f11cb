"""Runs one active strategy: places its orders, protects its position and has its decisions made.

`on_quote` receives quotes and applies them to the protection at once; `update` receives the
strategy as the log has it. `start` runs two loops side by side, so a slow or failing
decision-maker delays no exit: the order loop lets `StrategyOrders` place and cancel orders and
begin exits, the decision loop asks the decision-maker. What the worker gives out is built by
`domain/command_builders` and stored by `command_execution`.

A `StrategyCheckpoint` holds what is not in the log. A worker in another process that resumes from
it and has missed no price handles the newest quote as this one would have, on the strategy as it
was then: commands that were already stored have the same ids, and the missing ones are stored.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from tapewire.events import Action, PriceUpdated, Strategy, StrategyStatus
from tapewire.log.backoff import Backoff
from tapewire_services.strategies.command_execution import (
    DECISION_RETRY_SECONDS,
    WorkerDependencies,
    execute_command,
    publish_decision,
)
from tapewire_services.strategies.decision_maker import (
    DecisionFailed,
    DecisionInput,
    DecisionSession,
)
from tapewire_services.strategies.domain import command_builders as builders
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.decision_throttling import (
    PublishedDecision,
    should_publish,
)
from tapewire_services.strategies.domain.exits import closing_side
from tapewire_services.strategies.domain.protection import (
    ProtectionState,
    apply_price,
    follow_splits,
)
from tapewire_services.strategies.domain.rules import Signal
from tapewire_services.strategies.domain.trading import rejection_reason
from tapewire_services.strategies.runner_checkpoint import (
    StrategyCheckpoint,
    StrategyResumePoint,
    can_resume,
    digest_quote,
    is_last_handled,
)
from tapewire_services.strategies.strategy_orders import StrategyOrders

MAX_PENDING_QUOTES = 256
"""Quotes that wait for a decision-maker; of more, the newest are kept."""

logger = structlog.get_logger("strategies")


class StrategyWorker:
    """The worker of one strategy. `checkpoint` is what the previous worker left, if anything."""

    def __init__(
        self,
        dependencies: WorkerDependencies,
        tracked: TrackedStrategy,
        checkpoint: StrategyCheckpoint | None = None,
    ) -> None:
        checkpoint = checkpoint or StrategyCheckpoint()
        self._dependencies = dependencies
        self._tracked = tracked
        self._protection: ProtectionState = checkpoint.protection
        self._resume_point = checkpoint.resume_point
        self._decisions = DecisionSession(dependencies.make_decision_maker)
        self._possibly_decided: tuple[PriceUpdated, Strategy] | None = None
        """A quote that the previous worker may have handled, and the strategy as it was then."""
        client, clock = dependencies.order_client, dependencies.clock
        self._orders = StrategyOrders(self, client, clock=clock, rng=dependencies.rng)
        self._last_published: PublishedDecision | None = None
        self._pending_quotes: deque[PriceUpdated] = deque(maxlen=MAX_PENDING_QUOTES)
        self._last_quote: PriceUpdated | None = None
        self._has_first_quote = self._is_deciding = self._is_managing_orders = False
        self._quotes_available = asyncio.Event()
        self._strategy_changed = asyncio.Event()
        self._strategy_changed.set()
        self.split_count = 0  # of the symbol, up to the events that are known

    @property
    def tracked(self) -> TrackedStrategy:
        """The newest known version of the strategy."""
        return self._tracked

    @property
    def protection(self) -> ProtectionState:
        """What the prices of the position have touched."""
        return self._protection

    @property
    def is_busy(self) -> bool:
        """Whether work is in progress or due now."""
        waiting = self._quotes_available.is_set() or self._strategy_changed.is_set()
        return waiting or self._is_managing_orders or self._is_deciding

    @property
    def _strategy(self) -> Strategy:
        return self._tracked.strategy

    @property
    def _is_started(self) -> bool:
        return self._strategy.status is StrategyStatus.STARTED

    def wake_after(self, seconds: float) -> None:
        """Let the order loop look at the strategy again after `seconds`."""
        asyncio.get_running_loop().call_later(seconds, self._strategy_changed.set)

    def capture_checkpoint(self) -> StrategyCheckpoint:
        """Record and return what the log does not hold. While a quote is being decided on, the
        resume point stays the previous one."""
        is_settled = not self._quotes_available.is_set() and not self._is_deciding
        if self._last_quote is not None and is_settled:
            self._resume_point = StrategyResumePoint(
                self._last_quote.timestamp,
                self._tracked,
                self._protection,
                self._last_published,
                self._decisions.export_state(),
                digest_quote(self._last_quote),
            )
        return StrategyCheckpoint(self._protection, self._resume_point)

    def update(self, tracked: TrackedStrategy) -> None:
        """Take over the strategy as the log has it; an older version is ignored."""
        if tracked.sequence < self._tracked.sequence:
            return
        before, self._tracked = self._tracked, tracked
        is_split = len(tracked.splits) > len(before.splits)
        if is_split or not self._is_started or tracked.strategy.rule != before.strategy.rule:
            self._decisions.reset()
        if is_split or not self._is_started:
            self._pending_quotes.clear()
        self._strategy_changed.set()

    def on_quote(self, quote: PriceUpdated) -> None:
        """Receive the next quote of the strategy's symbol. The order of the calls is the order of
        the quotes, whatever their timestamps."""
        if not self._has_first_quote:
            self._has_first_quote = True
            newest = self._tracked
            if self._resume_at(quote):
                if self._resume_point is None or not is_last_handled(self._resume_point, quote):
                    self._apply_quote(quote)
                self.update(newest)
                return
        self._apply_quote(quote)

    def _resume_at(self, quote: PriceUpdated) -> bool:
        """Go back to the resume point if it allows to continue at `quote`."""
        point = self._resume_point
        if point is None or not can_resume(point, self._tracked, quote):
            self._resume_point = None
            return False
        self._protection = point.protection
        self._last_published = point.last_published
        self._decisions.resume_from(point.decision_maker_state)
        self._possibly_decided = (quote, point.tracked.strategy)
        self._tracked = point.tracked
        self._last_quote = quote
        return True

    def _apply_quote(self, quote: PriceUpdated) -> None:
        self._last_quote = quote
        tracked = self._tracked
        if tracked.pending_split is not None:
            return
        protection = follow_splits(self._protection, tracked.splits)
        self._protection = apply_price(
            protection, tracked.strategy, tracked.position_since, quote.price
        )
        if self._protection.touch is not None:
            self._strategy_changed.set()
        if self._is_started:
            self._pending_quotes.append(quote)
            self._quotes_available.set()

    def start(self) -> list[asyncio.Task[None]]:
        """Work until the returned tasks are cancelled: from then on, the worker begins nothing. An
        unexpected error fails the strategy; it is protected on."""
        loops = (self._run_order_loop, self._run_decision_loop)
        return [asyncio.create_task(self._run_loop(loop)) for loop in loops]

    async def _run_loop(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` again after each unexpected error, with growing pauses."""
        backoff = Backoff(self._dependencies.rng)
        while True:
            try:
                await loop()
            except Exception as error:
                logger.exception("worker.failed", subject=str(self._tracked.subject))
                await self._fail_strategy("internal", f"{type(error).__name__}: {error}")
            await backoff.wait()

    async def _run_order_loop(self) -> None:
        """Do what the strategy's orders need, whenever it has changed or an exit was touched."""
        while True:
            self._is_managing_orders = False
            await self._strategy_changed.wait()
            self._strategy_changed.clear()
            self._is_managing_orders = True
            await self._orders.advance()

    async def _run_decision_loop(self) -> None:
        """Ask the decision-maker whenever new quotes have arrived."""
        while True:
            self._is_deciding = False
            await self._quotes_available.wait()
            self._quotes_available.clear()
            self._is_deciding = True
            quotes = tuple(self._pending_quotes)
            self._pending_quotes.clear()
            if not quotes or not self._is_started:
                continue
            strategy = self._pop_strategy_to_decide_on(quotes[-1])
            signal = await self._decide(quotes, strategy)
            if signal is not None and self._is_started:
                await self._act_on_signal(signal, quotes[-1], strategy)

    def _pop_strategy_to_decide_on(self, quote: PriceUpdated) -> Strategy:
        """The strategy as it is now or, once after a takeover, for a quote that the previous worker
        may have handled, as it was before that quote."""
        decided, self._possibly_decided = self._possibly_decided, None
        if decided is not None and decided[0] is quote:
            return decided[1]
        return self._strategy

    async def _decide(self, quotes: tuple[PriceUpdated, ...], strategy: Strategy) -> Signal | None:
        """The decision-maker's signal; None when it is late or fails."""
        decision_input = DecisionInput(self._tracked.user, strategy, quotes)
        try:
            return await self._decisions.decide(self._strategy, decision_input)
        except DecisionFailed as error:
            await self._fail_strategy(error.error_code, error.details)
            return None

    async def _act_on_signal(self, signal: Signal, quote: PriceUpdated, strategy: Strategy) -> None:
        """Follow the signal, or publish that it was declined."""
        reason, decided_at = None, self._dependencies.arrival_time(quote)
        if signal.action is not Action.HOLD:
            reason = (
                self._exit_objection(strategy)
                or rejection_reason(strategy, signal.action)
                or self._dependencies.find_exposure_objection(strategy, signal.action)
            )
            if reason is None:
                command = builders.build_act_on_signal(
                    self._tracked, signal, quote, strategy.orders, self._dependencies.clock()
                )
                reason = await self.execute(command, command.id, DECISION_RETRY_SECONDS)
            if reason is None:
                self._last_published = PublishedDecision(signal.action, decided_at)
                return
        if should_publish(self._last_published, signal.action, decided_at):
            draft = builders.build_declined_decision(
                self._tracked, signal, quote, strategy.orders, reason
            )
            if await publish_decision(self._dependencies, draft):
                self._last_published = PublishedDecision(signal.action, decided_at)

    def _exit_objection(self, strategy: Strategy) -> str | None:
        """A touched exit takes precedence over a signal at the same price."""
        touch = self._protection.touch
        if touch is None or self._protection.side is not closing_side(strategy):
            return None
        name = touch.reason.value.replace("_", "-")
        return f"the {name} at {touch.trigger_price} was reached"

    async def _fail_strategy(self, error_code: str, details: str) -> None:
        logger.warning("strategy.failed", subject=str(self._tracked.subject), reason=details)
        command = builders.build_fail_strategy(
            self._tracked, error_code, details, self._dependencies.clock()
        )
        await self.execute(command, command.id)

    async def execute(
        self, command: Command, correlation: str, retry_seconds: float | None = None
    ) -> str | None:
        """Execute `command` and take over the strategy as it is afterwards. Return why the command
        was not executed, or None."""
        outcome = await execute_command(
            self._dependencies,
            self._tracked.subject,
            command,
            correlation=correlation,
            retry_seconds=retry_seconds,
        )
        if (updated := outcome.apply_to(self._tracked, correlation)) is not None:
            self.update(updated)
        return outcome.rejection
