"""The pure part of the price service: no clock, no file, no network.

`ticks` parses one line of a recorded feed, `top_of_book` folds ticks into quotes, and `random_walk`
generates a market from a seed. Start at `top_of_book`.
"""

from tapewire_services.prices.domain.random_walk import DEFAULT_SYMBOLS, RandomWalk
from tapewire_services.prices.domain.ticks import (
    DAY_MS,
    REQUIRED_COLUMNS,
    ColumnLayout,
    LineFault,
    MalformedHeader,
    MalformedLine,
    RecordedTick,
    parse_tick,
)
from tapewire_services.prices.domain.top_of_book import (
    TopOfBook,
    apply_tick,
    build_price_updated,
    forget_quote,
)

__all__ = [
    "DAY_MS",
    "DEFAULT_SYMBOLS",
    "REQUIRED_COLUMNS",
    "ColumnLayout",
    "LineFault",
    "MalformedHeader",
    "MalformedLine",
    "RandomWalk",
    "RecordedTick",
    "TopOfBook",
    "apply_tick",
    "build_price_updated",
    "forget_quote",
    "parse_tick",
]
