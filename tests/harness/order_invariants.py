"""The invariants of every order in the log, whatever happened while it was worked. Pure.

`invariant_violations` describes every violation; `unfinished_orders` lists the orders that must
still change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from tapewire.events import (
    Order,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    Side,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tests.harness.planned_orders import ExpectedEnd, PlannedOrder
from tests.harness.trader import PlacementAnswer


class OrderHistory(msgspec.Struct):
    """All events of an order, by sequence."""

    user: str = ""
    events: dict[int, OrderEvent] = {}
    trades: dict[int, TradeExecuted] = {}

    @property
    def order(self) -> Order:
        return [*self.events.values()][-1].order

    @property
    def fills(self) -> dict[int, OrderFilled]:
        return {at: told for at, told in self.events.items() if isinstance(told, OrderFilled)}


def order_histories(events: Iterable[RecordedEvent]) -> dict[str, OrderHistory]:
    """The histories of all orders in the log, by order id."""
    found: dict[str, OrderHistory] = {}
    for recorded in events:
        told = recorded.event
        if isinstance(told, OrderEvent):
            story = found.setdefault(
                told.order.order_id, OrderHistory(recorded.event_subject.owner, {}, {})
            )
            story.events[recorded.sequence] = told
        elif isinstance(told, TradeExecuted):
            story = found.setdefault(
                told.order_id, OrderHistory(recorded.event_subject.owner, {}, {})
            )
            story.trades[recorded.sequence] = told
    return found


def unfinished_orders(
    events: Sequence[RecordedEvent], placed: Sequence[PlacementAnswer]
) -> list[str]:
    """Orders that are not yet in a final state as expected."""
    told = order_histories(events)
    return [
        f"{one.order_id} ({one.planned.expected_end.value})"
        for one in placed
        if one.planned.expected_end is not ExpectedEnd.FAR_LIMIT
        and _is_open(told.get(one.order_id))
    ]


def _is_open(history: OrderHistory | None) -> bool:
    return history is None or not history.events or history.order.status.is_open


def invariant_violations(
    events: Sequence[RecordedEvent], placed: Sequence[PlacementAnswer]
) -> list[str]:
    """All violations."""
    told = order_histories(events)
    answered = {one.order_id: one for one in placed}
    wrong = [f"order {id_}: nobody was answered so" for id_ in told.keys() - answered.keys()]
    wrong += [f"order {one.order_id}: answered twice" for one in _duplicate_answers(placed)]
    for id_, one in answered.items():
        wrong += [f"order {id_}: {what}" for what in _order_violations(one, told)]
    return wrong


def _duplicate_answers(placed: Sequence[PlacementAnswer]) -> list[PlacementAnswer]:
    return [*{one.order_id: one for one in reversed(placed) if placed.count(one) > 1}.values()]


def _order_violations(
    answer: PlacementAnswer, histories: Mapping[str, OrderHistory]
) -> Iterator[str]:
    story = histories.get(answer.order_id)
    if story is None or not story.events:
        yield f"accepted, and not in the log: {answer.planned}"
        return
    yield from _check_placed(answer.planned, story)
    yield from _check_closed(story)
    yield from _check_fills(story)
    yield from _check_trades(story)
    yield from _check_expected_end(answer, story)


def _check_placed(planned: PlannedOrder, history: OrderHistory) -> Iterator[str]:
    """The order was placed once, as its first event, with the requested values."""
    first, *later = history.events.values()
    if not isinstance(first, OrderPlaced) or any(isinstance(told, OrderPlaced) for told in later):
        yield f"not placed once and first: {[type(told).__name__ for told in (first, *later)]}"
    if history.user != planned.user:
        yield f"of {history.user}, not {planned.user}"
    for told in history.events.values():
        order = told.order
        is_ = (order.client_order_id, order.symbol, order.side.value, order.qty, order.limit_price)
        was = (
            planned.client_order_id,
            planned.symbol,
            planned.side,
            Decimal(planned.qty),
            planned.limit_price,
        )
        if is_ != was:
            yield f"is {is_}, and was asked for as {was}"
            return


def _check_closed(history: OrderHistory) -> Iterator[str]:
    """No event follows after the order was filled, canceled, rejected or failed: no fill after a
    cancel."""
    closed: OrderEvent | None = None
    for at, told in history.events.items():
        if closed is not None:
            yield f"{type(told).__name__} at {at} after {type(closed).__name__}"
        if not told.order.status.is_open:
            closed = told


def _check_fills(history: OrderHistory) -> Iterator[str]:
    """Every event carries the quantity filled so far: the sum of the fills, never more than
    requested and never at a price worse than the limit."""
    filled = Decimal(0)
    for at, told in history.events.items():
        order = told.order
        if isinstance(told, OrderFilled):
            filled += told.qty
            if _is_worse_than_limit(order, told.price):
                yield f"filled at {told.price} at {at}, with a limit of {order.limit_price}"
        if order.filled_qty != filled or filled > order.qty:
            yield f"says {order.filled_qty} of {order.qty} at {at}, its fills {filled}"


def _is_worse_than_limit(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return False
    return price > order.limit_price if order.side is Side.BUY else price < order.limit_price


def _check_trades(history: OrderHistory) -> Iterator[str]:
    """Each fill is directly followed by its trade, and there are no other trades."""
    fills = [(at + 1, fill.trade_id, fill.qty, fill.price) for at, fill in history.fills.items()]
    trades = [(at, trade.trade_id, trade.qty, trade.price) for at, trade in history.trades.items()]
    if fills != trades:
        yield f"has fills {fills} and trades {trades}"
    if len({trade.trade_id for trade in history.trades.values()}) != len(trades):
        yield f"has trades of the same id: {trades}"


def _check_expected_end(answer: PlacementAnswer, history: OrderHistory) -> Iterator[str]:
    """The order ended as expected."""
    status, asked = history.order.status, answer.planned
    traded = sum((trade.qty for trade in history.trades.values()), Decimal(0))
    match asked.expected_end:
        case ExpectedEnd.MARKET_FILL | ExpectedEnd.CROSSING_LIMIT:
            right = status is OrderStatus.FILLED and traded == asked.qty
        case ExpectedEnd.NEAR_LIMIT:
            right = status in (OrderStatus.FILLED, OrderStatus.CANCELED)
        case ExpectedEnd.FAR_LIMIT:
            right = status is OrderStatus.NEW and not traded
        case ExpectedEnd.CANCELED_LIMIT:
            right = status is OrderStatus.CANCELED and not traded
    if not right:
        yield f"{asked.expected_end.value}, ends {status.value} with {traded} of {asked.qty} traded"
    if answer.cancel_status == 200 and status is not OrderStatus.CANCELED:
        yield f"answered as canceled, ends {status.value}"
