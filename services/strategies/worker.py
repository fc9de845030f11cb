"""Runs one active strategy: places its orders, watches its stop-loss and has its decisions made.

`on_quote` receives quotes and applies them to the stop-loss at once; `update` receives the strategy
as the log has it. `run` runs two loops side by side, so a slow decision-maker delays no stop-loss:
the order loop places the pending order and triggers the stop-loss, the decision loop asks the
decision-maker. The worker owns all state of its strategy. What it gives out is built by
`domain/command_builders` and stored by `command_execution`.

A `StrategyCheckpoint` holds what is not in the log. When a worker in another process resumes from
it and has missed no price, it handles the newest quote as this worker would have, on the strategy
as it was then: commands that were already stored have the same ids, and the missing ones are
stored.
"""

import asyncio
from collections import deque

import structlog

from tapewire.events import Action, PriceUpdated, Strategy, StrategyOrder, StrategyStatus
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
from tapewire_services.strategies.domain.rules import Signal
from tapewire_services.strategies.domain.stop_loss import StopLossState, apply_price
from tapewire_services.strategies.domain.trading import closing_side, rejection_reason
from tapewire_services.strategies.order_placement import place_until_answered
from tapewire_services.strategies.runner_checkpoint import (
    StrategyCheckpoint,
    StrategyResumePoint,
    can_resume,
    digest_quote,
)

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
        self._stop_loss: StopLossState = checkpoint.stop_loss
        self._resume_point = checkpoint.resume_point
        self._decisions = DecisionSession(dependencies.make_decision_maker)
        self._possibly_decided: tuple[PriceUpdated, Strategy] | None = None
        """A quote that the previous worker may have handled, and the strategy as it was then."""
        self._last_placed_client_order_id: str | None = None
        self._last_published: PublishedDecision | None = None
        self._pending_quotes: deque[PriceUpdated] = deque(maxlen=MAX_PENDING_QUOTES)
        self._last_quote: PriceUpdated | None = None
        self._has_first_quote = self._is_deciding = self._is_managing_orders = False
        self._quotes_available = asyncio.Event()
        self._strategy_changed = asyncio.Event()
        self._strategy_changed.set()

    @property
    def tracked(self) -> TrackedStrategy:
        """The newest known version of the strategy."""
        return self._tracked

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

    def capture_checkpoint(self) -> StrategyCheckpoint:
        """Record and return what the log does not hold. While a quote is being decided on, the
        resume point stays the previous one."""
        is_settled = not self._quotes_available.is_set() and not self._is_deciding
        if self._last_quote is not None and is_settled:
            self._resume_point = StrategyResumePoint(
                self._last_quote.timestamp,
                self._tracked,
                self._stop_loss,
                self._last_published,
                self._decisions.export_state(),
                digest_quote(self._last_quote),
            )
        return StrategyCheckpoint(self._stop_loss, self._resume_point)

    def update(self, tracked: TrackedStrategy) -> None:
        """Take over the strategy as the log has it; an older version is ignored."""
        if tracked.sequence < self._tracked.sequence:
            return
        before, self._tracked = self._strategy, tracked
        if not self._is_started or tracked.strategy.rule != before.rule:
            self._decisions.reset()
        if not self._is_started:
            self._pending_quotes.clear()
        self._strategy_changed.set()

    def on_quote(self, quote: PriceUpdated) -> None:
        """Receive the next quote of the strategy's symbol. The order of the calls is the order of
        the quotes, whatever their timestamps."""
        if not self._has_first_quote:
            self._has_first_quote = True
            newest = self._tracked
            if self._resume_at(quote):
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
        self._stop_loss = point.stop_loss
        self._last_published = point.last_published
        self._decisions.resume_from(point.decision_maker_state)
        self._possibly_decided = (quote, point.tracked.strategy)
        self._tracked = point.tracked
        return True

    def _apply_quote(self, quote: PriceUpdated) -> None:
        self._last_quote = quote
        if not self._is_started:
            return
        self._stop_loss = apply_price(
            self._stop_loss, self._strategy, self._tracked.position_since, quote.price
        )
        if self._stop_loss.touch is not None:
            self._strategy_changed.set()
        self._pending_quotes.append(quote)
        self._quotes_available.set()

    async def run(self) -> None:
        """Work until canceled. An unexpected error fails the strategy."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_order_loop())
                group.create_task(self._run_decision_loop())
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            logger.error("worker.failed", subject=str(self._tracked.subject), exc_info=error)
            await self._fail_strategy("internal", f"{type(error).__name__}: {error}")

    async def _run_order_loop(self) -> None:
        """Place the pending order; trigger the stop-loss when no order is pending."""
        while True:
            self._is_managing_orders = False
            await self._strategy_changed.wait()
            self._strategy_changed.clear()
            self._is_managing_orders = True
            order = self._strategy.order
            if order is not None and order.client_order_id != self._last_placed_client_order_id:
                await self._place_order(order)
            await self._trigger_stop_loss()

    async def _place_order(self, order: StrategyOrder) -> None:
        rejection = await place_until_answered(
            self._dependencies.order_client, self._tracked, order, self._dependencies.rng
        )
        self._last_placed_client_order_id = order.client_order_id
        if rejection is not None:
            command = builders.build_end_rejected_order(
                self._tracked, order.order_id, rejection, self._dependencies.clock()
            )
            await self._execute(command, self._tracked.correlation)

    async def _trigger_stop_loss(self) -> None:
        state, side = self._stop_loss, closing_side(self._strategy)
        if state.touch is None or side is None or self._strategy.order is not None:
            return
        if state.side is side and state.position_since == self._tracked.position_since:
            command = builders.build_trigger_stop_loss(
                self._tracked, state.touch, side, self._dependencies.clock()
            )
            await self._execute(command, command.id)

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
                self._stop_loss_objection(strategy)
                or rejection_reason(strategy, signal.action)
                or self._dependencies.find_exposure_objection(strategy, signal.action)
            )
            if reason is None:
                command = builders.build_act_on_signal(
                    self._tracked, signal, quote, strategy.orders, self._dependencies.clock()
                )
                reason = await self._execute(command, command.id, DECISION_RETRY_SECONDS)
            if reason is None:
                self._last_published = PublishedDecision(signal.action, decided_at)
                return
        if should_publish(self._last_published, signal.action, decided_at):
            draft = builders.build_declined_decision(
                self._tracked, signal, quote, strategy.orders, reason
            )
            if await publish_decision(self._dependencies, draft):
                self._last_published = PublishedDecision(signal.action, decided_at)

    def _stop_loss_objection(self, strategy: Strategy) -> str | None:
        """A touched stop-loss takes precedence over a signal at the same price."""
        if self._stop_loss.touch is None or self._stop_loss.side is not closing_side(strategy):
            return None
        return f"the stop-loss at {self._stop_loss.touch.trigger_price} was reached"

    async def _fail_strategy(self, error_code: str, details: str) -> None:
        logger.warning("strategy.failed", subject=str(self._tracked.subject), reason=details)
        command = builders.build_fail_strategy(
            self._tracked, error_code, details, self._dependencies.clock()
        )
        await self._execute(command, command.id)

    async def _execute(
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
