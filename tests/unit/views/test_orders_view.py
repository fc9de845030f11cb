"""The view of a user's orders: its contents, their order, and exact checkpoints."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import (
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderPlaced,
    OrderStatus,
    OrderType,
    Side,
    TradeExecuted,
)
from tapewire.views import OrdersView, View
from tapewire.views.orders import MAX_CLOSED_ORDERS

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def order(number: int, status: OrderStatus = OrderStatus.NEW, filled: str = "0") -> Order:
    return Order(
        order_id=f"o{number}",
        client_order_id=f"c{number}",
        symbol="BRK.B",
        side=Side.BUY,
        type=OrderType.LIMIT,
        qty=Decimal("1000000.000001"),
        limit_price=Decimal("0.1"),
        status=status,
        filled_qty=Decimal(filled),
        filled_avg_price=None,
        strategy_id=None,
        reason=None,
        timestamp=START,
    )


def placed(number: int) -> OrderEvent:
    return OrderPlaced(order=order(number), command_id=f"p{number}")


def accepted(number: int) -> OrderEvent:
    return OrderAccepted(order=order(number), command_id=f"a{number}")


def canceled(number: int) -> OrderEvent:
    return OrderCanceled(order=order(number, OrderStatus.CANCELED), command_id=f"x{number}")


def fold(*events: OrderEvent) -> OrdersView:
    view = OrdersView()
    for event in events:
        view.apply(event)
    return view


def order_ids(view: OrdersView) -> list[str]:
    return [one.order_id for one in view.orders()]


def test_the_view_implements_the_port() -> None:
    view: View = OrdersView()
    assert view.domain == "orders"


def test_the_order_that_changed_last_is_last() -> None:
    assert order_ids(fold(placed(1), placed(2), placed(3))) == ["o1", "o2", "o3"]
    assert order_ids(fold(placed(1), placed(2), placed(3), accepted(1))) == ["o2", "o3", "o1"]
    assert order_ids(fold(placed(1), placed(2), canceled(1), placed(3))) == ["o2", "o1", "o3"]


def test_an_order_has_its_current_state() -> None:
    view = fold(placed(1), canceled(1))
    assert view.orders() == [order(1, OrderStatus.CANCELED)]


def test_old_closed_orders_are_removed_and_open_ones_kept() -> None:
    many = range(MAX_CLOSED_ORDERS + 50)
    view = fold(*(placed(n) for n in many), *(canceled(n) for n in many if n != 7), placed(10_000))
    assert len(view.orders()) == MAX_CLOSED_ORDERS + 2
    assert order_ids(view)[0] == "o7"
    assert order_ids(view)[1] == "o50"
    assert order_ids(view)[-1] == "o10000"


def test_other_events_are_ignored() -> None:
    view = fold(placed(1))
    view.apply(
        TradeExecuted(
            trade_id="t",
            order_id="o1",
            symbol="IBM",
            side=Side.BUY,
            qty=Decimal(1),
            price=Decimal(1),
            strategy_id=None,
            timestamp=START,
        )
    )
    assert view.orders() == [order(1)]


def test_numbers_are_restored_exactly() -> None:
    again = OrdersView.decode(fold(placed(1)).encode()).orders()[0]
    assert repr(again.qty) == "Decimal('1000000.000001')"
    assert repr(again.limit_price) == "Decimal('0.1')"
    assert msgspec.json.decode(fold(placed(1)).encode())[0]["orderId"] == "o1"


def test_an_empty_view_is_restored() -> None:
    assert OrdersView.decode(OrdersView().encode()).orders() == []


@st.composite
def histories(draw: st.DrawFn) -> list[OrderEvent]:
    """Events of orders, each of which is placed, then accepted, then canceled."""
    made: list[OrderEvent] = []
    stage: dict[int, int] = {}
    for number in draw(st.lists(st.integers(0, MAX_CLOSED_ORDERS + 20), max_size=700)):
        done = stage.get(number, 0)
        if done < 3:
            made.append((placed, accepted, canceled)[done](number))
            stage[number] = done + 1
    return made


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_a_view_restored_at_any_point_continues_like_the_original(
    events: list[OrderEvent], data: st.DataObject
) -> None:
    closed_first = [canceled(n) for n in range(1000, 1000 + MAX_CLOSED_ORDERS)]
    events = [*closed_first, *events]
    point = data.draw(st.integers(0, len(events)))
    straight = fold(*events)
    resumed = OrdersView.decode(fold(*events[:point]).encode())
    for event in events[point:]:
        resumed.apply(event)
    assert resumed.orders() == straight.orders()
    assert resumed.encode() == straight.encode()
