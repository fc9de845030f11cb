"""The built-in rules: what to do, made of one price after the other. Pure, and incremental.

A `Rule` is a fold over prices: `step` takes the next one and gives a `Signal`. It keeps the last
prices and their exact sums (`window`), so that a step costs the same however wide the window is and
gives to the digit what working it all out anew would. Until it has seen enough prices it holds, and
says so. Whether anything follows from a signal is not a rule's business.
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
    """A fold over prices in dollars a share, above 0."""

    def on_price(self, price: Decimal) -> Signal: ...

    def export_state(self) -> RuleState:
        """What it has learnt so far."""

    def restore_state(self, state: RuleState) -> None:
        """Have learnt that: only before the first price."""


def make_rule(parameters: Parameters) -> Rule:
    """The rule, having seen no price."""
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
    """What people call the rule."""
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
