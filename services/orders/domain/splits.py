"""What a split of its symbol makes of an open order. Pure.

Quantities count the new shares, rounded half to even to `QTY_PLACES`; limit and stop price are
those of a new share. What is executed cost what it did. An order that cannot be said in new shares,
because its quantity or a price would be 0, is canceled. Start at `decide_split`.
"""

from decimal import Decimal

import msgspec

from tapewire.decimals import average_price, scale
from tapewire.events import (
    Event,
    Order,
    OrderCanceled,
    OrderSplit,
    OrderStatus,
    OrderTerms,
    SplitRatio,
)
from tapewire_services.orders.domain.commands import (
    LIMIT_PRICE_PLACES,
    QTY_PLACES,
    SplitOrderCommand,
)
from tapewire_services.orders.domain.order_state import OpenState, change_order

TOO_SMALL = "after the split its quantity or its price is too small to be said"


def decide_split(state: OpenState, command: SplitOrderCommand) -> list[Event]:
    """The order with the terms of the new shares, or its cancellation; nothing if it has them."""
    order, split = state.order, command.split
    if order.splits >= split.number:
        return []
    ratio = split.ratio
    filled_qty = scale_qty(order.filled_qty, ratio)
    terms = _split_terms(_terms_of(order), ratio)
    if terms.qty <= filled_qty or 0 in (terms.limit_price, terms.stop_price):
        canceled = change_order(state, command.at, OrderStatus.CANCELED, reason=TOO_SMALL)
        return [OrderCanceled(order=canceled, command_id=command.id)]
    asked, average = order.replacement, None
    if filled_qty:
        average = average_price(state.executions.notional, filled_qty)
    after = change_order(
        state,
        command.at,
        qty=terms.qty,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        filled_qty=filled_qty,
        filled_avg_price=average,
        replacement=None if asked is None else _split_terms(asked, ratio),
        splits=split.number,
        reason=order.reason,
        waiting=order.waiting,
    )
    return [OrderSplit(order=after, command_id=command.id, split_id=split.split_id)]


def scale_qty(qty: Decimal, ratio: SplitRatio) -> Decimal:
    """What `qty` shares are after the split."""
    return scale(qty, ratio.shares, ratio.for_shares, QTY_PLACES)


def _terms_of(order: Order) -> OrderTerms:
    return OrderTerms(qty=order.qty, limit_price=order.limit_price, stop_price=order.stop_price)


def _split_terms(terms: OrderTerms, ratio: SplitRatio) -> OrderTerms:
    return msgspec.structs.replace(
        terms,
        qty=scale_qty(terms.qty, ratio),
        limit_price=_scale_price(terms.limit_price, ratio),
        stop_price=_scale_price(terms.stop_price, ratio),
    )


def _scale_price(price: Decimal | None, ratio: SplitRatio) -> Decimal | None:
    if price is None:
        return None
    return scale(price, ratio.for_shares, ratio.shares, LIMIT_PRICE_PLACES)
