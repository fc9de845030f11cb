"""By how much something grows, and the table that says so."""

from collections.abc import Mapping, Sequence

import msgspec

SETTLED_SHARE = 1 / 3
"""Of the rounds, those that come first: they fill what is only filled once, and do not count."""
CONNECTS_PER_UNIT = 10_000


class GrowthSlope(msgspec.Struct, frozen=True):
    """A straight line through measurements: growth per 10,000 connects, by least squares over the
    last two thirds, and how far off that may be (one standard error)."""

    name: str
    first_value: float
    last_value: float
    growth_per_unit: float
    standard_error: float
    max_growth: float

    @property
    def is_too_steep(self) -> bool:
        """More than it may be, and not by chance."""
        return self.growth_per_unit - 2 * self.standard_error > self.max_growth


def fit_slope(
    name: str, connect_counts: Sequence[int], values: Sequence[float], max_growth: float
) -> GrowthSlope:
    """Of `values`, measured after `at` connects. `most` is what it may grow by."""
    begin = int(len(connect_counts) * SETTLED_SHARE)
    xs = [x / CONNECTS_PER_UNIT for x in connect_counts[begin:]]
    ys = values[begin:]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    growth = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - middle_y - growth * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    error = (rest / (len(xs) - 2) / spread) ** 0.5
    return GrowthSlope(name, values[0], values[-1], growth, error, max_growth)


def format_slopes(slopes: Sequence[GrowthSlope]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| what | first | last | per 10,000 connects | may be |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.name} | {one.first_value:,.0f} | {one.last_value:,.0f} "
        f"| {one.growth_per_unit:+,.2f} "
        f"± {one.standard_error:,.2f} | {one.max_growth:,.0f} |"
        for one in slopes
    ]
    return lines


def format_outcome_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {way}" for way, count in sorted(counts.items()))
