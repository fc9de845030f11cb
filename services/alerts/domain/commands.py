"""What can be asked of a rule, and what makes a new one well-formed.

`checked` judges a `Create`; paths in its refusals are the fields as requests spell them in JSON.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from services.alerts.domain.figures import exact, show, symbol
from tapewire.events import AlertLevel, RuleKind
from tapewire.log import Refusal

MAX_PRICE = Decimal(1_000_000)
"""Dollars a share."""
PRICE_PLACES = 8
MAX_PERCENT = Decimal(1_000)
PERCENT_PLACES = 4
MAX_WINDOW_SECONDS = 86_400

PRICE_LEVELS = (RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW)
PRICES = (*PRICE_LEVELS, RuleKind.PERCENT_MOVE)
"""The kinds that quotes trigger; events trigger the others."""

LEVELS = {
    RuleKind.PRICE_ABOVE: AlertLevel.INFO,
    RuleKind.PRICE_BELOW: AlertLevel.INFO,
    RuleKind.PERCENT_MOVE: AlertLevel.INFO,
    RuleKind.ORDER_REJECTED: AlertLevel.WARNING,
    RuleKind.STRATEGY_ERROR: AlertLevel.ERROR,
    RuleKind.STOP_LOSS: AlertLevel.WARNING,
}
"""Of a rule whose user does not say."""


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """`user` wants to be told. `at` is when, UTC, as in every command."""

    id: str
    at: datetime
    user: str
    rule_id: str
    kind: RuleKind
    level: AlertLevel
    symbol: str | None = None
    price: Decimal | None = None
    percent: Decimal | None = None
    window_seconds: int | None = None


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """It may be triggered again."""

    id: str
    at: datetime
    user: str


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """It shall be no more."""

    id: str
    at: datetime
    user: str


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """It came to pass, under the arming that was command `arming`."""

    id: str
    at: datetime
    user: str
    arming: str
    symbol: str | None
    message: str


Command = Create | Arm | Delete | Trigger


def checked(command: Create) -> Create:
    """`command` with its numbers in their plainest digits.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    price, move = command.kind in PRICE_LEVELS, command.kind is RuleKind.PERCENT_MOVE
    _given(command, "symbol", command.symbol, needed=price or move, allowed=True)
    _given(command, "price", command.price, needed=price, allowed=price)
    _given(command, "percent", command.percent, needed=move, allowed=move)
    _given(command, "windowSeconds", command.window_seconds, needed=move, allowed=move)
    if command.symbol is not None:
        symbol("symbol", command.symbol)
    if command.window_seconds is not None:
        _window(command.window_seconds)
    return msgspec.structs.replace(
        command,
        price=_exact("price", command.price, MAX_PRICE, PRICE_PLACES),
        percent=_exact("percent", command.percent, MAX_PERCENT, PERCENT_PLACES),
    )


def _given(command: Create, path: str, value: object, *, needed: bool, allowed: bool) -> None:
    if value is None and needed:
        raise Refusal("invalid", f"a rule {command.kind.value} needs {path}", path)
    if value is not None and not allowed:
        raise Refusal("invalid", f"a rule {command.kind.value} has no {path}", path)


def _exact(path: str, value: Decimal | None, most: Decimal, places: int) -> Decimal | None:
    return None if value is None else exact(path, value, most=most, places=places)


def _window(seconds: int) -> None:
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        message = f"windowSeconds must be 1 to {MAX_WINDOW_SECONDS}, not {show(seconds)}"
        raise Refusal("invalid", message, "windowSeconds")
