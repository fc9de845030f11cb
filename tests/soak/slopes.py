"""Fits the growth of measurements, and formats it as a table."""

from collections.abc import Mapping, Sequence

import msgspec

SETTLED_SHARE = 1 / 3
"""The share of the first rounds that is ignored, because they fill memory that is filled only
once."""
CONNECTS_PER_UNIT = 10_000


class GrowthSlope(msgspec.Struct, frozen=True):
    """A straight line through measurements: growth per 10,000 connects, by least squares over the
    last two thirds, with its standard error."""

    name: str
    first_value: float
    last_value: float
    growth_per_unit: float
    standard_error: float
    max_growth: float

    @property
    def is_too_steep(self) -> bool:
        """Whether the growth exceeds its maximum by more than chance explains."""
        return self.growth_per_unit - 2 * self.standard_error > self.max_growth


def fit_slope(
    name: str, connect_counts: Sequence[int], values: Sequence[float], max_growth: float
) -> GrowthSlope:
    """Fit `values`, measured after `connect_counts` connects. `max_growth` is the allowed
    growth."""
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
    """The slopes as lines of a Markdown table."""
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
