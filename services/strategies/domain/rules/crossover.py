"""Moving-average crossover: buy when the fast average rises above the slow one, sell when it falls
below.

The averages are compared as exact cross products, which makes equality exact. Averages that meet
and separate on the same side have not crossed. The confidence is the distance of the price from the
slow average, in proportion to the range of the slow window: a crossing in a trending market counts
more than one in a flat market.
"""

from decimal import Decimal

from tapewire.decimals import WIDE_CONTEXT, format_rounded
from tapewire.events import Action, MovingAverageCrossover
from tapewire_services.strategies.domain.rules.price_window import PriceWindow
from tapewire_services.strategies.domain.rules.signal import (
    RuleState,
    Signal,
    build_warm_up_signal,
    to_confidence,
)


class CrossoverRule:
    """The rule; see `tapewire_services.strategies.domain.rules`."""

    def __init__(self, parameters: MovingAverageCrossover) -> None:
        self._fast_window = PriceWindow(parameters.fast)
        self._slow_window = PriceWindow(parameters.slow)
        self._is_fast_above: bool | None = None
        """Whether the fast average was above the slow one when they last differed."""

    def on_price(self, price: Decimal) -> Signal:
        """Apply the next price."""
        self._fast_window.add(price)
        self._slow_window.add(price)
        if not self._slow_window.is_full:
            return build_warm_up_signal(len(self._slow_window), self._slow_window.width)
        action = self._detect_crossing()
        return Signal(action, self._confidence(price), self._describe_averages(action))

    def export_state(self) -> RuleState:
        """The state that `restore_state` accepts."""
        return RuleState(self._slow_window.prices, self._is_fast_above)

    def restore_state(self, state: RuleState) -> None:
        """Continue from `state`; only before the first price."""
        for price in state.prices:
            self._fast_window.add(price)
            self._slow_window.add(price)
        self._is_fast_above = state.is_fast_above

    def _detect_crossing(self) -> Action:
        fast = WIDE_CONTEXT.multiply(self._fast_window.price_sum, len(self._slow_window))
        slow = WIDE_CONTEXT.multiply(self._slow_window.price_sum, len(self._fast_window))
        if fast == slow:
            return Action.HOLD
        before, self._is_fast_above = self._is_fast_above, fast > slow
        if before is None or before is self._is_fast_above:
            return Action.HOLD
        return Action.BUY if self._is_fast_above else Action.SELL

    def _confidence(self, price: Decimal) -> Decimal:
        spread = self._slow_window.highest - self._slow_window.lowest
        if not spread:
            return Decimal(0)
        return to_confidence(WIDE_CONTEXT.divide(abs(price - self._slow_window.average), spread))

    def _describe_averages(self, action: Action) -> str:
        fast, slow = self._fast_window, self._slow_window
        verb = {Action.BUY: "rose above", Action.SELL: "fell below"}.get(action, "did not cross")
        return (
            f"the average of {len(fast)} prices, {format_rounded(fast.average)}, "
            f"{verb} that of {len(slow)}, {format_rounded(slow.average)}"
        )
