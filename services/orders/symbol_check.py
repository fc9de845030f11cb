"""Which symbols an order may name: those that are quoted, and what its user holds.

Quotes are read from memory and from disk, and both may be lost; what a user holds can be sold all
the same. Before the first quote of all, nothing says which symbols there are: an order with a limit
rests until its symbol is quoted, and a market order is refused, since nobody knows its price.
"""

from collections.abc import Awaitable, Callable

from tapewire.decimals import abbreviate
from tapewire.log import CommandRejected, Unavailable
from tapewire.log.quote_cache import QuoteCache
from tapewire.views import PositionsView
from tapewire_services.orders.domain.commands import PlaceOrderCommand


class SymbolCheck:
    """Checks orders before they are placed.

    Args:
        load_positions: the positions of a user; called for a symbol without a quote only.
    """

    def __init__(
        self, quote_cache: QuoteCache, load_positions: Callable[[str], Awaitable[PositionsView]]
    ) -> None:
        self._quote_cache = quote_cache
        self._load_positions = load_positions

    async def check(self, command: PlaceOrderCommand) -> None:
        """Let an order pass whose symbol is quoted or held.

        Raises:
            CommandRejected: The symbol is unknown.
            Unavailable: No symbol is quoted yet, and the order has no limit.
        """
        try:
            if await self._quote_cache.has_symbol(command.symbol):
                return
            is_market_empty = False
        except Unavailable:
            if command.limit_price is not None:
                return
            is_market_empty = True
        position = (await self._load_positions(command.user)).position(command.symbol)
        if position is not None and position.quantity:
            return
        if is_market_empty:
            raise Unavailable("the market has no quotes yet: try again, or give a limit")
        raise CommandRejected("invalid", f"unknown symbol {abbreviate(command.symbol)!r}", "symbol")
