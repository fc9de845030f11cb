"""Checks the orders in the log of a trial: against what was requested and answered, and as
`tapewire verify` does.

`find_order_violations` describes every violation; `unfinished_orders` lists the orders that must
still change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from tapewire.events import (
    Order,
    OrderEvent,
    OrderStatus,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire_services.orders.broker_consumer import LATE_ORDER_REASON
from tests.harness.planned_orders import ExpectedEnd, PlannedOrder
from tests.harness.trader import PlacementAnswer
from tests.harness.verification import find_recorded_differences


class RecordedOrder(msgspec.Struct):
    """All events of an order, by sequence."""

    user: str = ""
    events: dict[int, OrderEvent] = {}
    trades: dict[int, TradeExecuted] = {}

    @property
    def order(self) -> Order:
        return [*self.events.values()][-1].order


def recorded_orders(events: Iterable[RecordedEvent]) -> dict[str, RecordedOrder]:
    """All orders in the log, by order id."""
    found: dict[str, RecordedOrder] = {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, OrderEvent):
            order = _find_or_add(found, event.order.order_id, recorded)
            order.events[recorded.sequence] = event
        elif isinstance(event, TradeExecuted):
            _find_or_add(found, event.order_id, recorded).trades[recorded.sequence] = event
    return found


def _find_or_add(
    orders: dict[str, RecordedOrder], order_id: str, recorded: RecordedEvent
) -> RecordedOrder:
    return orders.setdefault(order_id, RecordedOrder(recorded.event_subject.owner, {}, {}))


def unfinished_orders(
    events: Sequence[RecordedEvent], placed: Sequence[PlacementAnswer]
) -> list[str]:
    """Orders that are not yet in a final state as expected."""
    orders = recorded_orders(events)
    return [
        f"{one.order_id} ({one.planned.expected_end.value})"
        for one in placed
        if one.planned.expected_end is not ExpectedEnd.FAR_LIMIT
        and _is_open(orders.get(one.order_id))
    ]


def _is_open(order: RecordedOrder | None) -> bool:
    return order is None or not order.events or order.order.status.is_open


def find_order_violations(
    events: Sequence[RecordedEvent], placed: Sequence[PlacementAnswer]
) -> list[str]:
    """All violations. `events` holds the whole log from sequence 1."""
    orders = recorded_orders(events)
    answered = {one.order_id: one for one in placed}
    wrong = find_recorded_differences(events)
    wrong += [f"order {id_}: no client received this id" for id_ in orders.keys() - answered.keys()]
    wrong += [f"order {one.order_id}: answered twice" for one in _duplicate_answers(placed)]
    for id_, one in answered.items():
        wrong += [f"order {id_}: {what}" for what in _order_violations(one, orders)]
    return wrong


def _duplicate_answers(placed: Sequence[PlacementAnswer]) -> list[PlacementAnswer]:
    return [*{one.order_id: one for one in reversed(placed) if placed.count(one) > 1}.values()]


def _order_violations(
    answer: PlacementAnswer, orders: Mapping[str, RecordedOrder]
) -> Iterator[str]:
    recorded = orders.get(answer.order_id)
    if recorded is None or not recorded.events:
        yield f"accepted, and not in the log: {answer.planned}"
        return
    yield from _check_request(answer.planned, recorded)
    yield from _check_expected_end(answer, recorded)


def _check_request(planned: PlannedOrder, recorded: RecordedOrder) -> Iterator[str]:
    """The order has the requested values."""
    if recorded.user != planned.user:
        yield f"of {recorded.user}, not {planned.user}"
    for event in recorded.events.values():
        order = event.order
        is_ = (order.client_order_id, order.symbol, order.side.value, order.qty, order.limit_price)
        was = (
            planned.client_order_id,
            planned.symbol,
            planned.side,
            Decimal(planned.qty),
            planned.limit_price,
        )
        if is_ != was:
            yield f"is {is_}, but {was} was requested"
            return


def _check_expected_end(answer: PlacementAnswer, recorded: RecordedOrder) -> Iterator[str]:
    """The order ended as expected."""
    status, planned = recorded.order.status, answer.planned
    traded = sum((trade.qty for trade in recorded.trades.values()), Decimal(0))
    match planned.expected_end:
        case ExpectedEnd.MARKET_FILL | ExpectedEnd.CROSSING_LIMIT:
            right = status is OrderStatus.FILLED and traded == planned.qty
        case ExpectedEnd.NEAR_LIMIT:
            right = status in (OrderStatus.FILLED, OrderStatus.CANCELED)
        case ExpectedEnd.FAR_LIMIT:
            right = status is OrderStatus.NEW and not traded
        case ExpectedEnd.CANCELED_LIMIT:
            right = status is OrderStatus.CANCELED and not traded
    # The message server was away for longer than an order may wait for it.
    is_late = status is OrderStatus.REJECTED and recorded.order.reason == LATE_ORDER_REASON
    if not right and not (is_late and not traded):
        end = f"{status.value} with {traded} of {planned.qty} traded"
        yield f"{planned.expected_end.value}, ends {end}"
    if answer.cancel_status == 200 and status is not OrderStatus.CANCELED:
        yield f"answered as canceled, ends {status.value}"
