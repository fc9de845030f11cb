"""Rejects orders that could bring the exposure of an account beyond its buying power.

An order passes if the potential exposure of the account with it (`tapewire.views.account`) is
within the limit, or is not more than without it. Reduce-only orders are not checked. All open
orders count, and so do trades that the positions service has not applied yet.

An order that is being placed is not in the journal yet. Before that, it is reserved in a value of
its user, which is replaced only at the revision that was read: of two processes that check at the
same time, one sees the other's order. A reservation ends when its order is seen in the journal, or
was rejected, or after `RESERVATION_SECONDS`. Start at `BuyingPowerCheck.reserve`.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec
import structlog

from tapewire.decimals import WIDE_CONTEXT, format_decimal
from tapewire.events import (
    CODEC,
    Order,
    OrderTerms,
    PositionEvent,
    Side,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import (
    Bounds,
    CommandRejected,
    Conflict,
    EventLog,
    LatestValueStore,
    LogError,
    Unavailable,
    pattern,
    view_checkpoints,
)
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint_revision, write_checkpoint
from tapewire.log.event_search import has_events
from tapewire.log.page_reader import read_pages
from tapewire.log.rejection import BUYING_POWER
from tapewire.views import OrdersView, PositionsView
from tapewire.views.account import (
    AccountTerms,
    HeldQuantity,
    PriceOf,
    exposure_limit,
    holdings_of,
    potential_exposure,
)
from tapewire.views.positions import sum_exact

CHECKPOINT_NAME = "buying-power"
RESERVATION_SECONDS = 30
"""How long an order that is being placed counts if nothing is heard of it: more than a request
takes."""
MAX_ATTEMPTS = 20
"""How often a check is repeated because the account has changed meanwhile."""
MAX_USERS = 10_000
"""Users whose orders wait for each other; the one who placed nothing for longest is dropped."""
ZERO = Decimal(0)

logger = structlog.get_logger("orders.buying_power")


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is being placed, or replaced by its `replacement`."""

    order: Order
    expires_at: datetime


class _TradeEffect(NamedTuple):
    """What a trade, or its correction, changes: shares (below 0 for a sale), their cost, the
    fee."""

    symbol: str
    qty: Decimal
    paid: Decimal
    fee: Decimal


class _Account(msgspec.Struct, frozen=True):
    """An account at one sequence of the journal, with the trades that positions lack."""

    cash: Decimal
    held: dict[str, HeldQuantity]
    orders: dict[str, Order]
    known_orders: dict[str, Order]

    def equity(self, price: PriceOf) -> Decimal:
        values = [self.cash]
        for symbol, one in self.held.items():
            quoted = price(symbol)
            values.append(one.cost if quoted is None else WIDE_CONTEXT.multiply(one.qty, quoted))
        return sum_exact(values)


class BuyingPowerCheck:
    """Checks orders against the maximal leverage of `terms`, at the prices of `price`. `now` is the
    wall time."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        terms: AccountTerms,
        price: PriceOf,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._store = checkpoint_store
        self._terms = terms
        self._price = price
        self._now = now
        self._locks: OrderedDict[str, asyncio.Lock] = OrderedDict()

    @contextlib.asynccontextmanager
    async def reserve(
        self, user: str, order: Order, is_repeated: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Reserve the exposure of an order of `user` that is placed, or replaced, within the block.
        A repeated one, by `is_repeated`, needs none.

        Raises:
            CommandRejected: ``buying_power``: the order could exceed the limit.
            LogError: the account cannot be read now.
        """
        if self._terms.max_leverage is None or order.reduce_only:
            yield
            return
        async with self._lock_of(user):
            try:
                await self._check_and_reserve(user, order)
            except CommandRejected:
                if not await is_repeated():
                    raise
        try:
            yield
        except CommandRejected:
            await self._release(user, order)
            raise

    def _lock_of(self, user: str) -> asyncio.Lock:
        """Orders of a user that arrive at this process are checked one after another."""
        lock = self._locks.setdefault(user, asyncio.Lock())
        self._locks.move_to_end(user)
        if len(self._locks) > MAX_USERS:
            self._locks.popitem(last=False)
        return lock

    async def _check_and_reserve(self, user: str, order: Order) -> None:
        for _ in range(MAX_ATTEMPTS):
            # First the reservations: an order whose reservation is gone is in the journal by now.
            reservations, revision = await self._read_reservations(user)
            account = await self._load_account(user)
            if account is None:
                continue
            kept = [*_pending(reservations, account, self._now())]
            self._check(account, kept, order)
            expires_at = self._now() + timedelta(seconds=RESERVATION_SECONDS)
            try:
                await self._write(
                    user, [*kept, Reservation(order=order, expires_at=expires_at)], revision
                )
            except Conflict:
                continue
            return
        raise Unavailable("the account kept changing while an order was checked")

    def _check(self, account: _Account, reservations: Sequence[Reservation], order: Order) -> None:
        orders = {**account.orders, **{one.order.order_id: one.order for one in reservations}}
        before = potential_exposure(account.held, orders.values(), self._price)
        orders[order.order_id] = order
        after = potential_exposure(account.held, orders.values(), self._price)
        leverage = self._terms.max_leverage or ZERO
        equity = account.equity(self._price)
        limit = exposure_limit(equity, leverage)
        if after <= max(before, limit):
            return
        left = max(ZERO, WIDE_CONTEXT.subtract(limit, before))
        message = (
            f"it could add {_dollars(WIDE_CONTEXT.subtract(after, before))} of exposure, and the "
            f"buying power is {_dollars(left)}: {format_decimal(leverage)} times the equity, "
            f"{_dollars(limit)}, less {_dollars(before)} of positions and open orders. Reduce-only "
            "orders always pass"
        )
        raise CommandRejected(BUYING_POWER, message, "qty")

    async def _load_account(self, user: str) -> _Account | None:
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
        amounts = [self._terms.starting_balance, positions.realized_pnl]
        amounts += [-one.cost for one in held.values()]
        for symbol, qty, paid, fee in await self._read_trades(user, applied, bounds):
            amounts += [-paid, -fee]
            before = held.get(symbol, HeldQuantity(ZERO, ZERO))
            held[symbol] = HeldQuantity(
                WIDE_CONTEXT.add(before.qty, qty), WIDE_CONTEXT.add(before.cost, paid)
            )
        known = {order.order_id: order for order in orders.orders()}
        open_orders = {id_: order for id_, order in known.items() if order.status.is_open}
        return _Account(sum_exact(amounts), held, open_orders, known)

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

    async def _read_reservations(self, user: str) -> tuple[list[Reservation], int]:
        checkpoint, revision = await read_checkpoint_revision(
            self._store, checkpoint_key(user, CHECKPOINT_NAME)
        )
        if checkpoint is None:
            return [], revision
        return CODEC.decode(bytes(checkpoint.state), list[Reservation]), revision

    async def _write(self, user: str, reservations: Sequence[Reservation], revision: int) -> None:
        await write_checkpoint(
            self._store,
            checkpoint_key(user, CHECKPOINT_NAME),
            epoch="",
            as_of=0,
            state=CODEC.encode(reservations),
            revision=revision,
        )

    async def _release(self, user: str, order: Order) -> None:
        """End the reservation of an order that was rejected. It ends by itself if this fails."""
        try:
            async with self._lock_of(user):
                reservations, revision = await self._read_reservations(user)
                kept = [one for one in reservations if one.order != order]
                await self._write(user, kept, revision)
        except LogError as error:
            logger.info("buying_power.not_released", user_id=user, error=str(error))


def _pending(
    reservations: Sequence[Reservation], account: _Account, now: datetime
) -> Iterator[Reservation]:
    """The reservations whose orders are not in the journal as they were reserved."""
    for one in reservations:
        if one.expires_at <= now:
            continue
        known, terms = account.known_orders.get(one.order.order_id), one.order.replacement
        if known is None:
            yield one
        elif terms is not None and known.status.is_open and not _has_terms(known, terms):
            order = msgspec.structs.replace(known, replacement=terms)
            yield Reservation(order=order, expires_at=one.expires_at)


def _has_terms(order: Order, terms: OrderTerms) -> bool:
    """Whether the order has these terms, or was asked to have them."""
    current = OrderTerms(qty=order.qty, limit_price=order.limit_price, stop_price=order.stop_price)
    return terms in (current, order.replacement)


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


def _dollars(amount: Decimal) -> str:
    return f"{amount:.2f} dollars"
