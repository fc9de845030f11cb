"""The port of decision makers, and the adapter of the built-in rules.

A `DecisionMaker` receives every quote since its previous decision and returns a `Signal`. The
runner makes one for each started strategy, and a new one when the strategy's rule changes or
another process takes over. A decision-maker may keep state; it is asked one question at a time.
Any other kind fits the same port, for example a model behind HTTP:

    class Model:
        async def decide(self, decision_input: DecisionInput) -> Signal:
            answer = await self._client.post("/decide", json=...)
            return Signal(Action(answer["action"]), ..., answer["why"])

A `StatefulDecisionMaker` can also export its state; another process continues from that state when
no price was missed in between.

A decision must arrive within `DECISION_TIMEOUT_SECONDS`; meanwhile the stop-loss is watched and
quotes are collected. An exception fails the strategy and affects no other. `DecisionSession` runs
the decision-maker of one strategy.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec
import structlog

from tapewire.events import CODEC, Action, PriceUpdated, Strategy
from tapewire_services.strategies.domain.rules import RuleState, Signal, make_rule

DECISION_TIMEOUT_SECONDS = 5.0
"""Time limit of one decision."""
MAX_LATE_DECISIONS = 3
"""Late decisions in a row that fail the strategy."""
MAX_REASONING_LENGTH = 500
"""Characters of a signal's reasoning that are kept."""

logger = structlog.get_logger("strategies")


class DecisionInput(msgspec.Struct, frozen=True):
    """What to decide on: the `strategy` of `user`, and the `quotes` since the last decision, oldest
    first. There is at least one quote; of too many, only the newest are kept."""

    user: str
    strategy: Strategy
    quotes: tuple[PriceUpdated, ...]


class DecisionMaker(Protocol):
    """Decides for one strategy."""

    async def decide(self, decision_input: DecisionInput) -> Signal:
        """Return what to do now.

        Raises:
            TimeoutError: the decision is late; the strategy fails after several in a row.
            Exception: any other error fails the strategy at once.
        """


@runtime_checkable
class StatefulDecisionMaker(Protocol):
    """A decision-maker whose state can move to another process."""

    def serialize_state(self) -> bytes:
        """Return the state as JSON, a few thousand bytes at most."""

    def restore_state(self, state: bytes) -> None:
        """Continue from `state`; called before the first decision only. Raises ValueError when
        `state` is not a valid state."""


DecisionMakerFactory = Callable[[Strategy], DecisionMaker]
"""Makes the decision-maker of a strategy, without state."""


class InvalidSignal(ValueError):
    """A decision-maker returned something that is not a valid `Signal`."""


class RuleDecisionMaker:
    """Applies a built-in rule to each quote. Of several quotes, the last signal that is not a hold
    counts."""

    def __init__(self, strategy: Strategy) -> None:
        self._rule = make_rule(strategy.rule)

    async def decide(self, decision_input: DecisionInput) -> Signal:
        signals = [self._rule.on_price(quote.price) for quote in decision_input.quotes]
        acting = [signal for signal in signals if signal.action is not Action.HOLD]
        return (acting or signals)[-1]

    def serialize_state(self) -> bytes:
        return CODEC.encode(self._rule.export_state())

    def restore_state(self, state: bytes) -> None:
        self._rule.restore_state(CODEC.decode(state, RuleState))


class DecisionFailed(Exception):
    """The strategy cannot go on: `error_code` and `details` are for its failure event."""

    def __init__(self, error_code: str, details: str) -> None:
        super().__init__(details)
        self.error_code = error_code
        self.details = details


class DecisionSession:
    """The decision-maker of one strategy, made at its first decision."""

    def __init__(self, make_decision_maker: DecisionMakerFactory) -> None:
        self._make_decision_maker = make_decision_maker
        self._decision_maker: DecisionMaker | None = None
        self._saved_state: str | None = None
        self._late_decision_count = 0

    def reset(self) -> None:
        """Forget the decision-maker and its state; the next decision starts with a new one."""
        self._decision_maker = self._saved_state = None

    def resume_from(self, state: str | None) -> None:
        """Restore `state`, JSON text from `export_state`, before the first decision."""
        self._saved_state = state

    def export_state(self) -> str | None:
        """The decision-maker's state as JSON text; None when it has none or cannot export it."""
        if self._decision_maker is None:
            return self._saved_state
        if isinstance(self._decision_maker, StatefulDecisionMaker):
            return self._decision_maker.serialize_state().decode()
        return None

    async def decide(self, strategy: Strategy, decision_input: DecisionInput) -> Signal | None:
        """Ask the decision-maker, which is made for `strategy` when there is none. Return None when
        the decision is late.

        Raises:
            DecisionFailed: the decision-maker raised an error or returned an invalid signal, or
                `MAX_LATE_DECISIONS` decisions in a row are late.
        """
        try:
            maker = self._decision_maker or self._start(strategy)
            async with asyncio.timeout(DECISION_TIMEOUT_SECONDS):
                signal = validate_signal(await maker.decide(decision_input))
        except TimeoutError:
            self._count_late_decision(strategy)
            return None
        except Exception as error:
            raise DecisionFailed("rule_failed", f"{type(error).__name__}: {error}") from error
        self._late_decision_count = 0
        return signal

    def _count_late_decision(self, strategy: Strategy) -> None:
        self._late_decision_count += 1
        count = self._late_decision_count
        logger.warning("decision.late", strategy_id=strategy.strategy_id, count=count)
        if count >= MAX_LATE_DECISIONS:
            self._late_decision_count = 0
            limit = f"{DECISION_TIMEOUT_SECONDS:g} s"
            raise DecisionFailed(
                "decision_late", f"no decision within {limit}, {count} times in a row"
            )

    def _start(self, strategy: Strategy) -> DecisionMaker:
        self._decision_maker = self._make_decision_maker(strategy)
        state, self._saved_state = self._saved_state, None
        if state is not None and isinstance(self._decision_maker, StatefulDecisionMaker):
            try:
                self._decision_maker.restore_state(state.encode())
            except ValueError as error:  # another program wrote it: start without prices
                logger.warning("decision_maker.state_rejected", error=str(error))
                self._decision_maker = self._make_decision_maker(strategy)
        return self._decision_maker


def validate_signal(signal: Signal) -> Signal:
    """Return `signal` with its reasoning cut to `MAX_REASONING_LENGTH` characters.

    Raises:
        InvalidSignal: it is not a Signal, or its confidence is not a Decimal from 0 to 1.
    """
    if not isinstance(signal, Signal) or not isinstance(signal.action, Action):
        raise InvalidSignal(f"the decision is a {type(signal).__name__}, not a valid Signal")
    confidence = signal.confidence
    if (
        not isinstance(confidence, Decimal)
        or not confidence.is_finite()
        or not 0 <= confidence <= 1
    ):
        raise InvalidSignal(
            f"the confidence is {str(confidence)[:40]}: it must be a Decimal from 0 to 1"
        )
    return msgspec.structs.replace(signal, reasoning=signal.reasoning[:MAX_REASONING_LENGTH])
