"""Breakout: buy when the price rises above the range of the last prices, sell when it falls below.

The price is compared with the `window` prices before it. The confidence is a half at the margin and
grows with the distance beyond it, in proportion to the range that the price broke out of.
"""

from decimal import Decimal

from tapewire.decimals import WIDE_CONTEXT, format_rounded
from tapewire.events import Action, Breakout
from tapewire_services.strategies.domain.rules.signal import (
    ONE,
    Signal,
    to_confidence,
)
from tapewire_services.strategies.domain.rules.window_rule import WindowRule

HALF = Decimal("0.5")
PER_CENT = Decimal("0.01")


class BreakoutRule(WindowRule):
    """The rule; see `tapewire_services.strategies.domain.rules`."""

    def __init__(self, parameters: Breakout) -> None:
        super().__init__(parameters.window)
        self._margin_ratio = WIDE_CONTEXT.multiply(parameters.margin_percent, PER_CENT)

    def _evaluate(self, price: Decimal) -> Signal:
        high, low, window = self._window.highest, self._window.lowest, self._window.width
        ceiling = WIDE_CONTEXT.fma(abs(high), self._margin_ratio, high)
        floor = WIDE_CONTEXT.subtract(low, WIDE_CONTEXT.multiply(abs(low), self._margin_ratio))
        if price > ceiling:
            reasoning = (
                f"{format_rounded(price)} broke above {format_rounded(ceiling)}, "
                f"the highest of {window} prices"
            )
            return Signal(
                Action.BUY,
                self._breakout_confidence(price - ceiling),
                reasoning + self._describe_margin(high),
            )
        if price < floor:
            reasoning = (
                f"{format_rounded(price)} broke below {format_rounded(floor)}, "
                f"the lowest of {window} prices"
            )
            return Signal(
                Action.SELL,
                self._breakout_confidence(floor - price),
                reasoning + self._describe_margin(low),
            )
        reasoning = (
            f"{format_rounded(price)} is between {format_rounded(floor)} and "
            f"{format_rounded(ceiling)} over {window} prices"
        )
        return Signal(Action.HOLD, self._hold_confidence(price, floor, ceiling), reasoning)

    def _describe_margin(self, extreme: Decimal) -> str:
        return f", {format_rounded(extreme)}, and the margin" if self._margin_ratio else ""

    def _breakout_confidence(self, excess: Decimal) -> Decimal:
        spread = self._window.highest - self._window.lowest
        if not spread:
            return ONE
        return to_confidence(HALF + HALF * min(ONE, WIDE_CONTEXT.divide(excess, spread)))

    @staticmethod
    def _hold_confidence(price: Decimal, floor: Decimal, ceiling: Decimal) -> Decimal:
        """How near the price is to either edge: 0 in the middle, a half at the edge."""
        if floor == ceiling:
            return Decimal(0)
        off_center = abs(2 * price - floor - ceiling)
        return to_confidence(HALF * WIDE_CONTEXT.divide(off_center, ceiling - floor))
