"""The commands on an order, and their validation. Pure.

Paths in rejections are the fields as requests spell them in JSON. Start at `validate_place_order`.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import OrderType, QuotedOffer, Side, WaitingReason
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
QTY = NumberRange(minimum=Decimal(0), is_minimum_excluded=True, maximum=MAX_QTY, places=QTY_PLACES)
"""Shares of an order and of an execution."""
MAX_ID_LENGTH = 64
"""Characters of a client order id and of a strategy id."""


class PlaceOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Place an order of `user`. In every command, `at` is the time of the request, in UTC."""

    id: str
    at: datetime
    user: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    client_order_id: str
    strategy_id: str | None = None


class AcceptOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker accepted the order."""

    id: str
    at: datetime
    user: str


class FillOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker executed `qty` shares at `price` after `filled_before` shares. `quoted_at` is the
    timestamp of the quote that the execution consumed liquidity from, and `offer` its offer."""

    id: str
    at: datetime
    user: str
    qty: Decimal
    price: Decimal
    filled_before: Decimal
    quoted_at: datetime | None = None
    offer: QuotedOffer | None = None


class NoteWaitingCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The order rests for the reason `waiting`, or for none, since `filled_before` shares were
    executed."""

    id: str
    at: datetime
    user: str
    waiting: WaitingReason | None
    filled_before: Decimal


class CancelOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel the unfilled rest of the order."""

    id: str
    at: datetime
    user: str
    reason: str


class RejectOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker rejects an order that it has not accepted."""

    id: str
    at: datetime
    user: str
    reason: str


class FailOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker cannot execute the order any further."""

    id: str
    at: datetime
    user: str
    reason: str


Command = (
    PlaceOrderCommand
    | AcceptOrderCommand
    | FillOrderCommand
    | NoteWaitingCommand
    | CancelOrderCommand
    | RejectOrderCommand
    | FailOrderCommand
)


def validate_place_order(command: PlaceOrderCommand) -> PlaceOrderCommand:
    """Return `command` with its numbers normalized.

    Raises:
        CommandRejected: ``invalid``, with the path of the field.
    """
    validate_symbol_field("symbol", command.symbol)
    validate_text_field("clientOrderId", command.client_order_id, max_length=MAX_ID_LENGTH)
    if command.strategy_id is not None:
        validate_text_field("strategyId", command.strategy_id, max_length=MAX_ID_LENGTH)
    qty = validate_decimal_field("qty", command.qty, QTY)
    return msgspec.structs.replace(command, qty=qty, limit_price=_validate_limit_price(command))


def _validate_limit_price(command: PlaceOrderCommand) -> Decimal | None:
    if command.type is OrderType.MARKET:
        if command.limit_price is not None:
            raise CommandRejected("invalid", "a market order has no limit price", "limitPrice")
        return None
    if command.limit_price is None:
        raise CommandRejected("invalid", "a limit order needs a limit price", "limitPrice")
    return validate_decimal_field("limitPrice", command.limit_price, POSITIVE)
