"""The position of a strategy at its exact cost. Pure.

A trade that adds to a position adds its cost; a trade that reduces it keeps the average; a trade
that crosses zero starts a new position at its own price.
"""

from decimal import Decimal

import msgspec

from tapewire.decimals import (
    WIDE_CONTEXT,
    average_price,
    normalize,
)
from tapewire.events import Side, Strategy

ZERO = Decimal(0)
MAX_RECENT_TRADES = 64
"""Trades that are remembered to compute what a correction of one makes of the position."""


class Holding(msgspec.Struct, frozen=True):
    """A position of `quantity` shares, negative when short. `cost` is what they cost, or brought in
    when sold short, in dollars; it is negative at negative prices."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """The average in dollars a share, rounded to eight places; None for an empty position."""
        if not self.quantity:
            return None
        return average_price(self.cost, abs(self.quantity))

    def after_trade(self, side: Side, qty: Decimal, price: Decimal) -> "Holding":
        """The position after a trade of `qty` shares at `price`."""
        change = qty if side is Side.BUY else -qty
        quantity = normalize(WIDE_CONTEXT.add(self.quantity, change))
        if not quantity:
            return Holding()
        if self.quantity * change >= 0:
            return Holding(quantity, WIDE_CONTEXT.fma(qty, price, self.cost))
        if self.quantity * quantity < 0:
            return Holding(quantity, WIDE_CONTEXT.multiply(abs(quantity), price))
        kept = WIDE_CONTEXT.multiply(self.cost, abs(quantity))
        return Holding(quantity, WIDE_CONTEXT.divide(kept, abs(self.quantity)))


class StrategyTrade(msgspec.Struct, frozen=True):
    """An execution of one of the strategy's orders."""

    trade_id: str
    side: Side
    qty: Decimal
    price: Decimal


class RecentTrades(msgspec.Struct, frozen=True):
    """The last trades of a strategy, at most `MAX_RECENT_TRADES`, and its position before them."""

    base: Holding = Holding()
    trades: tuple[StrategyTrade, ...] = ()

    def add(self, trade: StrategyTrade) -> "RecentTrades":
        """The trades with one more."""
        base, trades = self.base, (*self.trades, trade)
        if len(trades) > MAX_RECENT_TRADES:
            oldest, *_ = trades
            base, trades = base.after_trade(oldest.side, oldest.qty, oldest.price), trades[1:]
        return RecentTrades(base, trades)

    def correct(self, trade_id: str, qty: Decimal, price: Decimal) -> "RecentTrades | None":
        """The trades with one of them corrected; None if it is none of them."""
        found = [number for number, one in enumerate(self.trades) if one.trade_id == trade_id]
        if not found:
            return None
        corrected = msgspec.structs.replace(self.trades[found[0]], qty=qty, price=price)
        trades = (*self.trades[: found[0]], corrected, *self.trades[found[0] + 1 :])
        return RecentTrades(self.base, trades)

    def fold(self) -> Holding:
        """The position after all of them."""
        holding = self.base
        for one in self.trades:
            if one.qty:
                holding = holding.after_trade(one.side, one.qty, one.price)
        return holding


def holding_of(strategy: Strategy) -> Holding:
    """The position of `strategy`, at the cost that its rounded entry price gives."""
    if strategy.entry_price is None:
        return Holding()
    cost = WIDE_CONTEXT.multiply(abs(strategy.position), strategy.entry_price)
    return Holding(strategy.position, cost)
