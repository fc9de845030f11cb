"""The bars of all symbols in memory: those that are open, and those that are not stored yet.

Start at `BarBook.add_quote`.
"""

from collections.abc import Iterable

import msgspec

from tapewire.events import CODEC, PriceUpdated
from tapewire.log.jetstream.bar_streams import StoredQuote, SymbolRecord
from tapewire.runtime.contracts.bars import INTERVAL_SECONDS, BarInterval
from tapewire_services.prices.domain.bars import PriceBar, SymbolBars, fold_quote

KEPT_SECONDS: dict[BarInterval, int] = {"1s": 3600}
"""How long closed bars are kept; without a time, as long as the stream has room."""


class QuotePosition(msgspec.Struct, frozen=True, array_like=True):
    """The quotes up to `sequence` of the history named `epoch` are folded."""

    epoch: str = ""
    sequence: int = 0


class SymbolState(msgspec.Struct, frozen=True, array_like=True):
    """The bars of a symbol after the quotes up to `position`, as they are stored."""

    position: QuotePosition
    bars: SymbolBars


class _Series:
    """The bars of one symbol. `saved` are the closed bars that were stored last: a replica may not
    have them yet. `generation` changes when bars are stored."""

    __slots__ = ("bars", "generation", "is_changed", "saved", "unsaved")

    def __init__(self, bars: SymbolBars) -> None:
        self.bars = bars
        self.is_changed = False
        self.generation = 0
        self.saved: list[tuple[BarInterval, PriceBar]] = []
        self.unsaved: list[tuple[BarInterval, PriceBar]] = []


class BarBook:
    """Folds quotes in the order of their sequences."""

    def __init__(self) -> None:
        self.position = QuotePosition()
        self.unsaved_quote_count = 0
        self._series: dict[str, _Series] = {}
        self._covered: dict[str, int] = {}
        """By symbol: the sequence up to which its state is true, if that is later than the
        position: the last owner was interrupted while it stored."""

    def restore(self, states: dict[str, bytes], position: bytes | None, epoch: str) -> None:
        """Replace everything by what was stored. The next quote is the one after `position`, or the
        first one if the history named `epoch` has begun since.

        Raises:
            msgspec.DecodeError: a state cannot be read.
        """
        stored = QuotePosition() if position is None else CODEC.decode(position, QuotePosition)
        self.position = stored if stored.epoch == epoch else QuotePosition(epoch)
        self.unsaved_quote_count = 0
        decoded = {symbol: CODEC.decode(data, SymbolState) for symbol, data in states.items()}
        self._series = {symbol: _Series(state.bars) for symbol, state in decoded.items()}
        self._covered = {
            symbol: state.position.sequence
            for symbol, state in decoded.items()
            if state.position.epoch == epoch and state.position.sequence > self.position.sequence
        }

    def begin_history(self, epoch: str) -> None:
        """Continue with the first quote of a history that has begun anew."""
        self.position = QuotePosition(epoch)
        self._covered = {}

    def add_quote(self, stored: StoredQuote) -> None:
        """Fold the next quote.

        Raises:
            msgspec.DecodeError: it cannot be read; it counts as folded.
        """
        self.position = QuotePosition(self.position.epoch, stored.sequence)
        self.unsaved_quote_count += 1
        quote = CODEC.decode(stored.data, PriceUpdated)
        if self._covered and stored.sequence <= self._covered.get(quote.symbol, 0):
            return
        series = self._series.get(quote.symbol)
        if series is None:
            series = self._series[quote.symbol] = _Series(SymbolBars())
        series.bars, closed = fold_quote(series.bars, quote, stored.stored_at)
        series.is_changed = True
        if closed:
            series.unsaved += closed

    def collect_unsaved(self) -> tuple[list[SymbolRecord], bytes]:
        """What must be stored of the symbols that have changed, and the position."""
        records = [
            self._collect_record(symbol, series)
            for symbol, series in self._series.items()
            if series.is_changed
        ]
        self.unsaved_quote_count = 0
        return records, CODEC.encode(self.position)

    def has_symbol(self, symbol: str) -> bool:
        """Whether `symbol` has a bar."""
        return symbol in self._series

    def symbol_count(self) -> int:
        """How many symbols have bars."""
        return len(self._series)

    def generation(self, symbol: str) -> int:
        """A number that changes when bars of `symbol` are stored."""
        series = self._series.get(symbol)
        return 0 if series is None else series.generation

    def recent_bars(self, symbol: str, interval: BarInterval) -> list[PriceBar]:
        """The bars of a symbol that are in memory, the newest last, without gaps in between."""
        series = self._series.get(symbol)
        if series is None or not series.bars.newest:
            return []
        number = list(INTERVAL_SECONDS).index(interval)
        closed = (*series.saved, *series.unsaved)
        return [*(bar for of, bar in closed if of == interval), series.bars.newest[number]]

    def _collect_record(self, symbol: str, series: _Series) -> SymbolRecord:
        if series.unsaved:
            series.saved, series.unsaved = series.unsaved, []
            series.generation += 1
            closed = tuple(_encode_closed(series.saved))
        else:
            closed = ()
        series.is_changed = False
        return SymbolRecord(symbol, CODEC.encode(SymbolState(self.position, series.bars)), closed)


def _encode_closed(
    closed: list[tuple[BarInterval, PriceBar]],
) -> Iterable[tuple[str, bytes, int | None]]:
    for interval in INTERVAL_SECONDS:
        bars = [bar for of, bar in closed if of == interval]
        if bars:
            yield interval, CODEC.encode(bars), KEPT_SECONDS.get(interval)


def decode_bars(messages: Iterable[bytes]) -> list[PriceBar]:
    """The bars in stored messages, in order, each once: after an interruption some are stored
    again.

    Raises:
        msgspec.DecodeError: a message cannot be read.
    """
    by_start = {bar.start: bar for data in messages for bar in CODEC.decode(data, list[PriceBar])}
    return [by_start[start] for start in sorted(by_start)]
