"""The last so many prices, with what rules ask of them at hand: exact sums, lowest and highest.

The extremes are kept in monotonic queues: a price leaves the queue of the highest when a higher one
comes after it, for it can never be the highest again. So adding costs the same, on average, for
every width. The sums are exact (`WIDE`), so they do not drift however many prices pass through.
"""

from collections import deque
from decimal import Decimal

from services.strategies.exact import WIDE


class Window:
    """Of `width` prices at the most."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._prices: deque[Decimal] = deque()
        self._highest: deque[Decimal] = deque()
        self._lowest: deque[Decimal] = deque()
        self.total = Decimal(0)
        self.squares = Decimal(0)
        """The sum of the prices' squares."""

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def prices(self) -> list[Decimal]:
        """The oldest first."""
        return list(self._prices)

    @property
    def full(self) -> bool:
        return len(self._prices) == self._width

    def add(self, price: Decimal) -> None:
        """Take a price, and forget the oldest when there are more than fit."""
        if self.full:
            self._forget()
        self._prices.append(price)
        while self._highest and self._highest[-1] < price:
            self._highest.pop()
        self._highest.append(price)
        while self._lowest and self._lowest[-1] > price:
            self._lowest.pop()
        self._lowest.append(price)
        self.total = WIDE.add(self.total, price)
        self.squares = WIDE.fma(price, price, self.squares)

    def _forget(self) -> None:
        oldest = self._prices.popleft()
        if self._highest[0] == oldest:
            self._highest.popleft()
        if self._lowest[0] == oldest:
            self._lowest.popleft()
        self.total = WIDE.subtract(self.total, oldest)
        self.squares = WIDE.subtract(self.squares, WIDE.multiply(oldest, oldest))

    @property
    def highest(self) -> Decimal:
        """Not of an empty window."""
        return self._highest[0]

    @property
    def lowest(self) -> Decimal:
        """Not of an empty window."""
        return self._lowest[0]

    @property
    def average(self) -> Decimal:
        """Not of an empty window."""
        return WIDE.divide(self.total, len(self._prices))

    @property
    def width(self) -> int:
        """Prices at the most."""
        return self._width
