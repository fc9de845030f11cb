"""What can be asked of a strategy, and what makes such a request well-formed. Pure.

`checked` judges a `Settings`, which `Create` and `Update` come down to; paths in its refusals are
the fields as requests spell them in JSON.
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
"""Shares of one order."""
QTY_PLACES = 6
MAX_WINDOW_PRICES = 1000
"""Prices that a rule looks back over."""
PERCENT_PLACES = 4
MAX_MARGIN_PERCENT = Decimal(50)
MAX_DEVIATIONS = Decimal(10)
MIN_POSITIVE_VALUE = Decimal("0.0001")
"""The least of what must be above 0 and has `PERCENT_PLACES`."""
MAX_TRADES = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NAME_LENGTH = 100
MAX_ID_LENGTH = 64
"""Characters of a strategy's id, a symbol."""


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses of a strategy."""

    name: str
    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None
    max_trades: int | None


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is when, UTC; the strategy is `strategy_id` of `user`."""

    id: str
    at: datetime
    user: str
    strategy_id: str


class CreateStrategyCommand(_Command, frozen=True, kw_only=True):
    """Make it."""

    settings: StrategySettings


class UpdateStrategyCommand(_Command, frozen=True, kw_only=True):
    """Change what is set; the symbol stays for ever."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET

    def apply(self, settings: StrategySettings) -> StrategySettings:
        """`settings` with what is set changed."""
        fields = ("name", "rule", "quantity", "stop_loss", "max_trades")
        given = {name: getattr(self, name) for name in fields}
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        return msgspec.structs.replace(settings, **changes)


class StartStrategyCommand(_Command, frozen=True, kw_only=True):
    """Follow prices."""


class StopStrategyCommand(_Command, frozen=True, kw_only=True):
    """Follow prices no more."""


class ActOnSignalCommand(_Command, frozen=True, kw_only=True):
    """The decision-maker wants to buy or sell at `price`, whose time is `decided_at`; it knew of
    `orders` orders of the strategy. A decision that knew of fewer than there were is void."""

    expected_order_count: int
    action: Action
    confidence: Decimal
    reasoning: str
    price: Decimal
    decided_at: datetime


class TriggerStopLossCommand(_Command, frozen=True, kw_only=True):
    """`price` reached `trigger_price`: close by an order of `side` whatever is held. Who says so
    knew of `orders` orders."""

    expected_order_count: int
    side: Side
    price: Decimal
    trigger_price: Decimal


class ApplyFillCommand(_Command, frozen=True, kw_only=True):
    """Trade `trade_id` at `price` brought order `order_id` to `filled_qty` shares in all."""

    order_id: str
    trade_id: str
    filled_qty: Decimal
    price: Decimal


class EndOrderCommand(_Command, frozen=True, kw_only=True):
    """Nothing more of order `order_id` will be executed. `status` None: it was never placed."""

    order_id: str
    status: OrderStatus | None
    reason: str | None


class FailStrategyCommand(_Command, frozen=True, kw_only=True):
    """It cannot go on."""

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
    """A decision is named after the strategy and the microsecond of the price that it is about, so
    whoever makes it again makes the same one."""
    return f"{strategy_id}-{(decided_at - _EPOCH) // timedelta(microseconds=1)}"


def validate_settings(settings: StrategySettings) -> StrategySettings:
    """`settings` with their numbers in their plainest digits.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    _validate_text_field("symbol", settings.symbol, MAX_ID_LENGTH)
    if not settings.symbol.isascii():
        raise CommandRejected("invalid", "symbol must be printable ASCII", "symbol")
    _validate_text_field("name", settings.name, MAX_NAME_LENGTH)
    most_trades = settings.max_trades
    if most_trades is not None:
        _validate_integer_field("maxTrades", most_trades, 1, MAX_TRADES)
    least = Decimal((0, (1,), -QTY_PLACES))
    return StrategySettings(
        name=settings.name,
        symbol=settings.symbol,
        rule=_validate_rule(settings.rule),
        quantity=_validate_decimal_field("quantity", settings.quantity, least, MAX_QTY, QTY_PLACES),
        stop_loss=_validate_stop_loss(settings.stop_loss),
        max_trades=most_trades,
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
