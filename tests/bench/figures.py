"""How much of everything, and how figures are put into words."""

from dataclasses import dataclass

Rows = list[tuple[str, str]]


@dataclass
class Size:
    """How much of everything."""

    order_seconds: float
    busy_rate: int
    connects: int
    idle: int
    idle_seconds: float
    readers: int
    commands: int
    appends: int
    trades: int


FULL = Size(20, 200, 2000, 1000, 10, 500, 4000, 20_000, 20_000)
QUICK = Size(2, 100, 200, 100, 2, 50, 160, 400, 500)


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def milliseconds(values: list[float]) -> str:
    return (
        f"p50 {percentile(values, 0.5) * 1e3:.2f} ms, p99 {percentile(values, 0.99) * 1e3:.2f} ms"
    )
