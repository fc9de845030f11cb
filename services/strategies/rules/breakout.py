"""Breakout: buy above everything that the last prices reached, sell below.

The price is held against the `window` prices before it. At the margin the confidence is a half; it
grows with how far the price went beyond, as a part of the range that it broke out of.
"""

from decimal import Decimal

from services.strategies.exact import WIDE, tell
from services.strategies.rules.signal import ONE, Memory, Signal, confidence, warming
from services.strategies.rules.window import Window
from tapewire.events import Action, Breakout

HALF = Decimal("0.5")
PER_CENT = Decimal("0.01")


class BreakoutRule:
    """The fold; see `services.strategies.rules`."""

    def __init__(self, parameters: Breakout) -> None:
        self._before = Window(parameters.window)
        self._margin = WIDE.multiply(parameters.margin_percent, PER_CENT)

    def step(self, price: Decimal) -> Signal:
        """Take the next price."""
        before = self._before
        signal = self._judge(price) if before.full else warming(len(before), before.width)
        before.add(price)
        return signal

    def memory(self) -> Memory:
        """What `recall` needs."""
        return Memory(self._before.prices)

    def recall(self, memory: Memory) -> None:
        """Go on from there; only before the first step."""
        for price in memory.prices:
            self._before.add(price)

    def _judge(self, price: Decimal) -> Signal:
        high, low, window = self._before.highest, self._before.lowest, self._before.width
        ceiling = WIDE.multiply(high, ONE + self._margin)
        floor = WIDE.multiply(low, ONE - self._margin)
        if price > ceiling:
            said = f"{tell(price)} broke above {tell(ceiling)}, the highest of {window} prices"
            return Signal(Action.BUY, self._beyond(price - ceiling), said + self._told(high))
        if price < floor:
            said = f"{tell(price)} broke below {tell(floor)}, the lowest of {window} prices"
            return Signal(Action.SELL, self._beyond(floor - price), said + self._told(low))
        said = f"{tell(price)} is between {tell(floor)} and {tell(ceiling)} over {window} prices"
        return Signal(Action.HOLD, self._within(price, floor, ceiling), said)

    def _told(self, extreme: Decimal) -> str:
        return f", {tell(extreme)}, and the margin" if self._margin else ""

    def _beyond(self, excess: Decimal) -> Decimal:
        spread = self._before.highest - self._before.lowest
        if not spread:
            return ONE
        return confidence(HALF + HALF * min(ONE, WIDE.divide(excess, spread)))

    @staticmethod
    def _within(price: Decimal, floor: Decimal, ceiling: Decimal) -> Decimal:
        """How near to either edge, up to a half."""
        if floor == ceiling:
            return Decimal(0)
        off_center = abs(2 * price - floor - ceiling)
        return confidence(HALF * WIDE.divide(off_center, ceiling - floor))
