"""The commands of an alert rule, and the validation of a new rule. Pure.

`validate_create_rule` checks a `CreateRuleCommand`. The paths in its rejections are field names as
requests spell them in JSON.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import AlertLevel, RuleKind, SplitRatio
from tapewire.log import CommandRejected
from tapewire.values import ANY_NUMBER, NumberRange
from tapewire_services.field_validation import (
    validate_decimal_field,
    validate_integer_field,
    validate_symbol_field,
)

PERCENT = NumberRange(
    minimum=Decimal(0), is_minimum_excluded=True, maximum=Decimal(1_000), places=4
)
MAX_WINDOW_SECONDS = 86_400

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


class SplitRuleCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The symbol of a rule with a price was split."""

    id: str
    at: datetime
    user: str
    ratio: SplitRatio


Command = (
    CreateRuleCommand | ArmRuleCommand | DeleteRuleCommand | TriggerRuleCommand | SplitRuleCommand
)


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
        validate_symbol_field("symbol", command.symbol)
    if command.window_seconds is not None:
        validate_integer_field(
            "windowSeconds", command.window_seconds, minimum=1, maximum=MAX_WINDOW_SECONDS
        )
    return msgspec.structs.replace(
        command,
        price=_validate_optional_number("price", command.price, ANY_NUMBER),
        percent=_validate_optional_number("percent", command.percent, PERCENT),
    )


def _check_presence(
    command: CreateRuleCommand, path: str, value: object, *, is_required: bool, is_allowed: bool
) -> None:
    if value is None and is_required:
        raise CommandRejected("invalid", f"a rule {command.kind.value} needs {path}", path)
    if value is not None and not is_allowed:
        raise CommandRejected("invalid", f"a rule {command.kind.value} has no {path}", path)


def _validate_optional_number(
    path: str, value: Decimal | None, allowed: NumberRange
) -> Decimal | None:
    return None if value is None else validate_decimal_field(path, value, allowed)
