"""The floor: a seat for every strategy at work, and quotes for the seats of their symbol."""

import asyncio
from collections import defaultdict
from datetime import datetime
from decimal import Decimal

import structlog

from services.strategies.exact import Inexact, exact
from services.strategies.hand import Desk
from services.strategies.marks import Mark
from services.strategies.roster import Member
from services.strategies.seat import Seat
from tapewire.events import PriceUpdated
from tapewire.log.market import Market

LEAST_PRICE = Decimal("0.00000001")
MOST_PRICE = Decimal(1_000_000)
PRICE_PLACES = 8
"""A price outside of these bounds is nobody's to act on."""

logger = structlog.get_logger("strategies.floor")


class Floor:
    """Seats by the subject of their strategy."""

    def __init__(self, desk: Desk, market: Market) -> None:
        self._desk = desk
        self._market = market
        self._seats: dict[str, tuple[Seat, asyncio.Task[None]]] = {}
        self._watching: defaultdict[str, set[str]] = defaultdict(set)
        self._leaving: set[asyncio.Task[None]] = set()
        self._ignore = market.listen(self._quoted)

    async def close(self) -> None:
        """Everybody leaves; nothing is done any more when this returns."""
        self._ignore()
        self.clear()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def clear(self) -> None:
        """Everybody leaves."""
        for key in list(self._seats):
            self._leave(key)

    def marks(self) -> list[tuple[str, str, Mark]]:
        """What is known beyond the log: symbols, subjects of strategies, and their marks."""
        return [
            (seat.member.strategy.symbol, key, seat.mark())
            for key, (seat, _) in self._seats.items()
        ]

    @property
    def busy(self) -> int:
        """Seats where something is being done, or is to be done now."""
        return sum(seat.busy for seat, _ in self._seats.values())

    def dealt_with(self) -> dict[str, datetime]:
        """The newest quote that every seat of its symbol has taken, by symbol."""
        found: dict[str, datetime] = {}
        for symbol in self._market.symbols():
            quote = self._quote(symbol)
            keys = self._watching.get(symbol, ())
            taken = [self._seats[key][0].quoted_at for key in keys]
            times = [quote.timestamp if quote is not None else None, *taken]
            if None not in times:
                found[symbol] = min(time for time in times if time is not None)
        return found

    def take(self, member: Member, mark: Mark | None = None) -> None:
        """The strategy is so: have it worked if it is at work, and no more if it is not."""
        key = str(member.subject)
        if key not in self._seats:
            if member.at_work:
                self._enter(key, member, mark)
            return
        seat, _ = self._seats[key]
        seat.update(member)
        if not seat.member.at_work:
            self._leave(key)

    def _enter(self, key: str, member: Member, mark: Mark | None) -> None:
        seat = Seat(self._desk, member, mark)
        self._seats[key] = (seat, asyncio.create_task(seat.work(), name=f"seat {key}"))
        self._watching[member.strategy.symbol].add(key)
        quote = self._quote(member.strategy.symbol)
        if quote is not None:
            seat.offer(quote)

    def _leave(self, key: str) -> None:
        seat, task = self._seats.pop(key)
        symbol = seat.member.strategy.symbol
        self._watching[symbol].discard(key)
        if not self._watching[symbol]:
            del self._watching[symbol]
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

    def _quoted(self, symbol: str) -> None:
        keys = self._watching.get(symbol)
        quote = self._quote(symbol) if keys else None
        if keys and quote is not None:
            for key in keys:
                self._seats[key][0].offer(quote)

    def _quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote, if anybody can act on it."""
        quote = self._market.quote(symbol)
        if quote is None:
            return None
        try:
            exact(quote.price, least=LEAST_PRICE, most=MOST_PRICE, places=PRICE_PLACES)
        except Inexact as error:
            logger.warning("passes over a price", symbol=symbol, error=str(error))
            return None
        return quote
