"""What tests say happened: quotes in the market, events in the log, straight into NATS."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tapewire.events import (
    CODEC,
    Event,
    NotificationsRead,
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
from tapewire.log import Draft, Meta, Recorded, Subject, new_id, pattern, token
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, Wire, provision
from tapewire.log.jetstream.streams import MARKET, VIEWS
from tapewire.log.views import load, save
from tapewire.views import OrdersView


class Market:
    """MARKET: newest-wins quotes."""

    def __init__(self, wire: Wire) -> None:
        self._values = JetStreamValues(wire, stream=MARKET, prefix="px", live="live.px")

    async def quote(self, symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
        """Publish a quote, a dollar wide unless told otherwise; returns when it is stored."""
        made = quote(symbol, ask, **fields)
        await self._values.put(token(symbol), CODEC.encode(made))
        return made

    async def post(self, symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
        """The same without waiting."""
        made = quote(symbol, ask, **fields)
        await self._values.post(token(symbol), CODEC.encode(made))
        return made


def quote(symbol: str, ask: object = "100", **fields: Any) -> PriceUpdated:
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


class Journal:
    """EVENTS. `note` is told the sequence of what was appended last."""

    def __init__(self, wire: Wire, note: Callable[[int], None] = lambda _: None) -> None:
        self.wire = wire
        self.log = JetStreamLog(wire)
        self._note = note

    async def append(
        self, user: str, *events: Event, domain: str = "orders", correlation: str = "c-test"
    ) -> int:
        """Append each of `events`; the sequence of the last one."""
        last = 0
        for event in events:
            entity = getattr(event, "order", None)
            subject = Subject(user, domain, entity.order_id if entity else "1")
            meta = Meta(id=new_id(), correlation=correlation)
            last = await self.put(subject, event, meta)
        return last

    async def put(self, subject: Subject, event: Event, meta: Meta) -> int:
        """Append an event; its sequence."""
        last = await self.log.append([Draft(subject=subject, event=event, meta=meta)])
        self._note(last)
        return last

    async def read(self, filter_: str = "ev.>", after: int = 0) -> list[Recorded]:
        """All that `filter_` takes, page by page."""
        events: list[Recorded] = []
        while True:
            page = await self.log.page(filter_, after=after)
            events += page.events
            if not page.more:
                return events
            after = events[-1].sequence

    async def of(self, user: str, after: int = 0) -> list[Recorded]:
        return await self.read(pattern(owner=user), after)

    async def epoch(self) -> str:
        return (await self.log.bounds()).epoch

    async def recreate(self) -> None:
        """Delete the stream and make it anew: another epoch, from 1. The server deletes a stream's
        files after it answered, so that the new one may find the messages of the old one: then
        once more."""
        self._note(0)
        while True:
            await self.wire.request("$JS.API.STREAM.DELETE.EVENTS")
            await provision(self.wire)
            if not (await self.log.bounds()).last:
                return

    async def purge(self, upto: int) -> None:
        """Trim the log up to and including `upto`."""
        await self.wire.request("$JS.API.STREAM.PURGE.EVENTS", b'{"seq":%d}' % (upto + 1))

    async def checkpoint(self, user: str) -> None:
        """What the orders service does about once a second: a trimmed log has no other snapshot
        of what it forgot."""
        values = JetStreamValues(self.wire, stream=VIEWS, prefix="view")
        view, bounds = await load(self.log, values, OrdersView, user)
        await save(values, user, OrdersView.domain, view, bounds)


def order(order_id: str = "o-1", **fields: Any) -> Order:
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


def placed(order_id: str = "o-1", **fields: Any) -> OrderPlaced:
    return OrderPlaced(order=order(order_id, **fields), command_id=new_id())


def accepted(order_id: str = "o-1", **fields: Any) -> OrderAccepted:
    return OrderAccepted(order=order(order_id, **fields), command_id=new_id())


def many(count: int, prefix: str = "o", **fields: Any) -> Sequence[OrderPlaced]:
    return [placed(f"{prefix}-{number}", **fields) for number in range(count)]


def elsewhere() -> NotificationsRead:
    """An event that trading streams do not show, whatever its domain."""
    return NotificationsRead(ids=None, timestamp=datetime.now(UTC), command_id="c")


def rejected(order_id: str = "o-1", **fields: Any) -> OrderRejected:
    values = {"status": OrderStatus.REJECTED, **fields}
    return OrderRejected(order=order(order_id, **values), command_id=new_id())


def filled(order_id: str, qty: str, price: str, **fields: Any) -> OrderFilled:
    """A first fill of part of the order."""
    values = {
        "status": OrderStatus.PARTIALLY_FILLED,
        "filled_qty": Decimal(qty),
        "filled_avg_price": Decimal(price),
        **fields,
    }
    return OrderFilled(
        order=order(order_id, **values),
        command_id=new_id(),
        trade_id=f"{order_id}-1",
        qty=Decimal(qty),
        price=Decimal(price),
    )


def traded(order_id: str, qty: str, price: str) -> TradeExecuted:
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
