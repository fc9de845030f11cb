"""Bars from before a split are shown in the shares that there are now."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tapewire.events import SplitExecuted, SplitRatio
from tapewire.log.splits import make_split
from tapewire_services.prices.domain.bars import PriceBar, adjust_bar

AT = 1_000_000_000
BAR = PriceBar(
    AT - 60, Decimal(100), Decimal(120), Decimal(90), Decimal(110), Decimal(1000), "trade"
)


def split(shares: int, for_shares: int, at: int = AT, number: int = 1) -> SplitExecuted:
    ratio = SplitRatio(shares=shares, for_shares=for_shares)
    when = datetime.fromtimestamp(at, UTC)
    return make_split(f"S{number}", "IBM", ratio, number, ("e", 1), when)


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ([split(10, 1)], ("10", "12", "9", "11", "10000")),
        ([split(1, 10)], ("1000", "1200", "900", "1100", "100")),
        ([split(3, 2)], ("66.66666667", "80", "60", "73.33333333", "1500")),
        ([split(10, 1), split(1, 10, number=2)], ("100", "120", "90", "110", "1000")),
        ([split(10, 1, AT - 1)], ("100", "120", "90", "110", "1000")),
        ([], ("100", "120", "90", "110", "1000")),
    ],
)
def test_a_bar_that_ended_before_a_split_is_adjusted(
    splits: list[SplitExecuted], expected: tuple[str, ...]
) -> None:
    bar = adjust_bar(BAR, 60, splits)
    found = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    assert found == tuple(map(Decimal, expected))
    assert (bar.start, bar.source) == (BAR.start, BAR.source)
