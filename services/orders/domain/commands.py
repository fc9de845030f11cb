"""The commands on an order, and the validation of what a user asks for. Pure.

Paths in rejections are the fields as requests spell them in JSON. Start at `validate_place_order`
and `validate_replacement`.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import (
    NO_FEE,
    Order,
    OrderTerms,
    OrderType,
    QuotedOffer,
    Side,
    SplitExecuted,
    TimeInForce,
    WaitingReason,
)
from tapewire.log import CommandRejected
from tapewire.values import MAX_PLACES, POSITIVE, NumberRange
from tapewire_services.field_validation import (
    validate_decimal_field,
    validate_symbol_field,
    validate_text_field,
)

MAX_QTY = Decimal(1_000_000)
"""Shares of one order."""
QTY_PLACES = 6
LIMIT_PRICE_PLACES = MAX_PLACES
"""Decimal places of a limit and of a stop price."""
QTY = NumberRange(minimum=Decimal(0), is_minimum_excluded=True, maximum=MAX_QTY, places=QTY_PLACES)
"""Shares of an order, and of a fill by a simulated broker."""
MAX_ID_LENGTH = 64
"""Characters of a client order id and of a strategy id."""


class OrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command on an order of `user`. `at` is the time of the request or report, in UTC."""

    id: str
    at: datetime
    user: str


class PlaceOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """Place an order of `user`."""

    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    client_order_id: str
    strategy_id: str | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    splits: int = 0


class RequestCancelCommand(OrderCommand, frozen=True, kw_only=True):
    """Ask the broker to cancel the unfilled rest of the order."""


class ReplaceOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """Change the terms of the order; None leaves one as it is. With `needs_confirmation` the
    broker is asked first."""

    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    needs_confirmation: bool = False


class AcceptOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker accepted the order, which its venue calls `venue_order_id`."""

    venue_order_id: str | None = None


class FillOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """A simulated broker fills `qty` shares at `price` after `filled_before` shares. It is rejected
    if it does not fit the order. `quoted_at` is the timestamp of the quote that the execution
    consumed liquidity from, and `offer` its offer."""

    qty: Decimal
    price: Decimal
    filled_before: Decimal
    quoted_at: datetime | None = None
    offer: QuotedOffer | None = None
    fee: Decimal = NO_FEE
    splits: int = 0


class BookExecutionCommand(OrderCommand, frozen=True, kw_only=True):
    """A venue executed `qty` shares at `price`. That is a fact: it is booked whatever the state of
    the order, once for each `execution_id`. `venue_time` is when, as the venue reported it."""

    execution_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal = NO_FEE
    venue_order_id: str | None = None
    venue_time: datetime | None = None


class CorrectExecutionCommand(OrderCommand, frozen=True, kw_only=True):
    """An execution of the order is corrected, or undone if `is_busted`. That is a fact too: it is
    booked whatever the state of the order, once for each `correction_id`.

    The execution is named by `trade_id`, or by `execution_id`, which may also be the id of an
    earlier correction of it. None for a number leaves it as it is. `from_operator`: an operator
    sent it, and is told if the execution is busted already. A venue may report a bust again.
    """

    execution_id: str | None = None
    trade_id: str | None = None
    correction_id: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    is_busted: bool = False
    from_operator: bool = False
    splits: int = 0
    """The splits of the symbol so far."""


class NoteWaitingCommand(OrderCommand, frozen=True, kw_only=True):
    """The order rests for the reason `waiting`, or for none, since `filled_before` shares were
    executed."""

    waiting: WaitingReason | None
    filled_before: Decimal


class SplitOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The order's symbol was split: an open order gets the terms of the new shares."""

    split: SplitExecuted


class TriggerOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The market has reached the order's stop price."""


class CancelOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The unfilled rest of the order is canceled."""

    reason: str


class RejectCancelCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker does not cancel the order."""

    reason: str


class ConfirmReplaceCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker works the order under `terms`; None for those that were asked for."""

    terms: OrderTerms | None = None


class RejectReplaceCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker keeps the terms of the order."""

    reason: str


class RejectOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker rejects an order that it has not accepted."""

    reason: str


class FailOrderCommand(OrderCommand, frozen=True, kw_only=True):
    """The broker cannot execute the order any further."""

    reason: str


ChangeCommand = (
    RequestCancelCommand
    | ReplaceOrderCommand
    | AcceptOrderCommand
    | FillOrderCommand
    | NoteWaitingCommand
    | SplitOrderCommand
    | TriggerOrderCommand
    | CancelOrderCommand
    | RejectCancelCommand
    | ConfirmReplaceCommand
    | RejectReplaceCommand
    | RejectOrderCommand
    | FailOrderCommand
)
"""The commands that only an open order takes."""
Command = PlaceOrderCommand | BookExecutionCommand | CorrectExecutionCommand | ChangeCommand


def validate_place_order(command: PlaceOrderCommand) -> PlaceOrderCommand:
    """Return `command` with its numbers normalized.

    Raises:
        CommandRejected: ``invalid``, with the path of the field.
    """
    validate_symbol_field("symbol", command.symbol)
    validate_text_field("clientOrderId", command.client_order_id, max_length=MAX_ID_LENGTH)
    if command.strategy_id is not None:
        validate_text_field("strategyId", command.strategy_id, max_length=MAX_ID_LENGTH)
    return msgspec.structs.replace(
        command,
        qty=_validate_qty(command.qty),
        limit_price=_validate_price(
            "limitPrice", command.limit_price, command.type, is_needed=command.type.has_limit_price
        ),
        stop_price=_validate_price(
            "stopPrice", command.stop_price, command.type, is_needed=command.type.has_stop_price
        ),
    )


def validate_replacement(order: Order, command: ReplaceOrderCommand) -> OrderTerms:
    """The terms of `order` after `command`, normalized.

    Raises:
        CommandRejected: ``invalid``, with the path of the field.
    """
    qty, limit_price, stop_price = order.qty, order.limit_price, order.stop_price
    if command.qty is not None:
        qty = _validate_qty(command.qty)
    if command.limit_price is not None:
        limit_price = _validate_price(
            "limitPrice", command.limit_price, order.type, is_needed=order.type.has_limit_price
        )
    if command.stop_price is not None:
        stop_price = _validate_price(
            "stopPrice", command.stop_price, order.type, is_needed=order.type.has_stop_price
        )
    if qty <= order.filled_qty:
        message = f"qty must be more than the {order.filled_qty} that are filled, not {qty}"
        raise CommandRejected("invalid", message, "qty")
    if stop_price != order.stop_price and order.triggered_at is not None:
        raise CommandRejected("invalid", "the stop was triggered already", "stopPrice")
    return OrderTerms(qty=qty, limit_price=limit_price, stop_price=stop_price)


def validate_terms(type_: OrderType, terms: OrderTerms) -> OrderTerms:
    """Return the terms of an order of this type with its numbers normalized.

    Raises:
        CommandRejected: ``invalid``, with the path of the field.
    """
    return OrderTerms(
        qty=_validate_qty(terms.qty),
        limit_price=_validate_price(
            "limitPrice", terms.limit_price, type_, is_needed=type_.has_limit_price
        ),
        stop_price=_validate_price(
            "stopPrice", terms.stop_price, type_, is_needed=type_.has_stop_price
        ),
    )


def _validate_qty(qty: Decimal) -> Decimal:
    return validate_decimal_field("qty", qty, QTY)


def _validate_price(
    path: str, price: Decimal | None, type_: OrderType, *, is_needed: bool
) -> Decimal | None:
    name = {"limitPrice": "limit price", "stopPrice": "stop price"}[path]
    kind = type_.value.replace("_", "-")
    if not is_needed:
        if price is not None:
            raise CommandRejected("invalid", f"a {kind} order has no {name}", path)
        return None
    if price is None:
        raise CommandRejected("invalid", f"a {kind} order needs a {name}", path)
    return validate_decimal_field(path, price, POSITIVE)
