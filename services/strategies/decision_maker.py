"""Who decides: the port, and the built-in rules behind it.

A decision-maker is asked with everything that was quoted since it was asked before, and answers
with a `Signal`. One is made for each strategy that starts, and again when its rule is changed or
another process takes over, so it may keep a state; it is asked one question at a time. A maker of
another kind, a model behind HTTP say, fits the same port:

    class Model:
        async def decide(self, situation: Situation) -> Signal:
            answer = await self._client.post("/decide", json=...)
            return Signal(Action(answer["action"]), ..., answer["why"])

One that can say what it has learnt is a `Remembering` as well: then, where no price was missed, it
goes on in another process from where it was.

It has `DECIDE_SECONDS`; meanwhile the stop-loss is watched and quotes gather. Whatever it raises
fails its strategy, and no other.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec

from tapewire.events import CODEC, Action, PriceUpdated, Strategy
from tapewire_services.strategies.domain.rules import RuleState, Signal, make_rule

DECISION_TIMEOUT_SECONDS = 5.0
"""What one decision may take."""
MAX_REASONING_LENGTH = 500
"""Characters of a reasoning that are kept."""


class DecisionInput(msgspec.Struct, frozen=True):
    """What there is to decide on: the strategy of `user` as it is now, and the `quotes` since the
    last decision, oldest first; at least one, and of many the newest."""

    user: str
    strategy: Strategy
    quotes: tuple[PriceUpdated, ...]


class DecisionMaker(Protocol):
    """Decides for one strategy."""

    async def decide(self, decision_input: DecisionInput) -> Signal:
        """What to do now. TimeoutError means: not in time; anything else raised: never again."""


@runtime_checkable
class StatefulDecisionMaker(Protocol):
    """A decision-maker whose state can be carried to another process."""

    def serialize_state(self) -> bytes:
        """What it has learnt, as JSON; of a few thousand bytes at the most."""

    def restore_state(self, state: bytes) -> None:
        """Have learnt that: only before the first decision. Raises ValueError for what is none."""


DecisionMakerFactory = Callable[[Strategy], DecisionMaker]
"""Gives the decision-maker of a strategy, which has seen no price yet."""


class InvalidSignal(ValueError):
    """A signal that cannot be acted on."""


class RuleDecisionMaker:
    """A built-in rule. Of several prices at once, the last that is not a hold counts."""

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


def validate_signal(signal: Signal) -> Signal:
    """`signal`, its reasoning cut to `REASONING_LENGTH`.

    Raises:
        BadSignal: it is none, or its confidence is not from 0 to 1.
    """
    if not isinstance(signal, Signal) or not isinstance(signal.action, Action):
        raise InvalidSignal(f"a {type(signal).__name__} was decided, which is no signal")
    sure = signal.confidence
    if not isinstance(sure, Decimal) or not sure.is_finite() or not 0 <= sure <= 1:
        raise InvalidSignal(f"the confidence is {str(sure)[:40]}: it must be a Decimal from 0 to 1")
    return msgspec.structs.replace(signal, reasoning=signal.reasoning[:MAX_REASONING_LENGTH])
