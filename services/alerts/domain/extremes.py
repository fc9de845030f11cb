"""The lowest and highest price of one symbol in any window up to a day, in bounded memory.

Time is cut into buckets; a tier is one width of bucket and how many of them it looks back over.
Within a tier only the staircase is kept: a bucket's low is dropped when a later price was as low,
for no window that has the one lacks the other. So the lowest price since any time is the first step
that stands at that time or later, found by bisection, and a quiet day is a handful of steps.

A window reaches back at least its length and at most one bucket more (a thirtieth of the window,
or a second).
"""

from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal

import msgspec

TIERS = ((1, 120), (4, 240), (30, 240), (240, 360))
"""Seconds of a bucket, and buckets; the last tier covers a day."""

Step = tuple[int, Decimal]
"""The number of a bucket and a price."""


class Past(msgspec.Struct, frozen=True):
    """What `Extremes` knows, to be kept: the lows' steps and the highs' of each tier."""

    lows: list[list[Step]]
    highs: list[list[Step]]


class Extremes:
    """Of one symbol. Times are whole seconds since 1970."""

    def __init__(self) -> None:
        self._tiers = [_Tier(seconds, buckets) for seconds, buckets in TIERS]

    def add(self, at: int, price: Decimal) -> None:
        """Note a price, not earlier than the one before."""
        for tier in self._tiers:
            tier.add(at // tier.seconds, price)

    def within(self, at: int, window: int) -> tuple[Decimal, Decimal] | None:
        """The lowest and the highest price of the last `window` seconds; None without a price."""
        tier = next(tier for tier in self._tiers if window <= tier.seconds * tier.buckets)
        return tier.since((at - window) // tier.seconds)

    def past(self) -> Past:
        """Everything known."""
        return Past([[*tier.lows] for tier in self._tiers], [[*tier.highs] for tier in self._tiers])

    def learn(self, past: Past) -> None:
        """Know `past` as well, whether it is older, newer or the same."""
        for tier, lows, highs in zip(self._tiers, past.lows, past.highs, strict=False):
            tier.learn(lows, highs)

    def __len__(self) -> int:
        """How many steps are kept."""
        return sum(len(tier.lows) + len(tier.highs) for tier in self._tiers)


class _Tier:
    __slots__ = ("buckets", "highs", "lows", "seconds")

    def __init__(self, seconds: int, buckets: int) -> None:
        self.seconds = seconds
        self.buckets = buckets
        self.lows: list[Step] = []
        self.highs: list[Step] = []

    def add(self, number: int, price: Decimal) -> None:
        self._low(number, price)
        self._high(number, price)
        oldest = number - self.buckets
        for steps in (self.lows, self.highs):
            if steps[0][0] < oldest:
                del steps[: bisect_left(steps, (oldest,))]

    def since(self, number: int) -> tuple[Decimal, Decimal] | None:
        low, high = bisect_left(self.lows, (number,)), bisect_left(self.highs, (number,))
        if low == len(self.lows) or high == len(self.highs):
            return None
        return self.lows[low][1], self.highs[high][1]

    def learn(self, lows: Iterable[Step], highs: Iterable[Step]) -> None:
        both = sorted([*self.lows, *lows]), sorted([*self.highs, *highs])
        self.lows, self.highs = [], []
        for number, price in both[0]:
            self._low(number, price)
        for number, price in both[1]:
            self._high(number, price)

    def _low(self, number: int, price: Decimal) -> None:
        steps = self.lows
        while steps and steps[-1][1] >= price:
            steps.pop()
        if not steps or steps[-1][0] < number:
            steps.append((number, price))

    def _high(self, number: int, price: Decimal) -> None:
        steps = self.highs
        while steps and steps[-1][1] <= price:
            steps.pop()
        if not steps or steps[-1][0] < number:
            steps.append((number, price))
