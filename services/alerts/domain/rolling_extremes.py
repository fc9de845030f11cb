"""The lowest and highest price of one symbol in any window up to a day, in bounded memory.

Time is divided into buckets. A tier is a bucket width and a number of buckets to look back over.
Each tier keeps only the steps of a staircase: a bucket's low is dropped when a later price is as
low, because no window contains the earlier one without the later one. The lowest price since a time
is therefore the first step at or after that time, found by bisection, and a quiet day is a few
steps.

A window reaches back over its length and at most one bucket more: a thirtieth of the window, or a
second.
"""

from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal

import msgspec

TIERS = ((1, 120), (4, 240), (30, 240), (240, 360))
"""Tiers as seconds per bucket and number of buckets; the last tier covers a day."""

BucketPrice = tuple[int, Decimal]
"""A bucket number and a price."""


class ExtremesSnapshot(msgspec.Struct, frozen=True):
    """The state of `RollingExtremes`: the steps of lows and highs of each tier."""

    lows: list[list[BucketPrice]]
    highs: list[list[BucketPrice]]


class RollingExtremes:
    """The extremes of one symbol. Times are whole seconds since 1970."""

    def __init__(self) -> None:
        self._tiers = [_Tier(seconds, buckets) for seconds, buckets in TIERS]

    def add_price(self, second: int, price: Decimal) -> None:
        """Record a price that is not earlier than the previous one."""
        for tier in self._tiers:
            tier.add_price(second // tier.bucket_seconds, price)

    def discard_after(self, second: int) -> None:
        """Forget the prices that are later than `second`: another clock recorded them."""
        for tier in self._tiers:
            tier.discard_after(second // tier.bucket_seconds)

    def low_high_within(self, second: int, window_seconds: int) -> tuple[Decimal, Decimal] | None:
        """The lowest and highest price of the last `window_seconds`; None without a price."""
        tier = next(
            tier
            for tier in self._tiers
            if window_seconds <= tier.bucket_seconds * tier.bucket_count
        )
        return tier.low_high_since((second - window_seconds) // tier.bucket_seconds)

    def snapshot(self) -> ExtremesSnapshot:
        """The whole state."""
        return ExtremesSnapshot(
            [[*tier.lows] for tier in self._tiers], [[*tier.highs] for tier in self._tiers]
        )

    def merge(self, snapshot: ExtremesSnapshot, until: int | None = None) -> None:
        """Add the prices of `snapshot` up to the second `until`. They may be older, newer or the
        same; None adds all."""
        for tier, lows, highs in zip(self._tiers, snapshot.lows, snapshot.highs, strict=False):
            last = None if until is None else until // tier.bucket_seconds
            tier.merge(_until(lows, last), _until(highs, last))

    def __len__(self) -> int:
        """The number of steps."""
        return sum(len(tier.lows) + len(tier.highs) for tier in self._tiers)


def _until(steps: Iterable[BucketPrice], last: int | None) -> list[BucketPrice]:
    return [step for step in steps if last is None or step[0] <= last]


class _Tier:
    __slots__ = ("bucket_count", "bucket_seconds", "highs", "lows")

    def __init__(self, bucket_seconds: int, bucket_count: int) -> None:
        self.bucket_seconds = bucket_seconds
        self.bucket_count = bucket_count
        self.lows: list[BucketPrice] = []
        self.highs: list[BucketPrice] = []

    def add_price(self, bucket_number: int, price: Decimal) -> None:
        self._add_low(bucket_number, price)
        self._add_high(bucket_number, price)
        oldest = bucket_number - self.bucket_count
        for steps in (self.lows, self.highs):
            if steps[0][0] < oldest:
                del steps[: bisect_left(steps, (oldest,))]

    def discard_after(self, bucket_number: int) -> None:
        for steps in (self.lows, self.highs):
            while steps and steps[-1][0] > bucket_number:
                steps.pop()

    def low_high_since(self, bucket_number: int) -> tuple[Decimal, Decimal] | None:
        low, high = (
            bisect_left(self.lows, (bucket_number,)),
            bisect_left(self.highs, (bucket_number,)),
        )
        if low == len(self.lows) or high == len(self.highs):
            return None
        return self.lows[low][1], self.highs[high][1]

    def merge(self, lows: Iterable[BucketPrice], highs: Iterable[BucketPrice]) -> None:
        all_lows, all_highs = sorted([*self.lows, *lows]), sorted([*self.highs, *highs])
        self.lows, self.highs = [], []
        for number, price in all_lows:
            self._add_low(number, price)
        for number, price in all_highs:
            self._add_high(number, price)

    def _add_low(self, bucket_number: int, price: Decimal) -> None:
        steps = self.lows
        while steps and steps[-1][1] >= price:
            steps.pop()
        if not steps or steps[-1][0] < bucket_number:
            steps.append((bucket_number, price))

    def _add_high(self, bucket_number: int, price: Decimal) -> None:
        steps = self.highs
        while steps and steps[-1][1] <= price:
            steps.pop()
        if not steps or steps[-1][0] < bucket_number:
            steps.append((bucket_number, price))
