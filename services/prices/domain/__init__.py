"""What the price feed knows, without a clock, a file or a network: time comes in with each tick.

Three parts: `ticks` reads one line of a recorded feed; `book` folds ticks into the quotes that are
published; `walk` makes up a market from a seed. Start at `book`.
"""

from services.prices.domain.book import Book, fold, quote
from services.prices.domain.ticks import (
    COLUMNS,
    DAY_MS,
    BadHeader,
    BadLine,
    Columns,
    Tick,
    parse,
    symbol_of,
)
from services.prices.domain.walk import SYMBOLS, Walk

__all__ = [
    "COLUMNS",
    "DAY_MS",
    "SYMBOLS",
    "BadHeader",
    "BadLine",
    "Book",
    "Columns",
    "Tick",
    "Walk",
    "fold",
    "parse",
    "quote",
    "symbol_of",
]
