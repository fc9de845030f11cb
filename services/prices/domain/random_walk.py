"""A random market: quotes that move by single cents, and trades that consume them.

Every symbol has its own seeded generator, so its path does not depend on which other symbols are
shown. `RandomWalk.read_day` merges the paths by time. Prices are whole cents internally. A trade
takes shares from the best bid or ask; when it takes the last of them, the market moves in its
direction. Sizes, spreads and moves are therefore consistent, as in a real book.
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from tapewire_services.prices.domain.ticks import DAY_MS, RecordedTick

LOT_SIZE = 100
"""Shares. Sizes in the book are multiples of it."""
MEAN_TICK_INTERVAL_MS = 250
"""Mean time between two ticks of a symbol."""
TRADE_PROBABILITY = 0.4
"""Share of ticks that are trades; the other ticks change the quote."""
MAX_DEVIATION_RATIO = 0.3
"""Share of the opening price by which a price may move away before it is pulled back."""


class SymbolProfile(msgspec.Struct, frozen=True):
    """How a symbol trades: opening price and typical spread in cents, typical size in lots."""

    opening_cents: int
    spread_cents: int
    typical_lots: int


PROFILES = {
    "AAPL": SymbolProfile(22_640, 2, 6),
    "AIG": SymbolProfile(7_415, 3, 3),
    "BAC": SymbolProfile(3_986, 1, 90),
    "BRK.B": SymbolProfile(45_830, 12, 2),
    "GOOGL": SymbolProfile(16_522, 3, 4),
    "IBM": SymbolProfile(22_135, 6, 2),
    "MSFT": SymbolProfile(41_655, 4, 3),
    "SPY": SymbolProfile(57_124, 1, 20),
}
DEFAULT_SYMBOLS = tuple(PROFILES)
"""The symbols of a walk that is given none."""


class RandomWalk:
    """Generates the same ticks for the same seed.

    A symbol without a profile gets one from the seed.
    """

    def __init__(self, seed: int, symbols: Sequence[str] = ()) -> None:
        self.name = f"random walk, seed {seed}"
        self._symbol_walks = [
            _SymbolWalk(seed, symbol) for symbol in dict.fromkeys(symbols or DEFAULT_SYMBOLS)
        ]

    def read_day(self) -> Iterator[RecordedTick]:
        """Yield the ticks of the next day in order of time. Prices continue from the day before."""
        return heapq.merge(*(path.generate_day() for path in self._symbol_walks), key=_tick_time)


def _tick_time(tick: RecordedTick) -> int:
    return tick.ms


class _SymbolWalk:
    """The path of one symbol, in cents and lots."""

    def __init__(self, seed: int, symbol: str) -> None:
        # Random prices must be repeatable, not unpredictable.
        self._random = random.Random(f"{seed}/{symbol}")  # noqa: S311
        self._symbol = symbol
        self._profile = PROFILES.get(symbol) or SymbolProfile(
            self._random.randint(1_000, 50_000), self._random.randint(1, 8), 3
        )
        self._bid = self._profile.opening_cents
        self._ask = self._bid + self._profile.spread_cents
        self._bid_lots = self._draw_lots()
        self._ask_lots = self._draw_lots()

    def generate_day(self) -> Iterator[RecordedTick]:
        ms = 0
        yield self._build_tick(ms)
        while (ms := ms + 1 + int(self._random.expovariate(1 / MEAN_TICK_INTERVAL_MS))) < DAY_MS:
            yield (
                self._make_trade(ms)
                if self._random.random() < TRADE_PROBABILITY
                else self._change_quote(ms)
            )

    def _change_quote(self, ms: int) -> RecordedTick:
        """Change the sizes, and half the time the price and the spread too."""
        if self._random.random() < 0.5:
            self._move_price(self._choose_direction())
        self._bid_lots, self._ask_lots = self._draw_lots(), self._draw_lots()
        return self._build_tick(ms)

    def _make_trade(self, ms: int) -> RecordedTick:
        """A buyer lifts the ask or a seller hits the bid, for at most the size shown there."""
        buys = self._choose_direction() > 0
        price, shown = (self._ask, self._ask_lots) if buys else (self._bid, self._bid_lots)
        lots = min(shown, self._draw_lots())
        if buys:
            self._ask_lots -= lots
        else:
            self._bid_lots -= lots
        if lots == shown:
            self._move_price(1 if buys else -1)
            self._bid_lots, self._ask_lots = self._draw_lots(), self._draw_lots()
        return self._build_tick(ms, price, lots)

    def _choose_direction(self) -> int:
        """Return 1 or -1. The further the price is from the opening, the likelier it turns back."""
        deviation = (self._bid - self._profile.opening_cents) / (
            self._profile.opening_cents * MAX_DEVIATION_RATIO
        )
        return 1 if self._random.random() > 0.5 + deviation / 2 else -1

    def _move_price(self, cents: int) -> None:
        usual = self._profile.spread_cents
        self._bid = max(self._bid + cents, 1)
        self._ask = self._bid + self._random.randint(max(1, usual - usual // 2), usual + usual // 2)

    def _draw_lots(self) -> int:
        return 1 + int(self._random.expovariate(1 / self._profile.typical_lots))

    def _build_tick(
        self, ms: int, price: int | None = None, lots: int | None = None
    ) -> RecordedTick:
        return RecordedTick(
            ms=ms,
            symbol=self._symbol,
            bid=_dollars(self._bid),
            bid_size=Decimal(self._bid_lots * LOT_SIZE),
            ask=_dollars(self._ask),
            ask_size=Decimal(self._ask_lots * LOT_SIZE),
            last=None if price is None else _dollars(price),
            last_size=None if lots is None else Decimal(lots * LOT_SIZE),
        )


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
