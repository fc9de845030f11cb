"""The built-in rules, which turn a series of prices into signals. Pure and incremental.

A `Rule` is a fold over prices: `on_price` applies the next one and returns a `Signal`. A rule keeps
a `PriceWindow` of the last prices with their exact sums, so a step costs the same for every width
and equals a calculation from scratch to the last digit. Until it has enough prices, it holds and
gives that as its reason. Whether a signal is followed is decided in `domain.trading`.
"""

from decimal import Decimal
from typing import Protocol, assert_never

from tapewire.events import Breakout, MeanReversion, MovingAverageCrossover
from tapewire.events import StrategyRule as Parameters
from tapewire_services.strategies.domain.rules.breakout import BreakoutRule
from tapewire_services.strategies.domain.rules.crossover import CrossoverRule
from tapewire_services.strategies.domain.rules.mean_reversion import ReversionRule
from tapewire_services.strategies.domain.rules.signal import RuleState, Signal


class Rule(Protocol):
    """A fold over prices in dollars a share, which may be negative."""

    def on_price(self, price: Decimal) -> Signal: ...

    def export_state(self) -> RuleState:
        """The state so far."""

    def restore_state(self, state: RuleState) -> None:
        """Continue from `state`; only before the first price."""


def make_rule(parameters: Parameters) -> Rule:
    """Make a rule that has seen no price."""
    match parameters:
        case MovingAverageCrossover():
            return CrossoverRule(parameters)
        case Breakout():
            return BreakoutRule(parameters)
        case MeanReversion():
            return ReversionRule(parameters)
        case _:
            assert_never(parameters)


def describe_rule(parameters: Parameters) -> str:
    """The common name of the rule."""
    match parameters:
        case MovingAverageCrossover():
            return "moving-average crossover"
        case Breakout():
            return "breakout"
        case MeanReversion():
            return "mean reversion"
        case _:
            assert_never(parameters)


__all__ = ["Rule", "RuleState", "Signal", "describe_rule", "make_rule"]
