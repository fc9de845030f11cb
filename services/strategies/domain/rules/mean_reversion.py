"""Mean reversion: buy at an unusually low price, sell at an unusually high one.

The price is compared with the mean and the population standard deviation of the `window` prices
before it. The comparison uses exact squares and needs no root: with n prices of sum S and sum of
squares Q, the price p is k deviations away when (n·p - S)² = k²·(n·Q - S²). The confidence is a
half at k deviations and one at twice as many.
"""

from decimal import Decimal

from tapewire.decimals import WIDE_CONTEXT, format_rounded
from tapewire.events import Action, MeanReversion
from tapewire_services.strategies.domain.rules.signal import (
    Signal,
    to_confidence,
)
from tapewire_services.strategies.domain.rules.window_rule import WindowRule


class ReversionRule(WindowRule):
    """The rule; see `tapewire_services.strategies.domain.rules`."""

    def __init__(self, parameters: MeanReversion) -> None:
        super().__init__(parameters.window)
        self._threshold_deviations = parameters.deviations

    def _evaluate(self, price: Decimal) -> Signal:
        before, n = self._window, self._window.width
        offset = WIDE_CONTEXT.subtract(WIDE_CONTEXT.multiply(price, n), before.price_sum)
        spread = WIDE_CONTEXT.subtract(
            WIDE_CONTEXT.multiply(before.squared_price_sum, n),
            WIDE_CONTEXT.multiply(before.price_sum, before.price_sum),
        )
        if not spread:
            same = f"the last {n} prices were all {format_rounded(before.average)}"
            return Signal(Action.HOLD, Decimal(0), same)
        far = WIDE_CONTEXT.multiply(
            WIDE_CONTEXT.multiply(self._threshold_deviations, self._threshold_deviations), spread
        )
        action = Action.HOLD
        if WIDE_CONTEXT.multiply(offset, offset) >= far:
            action = Action.BUY if offset < 0 else Action.SELL
        distance = WIDE_CONTEXT.divide(abs(offset), spread.sqrt(WIDE_CONTEXT))
        strength = WIDE_CONTEXT.divide(distance, 2 * self._threshold_deviations)
        return Signal(
            action, to_confidence(strength), self._describe_distance(price, offset, distance)
        )

    def _describe_distance(
        self, price: Decimal, scaled_offset: Decimal, deviations: Decimal
    ) -> str:
        side = "below" if scaled_offset < 0 else "above"
        return (
            f"{format_rounded(price)} is {format_rounded(deviations)} deviations {side} "
            f"{format_rounded(self._window.average)}, the mean of {self._window.width} prices; "
            f"{format_rounded(self._threshold_deviations)} are acted on"
        )
