"""A user's account at the end of the journal, with the trades that positions lack yet.

The orders service judges buying power by it, and must not depend on how far the positions service
has come. Start at `AccountReader.load`.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import Order, PositionEvent, Side, TradeCorrected, TradeExecuted
from tapewire.log import (
    Bounds,
    EventLog,
    LatestValueStore,
    Unavailable,
    pattern,
    view_checkpoints,
)
from tapewire.log.event_search import has_events
from tapewire.log.page_reader import read_pages
from tapewire.views import OrdersView, PositionsView
from tapewire.views.account import HeldQuantity, PriceOf, holdings_of
from tapewire.views.positions import sum_exact

ZERO = Decimal(0)


class _TradeEffect(NamedTuple):
    """What a trade, or its correction, changes: shares (below 0 for a sale), their cost, the
    fee."""

    symbol: str
    qty: Decimal
    paid: Decimal
    fee: Decimal


class AccountAtSequence(msgspec.Struct, frozen=True):
    """An account at one sequence of the journal, with the trades that positions lack. `orders` are
    open, and `known_orders` also those that were closed last."""

    cash: Decimal
    held: dict[str, HeldQuantity]
    orders: dict[str, Order]
    known_orders: dict[str, Order]

    def equity(self, price: PriceOf) -> Decimal:
        """Cash and the value of what is held, in dollars."""
        values = [self.cash]
        for symbol, one in self.held.items():
            quoted = price(symbol)
            values.append(one.cost if quoted is None else WIDE_CONTEXT.multiply(one.qty, quoted))
        return sum_exact(values)


class AccountReader:
    """Reads accounts, which began with `starting_balance` dollars."""

    def __init__(
        self, log: EventLog, checkpoint_store: LatestValueStore, starting_balance: Decimal
    ) -> None:
        self._log = log
        self._store = checkpoint_store
        self._starting_balance = starting_balance

    async def load(self, user: str) -> AccountAtSequence | None:
        """The account at the end of the journal; None if it has changed while it was read."""
        bounds = await self._log.bounds()
        positions, _ = await view_checkpoints.load(
            self._log, self._store, PositionsView, user, bounds=bounds
        )
        orders, _ = await view_checkpoints.load(
            self._log, self._store, OrdersView, user, bounds=bounds
        )
        applied = await self._applied_trade_sequence(user, bounds)
        if applied is None:
            return None
        held = holdings_of(positions)
        amounts = [self._starting_balance, positions.realized_pnl]
        amounts += [-one.cost for one in held.values()]
        for symbol, qty, paid, fee in await self._read_trades(user, applied, bounds):
            amounts += [-paid, -fee]
            before = held.get(symbol, HeldQuantity(ZERO, ZERO))
            held[symbol] = HeldQuantity(
                WIDE_CONTEXT.add(before.qty, qty), WIDE_CONTEXT.add(before.cost, paid)
            )
        known = {order.order_id: order for order in orders.orders()}
        open_orders = {id_: order for id_, order in known.items() if order.status.is_open}
        return AccountAtSequence(sum_exact(amounts), held, open_orders, known)

    async def _applied_trade_sequence(self, user: str, bounds: Bounds) -> int | None:
        """The sequence of the last trade that the positions contain; None if there are later
        positions than `bounds`. Archived trades are all applied."""
        filter_ = pattern(owner=user, domain=PositionsView.domain)
        last = await self._log.last_sequence(filter_)
        if last > bounds.last:
            return None
        applied = bounds.first - 1
        if last:
            page = await self._log.page(filter_, after=last - 1, limit=1)
            if not page.events:
                raise Unavailable(f"{filter_} reaches {last}, where a replica ends")
            event = page.events[-1].event
            if isinstance(event, PositionEvent):
                applied = max(applied, event.trade_sequence)
        return applied

    async def _read_trades(self, user: str, after: int, bounds: Bounds) -> list[_TradeEffect]:
        filter_ = pattern(owner=user, domain="trades")
        if not await has_events(self._log, filter_, after, bounds.last):
            return []
        found = []
        async for page in read_pages(self._log, filter_, after=after, up_to=bounds.last):
            found += [
                _effect_of(one.event)
                for one in page
                if isinstance(one.event, TradeExecuted | TradeCorrected)
            ]
        return found


def _effect_of(trade: TradeExecuted | TradeCorrected) -> _TradeEffect:
    qty, paid, fee = trade.qty, WIDE_CONTEXT.multiply(trade.qty, trade.price), trade.fee
    if isinstance(trade, TradeCorrected):
        was = trade.before
        qty = WIDE_CONTEXT.subtract(qty, was.qty)
        paid = WIDE_CONTEXT.subtract(paid, WIDE_CONTEXT.multiply(was.qty, was.price))
        fee = WIDE_CONTEXT.subtract(fee, was.fee)
    if trade.side is Side.SELL:
        qty, paid = qty.copy_negate(), paid.copy_negate()
    return _TradeEffect(trade.symbol, qty, paid, fee)
