"""Mean reversion: buy what is unusually cheap, sell what is unusually dear.

The price is held against mean and standard deviation (of the whole population) of the `window`
prices before it. The comparison is made on exact squares, without a root: with n prices of sum S
and sum of squares Q, the price p is k deviations off when (n·p - S)² = k²·(n·Q - S²). At k the
confidence is a half; at twice k, one.
"""

from decimal import Decimal

from services.strategies.exact import WIDE, tell
from services.strategies.rules.signal import Memory, Signal, confidence, warming
from services.strategies.rules.window import Window
from tapewire.events import Action, MeanReversion


class ReversionRule:
    """The fold; see `services.strategies.rules`."""

    def __init__(self, parameters: MeanReversion) -> None:
        self._before = Window(parameters.window)
        self._deviations = parameters.deviations

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
        before, n = self._before, self._before.width
        off = WIDE.subtract(WIDE.multiply(price, n), before.total)
        spread = WIDE.subtract(
            WIDE.multiply(before.squares, n), WIDE.multiply(before.total, before.total)
        )
        if not spread:
            same = f"the last {n} prices were all {tell(before.average)}"
            return Signal(Action.HOLD, Decimal(0), same)
        far = WIDE.multiply(WIDE.multiply(self._deviations, self._deviations), spread)
        action = Action.HOLD
        if WIDE.multiply(off, off) >= far:
            action = Action.BUY if off < 0 else Action.SELL
        distance = WIDE.divide(abs(off), spread.sqrt(WIDE))
        strength = WIDE.divide(distance, 2 * self._deviations)
        return Signal(action, confidence(strength), self._reasoning(price, off, distance))

    def _reasoning(self, price: Decimal, off: Decimal, distance: Decimal) -> str:
        side = "below" if off < 0 else "above"
        return (
            f"{tell(price)} is {tell(distance)} deviations {side} {tell(self._before.average)}, "
            f"the mean of {self._before.width} prices; {tell(self._deviations)} are acted on"
        )
