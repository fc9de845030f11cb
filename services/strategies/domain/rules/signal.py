"""What a decision-maker says of a price: do what, how surely, and why."""

from decimal import Decimal

import msgspec

from tapewire.decimals import round_half_even
from tapewire.events import Action

ONE = Decimal(1)
CONFIDENCE_PLACES = 2
REASON_PLACES = 4
"""Decimal places of the numbers in `Signal.reasoning`."""


class Signal(msgspec.Struct, frozen=True):
    """`confidence` is from 0 to 1: how strongly the prices speak, towards the `action` or, of a
    hold, towards acting. `reasoning` is for people, with the numbers in it.
    """

    action: Action
    confidence: Decimal
    reasoning: str


class RuleState(msgspec.Struct, frozen=True):
    """What a rule has learnt: the prices it looks back on, the oldest first, and, of a crossover,
    whether the fast average was above the slow one."""

    prices: list[Decimal]
    above: bool | None = None


def to_confidence(strength: Decimal) -> Decimal:
    """`strength` within 0 to 1, to two places."""
    return round_half_even(min(max(strength, Decimal(0)), ONE), CONFIDENCE_PLACES)


def format_rounded(value: Decimal) -> str:
    """Return `value` rounded to `REASON_PLACES`, without an exponent: 182.4567."""
    return f"{round_half_even(value, REASON_PLACES):f}"


def build_warm_up_signal(price_count: int, required_count: int) -> Signal:
    """Not enough prices yet."""
    return Signal(
        Action.HOLD, Decimal(0), f"warming up: {price_count} of {required_count} prices seen"
    )
