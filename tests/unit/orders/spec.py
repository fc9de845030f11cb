"""How tests of orders are written: `given(events).when(command).then(events)`, and things to say.

An event is told by `said`: one short line with what matters of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.orders.commands import Accept, Cancel, Command, Fail, Fill, Place, Reject
from services.orders.domain import ORDERS, State, Unplaced, order_id
from services.orders.openorders import OpenOrder
from tapewire.events import (
    Event,
    Order,
    OrderEvent,
    OrderFilled,
    OrderStatus,
    OrderType,
    PriceUpdated,
    Side,
    TradeExecuted,
)
from tapewire.log import Happening, Refusal

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
USER = "alice"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def place(
    qty: str = "10",
    *,
    limit: str | None = None,
    id: str = "p",  # noqa: A002
    side: Side = Side.BUY,
    client: str = "c-1",
    symbol: str = "IBM",
    user: str = USER,
    strategy: str | None = None,
) -> Place:
    return Place(
        id=id,
        at=START,
        user=user,
        symbol=symbol,
        side=side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        client_order_id=client,
        strategy_id=strategy,
    )


def accept(id: str = "a") -> Accept:  # noqa: A002
    return Accept(id=id, at=at(1), user=USER)


def fill(
    qty: str,
    price: str = "100",
    *,
    before: str = "0",
    id: str | None = None,  # noqa: A002
) -> Fill:
    return Fill(
        id=f"f{before}" if id is None else id,
        at=at(2),
        user=USER,
        qty=Decimal(qty),
        price=Decimal(price),
        filled_before=Decimal(before),
    )


def cancel(id: str = "x", reason: str = "enough") -> Cancel:  # noqa: A002
    return Cancel(id=id, at=at(3), user=USER, reason=reason)


def reject(id: str = "r", reason: str = "too dear") -> Reject:  # noqa: A002
    return Reject(id=id, at=at(3), user=USER, reason=reason)


def fail(id: str = "e", reason: str = "venue down") -> Fail:  # noqa: A002
    return Fail(id=id, at=at(3), user=USER, reason=reason)


def said(happening: Happening) -> str:
    """The event in a line: where, what, and the order's state or the execution."""
    event, domain = happening.event, happening.subject.domain
    if isinstance(event, TradeExecuted):
        return f"{domain}: trade {event.qty}@{event.price}"
    assert isinstance(event, OrderEvent)
    name = type(event).__name__.removeprefix("Order").lower()
    order = event.order
    line = f"{domain}: {name} {order.status.value} {order.filled_qty}/{order.qty}"
    if order.filled_avg_price is not None:
        line += f" avg {order.filled_avg_price}"
    if isinstance(event, OrderFilled):
        line += f" by {event.qty}@{event.price}"
    return line if order.reason is None else f"{line} ({order.reason})"


class Given:
    """A history of commands, each decided on what the ones before it made."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.state: State = Unplaced()
        self.happenings: list[Happening] = []
        for command in commands:
            self.decide(command)

    def decide(self, command: Command) -> list[Happening]:
        happened = list(ORDERS.decide(self.state, command))
        for happening in happened:
            if happening.subject.domain == "orders":
                self.state = ORDERS.evolve(self.state, happening.event)
        self.happenings += happened
        return happened

    def when(self, command: Command) -> "When":
        return When(self, command)

    def events(self) -> list[Event]:
        return [happening.event for happening in self.happenings]


class When:
    def __init__(self, given_: Given, command: Command) -> None:
        self._given = given_
        self._command = command

    def then(self, *lines: str) -> Given:
        assert [said(happening) for happening in self._given.decide(self._command)] == [*lines]
        return self._given

    def then_refused(self, code: str, path: str | None = None, *, saying: str = "") -> None:
        with pytest.raises(Refusal) as refused:
            self._given.decide(self._command)
        refusal = refused.value
        assert (refusal.code, refusal.path) == (code, path)
        assert saying in refusal.message


def given(*commands: Command) -> Given:
    return Given(commands)


def quote(
    bid: str = "99",
    ask: str = "100",
    *,
    sizes: tuple[str, str] = ("1000", "1000"),
    symbol: str = "IBM",
    second: float = 0,
) -> PriceUpdated:
    return PriceUpdated(
        symbol=symbol,
        price=Decimal(ask),
        bid=Decimal(bid),
        ask=Decimal(ask),
        bid_size=Decimal(sizes[0]),
        ask_size=Decimal(sizes[1]),
        volume=Decimal(0),
        change=Decimal(0),
        change_percent=Decimal(0),
        timestamp=at(second),
    )


def open_order(
    qty: str = "10",
    *,
    since: int = 1,
    limit: str | None = None,
    side: Side = Side.BUY,
    symbol: str = "IBM",
    filled: str = "0",
    accepted: bool = True,
) -> OpenOrder:
    """An order that was placed at sequence `since`, which is also its name: ``o{since}``."""
    return OpenOrder(
        user=USER,
        order=Order(
            order_id=f"o{since}",
            client_order_id=f"c{since}",
            symbol=symbol,
            side=side,
            type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            qty=Decimal(qty),
            limit_price=None if limit is None else Decimal(limit),
            status=OrderStatus.NEW if filled == "0" else OrderStatus.PARTIALLY_FILLED,
            filled_qty=Decimal(filled),
            filled_avg_price=None,
            strategy_id=None,
            reason=None,
            timestamp=START,
        ),
        since=since,
        sequence=since,
        accepted=accepted,
        correlation=f"of-{since}",
    )


__all__ = [
    "START",
    "USER",
    "accept",
    "at",
    "cancel",
    "fail",
    "fill",
    "given",
    "open_order",
    "order_id",
    "place",
    "quote",
    "reject",
]
