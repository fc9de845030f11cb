"""The commands of an alert rule, and the validation of a new rule. Pure.

`validate_create_rule` checks a `CreateRuleCommand`. The paths in its rejections are field names as
requests spell them in JSON.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.decimals import (
    DecimalOutOfBounds,
    abbreviate,
    validate_positive_decimal,
)
from tapewire.events import AlertLevel, RuleKind
from tapewire.log import CommandRejected

MAX_PRICE = Decimal(1_000_000)
"""Dollars a share."""
PRICE_PLACES = 8
MAX_PERCENT = Decimal(1_000)
PERCENT_PLACES = 4
MAX_WINDOW_SECONDS = 86_400
MAX_SYMBOL_LENGTH = 64
"""Characters."""

PRICE_LEVEL_KINDS = (RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW)
PRICE_RULE_KINDS = (*PRICE_LEVEL_KINDS, RuleKind.PERCENT_MOVE)
"""The kinds that quotes trigger; events trigger the others."""

DEFAULT_LEVELS = {
    RuleKind.PRICE_ABOVE: AlertLevel.INFO,
    RuleKind.PRICE_BELOW: AlertLevel.INFO,
    RuleKind.PERCENT_MOVE: AlertLevel.INFO,
    RuleKind.ORDER_REJECTED: AlertLevel.WARNING,
    RuleKind.STRATEGY_ERROR: AlertLevel.ERROR,
    RuleKind.STOP_LOSS: AlertLevel.WARNING,
}
"""The level of a rule when its user gives none."""


class CreateRuleCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Create a rule for `user`; `at` is the time of the command, UTC, as in every command."""

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


class ArmRuleCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Let the rule be triggered again."""

    id: str
    at: datetime
    user: str


class DeleteRuleCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Delete the rule."""

    id: str
    at: datetime
    user: str


class TriggerRuleCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Trigger the rule under the arming of command `arming`."""

    id: str
    at: datetime
    user: str
    arming: str
    symbol: str | None
    message: str


Command = CreateRuleCommand | ArmRuleCommand | DeleteRuleCommand | TriggerRuleCommand


def validate_create_rule(command: CreateRuleCommand) -> CreateRuleCommand:
    """Return `command` with normalized numbers.

    Raises:
        CommandRejected: ``invalid``, with the path of the field at fault.
    """
    price, move = command.kind in PRICE_LEVEL_KINDS, command.kind is RuleKind.PERCENT_MOVE
    _check_presence(command, "symbol", command.symbol, is_required=price or move, is_allowed=True)
    _check_presence(command, "price", command.price, is_required=price, is_allowed=price)
    _check_presence(command, "percent", command.percent, is_required=move, is_allowed=move)
    _check_presence(
        command, "windowSeconds", command.window_seconds, is_required=move, is_allowed=move
    )
    if command.symbol is not None:
        _validate_symbol(command.symbol)
    if command.window_seconds is not None:
        _validate_window(command.window_seconds)
    return msgspec.structs.replace(
        command,
        price=_validate_decimal_field("price", command.price, MAX_PRICE, PRICE_PLACES),
        percent=_validate_decimal_field("percent", command.percent, MAX_PERCENT, PERCENT_PLACES),
    )


def _check_presence(
    command: CreateRuleCommand, path: str, value: object, *, is_required: bool, is_allowed: bool
) -> None:
    if value is None and is_required:
        raise CommandRejected("invalid", f"a rule {command.kind.value} needs {path}", path)
    if value is not None and not is_allowed:
        raise CommandRejected("invalid", f"a rule {command.kind.value} has no {path}", path)


def _validate_decimal_field(
    path: str, value: Decimal | None, maximum: Decimal, places: int
) -> Decimal | None:
    if value is None:
        return None
    try:
        return validate_positive_decimal(value, maximum=maximum, places=places)
    except DecimalOutOfBounds as error:
        raise CommandRejected("invalid", f"{path} {error}", path) from None


def _validate_symbol(value: str) -> None:
    if not 1 <= len(value) <= MAX_SYMBOL_LENGTH:
        message = f"symbol must have 1 to {MAX_SYMBOL_LENGTH} characters, not {len(value)}"
        raise CommandRejected("invalid", message, "symbol")
    if not (value.isascii() and value.isprintable()):
        message = f"symbol must be printable ASCII, not {abbreviate(ascii(value))}"
        raise CommandRejected("invalid", message, "symbol")


def _validate_window(seconds: int) -> None:
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        message = f"windowSeconds must be 1 to {MAX_WINDOW_SECONDS}, not {abbreviate(seconds)}"
        raise CommandRejected("invalid", message, "windowSeconds")
