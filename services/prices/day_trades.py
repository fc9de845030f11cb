"""Numbers the days of a feed, and collects the trades that its quotes report for bars.

A quote stands for all ticks of its symbol since the quote before. The trades among them would be
lost, so it lists them. The number of the day tells a volume that starts over from one that is
published again, after another process has continued the feed from a checkpoint.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from tapewire.feeds import ValidTick
from tapewire_services.prices.domain.bars import join_lots


class DayTrades:
    """The trades of each symbol that no quote has reported yet."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._day: int | None = None
        self._lots: dict[str, list[tuple[Decimal, Decimal]]] = {}
        self._reported_symbols: set[str] = set()

    @property
    def day(self) -> int | None:
        """The number of the day; None before the first one."""
        return self._day

    def resume_day(self, day: int) -> None:
        """Number the day that begins next `day`: another process has begun it."""
        self._day = day - 1

    def begin_day(self) -> None:
        """Number a new day. The first one that a process numbers is the time, in seconds since
        1970, so no other process has numbered a day like that."""
        self._day = int(self._now().timestamp()) if self._day is None else self._day + 1
        self._lots.clear()
        self._reported_symbols.clear()

    def add(self, tick: ValidTick) -> None:
        """Collect the trade of `tick`, if it is one and has a size."""
        if tick.last is not None and tick.last_size:
            self._lots.setdefault(tick.symbol, []).append((tick.last, tick.last_size))

    def pop_reportable(
        self, symbol: str, price: Decimal | None
    ) -> tuple[tuple[Decimal, Decimal], ...] | None:
        """Remove and return the trades that a quote of `symbol`, whose last trade was at `price`,
        must list. None if it need not: all were at that price. The first quote with trades lists
        them in any case, for a reader who does not know the volume before it."""
        lots = self._lots.pop(symbol, None)
        if lots is None:
            return None
        if symbol in self._reported_symbols and all(lot[0] == price for lot in lots):
            return None
        self._reported_symbols.add(symbol)
        return join_lots(lots)
