"""The commands of a strategy, and the validation of its settings. Pure.

`validate_settings` checks a `StrategySettings`, which creation and update both result in. The paths
in its rejections are field names as requests spell them in JSON.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

import msgspec

from tapewire.decimals import (
    DecimalOutOfBounds,
    abbreviate,
    validate_decimal,
)
from tapewire.events import (
    Action,
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    OrderStatus,
    Side,
    StopLoss,
    StrategyRule,
)
from tapewire.log import CommandRejected

MAX_QTY = Decimal(1_000_000)
"""Shares in one order."""
QTY_PLACES = 6
MAX_WINDOW_PRICES = 1000
"""Prices in the window of a rule."""
PERCENT_PLACES = 4
MAX_MARGIN_PERCENT = Decimal(50)
MAX_DEVIATIONS = Decimal(10)
MIN_POSITIVE_VALUE = Decimal("0.0001")
"""The smallest value of a field that must be above 0 and has `PERCENT_PLACES`."""
MAX_TRADES = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NAME_LENGTH = 100
MAX_ID_LENGTH = 64
"""Characters of a strategy id or a symbol."""


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that a user chooses."""

    name: str
    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None
    max_trades: int | None


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command to strategy `strategy_id` of `user`; `at` is its time, UTC."""

    id: str
    at: datetime
    user: str
    strategy_id: str


class CreateStrategyCommand(_Command, frozen=True, kw_only=True):
    """Create the strategy."""

    settings: StrategySettings


class UpdateStrategyCommand(_Command, frozen=True, kw_only=True):
    """Change the settings that are given. The symbol never changes."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET

    def apply(self, settings: StrategySettings) -> StrategySettings:
        """`settings` with the given changes."""
        fields = ("name", "rule", "quantity", "stop_loss", "max_trades")
        given = {name: getattr(self, name) for name in fields}
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        return msgspec.structs.replace(settings, **changes)


class StartStrategyCommand(_Command, frozen=True, kw_only=True):
    """Start to follow prices."""


class StopStrategyCommand(_Command, frozen=True, kw_only=True):
    """Stop following prices."""


class ActOnSignalCommand(_Command, frozen=True, kw_only=True):
    """Buy or sell, as decided at `price`, whose time is `decided_at`. The command is rejected when
    the strategy has begun more than `expected_order_count` orders in the meantime."""

    expected_order_count: int
    action: Action
    confidence: Decimal
    reasoning: str
    price: Decimal
    decided_at: datetime


class TriggerStopLossCommand(_Command, frozen=True, kw_only=True):
    """Close the position by an order of `side`, because `price` reached `trigger_price`. The
    command is rejected when the strategy has begun more than `expected_order_count` orders."""

    expected_order_count: int
    side: Side
    price: Decimal
    trigger_price: Decimal


class ApplyFillCommand(_Command, frozen=True, kw_only=True):
    """Record that trade `trade_id` at `price` filled order `order_id` up to `filled_qty` shares."""

    order_id: str
    trade_id: str
    filled_qty: Decimal
    price: Decimal


class EndOrderCommand(_Command, frozen=True, kw_only=True):
    """Record that order `order_id` has ended. `status` is None when it was never placed."""

    order_id: str
    status: OrderStatus | None
    reason: str | None


class FailStrategyCommand(_Command, frozen=True, kw_only=True):
    """Put the strategy into error."""

    error_code: str
    details: str


Command = (
    CreateStrategyCommand
    | UpdateStrategyCommand
    | StartStrategyCommand
    | StopStrategyCommand
    | ActOnSignalCommand
    | TriggerStopLossCommand
    | ApplyFillCommand
    | EndOrderCommand
    | FailStrategyCommand
)


def decision_id(strategy_id: str, decided_at: datetime) -> str:
    """The id of a decision: the strategy and the microsecond of the price it was made on. The same
    decision, made again, has the same id."""
    return f"{strategy_id}-{(decided_at - _EPOCH) // timedelta(microseconds=1)}"


def validate_settings(settings: StrategySettings) -> StrategySettings:
    """Return `settings` with normalized numbers.

    Raises:
        CommandRejected: ``invalid``, with the path of the field at fault.
    """
    _validate_text_field("symbol", settings.symbol, MAX_ID_LENGTH)
    if not settings.symbol.isascii():
        raise CommandRejected("invalid", "symbol must be printable ASCII", "symbol")
    _validate_text_field("name", settings.name, MAX_NAME_LENGTH)
    max_trades = settings.max_trades
    if max_trades is not None:
        _validate_integer_field("maxTrades", max_trades, 1, MAX_TRADES)
    minimum = Decimal((0, (1,), -QTY_PLACES))
    return StrategySettings(
        name=settings.name,
        symbol=settings.symbol,
        rule=_validate_rule(settings.rule),
        quantity=_validate_decimal_field(
            "quantity", settings.quantity, minimum, MAX_QTY, QTY_PLACES
        ),
        stop_loss=_validate_stop_loss(settings.stop_loss),
        max_trades=max_trades,
    )


def _validate_rule(rule: StrategyRule) -> StrategyRule:
    match rule:
        case MovingAverageCrossover(fast=fast, slow=slow):
            _validate_integer_field("rule.fast", fast, 1, MAX_WINDOW_PRICES - 1)
            _validate_integer_field("rule.slow", slow, fast + 1, MAX_WINDOW_PRICES)
            return rule
        case Breakout(window=window, margin_percent=margin):
            _validate_integer_field("rule.window", window, 2, MAX_WINDOW_PRICES)
            path = "rule.marginPercent"
            margin = _validate_decimal_field(
                path, margin, Decimal(0), MAX_MARGIN_PERCENT, PERCENT_PLACES
            )
            return Breakout(window=window, margin_percent=margin)
        case MeanReversion(window=window, deviations=deviations):
            _validate_integer_field("rule.window", window, 2, MAX_WINDOW_PRICES)
            path = "rule.deviations"
            deviations = _validate_decimal_field(
                path, deviations, MIN_POSITIVE_VALUE, MAX_DEVIATIONS, PERCENT_PLACES
            )
            return MeanReversion(window=window, deviations=deviations)
        case _:
            assert_never(rule)


def _validate_stop_loss(stop: StopLoss | None) -> StopLoss | None:
    if stop is None:
        return None
    most = Decimal(100) - MIN_POSITIVE_VALUE
    percent = _validate_decimal_field(
        "stopLoss.percent", stop.percent, MIN_POSITIVE_VALUE, most, PERCENT_PLACES
    )
    return StopLoss(kind=stop.kind, percent=percent)


def _validate_decimal_field(
    path: str, value: Decimal, minimum: Decimal, maximum: Decimal, places: int
) -> Decimal:
    try:
        return validate_decimal(value, minimum=minimum, maximum=maximum, places=places)
    except DecimalOutOfBounds as error:
        raise CommandRejected("invalid", f"{path} {error}", path) from None


def _validate_integer_field(path: str, value: int, minimum: int, maximum: int) -> None:
    if not minimum <= value <= maximum:
        raise CommandRejected(
            "invalid", f"{path} must be {minimum} to {maximum}, not {abbreviate(value)}", path
        )


def _validate_text_field(path: str, value: str, max_length: int) -> None:
    if not 1 <= len(value) <= max_length:
        message = f"{path} must have 1 to {max_length} characters, not {len(value)}"
        raise CommandRejected("invalid", message, path)
    if not value.isprintable():
        raise CommandRejected(
            "invalid", f"{path} must be printable, not {abbreviate(ascii(value))}", path
        )
