"""The answer of a decision-maker to a price: an action, a confidence and a reasoning."""

from decimal import Decimal

import msgspec

from tapewire.decimals import round_half_even
from tapewire.events import Action

ONE = Decimal(1)
CONFIDENCE_PLACES = 2


class Signal(msgspec.Struct, frozen=True):
    """`confidence` is from 0 to 1: how strongly the prices support the `action` or, for a hold,
    how near they are to an action. `reasoning` is text for people and contains the numbers."""

    action: Action
    confidence: Decimal
    reasoning: str


class RuleState(msgspec.Struct, frozen=True):
    """The state of a rule: the prices in its window, oldest first, and, for a crossover, whether
    the fast average was above the slow one."""

    prices: list[Decimal]
    is_fast_above: bool | None = msgspec.field(default=None, name="above")


def to_confidence(strength: Decimal) -> Decimal:
    """`strength` limited to 0 to 1 and rounded to two places."""
    return round_half_even(min(max(strength, Decimal(0)), ONE), CONFIDENCE_PLACES)


def build_warm_up_signal(price_count: int, required_count: int) -> Signal:
    """The hold that a rule returns until its window is full."""
    return Signal(
        Action.HOLD, Decimal(0), f"warming up: {price_count} of {required_count} prices seen"
    )
