"""Checks that the users' orders kept their terms: stop prices, limits, time in force, reduce-only.

What should happen follows from the recording, the plan and the order's own events. Start at
`find_wrong_terms`, which checks each manual order by itself; `find_wrong_reductions` needs the
positions as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from tapewire.events import (
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    OrderReplaced,
    OrderTriggered,
    Side,
    TimeInForce,
)
from tapewire_services.orders.domain.proposals import DAY_IS_OVER
from tests.day.manual_trading import RACE_REASON
from tests.day.recorded_quotes import ExpectedQuote
from tests.day.reference_model import DayRecord


class OrderStep(NamedTuple):
    """An event of an order, and the step it belongs to."""

    step: int
    event: OrderEvent


QuotesAfterStep = Sequence[dict[str, ExpectedQuote]]


def find_wrong_terms(day: DayRecord) -> list[str]:
    """Find manual orders that did what their terms do not allow."""
    history: defaultdict[str, list[OrderStep]] = defaultdict(list)
    for recorded in day.events:
        event = recorded.event
        if isinstance(event, OrderEvent) and event.order.strategy_id is None:
            history[event.order.order_id].append(OrderStep(day.step_of(recorded), event))
    planned = {
        (one.place_order.user_id, one.place_order.client_order_id): one.place_order
        for step in day.plan.manual_orders_by_step
        for one in step
    }
    market, wrong = list(day.quotes_by_step()), list[str]()
    owners = {
        recorded.event.order.order_id: recorded.event_subject.owner
        for recorded in day.events
        if isinstance(recorded.event, OrderEvent)
    }
    for order_id, steps in history.items():
        first = steps[0].event.order
        place = planned[owners[order_id], first.client_order_id]
        requested = (place.type, place.qty, place.limit_price, place.stop_price, place.reduce_only)
        found = [] if requested == (*_terms(first), first.reduce_only) else [f"is not {place}"]
        found += _check_changes(steps)
        found += _check_trigger(steps, market)
        found += _check_fills(steps)
        found += _check_time_in_force(steps, is_day_over=day.plan.size.expires_day_orders)
        wrong += [f"{first.client_order_id}: {one}" for one in found]
    return wrong


def _terms(order: Order) -> tuple[object, ...]:
    return (order.type, order.qty, order.limit_price, order.stop_price)


def _check_changes(steps: Sequence[OrderStep]) -> Iterator[str]:
    """Only a replacement changes terms, and never those of an order that is closed."""
    before: Order | None = None
    for _, event in steps:
        if isinstance(event, OrderPlaced) != (before is None):
            yield f"was placed again: {event}"
        if before is not None and _terms(before) != _terms(event.order):
            if not isinstance(event, OrderReplaced):
                yield f"has other terms after {type(event).__name__}"
            elif not before.status.is_open:
                yield "was replaced when it was closed"
        before = event.order


def _check_trigger(steps: Sequence[OrderStep], market: QuotesAfterStep) -> Iterator[str]:
    """A stop is triggered in the first step whose price reaches it, once, and not otherwise."""
    expected = _expected_trigger_step(steps, market)
    recorded = [step for step, event in steps if isinstance(event, OrderTriggered)]
    if recorded != ([] if expected is None else [expected]):
        yield f"was triggered in the steps {recorded}, not {expected}"


def _expected_trigger_step(steps: Sequence[OrderStep], market: QuotesAfterStep) -> int | None:
    """The step whose price reaches the stop price that the order has by then."""
    if not steps[0].event.order.type.has_stop_price:
        return None
    events_by_step: defaultdict[int, list[OrderEvent]] = defaultdict(list)
    for step, event in steps:
        events_by_step[step].append(event)
    order: Order | None = None
    for step in range(steps[0].step, len(market)):
        quote = market[step][steps[0].event.order.symbol]
        if order is not None and _reaches(quote, order):  # before the users act
            return step
        for event in events_by_step[step]:
            works = isinstance(event, OrderAccepted | OrderReplaced)
            order = event.order if works or order is not None else None
            if works and order is not None and _reaches(quote, order):
                return step
            if not event.order.status.is_open:
                return None
    return None


def _reaches(quote: ExpectedQuote, order: Order) -> bool:
    stop = order.stop_price
    if stop is None or quote.bid > quote.ask:
        return False
    return quote.price >= stop if order.side is Side.BUY else quote.price <= stop


def _check_fills(steps: Sequence[OrderStep]) -> Iterator[str]:
    """Nothing is executed at a worse price than the limit, or before the stop is triggered."""
    for _, event in steps:
        if not isinstance(event, OrderFilled):
            continue
        order = event.order
        limit, price = order.limit_price, event.price
        if limit is not None and (price > limit if order.side is Side.BUY else price < limit):
            yield f"was executed at {price}, worse than {limit}"
        if order.type.has_stop_price and order.triggered_at is None:
            yield "was executed before it was triggered"


def _check_time_in_force(steps: Sequence[OrderStep], *, is_day_over: bool) -> Iterator[str]:
    last, fills = steps[-1], [event for _, event in steps if isinstance(event, OrderFilled)]
    order, time_in_force = last.event.order, last.event.order.time_in_force
    if time_in_force.is_immediate:
        if order.status.is_open or last.step != steps[0].step:
            yield f"rested although it is {time_in_force.value}"
        if len(fills) > 1:
            yield f"was executed {len(fills)} times although it is {time_in_force.value}"
    if time_in_force is TimeInForce.FOK and order.filled_qty not in (Decimal(0), order.qty):
        yield f"was executed in part although it is {time_in_force.value}"
    reasons = [event.order.reason for _, event in steps if isinstance(event, OrderCanceled)]
    if DAY_IS_OVER in reasons and (time_in_force is not TimeInForce.DAY or not is_day_over):
        yield f"expired although it is {time_in_force.value}"
    if is_day_over and time_in_force is TimeInForce.DAY and order.status.is_open:
        yield "is open after the day"
    if RACE_REASON in reasons and order.status.is_open:
        yield "is open although it was canceled"


def find_wrong_reductions(day: DayRecord) -> list[str]:
    """Find reduce-only executions that did not bring the user's position closer to 0."""
    positions: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    wrong = []
    for recorded in day.events:
        event, owner = recorded.event, recorded.event_subject.owner
        if not isinstance(event, OrderFilled):
            continue
        order = event.order
        before = positions[owner, order.symbol]
        after = before + (event.qty if order.side is Side.BUY else -event.qty)
        positions[owner, order.symbol] = after
        if order.reduce_only and (abs(after) >= abs(before) or before * after < 0):
            wrong.append(f"{order.client_order_id}: {before} became {after}")
    return wrong
