"""The last so many prices, with what rules ask of them at hand: exact sums, lowest and highest.

The extremes are kept in monotonic queues: a price leaves the queue of the highest when a higher one
comes after it, for it can never be the highest again. So adding costs the same, on average, for
every width. The sums are exact (`WIDE`), so they do not drift however many prices pass through.
"""

from collections import deque
from decimal import Decimal

from tapewire.decimals import WIDE_CONTEXT


class PriceWindow:
    """Of `width` prices at the most."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._prices: deque[Decimal] = deque()
        self._highest_queue: deque[Decimal] = deque()
        self._lowest_queue: deque[Decimal] = deque()
        self.price_sum = Decimal(0)
        self.squared_price_sum = Decimal(0)
        """The sum of the prices' squares."""

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def prices(self) -> list[Decimal]:
        """The oldest first."""
        return list(self._prices)

    @property
    def is_full(self) -> bool:
        return len(self._prices) == self._width

    def add(self, price: Decimal) -> None:
        """Take a price, and forget the oldest when there are more than fit."""
        if self.is_full:
            self._remove_oldest()
        self._prices.append(price)
        while self._highest_queue and self._highest_queue[-1] < price:
            self._highest_queue.pop()
        self._highest_queue.append(price)
        while self._lowest_queue and self._lowest_queue[-1] > price:
            self._lowest_queue.pop()
        self._lowest_queue.append(price)
        self.price_sum = WIDE_CONTEXT.add(self.price_sum, price)
        self.squared_price_sum = WIDE_CONTEXT.fma(price, price, self.squared_price_sum)

    def _remove_oldest(self) -> None:
        oldest = self._prices.popleft()
        if self._highest_queue[0] == oldest:
            self._highest_queue.popleft()
        if self._lowest_queue[0] == oldest:
            self._lowest_queue.popleft()
        self.price_sum = WIDE_CONTEXT.subtract(self.price_sum, oldest)
        self.squared_price_sum = WIDE_CONTEXT.subtract(
            self.squared_price_sum, WIDE_CONTEXT.multiply(oldest, oldest)
        )

    @property
    def highest(self) -> Decimal:
        """Not of an empty window."""
        return self._highest_queue[0]

    @property
    def lowest(self) -> Decimal:
        """Not of an empty window."""
        return self._lowest_queue[0]

    @property
    def average(self) -> Decimal:
        """Not of an empty window."""
        return WIDE_CONTEXT.divide(self.price_sum, len(self._prices))

    @property
    def width(self) -> int:
        """Prices at the most."""
        return self._width
