"""What the price feed knows, without a clock, a file or a network: time comes in with each tick.

Three parts: `ticks` reads one line of a recorded feed; `book` folds ticks into the quotes that are
published; `walk` makes up a market from a seed. Start at `book`.
"""

from tapewire_services.prices.domain.random_walk import DEFAULT_SYMBOLS, RandomWalk
from tapewire_services.prices.domain.ticks import (
    DAY_MS,
    REQUIRED_COLUMNS,
    ColumnLayout,
    MalformedHeader,
    MalformedLine,
    Tick,
    normalize_symbol,
    parse_tick,
)
from tapewire_services.prices.domain.top_of_book import TopOfBook, apply_tick, build_price_updated

__all__ = [
    "DAY_MS",
    "DEFAULT_SYMBOLS",
    "REQUIRED_COLUMNS",
    "ColumnLayout",
    "MalformedHeader",
    "MalformedLine",
    "RandomWalk",
    "Tick",
    "TopOfBook",
    "apply_tick",
    "build_price_updated",
    "normalize_symbol",
    "parse_tick",
]
