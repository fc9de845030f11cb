"""The base of rules that compare a price with the last prices before it."""

import abc
from decimal import Decimal

from tapewire_services.strategies.domain.rules.price_window import PriceWindow
from tapewire_services.strategies.domain.rules.signal import (
    RuleState,
    Signal,
    build_warm_up_signal,
)


class WindowRule(abc.ABC):
    """A rule whose state is the last `width` prices; see
    `tapewire_services.strategies.domain.rules`."""

    def __init__(self, width: int) -> None:
        self._window = PriceWindow(width)

    def on_price(self, price: Decimal) -> Signal:
        """Apply the next price."""
        window = self._window
        signal = (
            self._evaluate(price)
            if window.is_full
            else build_warm_up_signal(len(window), window.width)
        )
        window.add(price)
        return signal

    def export_state(self) -> RuleState:
        """The state that `restore_state` accepts."""
        return RuleState(self._window.prices)

    def restore_state(self, state: RuleState) -> None:
        """Continue from `state`; only before the first price."""
        for price in state.prices:
            self._window.add(price)

    @abc.abstractmethod
    def _evaluate(self, price: Decimal) -> Signal:
        """The signal of `price`, which the full window does not contain yet."""
