"""What can be asked of an order, and what makes such a request well-formed. Pure.

`checked` judges a `Place`; paths in its refusals are the fields as requests spell them in JSON.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.decimals import (
    DecimalOutOfBounds,
    abbreviate,
    validate_positive_decimal,
)
from tapewire.events import OrderType, Side
from tapewire.log import CommandRejected

MAX_QTY = Decimal(1_000_000)
"""Shares of one order."""
QTY_PLACES = 6
MAX_PRICE = Decimal(1_000_000)
"""Dollars a share, of limits and of executions."""
LIMIT_PRICE_PLACES = 4
PRICE_PLACES = 8
"""Decimals of an execution's price; markets quote finer than limits are given."""
MAX_ID_LENGTH = 64
"""Characters of a client order id, a strategy id, a symbol."""


class PlaceOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """`user` wants an order. `at` is when, UTC, as in every command."""

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
    """The broker works the order."""

    id: str
    at: datetime
    user: str


class FillOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker executed `qty` at `price`, having executed `filled_before` already; `quoted_at`
    names the quote whose offer that was taken from."""

    id: str
    at: datetime
    user: str
    qty: Decimal
    price: Decimal
    filled_before: Decimal
    quoted_at: datetime | None = None


class CancelOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more shall be executed."""

    id: str
    at: datetime
    user: str
    reason: str


class RejectOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker will not work the order, which nobody accepted yet."""

    id: str
    at: datetime
    user: str
    reason: str


class FailOrderCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The broker cannot go on with the order."""

    id: str
    at: datetime
    user: str
    reason: str


Command = (
    PlaceOrderCommand
    | AcceptOrderCommand
    | FillOrderCommand
    | CancelOrderCommand
    | RejectOrderCommand
    | FailOrderCommand
)


def validate_place_order(command: PlaceOrderCommand) -> PlaceOrderCommand:
    """`command` with its numbers in their plainest digits.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    _validate_text_field("symbol", command.symbol)
    _validate_text_field("clientOrderId", command.client_order_id)
    if command.strategy_id is not None:
        _validate_text_field("strategyId", command.strategy_id)
    qty = validate_number_field("qty", command.qty, MAX_QTY, QTY_PLACES)
    return msgspec.structs.replace(command, qty=qty, limit_price=_validate_limit_price(command))


def _validate_limit_price(command: PlaceOrderCommand) -> Decimal | None:
    if command.type is OrderType.MARKET:
        if command.limit_price is not None:
            raise CommandRejected("invalid", "a market order has no limit price", "limitPrice")
        return None
    if command.limit_price is None:
        raise CommandRejected("invalid", "a limit order needs a limit price", "limitPrice")
    return validate_number_field("limitPrice", command.limit_price, MAX_PRICE, LIMIT_PRICE_PLACES)


def validate_number_field(path: str, value: Decimal, maximum: Decimal, places: int) -> Decimal:
    """`exact`, refusing with `path`."""
    try:
        return validate_positive_decimal(value, maximum=maximum, places=places)
    except DecimalOutOfBounds as error:
        raise CommandRejected("invalid", f"{path} {error}", path) from None


def _validate_text_field(path: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        message = f"{path} must have 1 to {MAX_ID_LENGTH} characters, not {len(value)}"
        raise CommandRejected("invalid", message, path)
    if not (value.isascii() and value.isprintable()):
        raise CommandRejected(
            "invalid", f"{path} must be printable ASCII, not {abbreviate(ascii(value))}", path
        )
