"""Moving-average crossover: buy when the fast average rises above the slow one, sell when it falls
below.

The averages are compared as exact cross products, so that equal is equal. Averages that meet and
part again on the same side have not crossed. The confidence is how far the price is from the slow
average, as a part of the range of the slow window: a crossing in a market that goes somewhere says
more than one in a market that does not.
"""

from decimal import Decimal

from services.strategies.exact import WIDE, tell
from services.strategies.rules.signal import Memory, Signal, confidence, warming
from services.strategies.rules.window import Window
from tapewire.events import Action, MovingAverageCrossover


class CrossoverRule:
    """The fold; see `services.strategies.rules`."""

    def __init__(self, parameters: MovingAverageCrossover) -> None:
        self._fast = Window(parameters.fast)
        self._slow = Window(parameters.slow)
        self._above: bool | None = None
        """Whether the fast average was above the slow one when they last differed."""

    def step(self, price: Decimal) -> Signal:
        """Take the next price."""
        self._fast.add(price)
        self._slow.add(price)
        if not self._slow.full:
            return warming(len(self._slow), self._slow.width)
        action = self._crossed()
        return Signal(action, self._strength(price), self._reasoning(action))

    def memory(self) -> Memory:
        """What `recall` needs."""
        return Memory(self._slow.prices, self._above)

    def recall(self, memory: Memory) -> None:
        """Go on from there; only before the first step."""
        for price in memory.prices:
            self._fast.add(price)
            self._slow.add(price)
        self._above = memory.above

    def _crossed(self) -> Action:
        fast = WIDE.multiply(self._fast.total, len(self._slow))
        slow = WIDE.multiply(self._slow.total, len(self._fast))
        if fast == slow:
            return Action.HOLD
        before, self._above = self._above, fast > slow
        if before is None or before is self._above:
            return Action.HOLD
        return Action.BUY if self._above else Action.SELL

    def _strength(self, price: Decimal) -> Decimal:
        spread = self._slow.highest - self._slow.lowest
        if not spread:
            return Decimal(0)
        return confidence(WIDE.divide(abs(price - self._slow.average), spread))

    def _reasoning(self, action: Action) -> str:
        fast, slow = self._fast, self._slow
        verb = {Action.BUY: "rose above", Action.SELL: "fell below"}.get(action, "did not cross")
        return (
            f"the average of {len(fast)} prices, {tell(fast.average)}, "
            f"{verb} that of {len(slow)}, {tell(slow.average)}"
        )
