"""The broker's desk: follows all orders in the log and keeps a broker told.

The truth is read in pages from a cursor, so nothing is missed; a live subscription only says when
to read, and a jittered timer mends what it loses. The open orders are checkpointed to VIEWS, so the
next holder of the lease reads only what came later. Start at `run_broker`, the work of the lease.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from tapewire.events import Undecodable, UnknownType
from tapewire.log import (
    EVERYBODY,
    EventLog,
    LatestValueStore,
    LogError,
    Page,
    RecordedEvent,
    Subscription,
    pattern,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.ports import CATCH_UP_PAGE_BYTES, CATCH_UP_PAGE_EVENTS
from tapewire_services.orders.broker import Broker
from tapewire_services.orders.command_handler import BrokerReporter, OrderCommandHandler
from tapewire_services.orders.domain.open_orders import OpenOrder, OpenOrders

LEASE = "paper-broker"
ORDERS_FILTER = pattern(domain="orders")
CHECKPOINT_KEY = f"{EVERYBODY}.book"
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_EVENTS = 64
"""Events since the last checkpoint that make another worth while."""
CHECKPOINT_ORDERS_PER_SECOND = 2000
"""Open orders that a second between checkpoints pays for; with more they get rarer."""
POLL_SECONDS = 2.0

logger = structlog.get_logger("orders.desk")


class LogRecreated(Exception):
    """The log was made anew: what is known of it is void."""


async def run_broker(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    orders: OrderCommandHandler,
    make_broker: Callable[[], Broker],
    rng: random.Random | None = None,
    on_broker_started: Callable[["BrokerConsumer", Broker], None] = lambda _desk, _broker: None,
    holds_lease: Callable[[], bool] = lambda: True,
) -> None:
    """Keep a broker of `make` at work until canceled; a new one whenever the log was made anew.
    `begins` hears of each; what it does is reported only while `held` says so."""
    rng = rng or new_rng()
    while True:
        broker, desk = make_broker(), BrokerConsumer(log, checkpoint_store, rng)
        on_broker_started(desk, broker)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(desk.run(broker))
                group.create_task(broker.run(BrokerReporter(orders, rng, holds_lease).report))
        except* LogRecreated as another:
            logger.warning("begins anew", why=str(another.exceptions[0]))


class BrokerConsumer:
    """One broker's view of the log."""

    def __init__(
        self, log: EventLog, checkpoint_store: LatestValueStore, rng: random.Random
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._rng = rng
        self._wake = asyncio.Event()
        self._orders = OpenOrders("")
        self._is_caught_up = False

    @property
    def last_handled_sequence(self) -> int | None:
        """The last event that its broker was told of; None before all open orders were told."""
        return self._orders.as_of if self._is_caught_up else None

    async def run(self, broker: Broker) -> None:
        """Tell `broker` of all orders until canceled. Raises AnotherLog."""
        subscription = await self._subscribe()
        try:
            await self._restore_open_orders()
            broker.restore_consumed_liquidity(self._orders.consumed_liquidity())
            for order in self._orders.orders():
                broker.add_order(order)
            self._is_caught_up = True
            logger.info("works", orders=len(self._orders), as_of=self._orders.as_of)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._consume_events(broker))
                group.create_task(self._save_checkpoints())
        finally:
            await subscription.close()

    async def _subscribe(self) -> Subscription:
        patience = Backoff(self._rng)
        while True:
            try:
                return await self._log.subscribe(
                    ORDERS_FILTER, self._on_event, lambda _: self._wake.set()
                )
            except LogError as error:
                logger.warning("cannot listen", error=str(error))
                await patience.wait()

    def _on_event(self, recorded: RecordedEvent) -> None:
        if recorded.sequence > self._orders.as_of:
            self._wake.set()

    async def _restore_open_orders(self) -> None:
        """The open orders as the log has them now, by the checkpoint and what came after it."""
        patience = Backoff(self._rng)
        while True:
            try:
                self._orders = await self._load_checkpoint()
                break
            except LogError as error:
                logger.warning("cannot recover", error=str(error))
                await patience.wait()
        while (page := await self._read_page()).events:
            for recorded in page.events:
                self._apply_event(recorded)

    async def _load_checkpoint(self) -> OpenOrders:
        bounds, data = await self._log.bounds(), await self._checkpoint_store.get(CHECKPOINT_KEY)
        if data is not None:
            try:
                orders = OpenOrders.decode(data)
            except ValueError as error:
                logger.warning("passes over the checkpoint", error=str(error))
            else:
                if orders.epoch == bounds.epoch and orders.as_of <= bounds.last:
                    return orders
        return OpenOrders(bounds.epoch)

    async def _consume_events(self, broker: Broker) -> None:
        while True:
            self._wake.clear()
            page = await self._read_page()
            for recorded in page.events:
                order = self._apply_event(recorded)
                if order is None:
                    continue
                if order.since == recorded.sequence:
                    broker.add_order(order)
                else:
                    broker.update_order(order)
            if not page.has_more:
                await self._wait_for_events()

    async def _read_page(self) -> Page:
        """What comes after the cursor, read until it can be."""
        patience = Backoff(self._rng)
        while True:
            try:
                return await self._log.page(
                    ORDERS_FILTER,
                    after=self._orders.as_of,
                    limit=CATCH_UP_PAGE_EVENTS,
                    max_bytes=CATCH_UP_PAGE_BYTES,
                )
            except LogError as error:
                logger.warning("cannot read orders", error=str(error))
                await patience.wait()

    async def _wait_for_events(self) -> None:
        """Until there is something to read, or might be."""
        try:
            async with asyncio.timeout(POLL_SECONDS * self._rng.uniform(0.5, 1.5)):
                await self._wake.wait()
        except TimeoutError:
            await self._check_same_log()

    async def _check_same_log(self) -> None:
        try:
            bounds = await self._log.bounds()
        except LogError:
            return  # the next page says so, and waits
        if bounds.epoch != self._orders.epoch or bounds.last < self._orders.as_of:
            raise LogRecreated(
                f"{bounds.epoch} ends at {bounds.last}, "
                f"{self._orders.epoch} was read up to {self._orders.as_of}"
            )

    def _apply_event(self, recorded: RecordedEvent) -> OpenOrder | None:
        try:
            return self._orders.apply(recorded)
        except (UnknownType, Undecodable) as error:
            logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
            return None

    async def _save_checkpoints(self) -> None:
        saved = 0
        while True:
            await asyncio.sleep(
                max(CHECKPOINT_SECONDS, len(self._orders) / CHECKPOINT_ORDERS_PER_SECOND)
            )
            applied = self._orders.applied_count
            if applied - saved < CHECKPOINT_EVENTS:
                continue
            try:
                await self._checkpoint_store.put(CHECKPOINT_KEY, self._orders.encode())
                saved = applied
            except LogError as error:
                logger.warning("cannot keep a checkpoint of the book", error=str(error))
