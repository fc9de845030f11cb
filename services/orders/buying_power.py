"""Rejects orders that could bring the exposure of an account beyond its buying power.

An order passes if the potential exposure of the account with it (`tapewire.views.account`) is
within the limit, or is not more than without it. Reduce-only orders are not checked. All open
orders count, and so do trades that the positions service has not applied yet.

An order that is being placed is not in the journal yet. Before that, it is reserved in a value of
its user, which is replaced only at the revision that was read: of two processes that check at the
same time, one sees the other's order. Orders of a user that arrive while one is checked are checked
together after it. A reservation ends when its order is seen in the journal, or
was rejected, or after `RESERVATION_SECONDS`. Start at `BuyingPowerCheck.reserve`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import structlog

from tapewire.decimals import WIDE_CONTEXT, format_decimal
from tapewire.events import (
    CODEC,
    Order,
    OrderTerms,
)
from tapewire.log import (
    CommandRejected,
    Conflict,
    EventLog,
    LatestValueStore,
    LogError,
    Unavailable,
)
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint_revision, write_checkpoint
from tapewire.log.rejection import BUYING_POWER
from tapewire.views.account import (
    AccountTerms,
    PriceOf,
    exposure_limit,
    potential_exposure,
)
from tapewire_services.orders.account_reader import AccountAtSequence, AccountReader

CHECKPOINT_NAME = "buying-power"
RESERVATION_SECONDS = 30
"""How long an order that is being placed counts if nothing is heard of it: more than a request
takes."""
MAX_ATTEMPTS = 20
"""How often a check is repeated because the account has changed meanwhile."""
MAX_BATCH = 100
"""Orders of a user that are checked together."""
ZERO = Decimal(0)

logger = structlog.get_logger("orders.buying_power")


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is being placed, or replaced by its `replacement`."""

    order: Order
    expires_at: datetime


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
        self._accounts = AccountReader(log, checkpoint_store, terms.starting_balance)
        self._store = checkpoint_store
        self._terms = terms
        self._price = price
        self._now = now
        self._queues: dict[str, list[tuple[Order, asyncio.Future[None]]]] = {}
        """By user: the orders that wait for a check."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

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

    async def _check_and_reserve(self, user: str, order: Order) -> None:
        """Check the order together with the others of the user that wait meanwhile."""
        queue = self._queues.setdefault(user, [])
        checked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append((order, checked))
        if user not in self._tasks:
            self._tasks[user] = asyncio.create_task(self._check_queue(user))
        await checked

    async def _check_queue(self, user: str) -> None:
        queue = self._queues[user]
        try:
            while queue:
                batch = queue[:MAX_BATCH]
                del queue[:MAX_BATCH]
                try:
                    results = await self._check_batch(user, [order for order, _ in batch])
                except Exception as error:
                    results = [error] * len(batch)
                for (_, checked), result in zip(batch, results, strict=True):
                    if checked.done():
                        continue
                    if result is None:
                        checked.set_result(None)
                    else:
                        checked.set_exception(result)
        finally:
            del self._queues[user], self._tasks[user]

    async def _check_batch(
        self, user: str, orders: Sequence[Order]
    ) -> list[CommandRejected | None] | list[Exception]:
        """Reserve those of `orders` that pass. Returns why each other one does not."""
        for _ in range(MAX_ATTEMPTS):
            # First the reservations: an order whose reservation is gone is in the journal by now.
            reservations, revision = await self._read_reservations(user)
            account = await self._accounts.load(user)
            if account is None:
                continue
            kept = [*_pending(reservations, account, self._now())]
            results = [self._add_reservation(account, kept, order) for order in orders]
            try:
                if None in results:
                    await self._write(user, kept, revision)
            except Conflict:
                continue
            return results
        raise Unavailable("the account kept changing while an order was checked")

    def _add_reservation(
        self, account: AccountAtSequence, reservations: list[Reservation], order: Order
    ) -> CommandRejected | None:
        try:
            self._check(account, reservations, order)
        except CommandRejected as rejection:
            return rejection
        expires_at = self._now() + timedelta(seconds=RESERVATION_SECONDS)
        # A request that is repeated has one reservation, however often.
        others = [one for one in reservations if one.order.order_id != order.order_id]
        reservations[:] = [*others, Reservation(order=order, expires_at=expires_at)]
        return None

    def _check(
        self, account: AccountAtSequence, reservations: Sequence[Reservation], order: Order
    ) -> None:
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
        for _ in range(MAX_ATTEMPTS):
            try:
                reservations, revision = await self._read_reservations(user)
                kept = [one for one in reservations if one.order != order]
                await self._write(user, kept, revision)
            except Conflict:
                continue
            except LogError as error:
                logger.info("buying_power.not_released", user_id=user, error=str(error))
            return


def _pending(
    reservations: Sequence[Reservation], account: AccountAtSequence, now: datetime
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


def _dollars(amount: Decimal) -> str:
    return f"{amount:.2f} dollars"
