"""The orders service on a journal in memory, with the broker under test.

`BrokerTrial` wires the parts of the service as it does itself, without NATS, so what a broker
reports becomes the events that it becomes in production. Start at `BrokerTrial.start`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from tapewire.brokers import Broker, BrokerContext, BrokerStore
from tapewire.events import (
    CODEC,
    Event,
    ExecutionUnmatched,
    Order,
    OrderAccepted,
    OrderType,
    PriceUpdated,
    Side,
    TradeExecuted,
)
from tapewire.log import LogError, new_id
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.orders import CancelOrder, GetOrder, PlaceOrder, ReplaceOrder
from tapewire.testing.orders_process import TrialProcess
from tapewire.testing.positions_process import PositionsProcess
from tapewire.testing.venue_driver import VenueDriver
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.service import OrdersService

POLL_SECONDS = 0.01
USER = "alice"


class BrokerTrial:
    """One orders service, its journal, and the venue of the broker under test.

    `positions` is the positions service beside it, which tests start that need it.

    Args:
        timeout_seconds: how long to wait for anything.
    """

    def __init__(self, venue: VenueDriver, *, timeout_seconds: float = 10.0) -> None:
        self.venue = venue
        self.health = _RecordingHealth()
        self._timeout_seconds = timeout_seconds
        self._server = MemoryServer()
        self._quote_store = MemoryLatestValueStore(self._server)
        self._log = MemoryEventLog(self._server)
        self.positions = PositionsProcess(self._server, timeout_seconds)
        self._process: TrialProcess | None = None

    async def start(self) -> None:
        """Start the venue and the service."""
        await self.venue.start()
        await self.publish_quote(bid=Decimal(99), ask=Decimal(100), size=Decimal(0))
        await self.start_service()

    async def stop(self) -> None:
        """Stop the service and the venue."""
        try:
            await self.stop_service()
        finally:
            await self.positions.stop()
            await self.venue.stop()

    async def start_service(self) -> None:
        """Start a process of the service, which makes a broker."""
        self._process = TrialProcess(self._server, self.make_broker, self.health)
        await self._process.start()

    async def stop_service(self) -> None:
        """End the process at whatever it is doing. Raises AssertionError if the broker has failed,
        or goes on."""
        process, self._process = self._process, None
        if process is not None:
            await process.stop(self._timeout_seconds)
        assert not self.health.failures, self.health.failures

    async def stop_broker(self) -> None:
        """End the broker; the service still takes orders. Raises AssertionError as `stop_service`
        does."""
        await self._running().stop_broker(self._timeout_seconds)

    def make_broker(self, open_orders: OpenOrders) -> Broker:
        """A new broker, with what the service gives to it."""
        logger = structlog.get_logger("broker")
        store = MemoryLatestValueStore(self._server, stream="VIEWS", prefix="view")
        return self.venue.make_broker(
            BrokerContext(
                name="trial",
                environment=self.venue.environment,
                store=BrokerStore(store, "trial", logger),
                logger=logger,
                clock=_now,
                set_problem=self.health.set_problem,
            )
        )

    @property
    def service(self) -> OrdersService:
        """The service, which must be started."""
        return self._running().service

    @property
    def quote_cache(self) -> QuoteCache:
        """The quotes that the service follows; it must be started."""
        return self._running().quote_cache

    @property
    def confirms_at_once(self) -> bool:
        """Whether the broker confirms at once."""
        return self._running().confirms_at_once

    async def place(
        self,
        qty: str = "10",
        *,
        limit: str | None = "100",
        side: Side = Side.BUY,
        user: str = USER,
        client_order_id: str | None = None,
        reduce_only: bool = False,
    ) -> str:
        """Place an order. Returns its id."""
        request = PlaceOrder(
            user_id=user,
            symbol=self.venue.symbol,
            side=side,
            type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            qty=Decimal(qty),
            limit_price=None if limit is None else Decimal(limit),
            client_order_id=client_order_id,
            reduce_only=reduce_only,
        )
        return (await self.service.place(request, _request_context())).order.order_id

    async def request_cancel(self, order_id: str) -> Order:
        """Ask for the cancellation, as the user does."""
        request = CancelOrder(user_id=USER, order_id=order_id)
        return (await self.service.cancel(request, _request_context())).order

    async def request_replace(
        self, order_id: str, *, qty: str | None = None, limit: str | None = None
    ) -> Order:
        """Ask for other terms, as the user does."""
        request = ReplaceOrder(
            user_id=USER,
            order_id=order_id,
            qty=None if qty is None else Decimal(qty),
            limit_price=None if limit is None else Decimal(limit),
        )
        return (await self.service.replace(request, _request_context())).order

    async def order(self, order_id: str, user: str = USER) -> Order:
        """The order as the journal has it."""
        request = GetOrder(user_id=user, order_id=order_id)
        while True:
            with contextlib.suppress(LogError):
                return (await self.service.get(request, _request_context())).order
            await asyncio.sleep(POLL_SECONDS)

    async def wait_for_order(
        self, order_id: str, condition: Callable[[Order], bool], expected: str, user: str = USER
    ) -> Order:
        """Wait until `condition` holds for the order. Raises AssertionError after the timeout, with
        what was `expected` and the order."""
        order = await self.order(order_id, user)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_seconds):
                while not condition(order):
                    await asyncio.sleep(POLL_SECONDS)
                    order = await self.order(order_id, user)
        assert condition(order), f"the order never was {expected}: {order}"
        return order

    async def wait_for_status(self, order_id: str, status: str, filled: str = "0") -> Order:
        """Wait until the order has this status and this many shares are filled."""
        return await self.wait_for_order(
            order_id,
            lambda order: (order.status.value, order.filled_qty) == (status, Decimal(filled)),
            f"{status} with {filled} filled",
        )

    async def wait_until_sent(self, order_id: str) -> None:
        """Wait until the venue has the order."""
        async with asyncio.timeout(self._timeout_seconds):
            while not await self.venue.find_orders(order_id):
                await asyncio.sleep(POLL_SECONDS)

    async def wait_until_accepted(self, order_id: str) -> None:
        """Wait until a broker has accepted the order."""
        async with asyncio.timeout(self._timeout_seconds):
            while not any(
                isinstance(one, OrderAccepted) and one.order.order_id == order_id
                for one in await self.events()
            ):
                await asyncio.sleep(POLL_SECONDS)

    async def wait_for_unmatched_execution(self) -> ExecutionUnmatched:
        """Wait until an execution is kept that fits no order."""
        async with asyncio.timeout(self._timeout_seconds):
            while True:
                for one in await self.events():
                    if isinstance(one, ExecutionUnmatched):
                        return one
                await asyncio.sleep(POLL_SECONDS)

    async def events(self) -> list[Event]:
        """All events of the journal."""
        while True:
            with contextlib.suppress(LogError):
                page = await self._log.page("ev.>", after=0, limit=100_000)
                return [one.event for one in page.events]
            await asyncio.sleep(POLL_SECONDS)

    async def trades(self, order_id: str) -> list[TradeExecuted]:
        """The trades of one order."""
        return [
            one
            for one in await self.events()
            if isinstance(one, TradeExecuted) and one.order_id == order_id
        ]

    async def publish_quote(self, *, bid: Decimal, ask: Decimal, size: Decimal) -> None:
        """Publish a quote of the venue's symbol."""
        zero = Decimal(0)
        quote = PriceUpdated(
            symbol=self.venue.symbol,
            price=ask,
            bid=bid,
            ask=ask,
            bid_size=size,
            ask_size=size,
            volume=zero,
            change=zero,
            change_percent=zero,
            timestamp=_now(),
        )
        await self._quote_store.put(quote.symbol, CODEC.encode(quote))

    def lose_journal(self, seconds: float) -> None:
        """The message server is away for `seconds`."""
        self._server.begin_outage(seconds)

    def _running(self) -> TrialProcess:
        if self._process is None:
            raise RuntimeError("the service does not run")
        return self._process


class _RecordingHealth(BrokerHealth):
    """Keeps why brokers failed."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    def set_failure(self, reason: str | None) -> None:
        super().set_failure(reason)
        if reason is not None:
            self.failures.append(reason)


def _now() -> datetime:
    return datetime.now(UTC)


def _request_context() -> RequestContext:
    return RequestContext(correlation=new_id(), command_id=new_id(), traceparent=None)
