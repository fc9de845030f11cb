"""What can be asked of an order, and what makes such a request well-formed. Pure.

`checked` judges a `Place`; paths in its refusals are the fields as requests spell them in JSON.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from services.orders.exact import Inexact, exact, show
from tapewire.events import OrderType, Side
from tapewire.log import Refusal

MAX_QTY = Decimal(1_000_000)
"""Shares of one order."""
QTY_PLACES = 6
MAX_PRICE = Decimal(1_000_000)
"""Dollars a share, of limits and of executions."""
LIMIT_PLACES = 4
PRICE_PLACES = 8
"""Decimals of an execution's price; markets quote finer than limits are given."""
ID_LENGTH = 64
"""Characters of a client order id, a strategy id, a symbol."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
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


class Accept(msgspec.Struct, frozen=True, kw_only=True):
    """The broker works the order."""

    id: str
    at: datetime
    user: str


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """The broker executed `qty` at `price`, having executed `filled_before` already; `quoted_at`
    names the quote whose offer that was taken from."""

    id: str
    at: datetime
    user: str
    qty: Decimal
    price: Decimal
    filled_before: Decimal
    quoted_at: datetime | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more shall be executed."""

    id: str
    at: datetime
    user: str
    reason: str


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """The broker will not work the order, which nobody accepted yet."""

    id: str
    at: datetime
    user: str
    reason: str


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """The broker cannot go on with the order."""

    id: str
    at: datetime
    user: str
    reason: str


Command = Place | Accept | Fill | Cancel | Reject | Fail


def checked(command: Place) -> Place:
    """`command` with its numbers in their plainest digits.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    _text("symbol", command.symbol)
    _text("clientOrderId", command.client_order_id)
    if command.strategy_id is not None:
        _text("strategyId", command.strategy_id)
    qty = number("qty", command.qty, MAX_QTY, QTY_PLACES)
    return msgspec.structs.replace(command, qty=qty, limit_price=_limit(command))


def _limit(command: Place) -> Decimal | None:
    if command.type is OrderType.MARKET:
        if command.limit_price is not None:
            raise Refusal("invalid", "a market order has no limit price", "limitPrice")
        return None
    if command.limit_price is None:
        raise Refusal("invalid", "a limit order needs a limit price", "limitPrice")
    return number("limitPrice", command.limit_price, MAX_PRICE, LIMIT_PLACES)


def number(path: str, value: Decimal, most: Decimal, places: int) -> Decimal:
    """`exact`, refusing with `path`."""
    try:
        return exact(value, most=most, places=places)
    except Inexact as error:
        raise Refusal("invalid", f"{path} {error}", path) from None


def _text(path: str, value: str) -> None:
    if not 1 <= len(value) <= ID_LENGTH:
        message = f"{path} must have 1 to {ID_LENGTH} characters, not {len(value)}"
        raise Refusal("invalid", message, path)
    if not (value.isascii() and value.isprintable()):
        raise Refusal("invalid", f"{path} must be printable ASCII, not {show(ascii(value))}", path)
