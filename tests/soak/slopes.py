"""By how much something grows, and the table that says so."""

from collections.abc import Mapping, Sequence

import msgspec

SETTLED = 1 / 3
"""Of the rounds, those that come first: they fill what is only filled once, and do not count."""
PER_CONNECTS = 10_000


class Slope(msgspec.Struct, frozen=True):
    """A straight line through measurements: growth per 10,000 connects, by least squares over the
    last two thirds, and how far off that may be (one standard error)."""

    name: str
    first: float
    last: float
    growth: float
    error: float
    most: float

    @property
    def steep(self) -> bool:
        """More than it may be, and not by chance."""
        return self.growth - 2 * self.error > self.most


def slope(name: str, at: Sequence[int], values: Sequence[float], most: float) -> Slope:
    """Of `values`, measured after `at` connects. `most` is what it may grow by."""
    begin = int(len(at) * SETTLED)
    xs = [x / PER_CONNECTS for x in at[begin:]]
    ys = values[begin:]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    growth = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - middle_y - growth * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    error = (rest / (len(xs) - 2) / spread) ** 0.5
    return Slope(name, values[0], values[-1], growth, error, most)


def table(slopes: Sequence[Slope]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| what | first | last | per 10,000 connects | may be |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.name} | {one.first:,.0f} | {one.last:,.0f} | {one.growth:+,.2f} "
        f"± {one.error:,.2f} | {one.most:,.0f} |"
        for one in slopes
    ]
    return lines


def ways(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {way}" for way, count in sorted(counts.items()))
