"""Builders for tests of orders: commands, quotes, open orders, and histories.

A test of the decider reads `given(commands).when(command).then(lines)`; `describe_event` turns an
event into such a line.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tapewire.brokers import OpenOrder
from tapewire.events import (
    AlertRaised,
    Order,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    OrderStatus,
    OrderType,
    PriceUpdated,
    Side,
    TimeInForce,
    TradeCorrected,
    TradeExecuted,
    WaitingReason,
)
from tapewire.log import NewEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    BookExecutionCommand,
    CancelOrderCommand,
    Command,
    ConfirmReplaceCommand,
    CorrectExecutionCommand,
    FailOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    PlaceOrderCommand,
    RejectCancelCommand,
    RejectOrderCommand,
    RejectReplaceCommand,
    ReplaceOrderCommand,
    RequestCancelCommand,
    TriggerOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import State, UnplacedState
from tests.harness.command_history import CommandHistory

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
    client_order_id: str = "c-1",
    symbol: str = "IBM",
    user: str = USER,
    strategy_id: str | None = None,
    stop: str | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
) -> PlaceOrderCommand:
    return PlaceOrderCommand(
        id=id,
        at=START,
        user=user,
        symbol=symbol,
        side=side,
        type=order_type(limit, stop),
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        client_order_id=client_order_id,
        strategy_id=strategy_id,
        stop_price=None if stop is None else Decimal(stop),
        time_in_force=time_in_force,
        reduce_only=reduce_only,
    )


def order_type(limit: str | None, stop: str | None) -> OrderType:
    """The type of an order with these prices."""
    if stop is None:
        return OrderType.MARKET if limit is None else OrderType.LIMIT
    return OrderType.STOP if limit is None else OrderType.STOP_LIMIT


def accept(id: str = "a") -> AcceptOrderCommand:  # noqa: A002
    return AcceptOrderCommand(id=id, at=at(1), user=USER)


def fill(
    qty: str,
    price: str = "100",
    *,
    filled_before: str = "0",
    id: str | None = None,  # noqa: A002
) -> FillOrderCommand:
    return FillOrderCommand(
        id=f"f{filled_before}" if id is None else id,
        at=at(2),
        user=USER,
        qty=Decimal(qty),
        price=Decimal(price),
        filled_before=Decimal(filled_before),
    )


def cancel(id: str = "x", reason: str = "enough") -> CancelOrderCommand:  # noqa: A002
    return CancelOrderCommand(id=id, at=at(3), user=USER, reason=reason)


def note_waiting(
    waiting: WaitingReason | None = WaitingReason.NO_OFFER,
    *,
    filled_before: str = "0",
    id: str = "w",  # noqa: A002
) -> NoteWaitingCommand:
    return NoteWaitingCommand(
        id=id, at=at(2), user=USER, waiting=waiting, filled_before=Decimal(filled_before)
    )


def reject(id: str = "r", reason: str = "too dear") -> RejectOrderCommand:  # noqa: A002
    return RejectOrderCommand(id=id, at=at(3), user=USER, reason=reason)


def fail(id: str = "e", reason: str = "venue down") -> FailOrderCommand:  # noqa: A002
    return FailOrderCommand(id=id, at=at(3), user=USER, reason=reason)


def execution(
    id: str,  # noqa: A002
    qty: str,
    price: str = "100",
    *,
    fee: str = "0",
    venue_order_id: str | None = None,
) -> BookExecutionCommand:
    """What a venue reports."""
    return BookExecutionCommand(
        id=f"execution-{id}",
        at=at(4),
        user=USER,
        execution_id=id,
        qty=Decimal(qty),
        price=Decimal(price),
        fee=Decimal(fee),
        venue_order_id=venue_order_id,
    )


def correct(
    execution_id: str | None,
    qty: str | None = None,
    price: str | None = None,
    *,
    fee: str | None = None,
    trade_id: str | None = None,
    correction_id: str | None = None,
    is_busted: bool = False,
    id: str | None = None,  # noqa: A002
) -> CorrectExecutionCommand:
    """An execution is corrected, or busted."""
    named = f"{execution_id or trade_id} {correction_id} {qty} {price} {fee} {is_busted}"
    return CorrectExecutionCommand(
        id=f"correct {named}" if id is None else id,
        at=at(5),
        user=USER,
        execution_id=execution_id,
        trade_id=trade_id,
        correction_id=correction_id,
        qty=None if qty is None else Decimal(qty),
        price=None if price is None else Decimal(price),
        fee=None if fee is None else Decimal(fee),
        is_busted=is_busted,
    )


def bust(execution_id: str, correction_id: str | None = None) -> CorrectExecutionCommand:
    """An execution never happened."""
    return correct(execution_id, correction_id=correction_id, is_busted=True)


def request_cancel(id: str = "cx") -> RequestCancelCommand:  # noqa: A002
    return RequestCancelCommand(id=id, at=at(3), user=USER)


def reject_cancel(id: str = "rx", reason: str = "too late") -> RejectCancelCommand:  # noqa: A002
    return RejectCancelCommand(id=id, at=at(3), user=USER, reason=reason)


def replace(
    qty: str | None = None,
    limit: str | None = None,
    stop: str | None = None,
    *,
    is_asked: bool = True,
    id: str = "rp",  # noqa: A002
) -> ReplaceOrderCommand:
    """Other terms; with `is_asked` the broker has to confirm them."""
    return ReplaceOrderCommand(
        id=id,
        at=at(3),
        user=USER,
        qty=None if qty is None else Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
        needs_confirmation=is_asked,
    )


def confirm_replace(id: str = "rc") -> ConfirmReplaceCommand:  # noqa: A002
    return ConfirmReplaceCommand(id=id, at=at(3), user=USER)


def reject_replace(id: str = "rr", reason: str = "no") -> RejectReplaceCommand:  # noqa: A002
    return RejectReplaceCommand(id=id, at=at(3), user=USER, reason=reason)


def trigger(id: str = "t") -> TriggerOrderCommand:  # noqa: A002
    return TriggerOrderCommand(id=id, at=at(2), user=USER)


def describe_event(new_event: NewEvent) -> str:
    """The event on one line: its domain, its kind, and the order's state or the execution."""
    event, domain = new_event.event, new_event.subject.domain
    if isinstance(event, TradeExecuted):
        return f"{domain}: trade {event.qty}@{event.price}"
    if isinstance(event, TradeCorrected):
        before = event.before
        return f"{domain}: trade {before.qty}@{before.price} is {event.qty}@{event.price}"
    if isinstance(event, AlertRaised):
        return f"{domain}: {event.level.value}"
    assert isinstance(event, OrderEvent)
    name = type(event).__name__.removeprefix("Order").lower()
    order = event.order
    line = f"{domain}: {name} {order.status.value} {order.filled_qty}/{order.qty}"
    if order.filled_avg_price is not None:
        line += f" avg {order.filled_avg_price}"
    if isinstance(event, OrderFilled):
        line += f" by {event.qty}@{event.price}"
        line += "".join(f" {one.value}" for one in event.exceptions)
    if isinstance(event, OrderExecutionCorrected):
        line += f" fees {order.fee_total}" if order.fee_total else ""
    if order.waiting is not None:
        line += f" waiting {order.waiting.value}"
    return line if order.reason is None else f"{line} ({order.reason})"


class OrderHistory(CommandHistory[State, Command]):
    decider = ORDER_DECIDER
    describe = staticmethod(describe_event)

    @property
    def order(self) -> Order:
        """The order as it is now."""
        assert not isinstance(self.state, UnplacedState)
        return self.state.order


def given(*commands: Command) -> OrderHistory:
    return OrderHistory(commands)


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
    filled_qty: str = "0",
    is_accepted: bool = True,
    stop: str | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
) -> OpenOrder:
    """An order that was placed at sequence `since`; its id is ``o{since}``."""
    return OpenOrder(
        user=USER,
        order=Order(
            order_id=f"o{since}",
            client_order_id=f"c{since}",
            symbol=symbol,
            side=side,
            type=order_type(limit, stop),
            qty=Decimal(qty),
            limit_price=None if limit is None else Decimal(limit),
            stop_price=None if stop is None else Decimal(stop),
            time_in_force=time_in_force,
            reduce_only=reduce_only,
            status=OrderStatus.NEW if filled_qty == "0" else OrderStatus.PARTIALLY_FILLED,
            filled_qty=Decimal(filled_qty),
            filled_avg_price=None,
            strategy_id=None,
            reason=None,
            timestamp=START,
        ),
        since=since,
        sequence=since,
        accepted=is_accepted,
        correlation=f"of-{since}",
    )


__all__ = [
    "START",
    "USER",
    "accept",
    "at",
    "bust",
    "cancel",
    "confirm_replace",
    "correct",
    "execution",
    "fail",
    "fill",
    "given",
    "note_waiting",
    "open_order",
    "order_id",
    "place",
    "quote",
    "reject",
    "reject_cancel",
    "reject_replace",
    "replace",
    "request_cancel",
    "trigger",
]
