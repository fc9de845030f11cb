"""A window over the last prices, with their exact sums, lowest and highest.

Monotonic queues hold the extremes: a price leaves the queue of the highest when a higher one
follows, because it cannot be the highest again. Adding a price therefore costs the same on average
for every width. The sums are exact (`WIDE_CONTEXT`), so they do not drift.
"""

from collections import deque
from decimal import Decimal

from tapewire.decimals import WIDE_CONTEXT


class PriceWindow:
    """The last `width` prices."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._prices: deque[Decimal] = deque()
        self._highest_queue: deque[Decimal] = deque()
        self._lowest_queue: deque[Decimal] = deque()
        self.price_sum = Decimal(0)
        self.squared_price_sum = Decimal(0)
        """The sum of the squares of the prices."""

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def prices(self) -> list[Decimal]:
        """All prices, oldest first."""
        return list(self._prices)

    @property
    def is_full(self) -> bool:
        return len(self._prices) == self._width

    def add(self, price: Decimal) -> None:
        """Add a price; when the window is full, remove the oldest."""
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
        """The highest price; the window must not be empty."""
        return self._highest_queue[0]

    @property
    def lowest(self) -> Decimal:
        """The lowest price; the window must not be empty."""
        return self._lowest_queue[0]

    @property
    def average(self) -> Decimal:
        """The mean price; the window must not be empty."""
        return WIDE_CONTEXT.divide(self.price_sum, len(self._prices))

    @property
    def width(self) -> int:
        """The capacity in prices."""
        return self._width
