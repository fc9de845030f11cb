"""Reads the recording independently of the price service.

An `ExpectedQuote` is the market in one symbol at the end of a step in which it changed.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

DATA_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
RECORDING_PATH = DATA_FOLDER / "us-equities-2013-10-07-seconds.csv.gz"
MARKET_OPEN_MS = 34_200_000


class ExpectedQuote(NamedTuple):
    """Prices in dollars a share, sizes in shares; `at_ms` is the time of the last change."""

    at_ms: int
    price: Decimal
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal

    def timestamp_on(self, day: date) -> datetime:
        """Return its timestamp on `day`."""
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
            milliseconds=self.at_ms
        )


QuotesBySymbol = dict[str, ExpectedQuote]
"""The quotes that changed, by symbol."""


def read_steps(step_ms: int, step_count: int, path: Path = RECORDING_PATH) -> list[QuotesBySymbol]:
    """Return the quotes of each step. The first step ends `step_ms` after the opening."""
    found: list[QuotesBySymbol] = [{} for _ in range(step_count)]
    market: dict[str, dict[str, Decimal]] = {}
    for row in _read_rows(path):
        ms, symbol = int(row["ms"]), row["symbol"]
        number_ = max(0, -((MARKET_OPEN_MS - ms) // step_ms) - 1)
        if number_ >= step_count:
            break
        known = market.setdefault(symbol, {})
        for name in ("bid", "bid_size", "ask", "ask_size", "last"):
            if row[name]:
                known[name] = Decimal(row[name])
        if {"bid", "ask", "last"} <= known.keys():
            found[number_][symbol] = ExpectedQuote(
                ms, known["last"], known["bid"], known["bid_size"], known["ask"], known["ask_size"]
            )
    return found


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)
