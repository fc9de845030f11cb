"""Answers requests for bars, from memory and from the store."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tapewire.events import SplitExecuted
from tapewire.log import CommandRejected
from tapewire.log.jetstream.bar_streams import BarStore
from tapewire.log.list_cursor import check_limit, decode_key, encode_key
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts import bars as contract
from tapewire.values import resolve_symbol
from tapewire_services.prices.bars.book import BarBook, decode_bars
from tapewire_services.prices.domain.bars import PriceBar, adjust_bar

CLOSE_DELAY_SECONDS = 2.0
"""How long after its end a bar is said to be closed although no later one has begun: its last
quotes may still be under way."""
MAX_CACHED_SERIES = 128
"""Stored series that are kept in memory."""
MAX_CONCURRENT_READS = 4


class BarsService:
    """Request handlers of the process that builds the bars. They show bars in the shares after the
    splits that `add_split` was told of."""

    def __init__(self, book: BarBook, store: BarStore, *, now: Callable[[], datetime]) -> None:
        self._splits: defaultdict[str, list[SplitExecuted]] = defaultdict(list)
        self._book = book
        self._store = store
        self._now = now
        self._reads = asyncio.Semaphore(MAX_CONCURRENT_READS)
        self._cache: OrderedDict[tuple[str, str], tuple[int, list[PriceBar]]] = OrderedDict()

    def add_split(self, split: SplitExecuted) -> None:
        """Adjust the bars of the symbol from before the split. Repeating it changes nothing."""
        known = self._splits[split.symbol]
        if all(one.split_id != split.split_id for one in known):
            known.append(split)

    async def list_bars(
        self, request: contract.ListBars, _context: RequestContext
    ) -> contract.BarsReply:
        """Handle `svc.prices.bars`."""
        check_limit(request.limit, contract.MAX_PAGE_BARS)
        before = _decode_cursor(request)
        symbol = resolve_symbol(request.symbol, self._book.has_symbol)
        if not self._book.has_symbol(symbol):
            raise CommandRejected("not_found", f"no bar of {request.symbol}", "symbol")
        bars = await self._read_series(symbol, request.interval)
        if before is not None:
            bars = [bar for bar in bars if bar.start < before]
        page = bars[-request.limit :]
        following = None
        if len(bars) > len(page):
            following = encode_key("bars", request.symbol, request.interval, str(page[0].start))
        newest = self._newest_start(symbol, request.interval)
        shown = [self._show(symbol, bar, request.interval, newest) for bar in reversed(page)]
        return contract.BarsReply(symbol=symbol, bars=shown, next=following)

    async def newest_bars(
        self, request: contract.GetNewestBars, _context: RequestContext
    ) -> contract.NewestBars:
        """Handle `svc.prices.newest-bars`."""
        return contract.NewestBars(series=[await self._newest(one) for one in request.series])

    async def _newest(self, request: contract.SeriesRequest) -> list[contract.Bar]:
        symbol = resolve_symbol(request.symbol, self._book.has_symbol)
        bars = self._book.recent_bars(symbol, request.interval)
        since = None if request.since is None else request.since.timestamp()
        if bars and (since is None or since < bars[0].start):
            bars = await self._read_series(symbol, request.interval)
        shown = [bar for bar in bars if since is None or bar.start >= since]
        newest = self._newest_start(symbol, request.interval)
        return [
            self._show(symbol, bar, request.interval, newest)
            for bar in shown[-contract.MAX_NEWEST_BARS :]
        ]

    async def _read_series(self, symbol: str, interval: contract.BarInterval) -> list[PriceBar]:
        """All bars of a series, the newest last."""
        stored = await self._read_stored(symbol, interval)
        recent = self._book.recent_bars(symbol, interval)
        first = recent[0].start if recent else None
        return [*(bar for bar in stored if first is None or bar.start < first), *recent]

    async def _read_stored(self, symbol: str, interval: contract.BarInterval) -> list[PriceBar]:
        key, generation = (symbol, interval), self._book.generation(symbol)
        known = self._cache.get(key)
        if known is None or known[0] != generation:
            async with self._reads:
                known = (generation, decode_bars(await self._store.read_bars(symbol, interval)))
            self._cache[key] = known
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_CACHED_SERIES:
            self._cache.popitem(last=False)
        return known[1]

    def _newest_start(self, symbol: str, interval: contract.BarInterval) -> int:
        recent = self._book.recent_bars(symbol, interval)
        return recent[-1].start if recent else 0

    def _show(
        self, symbol: str, bar: PriceBar, interval: contract.BarInterval, newest: int
    ) -> contract.Bar:
        if symbol in self._splits:
            bar = adjust_bar(bar, contract.INTERVAL_SECONDS[interval], self._splits[symbol])
        start = datetime.fromtimestamp(bar.start, UTC)
        ends = start + timedelta(seconds=contract.INTERVAL_SECONDS[interval] + CLOSE_DELAY_SECONDS)
        return contract.Bar(
            start=start,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            source=bar.source,
            closed=bar.start < newest or self._now() >= ends,
        )


def _decode_cursor(request: contract.ListBars) -> int | None:
    """The start before which bars are wanted. Raises CommandRejected."""
    if request.cursor is None:
        return None
    match decode_key(request.cursor, "bars"):
        case (request.symbol, request.interval, start) if start.lstrip("-").isdecimal():
            return int(start)
    message = "cursor is the `next` of an earlier page of the same bars"
    raise CommandRejected("invalid", message, "cursor")
