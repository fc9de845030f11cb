"""Folds quotes into bars: open, high, low, close and volume of a symbol in each interval.

`fold_quote` is a pure function of the bars so far and the next quote, in the order in which quotes
were stored. Whoever folds the same quotes gets the same bars, so another process may continue at
any quote.

What a quote adds are the trades since the quote before: those that it lists, or one at its price if
its volume has risen. A quote without a new trade adds the middle of bid and ask, which counts only
in bars without any trade. The interval is that of the quote's timestamp, but never an earlier one
than that of the symbol's newest bar: a late quote counts in the newest bar. A timestamp that is too
far ahead of the time at which the quote was stored is replaced by the latest allowed one.

Bars are stored as they were. `adjust_bar` shows one in the shares that there are now.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.decimals import scale
from tapewire.events import PriceUpdated, SplitExecuted
from tapewire.runtime.contracts.bars import INTERVAL_SECONDS, BarInterval, BarSource
from tapewire.values import MAX_PLACES

MAX_COUNTERS = 4
"""Days of feeds whose volumes are known of a symbol."""
MAX_SECONDS_AHEAD = 5.0
"""How far a timestamp may be ahead of the time at which the quote was stored."""
ZERO = Decimal(0)


class PriceBar(msgspec.Struct, frozen=True, array_like=True):
    """A bar that begins at `start`, in seconds since 1970. Prices are dollars a share."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    source: BarSource


class VolumeCounter(msgspec.Struct, frozen=True, array_like=True):
    """The highest volume seen of one day of a feed; `day` is None for quotes without one."""

    day: int | None
    volume: Decimal


class SymbolBars(msgspec.Struct, frozen=True, array_like=True):
    """What the next quote of a symbol is folded into. `newest` has the newest bar of each interval,
    in the order of `INTERVAL_SECONDS`; it is empty before the first quote. `counters` has the
    one that was used last in front."""

    newest: tuple[PriceBar, ...] = ()
    counters: tuple[VolumeCounter, ...] = ()


ClosedBars = tuple[tuple[BarInterval, PriceBar], ...]


def fold_quote(
    bars: SymbolBars, quote: PriceUpdated, stored_at: datetime
) -> tuple[SymbolBars, ClosedBars]:
    """Return the bars after `quote`, and the bars that it has closed because a later one began.

    Args:
        stored_at: when the quote was stored.
    """
    lots, unpriced, counters = _find_new_trades(bars.counters, quote)
    addition = _bar_of_trades(lots, unpriced) if lots else _bar_of_mid(quote)
    second = math.floor(min(quote.timestamp.timestamp(), stored_at.timestamp() + MAX_SECONDS_AHEAD))
    newest, closed = [], []
    for number, (interval, seconds) in enumerate(INTERVAL_SECONDS.items()):
        start = second - second % seconds
        current = bars.newest[number] if bars.newest else None
        if current is None or start > current.start:
            newest.append(_move(addition, start))
            if current is not None:
                closed.append((interval, current))
        else:
            newest.append(merge_bars(current, addition))
    return SymbolBars(tuple(newest), counters), tuple(closed)


def merge_bars(earlier: PriceBar, later: PriceBar) -> PriceBar:
    """One bar with the start of `earlier` that has what both have. Associative."""
    if earlier.source != later.source:
        return earlier if earlier.source == "trade" else _move(later, earlier.start)
    return PriceBar(
        earlier.start,
        earlier.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        later.close,
        earlier.volume + later.volume,
        earlier.source,
    )


def adjust_bar(bar: PriceBar, seconds: int, splits: Sequence[SplitExecuted]) -> PriceBar:
    """The bar of `seconds` in the shares after all of `splits`, those of its symbol. A bar that had
    not ended when a split took effect is of the new shares already."""
    for split in splits:
        if bar.start + seconds <= split.timestamp.timestamp():
            bar = _split_bar(bar, split.ratio.shares, split.ratio.for_shares)
    return bar


def _split_bar(bar: PriceBar, shares: int, for_shares: int) -> PriceBar:
    def split_price(price: Decimal) -> Decimal:
        return scale(price, for_shares, shares, MAX_PLACES)

    return PriceBar(
        bar.start,
        split_price(bar.open),
        split_price(bar.high),
        split_price(bar.low),
        split_price(bar.close),
        scale(bar.volume, shares, for_shares, MAX_PLACES),
        bar.source,
    )


def _move(bar: PriceBar, start: int) -> PriceBar:
    return PriceBar(start, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source)


def _find_new_trades(
    counters: tuple[VolumeCounter, ...], quote: PriceUpdated
) -> tuple[list[tuple[Decimal, Decimal]], Decimal, tuple[VolumeCounter, ...]]:
    """The trades of `quote` that were not counted before, each with price and size; the size of
    new trades whose prices are not known, because a quote was lost; and the counters after it."""
    known = next((one.volume for one in counters if one.day == quote.day), None)
    listed = quote.trades or ()
    if known is None:
        # Of an unknown count only what is listed is known to be new.
        return [*listed], ZERO, _count(counters, quote)
    if quote.volume < known:
        if quote.day is not None or not quote.volume:
            return [], ZERO, counters  # a repetition, or a producer that states no volume
        known = ZERO
    left = quote.volume - known
    if not left:
        return [], ZERO, counters
    if not listed:
        return [(quote.price, left)], ZERO, _count(counters, quote)
    lots: list[tuple[Decimal, Decimal]] = []
    for price, size in reversed(listed):
        if left > 0:
            lots.append((price, min(size, left)))
            left -= size
    return lots[::-1], max(left, ZERO), _count(counters, quote)


def _count(counters: tuple[VolumeCounter, ...], quote: PriceUpdated) -> tuple[VolumeCounter, ...]:
    others = tuple(one for one in counters if one.day != quote.day)
    return (VolumeCounter(quote.day, quote.volume), *others[: MAX_COUNTERS - 1])


def _bar_of_trades(lots: list[tuple[Decimal, Decimal]], unpriced: Decimal) -> PriceBar:
    prices = [price for price, _ in lots]
    volume = sum((size for _, size in lots), unpriced)
    return PriceBar(0, prices[0], max(prices), min(prices), prices[-1], volume, "trade")


def _bar_of_mid(quote: PriceUpdated) -> PriceBar:
    """The middle of the quote. A side without a price and a size is no offer; the price stands in
    for the middle then."""
    is_one_sided = (not quote.bid and not quote.bid_size) or (not quote.ask and not quote.ask_size)
    mid = quote.price if is_one_sided else (quote.bid + quote.ask) / 2
    return PriceBar(0, mid, mid, mid, mid, ZERO, "mid")


def join_lots(trades: Iterable[tuple[Decimal, Decimal]]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Trades, each with price and size, with adjacent ones at one price made one."""
    joined: list[tuple[Decimal, Decimal]] = []
    for price, size in trades:
        if joined and joined[-1][0] == price:
            joined[-1] = (price, joined[-1][1] + size)
        else:
            joined.append((price, size))
    return tuple(joined)
