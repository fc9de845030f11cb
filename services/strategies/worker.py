"""One strategy at work: its orders placed, its stop-loss watched, its decisions made.

Quotes come by `offer`, which watches the stop-loss there and then; what the log says of the
strategy comes by `update`. `work` runs two loops beside each other, so that a decision-maker that
takes its time delays no stop-loss: `_tend` places the order under way and triggers the stop-loss,
`_decide` asks the decision-maker. What either wants done, a `Hand` does.

What is known beyond the log is a `Mark`, which another process may begin with. Where that missed no
price it deals with the newest quote as this one would have, on the strategy as it was then: what
was done of it already is met by the same names again, and the rest is done.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta

import structlog

from tapewire.events import Action, PriceUpdated, Strategy, StrategyStatus
from tapewire_services.strategies.command_executor import (
    StrategyCommandExecutor,
    WorkerDependencies,
)
from tapewire_services.strategies.decision_maker import (
    DECISION_TIMEOUT_SECONDS,
    DecisionInput,
    DecisionMaker,
    StatefulDecisionMaker,
    validate_signal,
)
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
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
)

MAX_PENDING_QUOTES = 256
"""Quotes that gather for a decision-maker; of more the newest."""
MAX_QUOTE_REORDERING = timedelta(seconds=2)
"""A quote that is older than the last one by no more comes late, or again; by more, it comes from
another feed, whose clock is behind."""
MAX_LATE_DECISIONS = 3
"""Decisions in a row that come too late before the strategy fails."""

logger = structlog.get_logger("strategies.seat")


class StrategyWorker:
    """Where one strategy is worked. `mark` is what is known of it from before."""

    def __init__(
        self,
        dependencies: WorkerDependencies,
        tracked: TrackedStrategy,
        checkpoint: StrategyCheckpoint | None = None,
    ) -> None:
        checkpoint = checkpoint or StrategyCheckpoint()
        self.stop_loss_state: StopLossState = checkpoint.guard
        self._resume_point = checkpoint.place
        self._saved_maker_state: str | None = None
        self._possibly_decided: tuple[datetime, Strategy] | None = None
        self._dependencies = dependencies
        self._executor = StrategyCommandExecutor(dependencies, tracked, self.update)
        self._last_placed_client_order_id: str | None = None
        self._decision_maker: DecisionMaker | None = None
        self._late_decision_count = 0
        self._last_published: PublishedDecision | None = None
        self._pending_quotes: deque[PriceUpdated] = deque(maxlen=MAX_PENDING_QUOTES)
        self._last_quoted_at: datetime | None = None
        self._has_first_quote = self._is_deciding = self._is_managing_orders = False
        self._quotes_available = asyncio.Event()
        self._strategy_changed = asyncio.Event()
        self._strategy_changed.set()

    @property
    def tracked(self) -> TrackedStrategy:
        """The strategy as it is known."""
        return self._executor.tracked

    @property
    def _strategy(self) -> Strategy:
        return self._executor.tracked.strategy

    @property
    def _is_started(self) -> bool:
        return self._strategy.status is StrategyStatus.STARTED

    @property
    def last_quoted_at(self) -> datetime | None:
        """The newest quote that it was offered."""
        return self._last_quoted_at

    @property
    def is_busy(self) -> bool:
        """Whether anything is being done, or is to be done now."""
        waiting = self._quotes_available.is_set() or self._strategy_changed.is_set()
        return waiting or self._is_managing_orders or self._is_deciding

    def make_checkpoint(self) -> StrategyCheckpoint:
        """What is known beyond the log now. While a quote is being decided on, it is not dealt
        with: the place is the one before."""
        if (
            self._last_quoted_at is not None
            and not self._quotes_available.is_set()
            and not self._is_deciding
        ):
            self._resume_point = StrategyResumePoint(
                self._last_quoted_at,
                self.tracked,
                self.stop_loss_state,
                self._last_published,
                self._serialize_maker_state(),
            )
        return StrategyCheckpoint(self.stop_loss_state, self._resume_point)

    def update(self, tracked: TrackedStrategy) -> None:
        """The log says that the strategy is so; what is older than known is passed over."""
        if tracked.sequence < self.tracked.sequence:
            return
        before, self._executor.tracked = self._strategy, tracked
        if not self._is_started or tracked.strategy.rule != before.rule:
            self._decision_maker = self._saved_maker_state = None
        if not self._is_started:
            self._pending_quotes.clear()
        self._strategy_changed.set()

    def on_quote(self, quote: PriceUpdated) -> None:
        """A quote of its symbol; one that was offered before, or comes late, is passed over."""
        if self._has_first_quote:
            self._apply_quote(quote)
        else:
            self._on_first_quote(quote)

    def _on_first_quote(self, quote: PriceUpdated) -> None:
        """The first quote: go on from the mark where that is possible."""
        self._has_first_quote = True
        member, place = self.tracked, self._resume_point
        if place is None or not can_resume(place, member, quote):
            self._resume_point = None
            self._apply_quote(quote)
            return
        self.stop_loss_state, self._last_published, self._last_quoted_at = (
            place.guard,
            place.told,
            place.quoted_at,
        )
        self._saved_maker_state = place.memory
        self._possibly_decided = (quote.timestamp, place.member.strategy)
        self._executor.tracked = place.member
        self._apply_quote(quote)
        self.update(member)

    def _apply_quote(self, quote: PriceUpdated) -> None:
        late = (
            self._last_quoted_at is not None
            and self._last_quoted_at - MAX_QUOTE_REORDERING
            <= quote.timestamp
            <= self._last_quoted_at
        )
        if late:
            return
        self._last_quoted_at = quote.timestamp
        if not self._is_started:
            return
        self.stop_loss_state = apply_price(
            self.stop_loss_state, self._strategy, self.tracked.since, quote.price
        )
        if self.stop_loss_state.touched is not None:
            self._strategy_changed.set()
        self._pending_quotes.append(quote)
        self._quotes_available.set()

    async def run(self) -> None:
        """Until canceled. What fails unforeseen fails the strategy."""
        tasks = [
            asyncio.create_task(loop)
            for loop in (self._run_order_loop(), self._run_decision_loop())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = next(task.exception() for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        logger.error("cannot be worked", subject=str(self.tracked.subject), exc_info=error)
        await self._executor.fail_strategy("internal", _describe_error(error))

    async def _run_order_loop(self) -> None:
        """Place the order under way; trigger the stop-loss as soon as none is."""
        while True:
            self._is_managing_orders = False
            await self._strategy_changed.wait()
            self._strategy_changed.clear()
            self._is_managing_orders = True
            order = self._strategy.order
            if order is not None and order.client_order_id != self._last_placed_client_order_id:
                refused = await place_until_answered(
                    self._dependencies.order_client, self.tracked, order, self._dependencies.rng
                )
                self._last_placed_client_order_id = order.client_order_id
                if refused is not None:
                    await self._executor.end_rejected_order(order.order_id, refused)
            await self._trigger_stop_loss()

    async def _trigger_stop_loss(self) -> None:
        guard, side = self.stop_loss_state, closing_side(self._strategy)
        if guard.touched is None or side is None or self._strategy.order is not None:
            return
        if guard.side is side and guard.since == self.tracked.since:
            await self._executor.trigger_stop_loss(guard.touched, side)

    async def _run_decision_loop(self) -> None:
        """Ask the decision-maker whenever there are new quotes."""
        while True:
            self._is_deciding = False
            await self._quotes_available.wait()
            self._quotes_available.clear()
            self._is_deciding = True
            quotes = tuple(self._pending_quotes)
            self._pending_quotes.clear()
            if not quotes or not self._is_started:
                continue
            known = self._strategy_for_quote(quotes[-1])
            signal = await self._request_decision(quotes, known)
            if signal is not None and self._is_started:
                await self._act_on_signal(signal, quotes[-1], known)

    def _strategy_for_quote(self, quote: PriceUpdated) -> Strategy:
        """The strategy that `quote` is to be decided on: as it is now, or, of a quote that another
        process may have dealt with, as it was before that."""
        again, self._possibly_decided = self._possibly_decided, None
        return again[1] if again is not None and again[0] == quote.timestamp else self._strategy

    def _serialize_maker_state(self) -> str | None:
        """What the decision-maker knows by now."""
        if self._decision_maker is None:
            return self._saved_maker_state
        return (
            self._decision_maker.serialize_state().decode()
            if isinstance(self._decision_maker, StatefulDecisionMaker)
            else None
        )

    def _get_decision_maker(self) -> DecisionMaker:
        """The decision-maker, who knows what the one before learnt."""
        if self._decision_maker is None:
            self._decision_maker = self._dependencies.make_decision_maker(self._strategy)
            memory, self._saved_maker_state = self._saved_maker_state, None
            if memory is not None and isinstance(self._decision_maker, StatefulDecisionMaker):
                self._restore_maker_state(self._decision_maker, memory.encode())
        return self._decision_maker

    def _restore_maker_state(self, decision_maker: StatefulDecisionMaker, state: bytes) -> None:
        try:
            decision_maker.restore_state(state)
        except ValueError as error:  # another program wrote it: begin without prices
            logger.warning("passes over what was learnt", error=str(error))
            self._decision_maker = self._dependencies.make_decision_maker(self._strategy)

    async def _request_decision(
        self, quotes: tuple[PriceUpdated, ...], strategy: Strategy
    ) -> Signal | None:
        """The decision; None when there is none."""
        try:
            maker = self._get_decision_maker()
            situation = DecisionInput(self.tracked.user, strategy, quotes)
            async with asyncio.timeout(DECISION_TIMEOUT_SECONDS):
                signal = validate_signal(await maker.decide(situation))
        except TimeoutError:
            await self._record_late_decision()
        except Exception as error:
            await self._executor.fail_strategy("rule_failed", _describe_error(error))
        else:
            self._late_decision_count = 0
            return signal
        return None

    async def _record_late_decision(self) -> None:
        self._late_decision_count += 1
        logger.warning(
            "no decision in time",
            subject=str(self.tracked.subject),
            times=self._late_decision_count,
        )
        if self._late_decision_count >= MAX_LATE_DECISIONS:
            details = f"no decision within {DECISION_TIMEOUT_SECONDS:g} s, {self._late_decision_count} times in a row"
            self._late_decision_count = 0
            await self._executor.fail_strategy("decision_late", details)

    async def _act_on_signal(self, signal: Signal, quote: PriceUpdated, strategy: Strategy) -> None:
        """Act on the signal, or tell that it was declined."""
        why: str | None = None
        if signal.action is not Action.HOLD:
            why = self._stop_loss_objection(strategy) or rejection_reason(strategy, signal.action)
            why = why or await self._executor.act_on_signal(signal, quote, strategy.orders)
            if why is None:
                self._last_published = PublishedDecision(signal.action, quote.timestamp)
                return
        if should_publish(self._last_published, signal.action, quote.timestamp):
            told = await self._executor.publish_declined_decision(signal, quote, why)
            if told:
                self._last_published = PublishedDecision(signal.action, quote.timestamp)

    def _stop_loss_objection(self, strategy: Strategy) -> str | None:
        """A stop-loss that was touched goes before every signal: if both began an order at the same
        price, it would be a matter of luck which."""
        if self.stop_loss_state.touched is None or self.stop_loss_state.side is not closing_side(
            strategy
        ):
            return None
        return f"the stop-loss at {self.stop_loss_state.touched.trigger_price} was reached"


def _describe_error(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
