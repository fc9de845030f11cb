"""What must hold of every order in the log, whatever happened while it was worked. Pure.

`broken` names every breach; `unfinished` the orders that something must still happen to.
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
from tapewire.log import Recorded
from tests.faults.plan import Asked, Fate
from tests.faults.trader import Placed


class Story(msgspec.Struct):
    """All that happened to an order, by sequence."""

    user: str = ""
    events: dict[int, OrderEvent] = {}
    trades: dict[int, TradeExecuted] = {}

    @property
    def now(self) -> Order:
        return [*self.events.values()][-1].order

    @property
    def fills(self) -> dict[int, OrderFilled]:
        return {at: told for at, told in self.events.items() if isinstance(told, OrderFilled)}


def stories(events: Iterable[Recorded]) -> dict[str, Story]:
    """The stories of all orders in the log, by order id."""
    found: dict[str, Story] = {}
    for recorded in events:
        told = recorded.event
        if isinstance(told, OrderEvent):
            story = found.setdefault(told.order.order_id, Story(recorded.place.owner, {}, {}))
            story.events[recorded.sequence] = told
        elif isinstance(told, TradeExecuted):
            story = found.setdefault(told.order_id, Story(recorded.place.owner, {}, {}))
            story.trades[recorded.sequence] = told
    return found


def unfinished(events: Sequence[Recorded], placed: Sequence[Placed]) -> list[str]:
    """Orders that are not yet as they must be in the end."""
    told = stories(events)
    return [
        f"{one.order_id} ({one.asked.fate.value})"
        for one in placed
        if one.asked.fate is not Fate.FAR and _open(told.get(one.order_id))
    ]


def _open(story: Story | None) -> bool:
    return story is None or not story.events or story.now.status.open


def broken(events: Sequence[Recorded], placed: Sequence[Placed]) -> list[str]:
    """All breaches."""
    told = stories(events)
    answered = {one.order_id: one for one in placed}
    wrong = [f"order {id_}: nobody was answered so" for id_ in told.keys() - answered.keys()]
    wrong += [f"order {one.order_id}: answered twice" for one in _repeated(placed)]
    for id_, one in answered.items():
        wrong += [f"order {id_}: {what}" for what in _breaches(one, told)]
    return wrong


def _repeated(placed: Sequence[Placed]) -> list[Placed]:
    return [*{one.order_id: one for one in reversed(placed) if placed.count(one) > 1}.values()]


def _breaches(one: Placed, told: Mapping[str, Story]) -> Iterator[str]:
    story = told.get(one.order_id)
    if story is None or not story.events:
        yield f"accepted, and not in the log: {one.asked}"
        return
    yield from _placing(one.asked, story)
    yield from _closing(story)
    yield from _filling(story)
    yield from _trading(story)
    yield from _fate(one, story)


def _placing(asked: Asked, story: Story) -> Iterator[str]:
    """In the log once, at first, as it was asked for."""
    first, *later = story.events.values()
    if not isinstance(first, OrderPlaced) or any(isinstance(told, OrderPlaced) for told in later):
        yield f"not placed once and first: {[type(told).__name__ for told in (first, *later)]}"
    if story.user != asked.user:
        yield f"of {story.user}, not {asked.user}"
    for told in story.events.values():
        order = told.order
        is_ = (order.client_order_id, order.symbol, order.side.value, order.qty, order.limit_price)
        was = (asked.client_order_id, asked.symbol, asked.side, Decimal(asked.qty), asked.limit)
        if is_ != was:
            yield f"is {is_}, and was asked for as {was}"
            return


def _closing(story: Story) -> Iterator[str]:
    """Nothing after it was filled, canceled, rejected or failed: no fill after a cancel."""
    closed: OrderEvent | None = None
    for at, told in story.events.items():
        if closed is not None:
            yield f"{type(told).__name__} at {at} after {type(closed).__name__}"
        if not told.order.status.open:
            closed = told


def _filling(story: Story) -> Iterator[str]:
    """Every event tells what is filled by then: the sum of the fills, never more than asked for
    and never worse than the limit."""
    filled = Decimal(0)
    for at, told in story.events.items():
        order = told.order
        if isinstance(told, OrderFilled):
            filled += told.qty
            if _worse(order, told.price):
                yield f"filled at {told.price} at {at}, with a limit of {order.limit_price}"
        if order.filled_qty != filled or filled > order.qty:
            yield f"says {order.filled_qty} of {order.qty} at {at}, its fills {filled}"


def _worse(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return False
    return price > order.limit_price if order.side is Side.BUY else price < order.limit_price


def _trading(story: Story) -> Iterator[str]:
    """Each fill has its trade right behind it, and there are no others."""
    fills = [(at + 1, fill.trade_id, fill.qty, fill.price) for at, fill in story.fills.items()]
    trades = [(at, trade.trade_id, trade.qty, trade.price) for at, trade in story.trades.items()]
    if fills != trades:
        yield f"has fills {fills} and trades {trades}"
    if len({trade.trade_id for trade in story.trades.values()}) != len(trades):
        yield f"has trades of the same id: {trades}"


def _fate(one: Placed, story: Story) -> Iterator[str]:
    """It ended as it had to."""
    status, asked = story.now.status, one.asked
    traded = sum((trade.qty for trade in story.trades.values()), Decimal(0))
    match asked.fate:
        case Fate.MARKET | Fate.CROSSING:
            right = status is OrderStatus.FILLED and traded == asked.qty
        case Fate.NEAR:
            right = status in (OrderStatus.FILLED, OrderStatus.CANCELED)
        case Fate.FAR:
            right = status is OrderStatus.NEW and not traded
        case Fate.LEFT:
            right = status is OrderStatus.CANCELED and not traded
    if not right:
        yield f"{asked.fate.value}, ends {status.value} with {traded} of {asked.qty} traded"
    if one.canceled == 200 and status is not OrderStatus.CANCELED:
        yield f"answered as canceled, ends {status.value}"
