"""Runs a broker on all users' orders, in the one process that holds the broker's lease.

A catch-up subscription reads all order events. `BrokerConsumer` folds them into the open orders
and passes each change to the broker; the broker's reports become events through `BrokerReporter`.
The open orders are checkpointed, and the next holder of the lease reads only what came later.

An order can be stored long after it was decided on: it waited in a message server that was
suspended, and its user was told that the outcome is unknown. Such an order is rejected instead of
being executed at a price that nobody has seen. Start at `BrokerRunner`.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from tapewire.events import OrderPlaced, Undecodable, UnknownType, UserErased
from tapewire.log import EventLog, LatestValueStore, RecordedEvent, pattern
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.erasures import erasure_of
from tapewire_services.orders.broker import Broker, BrokerReports
from tapewire_services.orders.domain.commands import RejectOrderCommand
from tapewire_services.orders.domain.open_orders import OpenOrder, OpenOrders

LEASE = "paper-broker"
ORDERS_FILTER = pattern(domain="orders")
CHECKPOINT_NAME = "book"
EVENTS_PER_STEP = 256
"""Events, or orders at the start, that are handled before other tasks get their turn. The lease is
renewed by one of them."""
MAX_STORING_TIME = timedelta(seconds=10)
"""How long after its time an order may be stored. More than a request waits, and than the clocks of
a service and of the message server may differ."""
LATE_ORDER_REASON = "it was stored too long after it was placed"

logger = structlog.get_logger("orders.broker")


class BrokerRunner:
    """Runs one broker at a time. `run` it while holding the lease.

    Args:
        make_broker: returns a new broker. It is called when the lease is won and when the log was
            recreated.
        max_storing_time: orders that were stored later than this after their time are rejected;
            None for a log whose clock has nothing to do with that of the orders.
    """

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        reporter: BrokerReports,
        make_broker: Callable[[], Broker],
        rng: random.Random | None = None,
        max_storing_time: timedelta | None = None,
    ) -> None:
        self.subscription = CatchUpSubscription(
            log,
            checkpoint_store,
            name=CHECKPOINT_NAME,
            filter_=ORDERS_FILTER,
            make_consumer=lambda: BrokerConsumer(make_broker(), reporter, max_storing_time),
            rng=rng,
        )

    async def run(self) -> None:
        """Work all orders until cancelled."""
        await self.subscription.run()

    def pending_count(self) -> int:
        """The number of the broker's reports that wait or are in progress. Raises Unavailable
        before the broker has received all open orders."""
        return self.subscription.consumer.pending_count


class BrokerConsumer(EventConsumer):
    """Keeps one broker informed of all orders.

    Until it has caught up, it only folds events. The broker then receives the liquidity that
    earlier brokers consumed and all open orders, and from there on every change.
    """

    def __init__(
        self,
        broker: Broker,
        reports: BrokerReports,
        max_storing_time: timedelta | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._reports = reports
        self._max_storing_time = max_storing_time
        self._clock = clock
        self._late_orders: asyncio.Queue[OpenOrder] = asyncio.Queue()
        self._open_orders = OpenOrders()
        self._is_caught_up = False

    def restore_state(self, state: bytes) -> None:
        self._open_orders = OpenOrders.decode(state)

    def serialize_state(self) -> bytes:
        return self._open_orders.encode()

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for number, recorded in enumerate(events, 1):
            if not number % EVENTS_PER_STEP:
                await asyncio.sleep(0)
            erasure = erasure_of(recorded)
            if erasure is not None:
                self._forget_user(erasure, recorded.sequence)
                continue
            order = self._apply_event(recorded)
            if order is None or not self._is_caught_up:
                continue
            if isinstance(recorded.event, OrderPlaced):
                self._add_order(order)
            elif not order.is_late:
                self._broker.update_order(order)

    async def on_caught_up(self) -> None:
        self._broker.restore_consumed_liquidity(self._open_orders.consumed_liquidity())
        self._broker.follow_positions(self._open_orders.positions)
        for number, order in enumerate(self._open_orders.orders(), 1):
            self._add_order(order)
            if not number % EVENTS_PER_STEP:
                await asyncio.sleep(0)
        self._is_caught_up = True
        logger.info("broker.started", orders=len(self._open_orders))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._broker.run(self._reports))
            tasks.create_task(self._reject_late_orders())

    @property
    def pending_count(self) -> int:
        """The number of the broker's reports that wait or are in progress."""
        return self._broker.pending_count + self._late_orders.qsize()

    def _forget_user(self, erasure: UserErased, sequence: int) -> None:
        for order in self._open_orders.forget_user(erasure, sequence):
            if self._is_caught_up and not order.is_late:
                self._broker.update_order(order)

    def _add_order(self, order: OpenOrder) -> None:
        if order.is_late:
            self._late_orders.put_nowait(order)
        else:
            self._broker.add_order(order)

    async def _reject_late_orders(self) -> None:
        while True:
            late = await self._late_orders.get()
            logger.warning("broker.late_order", order_id=late.order.order_id, user_id=late.user)
            command = RejectOrderCommand(
                id=f"{late.order.order_id}:reject",
                at=self._clock(),
                user=late.user,
                reason=LATE_ORDER_REASON,
            )
            await self._reports.report(late, command)

    def _apply_event(self, recorded: RecordedEvent) -> OpenOrder | None:
        try:
            order = self._open_orders.apply(recorded)
            if order is not None and self._is_stored_late(recorded):
                return self._open_orders.mark_late(order)
            return order
        except (UnknownType, Undecodable) as error:
            logger.error("event.skipped", sequence=recorded.sequence, error=str(error))
            return None

    def _is_stored_late(self, recorded: RecordedEvent) -> bool:
        event = recorded.event
        if self._max_storing_time is None or not isinstance(event, OrderPlaced):
            return False
        return recorded.time - event.order.timestamp > self._max_storing_time
