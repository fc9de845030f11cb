"""The sizes of the benchmarks, and the format of figures."""

from dataclasses import dataclass

TableRows = list[tuple[str, str]]


@dataclass
class BenchSize:
    """The size of the benchmarks."""

    order_seconds: float
    busy_orders_per_second: int
    connect_count: int
    idle_connection_count: int
    idle_seconds: float
    reader_count: int
    command_count: int
    append_count: int
    trade_count: int


FULL = BenchSize(20, 200, 2000, 1000, 10, 500, 4000, 20_000, 20_000)
QUICK = BenchSize(2, 100, 200, 100, 2, 50, 160, 400, 500)


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def format_milliseconds(values: list[float]) -> str:
    return (
        f"p50 {percentile(values, 0.5) * 1e3:.2f} ms, p99 {percentile(values, 0.99) * 1e3:.2f} ms"
    )
