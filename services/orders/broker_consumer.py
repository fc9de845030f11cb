"""Keeps one broker informed of all orders: see `BrokerRunner`.

Start at `BrokerConsumer`.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from tapewire.brokers import BadSetting, Broker, OpenOrder
from tapewire.events import OrderPlaced, SplitExecuted, Undecodable, UnknownType, UserErased
from tapewire.log import RecordedEvent, Unavailable
from tapewire.log.backoff import Backoff
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire.log.erasures import erasure_of
from tapewire.log.splits import split_of
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_task import EndProcess, run_until_failed
from tapewire_services.orders.domain.open_orders import OpenOrders

EVENTS_PER_STEP = 256
"""Events, or orders at the start, that are handled before other tasks get their turn. The lease is
renewed by one of them."""
LATE_ORDER_REASON = "it was stored too long after it was placed"
MAX_CONCURRENT_SPLITS = 32
"""Orders that get the terms of a split at the same time."""
STABLE_SECONDS = 10.0
"""How long a broker must run until the failure of the one before it is forgotten."""

logger = structlog.get_logger("orders.broker")

BrokerMaker = Callable[[OpenOrders], Broker]
"""Makes a broker; the argument has what earlier brokers left. Raises BadSetting."""


class BrokerConsumer(EventConsumer):
    """Keeps one broker informed of all orders.

    Until it has caught up, it only folds events. The broker is then made and receives all open
    orders, and from there on every change.
    """

    def __init__(
        self,
        make_broker: BrokerMaker,
        reports: BrokerReporter,
        max_storing_time: timedelta | None,
        health: BrokerHealth,
        rng: random.Random,
        end_process: EndProcess,
    ) -> None:
        self._make_broker = make_broker
        self._end_process = end_process
        self._reports = reports
        self._max_storing_time = max_storing_time
        self._health = health
        self._rng = rng
        self._late_orders: asyncio.Queue[OpenOrder] = asyncio.Queue()
        self._unsplit_orders: asyncio.Queue[OpenOrder] = asyncio.Queue()
        self._withheld: set[str] = set()
        """Orders that the broker has not received, because a split has to change them first."""
        self._open_orders = OpenOrders()
        self._caught_up = asyncio.Event()
        self._broker: Broker | None = None
        self._lock = asyncio.Lock()
        """Held while events are folded, and while a broker receives the open orders."""
        self._failures: asyncio.Queue[Exception] = asyncio.Queue()
        """What the broker raised instead of taking over an order."""

    def restore_state(self, state: bytes) -> None:
        self._open_orders = OpenOrders.decode(state)

    def serialize_state(self) -> bytes:
        return self._open_orders.encode()

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        async with self._lock:
            for number, recorded in enumerate(events, 1):
                if not number % EVENTS_PER_STEP:
                    await asyncio.sleep(0)
                self._handle_event(recorded)

    async def on_caught_up(self) -> None:
        for order in self._open_orders.orders():
            if _is_too_late(order):
                self._late_orders.put_nowait(order)
        for order in self._open_orders.unsplit_orders():
            self._unsplit_orders.put_nowait(order)
        self._caught_up.set()

    async def run(self) -> None:
        await self._caught_up.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_brokers())
            tasks.create_task(self._reject_late_orders())
            for _ in range(MAX_CONCURRENT_SPLITS):
                tasks.create_task(self._split_orders())

    @property
    def broker(self) -> Broker:
        """The broker that runs. Raises Unavailable while there is none."""
        if self._broker is None:
            raise Unavailable("the broker does not run")
        return self._broker

    def unsplit_count(self, symbol: str) -> int:
        """How many open orders have not the terms of the symbol's last split yet."""
        return len(self._open_orders.unsplit_orders(symbol))

    @property
    def pending_count(self) -> int:
        """The number of the broker's reports that wait or are in progress. Raises Unavailable
        while there is no broker."""
        waiting = self._late_orders.qsize() + len(self._open_orders.unsplit_orders())
        return self.broker.pending_count + waiting

    async def _run_brokers(self) -> None:
        """Run one broker after the other: each runs until it fails."""
        backoff, clock = Backoff(self._rng), asyncio.get_running_loop().time
        while True:
            started_at = clock()
            self._failures = asyncio.Queue()
            try:
                error = await run_until_failed(
                    self._run_broker(), self._watch(self._failures), self._end_process
                )
            finally:
                self._broker = None
            if isinstance(error, BadSetting):
                raise error
            if clock() - started_at >= STABLE_SECONDS:
                backoff.reset()
            reason = f"{type(error).__name__}: {error}"
            logger.error("broker.failed", reason=reason, exc_info=error)
            self._health.clear()
            self._health.set_failure(reason)
            await backoff.wait()
            # Without what the failed broker had proposed.
            self._open_orders = OpenOrders.decode(self._open_orders.encode())

    async def _run_broker(self) -> None:
        async with self._lock:
            broker = self._make_broker(self._open_orders)
            self._withheld = {one.order.order_id for one in self._open_orders.unsplit_orders()}
            for number, order in enumerate(self._open_orders.orders(), 1):
                if not _is_too_late(order) and order.order.order_id not in self._withheld:
                    broker.add_order(order)
                if not number % EVENTS_PER_STEP:
                    await asyncio.sleep(0)
            self._broker = broker
        logger.info("broker.started", orders=len(self._open_orders))
        await broker.run(self._reports)

    async def _watch(self, failures: asyncio.Queue[Exception]) -> None:
        """Forget the failure of the last broker after a while; raise that of this one."""
        try:
            async with asyncio.timeout(STABLE_SECONDS):
                raise await failures.get()
        except TimeoutError:
            self._health.set_failure(None)
        raise await failures.get()

    def _handle_event(self, recorded: RecordedEvent) -> None:
        erasure = erasure_of(recorded)
        if erasure is not None:
            self._forget_user(erasure)
            return
        order = self._apply_event(recorded)
        split = split_of(recorded)
        if split is not None and self._caught_up.is_set():
            self._begin_split(split)
        if order is None or not self._caught_up.is_set():
            return
        if _is_too_late(order):
            if isinstance(recorded.event, OrderPlaced):
                self._late_orders.put_nowait(order)
        elif isinstance(recorded.event, OrderPlaced):
            if self._open_orders.find_split(order.order) is None:
                self._pass_on(order, is_new=True)
            else:
                self._withheld.add(order.order.order_id)
                self._unsplit_orders.put_nowait(order)
        else:
            self._pass_on_change(order)

    def _begin_split(self, split: SplitExecuted) -> None:
        logger.info("broker.split_began", symbol=split.symbol, split_id=split.split_id)
        if self._broker is not None:
            try:
                self._broker.symbol_split(split)
            except Exception as error:  # whatever another package may raise
                self._failures.put_nowait(error)
                self._broker = None
        for order in self._open_orders.unsplit_orders(split.symbol):
            self._unsplit_orders.put_nowait(order)

    def _pass_on_change(self, order: OpenOrder) -> None:
        """Hand a changed order to the broker, a withheld one as soon as it has its new terms."""
        if order.order.order_id not in self._withheld:
            self._pass_on(order)
        elif not order.order.status.is_open:
            self._withheld.discard(order.order.order_id)
        elif self._open_orders.find_split(order.order) is None:
            self._withheld.discard(order.order.order_id)
            self._pass_on(order, is_new=True)

    async def _split_orders(self) -> None:
        """Give open orders the terms of the new shares, each in its own event."""
        while True:
            order = await self._unsplit_orders.get()
            split = self._open_orders.find_split(order.order)
            if split is not None:
                await self._reports.split_order(order, split)

    def _forget_user(self, erasure: UserErased) -> None:
        for order in self._open_orders.forget_user(erasure):
            if not _is_too_late(order):
                self._pass_on_change(order)

    def _pass_on(self, order: OpenOrder, *, is_new: bool = False) -> None:
        """Hand the order to the broker; one that is made later receives it then."""
        if self._broker is None:
            return
        try:
            if is_new:
                self._broker.add_order(order)
            else:
                self._broker.update_order(order)
        except Exception as error:  # whatever another package may raise
            self._failures.put_nowait(error)
            self._broker = None

    async def _reject_late_orders(self) -> None:
        while True:
            late = await self._late_orders.get()
            logger.warning("broker.late_order", order_id=late.order.order_id, user_id=late.user)
            await self._reports.rejected(late, LATE_ORDER_REASON)

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


def _is_too_late(order: OpenOrder) -> bool:
    """Whether the order must not be worked. One that a broker has accepted is worked on."""
    return order.is_late and not order.accepted
