"""Publishes quotes and appends events for tests, directly through NATS."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tapewire.events import (
    CODEC,
    Event,
    IdempotencyKeyUsed,
    Order,
    OrderAccepted,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderStatus,
    OrderType,
    PriceUpdated,
    Side,
    TradeExecuted,
)
from tapewire.log import (
    EventDraft,
    EventMetadata,
    EventSubject,
    RecordedEvent,
    encode_token,
    new_id,
    pattern,
)
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    journal_admin,
    provision,
)
from tapewire.log.jetstream.streams import MARKET, VIEWS
from tapewire.log.view_checkpoints import load, save
from tapewire.runtime.contracts import orders
from tapewire.runtime.contracts.progress import PROGRESS, GetProgress, Progress
from tapewire.runtime.requests import RequestClient, RequestTimeout
from tapewire.views import OrdersView
from tests.harness.recorded_log import read_events
from tests.harness.waiting import wait_until_async


class QuoteDriver:
    """Publishes quotes to the stream MARKET."""

    def __init__(self, connection: NatsConnection) -> None:
        self._requests = RequestClient(connection)
        self._values = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="px", live_prefix="live.px"
        )

    async def publish(self, symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
        """Publish a quote, one dollar wide by default; return once it is stored."""
        made = make_quote(symbol, ask, **fields)
        await self._values.put(encode_token(symbol), CODEC.encode(made))
        return made

    async def list_symbol(self, symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
        """Publish the first quote of a symbol; return once the orders service has received it.

        A stored quote is not enough: a busy orders service may still reject an order of the symbol
        as unknown.
        """
        made = await self.publish(symbol, ask, **fields)
        await self.wait_until_tradable(symbol)
        return made

    async def wait_until_tradable(self, symbol: str) -> None:
        """Wait until the orders service has a fresh quote of `symbol`."""
        progress: Progress | RequestTimeout | None = None

        async def has_quote() -> bool:
            nonlocal progress
            try:
                progress = await self._requests.request(
                    orders.SERVICE, PROGRESS, GetProgress(), Progress, correlation="c-test"
                )
            except RequestTimeout as error:  # nobody has the broker's lease yet
                progress = error
                return False
            return symbol in progress.quotes

        await wait_until_async(
            f"the orders service has a quote of {symbol}", has_quote, describe_last=lambda: progress
        )

    async def publish_without_ack(
        self, symbol: str, ask: object = "100", **fields: Any
    ) -> PriceUpdated:
        """Publish a quote without waiting for the acknowledgement."""
        made = make_quote(symbol, ask, **fields)
        await self._values.put_unacknowledged(encode_token(symbol), CODEC.encode(made))
        return made


def make_quote(symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
    price = Decimal(str(ask))
    values = {
        "price": price,
        "bid": price - 1,
        "ask": price,
        "bid_size": Decimal(1000),
        "ask_size": Decimal(1000),
        "volume": Decimal(10),
        "change": Decimal("0.5"),
        "change_percent": Decimal("0.25"),
        "timestamp": datetime.now(UTC),
    }
    return PriceUpdated(symbol=symbol, **{**values, **fields})


class EventLogDriver:
    """Appends to the stream EVENTS. `on_append` receives the sequence of each appended event."""

    def __init__(
        self, connection: NatsConnection, on_append: Callable[[int], None] = lambda _: None
    ) -> None:
        self.connection = connection
        self.log = JetStreamEventLog(connection)
        self._on_append = on_append

    async def append(
        self, user: str, *events: Event, domain: str = "orders", correlation: str = "c-test"
    ) -> int:
        """Append each of `events`; return the sequence of the last one."""
        last = 0
        for event in events:
            entity = getattr(event, "order", None)
            subject = EventSubject(user, domain, entity.order_id if entity else "1")
            meta = EventMetadata(id=new_id(), correlation=correlation)
            last = await self.append_one(subject, event, meta)
        return last

    async def append_one(self, subject: EventSubject, event: Event, meta: EventMetadata) -> int:
        """Append an event; return its sequence."""
        last = await self.log.append([EventDraft(subject=subject, event=event, metadata=meta)])
        self._on_append(last)
        return last

    async def append_event(self, owner: str, domain: str, entity: str, event: Event) -> int:
        """Append an event of any domain; return its sequence."""
        metadata = EventMetadata(id=new_id(), correlation="c-test")
        return await self.append_one(EventSubject(owner, domain, entity), event, metadata)

    async def read(self, filter_: str = "ev.>", after: int = 0) -> list[RecordedEvent]:
        """All events that match `filter_`, read page by page."""
        return await read_events(self.log, filter_, after)

    async def read_user(self, user: str, after: int = 0) -> list[RecordedEvent]:
        return await self.read(pattern(owner=user), after)

    async def epoch(self) -> str:
        return (await self.log.bounds()).epoch

    async def recreate_stream(self) -> None:
        """Delete and recreate the stream, which gives another epoch that starts at 1. The server
        deletes a stream's files after its answer, so the new stream may find the messages of the
        old one; then repeat."""
        self._on_append(0)
        while True:
            await self.connection.request("$JS.API.STREAM.DELETE.EVENTS")
            await provision(self.connection)
            if not (await self.log.bounds()).last:
                return

    async def purge_through(self, sequence: int) -> None:
        """Trim the log up to and including `sequence`, as an archive does: recorded first, since
        services hold when events are removed without a record."""
        await journal_admin.record_removal(self.connection, first=sequence + 1, removed=0)
        await self.connection.request("$JS.API.STREAM.PURGE.EVENTS", b'{"seq":%d}' % (sequence + 1))

    async def save_orders_checkpoint(self, user: str) -> None:
        """Save a checkpoint, as the orders service does about once a second. For a trimmed log this
        is the only snapshot of the removed events."""
        values = JetStreamLatestValueStore(self.connection, stream=VIEWS, prefix="view")
        view, bounds = await load(self.log, values, OrdersView, user)
        await save(values, user, OrdersView.domain, view, bounds)


def make_order(order_id: str = "o-1", **fields: Any) -> Order:
    values = {
        "client_order_id": f"c-{order_id}",
        "symbol": "IBM",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "qty": Decimal(10),
        "limit_price": Decimal("12.30"),
        "status": OrderStatus.NEW,
        "filled_qty": Decimal(0),
        "filled_avg_price": None,
        "strategy_id": None,
        "reason": None,
        "timestamp": datetime.now(UTC),
    }
    return Order(order_id=order_id, **{**values, **fields})


def order_placed(order_id: str = "o-1", **fields: Any) -> OrderPlaced:
    return OrderPlaced(order=make_order(order_id, **fields), command_id=new_id())


def order_accepted(order_id: str = "o-1", **fields: Any) -> OrderAccepted:
    return OrderAccepted(order=make_order(order_id, **fields), command_id=new_id())


def orders_placed(count: int, prefix: str = "o", **fields: Any) -> Sequence[OrderPlaced]:
    return [order_placed(f"{prefix}-{number}", **fields) for number in range(count)]


def hidden_event() -> IdempotencyKeyUsed:
    """An event that no stream shows, whatever its domain."""
    return IdempotencyKeyUsed(command_id="c", digest="0" * 64)


def order_rejected(order_id: str = "o-1", **fields: Any) -> OrderRejected:
    values = {"status": OrderStatus.REJECTED, **fields}
    return OrderRejected(order=make_order(order_id, **values), command_id=new_id())


def order_filled(order_id: str, qty: str, price: str, **fields: Any) -> OrderFilled:
    """A first, partial fill of the order."""
    values = {
        "status": OrderStatus.PARTIALLY_FILLED,
        "filled_qty": Decimal(qty),
        "filled_avg_price": Decimal(price),
        **fields,
    }
    return OrderFilled(
        order=make_order(order_id, **values),
        command_id=new_id(),
        trade_id=f"{order_id}-1",
        qty=Decimal(qty),
        price=Decimal(price),
    )


def trade_executed(order_id: str, qty: str, price: str) -> TradeExecuted:
    return TradeExecuted(
        trade_id=f"{order_id}-1",
        order_id=order_id,
        symbol="IBM",
        side=Side.BUY,
        qty=Decimal(qty),
        price=Decimal(price),
        strategy_id=None,
        timestamp=datetime.now(UTC),
    )
