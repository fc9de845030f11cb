"""The broker's desk: follows all orders in the log and keeps a broker told.

The truth is read in pages from a cursor, so nothing is missed; a live subscription only says when
to read, and a jittered timer mends what it loses. The open orders are checkpointed to VIEWS, so the
next holder of the lease reads only what came later. Start at `run_broker`, the work of the lease.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from services.orders.broker import Broker
from services.orders.deciding import Orders, Reporter
from services.orders.openorders import OpenOrder, OpenOrders
from tapewire.events import Undecodable, UnknownType
from tapewire.log import (
    EVERYBODY,
    EventLog,
    LogError,
    Page,
    Recorded,
    Subscription,
    Values,
    pattern,
)
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.port import LONG_PAGE_BYTES, LONG_PAGE_EVENTS

LEASE = "paper-broker"
ORDERS = pattern(domain="orders")
CHECKPOINT = f"{EVERYBODY}.book"
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_EVENTS = 64
"""Events since the last checkpoint that make another worth while."""
ORDERS_A_SECOND = 2000
"""Open orders that a second between checkpoints pays for; with more they get rarer."""
POLL_SECONDS = 2.0

logger = structlog.get_logger("orders.desk")


class AnotherLog(Exception):
    """The log was made anew: what is known of it is void."""


async def run_broker(
    log: EventLog,
    views: Values,
    orders: Orders,
    make: Callable[[], Broker],
    chance: random.Random | None = None,
    begins: Callable[["Desk", Broker], None] = lambda _desk, _broker: None,
    held: Callable[[], bool] = lambda: True,
) -> None:
    """Keep a broker of `make` at work until canceled; a new one whenever the log was made anew.
    `begins` hears of each; what it does is reported only while `held` says so."""
    chance = chance or fresh_chance()
    while True:
        broker, desk = make(), Desk(log, views, chance)
        begins(desk, broker)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(desk.run(broker))
                group.create_task(broker.work(Reporter(orders, chance, held).report))
        except* AnotherLog as another:
            logger.warning("begins anew", why=str(another.exceptions[0]))


class Desk:
    """One broker's view of the log."""

    def __init__(self, log: EventLog, views: Values, chance: random.Random) -> None:
        self._log = log
        self._views = views
        self._chance = chance
        self._wake = asyncio.Event()
        self._orders = OpenOrders("")
        self._works = False

    @property
    def taken(self) -> int | None:
        """The last event that its broker was told of; None before all open orders were told."""
        return self._orders.as_of if self._works else None

    async def run(self, broker: Broker) -> None:
        """Tell `broker` of all orders until canceled. Raises AnotherLog."""
        subscription = await self._listen()
        try:
            await self._recover()
            broker.recall(self._orders.taken())
            for order in self._orders.orders():
                broker.placed(order)
            self._works = True
            logger.info("works", orders=len(self._orders), as_of=self._orders.as_of)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(broker))
                group.create_task(self._checkpoints())
        finally:
            await subscription.close()

    async def _listen(self) -> Subscription:
        patience = Patience(self._chance)
        while True:
            try:
                return await self._log.live(ORDERS, self._heard, lambda _: self._wake.set())
            except LogError as error:
                logger.warning("cannot listen", error=str(error))
                await patience.wait()

    def _heard(self, recorded: Recorded) -> None:
        if recorded.sequence > self._orders.as_of:
            self._wake.set()

    async def _recover(self) -> None:
        """The open orders as the log has them now, by the checkpoint and what came after it."""
        patience = Patience(self._chance)
        while True:
            try:
                self._orders = await self._checkpointed()
                break
            except LogError as error:
                logger.warning("cannot recover", error=str(error))
                await patience.wait()
        while (page := await self._page()).events:
            for recorded in page.events:
                self._fold(recorded)

    async def _checkpointed(self) -> OpenOrders:
        bounds, data = await self._log.bounds(), await self._views.get(CHECKPOINT)
        if data is not None:
            try:
                orders = OpenOrders.decode(data)
            except ValueError as error:
                logger.warning("passes over the checkpoint", error=str(error))
            else:
                if orders.epoch == bounds.epoch and orders.as_of <= bounds.last:
                    return orders
        return OpenOrders(bounds.epoch)

    async def _follow(self, broker: Broker) -> None:
        while True:
            self._wake.clear()
            page = await self._page()
            for recorded in page.events:
                order = self._fold(recorded)
                if order is None:
                    continue
                if order.since == recorded.sequence:
                    broker.placed(order)
                else:
                    broker.changed(order)
            if not page.more:
                await self._rest()

    async def _page(self) -> Page:
        """What comes after the cursor, read until it can be."""
        patience = Patience(self._chance)
        while True:
            try:
                return await self._log.page(
                    ORDERS,
                    after=self._orders.as_of,
                    limit=LONG_PAGE_EVENTS,
                    max_bytes=LONG_PAGE_BYTES,
                )
            except LogError as error:
                logger.warning("cannot read orders", error=str(error))
                await patience.wait()

    async def _rest(self) -> None:
        """Until there is something to read, or might be."""
        try:
            async with asyncio.timeout(POLL_SECONDS * self._chance.uniform(0.5, 1.5)):
                await self._wake.wait()
        except TimeoutError:
            await self._same_log()

    async def _same_log(self) -> None:
        try:
            bounds = await self._log.bounds()
        except LogError:
            return  # the next page says so, and waits
        if bounds.epoch != self._orders.epoch or bounds.last < self._orders.as_of:
            raise AnotherLog(
                f"{bounds.epoch} ends at {bounds.last}, "
                f"{self._orders.epoch} was read up to {self._orders.as_of}"
            )

    def _fold(self, recorded: Recorded) -> OpenOrder | None:
        try:
            return self._orders.apply(recorded)
        except (UnknownType, Undecodable) as error:
            logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
            return None

    async def _checkpoints(self) -> None:
        saved = 0
        while True:
            await asyncio.sleep(max(CHECKPOINT_SECONDS, len(self._orders) / ORDERS_A_SECOND))
            applied = self._orders.applied
            if applied - saved < CHECKPOINT_EVENTS:
                continue
            try:
                await self._views.put(CHECKPOINT, self._orders.encode())
                saved = applied
            except LogError as error:
                logger.warning("cannot keep a checkpoint of the book", error=str(error))
