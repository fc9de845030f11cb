"""A market made up from a seed: quotes that move a cent at a time, and trades that eat them.

Each symbol walks by itself, from a generator of its own seed, so that its path does not depend on
which other symbols are shown; `Walk.day` merges the paths by time. Prices are whole cents inside.
A trade takes shares from the touch, and when it takes the last of them the market moves that way:
the sizes, spreads and moves hang together as in a real book. Start at `Walk`.
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from services.prices.domain.ticks import DAY_MS, Tick

LOT = 100
"""Shares: sizes in the book are multiples of it."""
PAUSE_MS = 250
"""Mean time between two ticks of a symbol."""
TRADES = 0.4
"""Share of ticks that are trades; the others are changes of the quote."""
FARTHEST = 0.3
"""How far a price may stray from where it began, as a part of it: it is pulled back from there."""


class Profile(msgspec.Struct, frozen=True):
    """How a symbol trades: opening price and usual spread in cents, usual size in lots."""

    opening: int
    spread: int
    lots: int


PROFILES = {
    "AAPL": Profile(22_640, 2, 6),
    "AIG": Profile(7_415, 3, 3),
    "BAC": Profile(3_986, 1, 90),
    "BRK.B": Profile(45_830, 12, 2),
    "GOOGL": Profile(16_522, 3, 4),
    "IBM": Profile(22_135, 6, 2),
    "MSFT": Profile(41_655, 4, 3),
    "SPY": Profile(57_124, 1, 20),
}
SYMBOLS = tuple(PROFILES)
"""The symbols shown when none are asked for."""


class Walk:
    """The same ticks for the same seed, in order of time; one symbol's do not depend on others.

    Symbols without a profile of their own get one from the seed.
    """

    def __init__(self, seed: int, symbols: Sequence[str] = ()) -> None:
        self.name = f"random walk, seed {seed}"
        self._paths = [_Path(seed, symbol) for symbol in dict.fromkeys(symbols or SYMBOLS)]

    def day(self) -> Iterator[Tick]:
        """The ticks of the next day, midnight to midnight; prices go on from the day before."""
        return heapq.merge(*(path.day() for path in self._paths), key=_when)


def _when(tick: Tick) -> int:
    return tick.ms


class _Path:
    """One symbol on its way. Cents and lots."""

    def __init__(self, seed: int, symbol: str) -> None:
        # Made-up prices have to be repeatable, not unguessable.
        self._random = random.Random(f"{seed}/{symbol}")  # noqa: S311
        self._symbol = symbol
        self._profile = PROFILES.get(symbol) or Profile(
            self._random.randint(1_000, 50_000), self._random.randint(1, 8), 3
        )
        self._bid = self._profile.opening
        self._ask = self._bid + self._profile.spread
        self._bid_lots = self._lots()
        self._ask_lots = self._lots()

    def day(self) -> Iterator[Tick]:
        ms = 0
        yield self._tick(ms)
        while (ms := ms + 1 + int(self._random.expovariate(1 / PAUSE_MS))) < DAY_MS:
            yield self._trade(ms) if self._random.random() < TRADES else self._requote(ms)

    def _requote(self, ms: int) -> Tick:
        """New sizes, and now and then a cent up or down or another spread."""
        if self._random.random() < 0.5:
            self._move(self._direction())
        self._bid_lots, self._ask_lots = self._lots(), self._lots()
        return self._tick(ms)

    def _trade(self, ms: int) -> Tick:
        """A buyer lifts the ask or a seller hits the bid, for what is shown there at the most."""
        buys = self._direction() > 0
        price, shown = (self._ask, self._ask_lots) if buys else (self._bid, self._bid_lots)
        lots = min(shown, self._lots())
        if buys:
            self._ask_lots -= lots
        else:
            self._bid_lots -= lots
        if lots == shown:
            self._move(1 if buys else -1)
            self._bid_lots, self._ask_lots = self._lots(), self._lots()
        return self._tick(ms, price, lots)

    def _direction(self) -> int:
        """Up or down by a fair coin that turns unfair as the price strays."""
        strayed = (self._bid - self._profile.opening) / (self._profile.opening * FARTHEST)
        return 1 if self._random.random() > 0.5 + strayed / 2 else -1

    def _move(self, cents: int) -> None:
        usual = self._profile.spread
        self._bid = max(self._bid + cents, 1)
        self._ask = self._bid + self._random.randint(max(1, usual - usual // 2), usual + usual // 2)

    def _lots(self) -> int:
        return 1 + int(self._random.expovariate(1 / self._profile.lots))

    def _tick(self, ms: int, price: int | None = None, lots: int | None = None) -> Tick:
        return Tick(
            ms=ms,
            symbol=self._symbol,
            bid=_dollars(self._bid),
            bid_size=Decimal(self._bid_lots * LOT),
            ask=_dollars(self._ask),
            ask_size=Decimal(self._ask_lots * LOT),
            last=None if price is None else _dollars(price),
            last_size=None if lots is None else Decimal(lots * LOT),
        )


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
