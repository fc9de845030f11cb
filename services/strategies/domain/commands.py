"""The commands of a strategy, and the validation of its settings. Pure.

`validate_settings` checks a `StrategySettings`, which creation and update both result in. The paths
in its rejections are field names as requests spell them in JSON.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

import msgspec

from tapewire.events import (
    Action,
    Breakout,
    ExecutionTerms,
    ExitReason,
    MeanReversion,
    MovingAverageCrossover,
    OrderStatus,
    Side,
    SplitExecuted,
    StopLoss,
    StrategyRule,
    TakeProfit,
    WaitingReason,
)
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire.values import NumberRange
from tapewire_services.field_validation import (
    validate_decimal_field,
    validate_integer_field,
    validate_symbol_field,
    validate_text_field,
)

QTY = NumberRange(
    minimum=Decimal(0), is_minimum_excluded=True, maximum=Decimal(1_000_000), places=6
)
"""Shares in one order."""
MAX_WINDOW_PRICES = 1000
"""Prices in the window of a rule."""
MARGIN_PERCENT = NumberRange(minimum=Decimal(0), maximum=Decimal(50), places=4)
DEVIATIONS = NumberRange(
    minimum=Decimal(0), is_minimum_excluded=True, maximum=Decimal(10), places=4
)
STOP_LOSS_PERCENT = NumberRange(
    minimum=Decimal(0), is_minimum_excluded=True, maximum=Decimal("99.9999"), places=4
)
TAKE_PROFIT_PERCENT = NumberRange(
    minimum=Decimal(0), is_minimum_excluded=True, maximum=Decimal(1000), places=4
)
MAX_TRADES = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NAME_LENGTH = 100
MAX_ID_LENGTH = 64
"""Characters of a strategy id."""


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that a user chooses."""

    name: str
    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None
    max_trades: int | None
    take_profit: TakeProfit | None = None


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
    take_profit: TakeProfit | msgspec.UnsetType | None = msgspec.UNSET

    def apply(self, settings: StrategySettings) -> StrategySettings:
        """`settings` with the given changes."""
        fields = StrategySettings.__struct_fields__
        given = {name: getattr(self, name, msgspec.UNSET) for name in fields}
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        return msgspec.structs.replace(settings, **changes)


class StartStrategyCommand(_Command, frozen=True, kw_only=True):
    """Start to follow prices."""


class StopStrategyCommand(_Command, frozen=True, kw_only=True):
    """Stop following the rule. `position` says what happens to what the strategy holds: its
    stop-loss and take-profit are watched on, it is left alone, or it is closed."""

    position: StopPosition = StopPosition.PROTECT


class DeleteStrategyCommand(_Command, frozen=True, kw_only=True):
    """Delete the strategy, which holds nothing and does nothing."""


class ActOnSignalCommand(_Command, frozen=True, kw_only=True):
    """Buy or sell, as decided at `price`, whose time is `decided_at`. The command is rejected when
    the strategy has begun more than `expected_order_count` orders in the meantime."""

    expected_order_count: int
    action: Action
    confidence: Decimal
    reasoning: str
    price: Decimal
    decided_at: datetime


class TriggerExitCommand(_Command, frozen=True, kw_only=True):
    """Close the position by an order of `side`, because `price` reached the `trigger_price` of the
    stop-loss or the take-profit. The command is rejected when the strategy has begun more than
    `expected_order_count` orders."""

    expected_order_count: int
    reason: ExitReason
    side: Side
    price: Decimal
    trigger_price: Decimal


class ContinueExitCommand(_Command, frozen=True, kw_only=True):
    """Begin another closing order after the last one has ended without closing the position."""

    expected_order_count: int


class ApplyFillCommand(_Command, frozen=True, kw_only=True):
    """Record that trade `trade_id` at `price` filled order `order_id` up to `filled_qty` shares.

    `late_qty` is the quantity of the trade when the order had ended before: the market reported the
    execution late, and it counts all the same.
    """

    order_id: str
    trade_id: str
    filled_qty: Decimal
    price: Decimal
    side: Side | None = None
    late_qty: Decimal | None = None


class CorrectFillCommand(_Command, frozen=True, kw_only=True):
    """Record that trade `trade_id` of an order of `side` counts as `after` instead of `before`."""

    order_id: str
    trade_id: str
    side: Side
    before: ExecutionTerms
    after: ExecutionTerms
    is_order_closed: bool


class SplitStrategyCommand(_Command, frozen=True, kw_only=True):
    """The strategy's symbol was split."""

    split: SplitExecuted


class NoteOrderWaitingCommand(_Command, frozen=True, kw_only=True):
    """Say that order `order_id` rests for the reason `waiting`."""

    order_id: str
    waiting: WaitingReason


class EndOrderCommand(_Command, frozen=True, kw_only=True):
    """Record that order `order_id` has ended. `status` is None when it was never placed.
    `is_position_gone` says that a reduce-only order found nothing left to close."""

    order_id: str
    status: OrderStatus | None
    reason: str | None
    is_position_gone: bool = False


class FailStrategyCommand(_Command, frozen=True, kw_only=True):
    """Put the strategy into error."""

    error_code: str
    details: str


Command = (
    CreateStrategyCommand
    | UpdateStrategyCommand
    | StartStrategyCommand
    | StopStrategyCommand
    | DeleteStrategyCommand
    | ActOnSignalCommand
    | TriggerExitCommand
    | ContinueExitCommand
    | ApplyFillCommand
    | CorrectFillCommand
    | SplitStrategyCommand
    | NoteOrderWaitingCommand
    | EndOrderCommand
    | FailStrategyCommand
)


def decision_id(strategy_id: str, order_count: int, decided_at: datetime) -> str:
    """The id of a decision: the strategy, the orders that it had begun, and the microsecond of the
    price. The same decision, made again, has the same id. A decision on another price with the same
    timestamp has another id once the first has begun an order."""
    return f"{strategy_id}-{order_count}-{(decided_at - _EPOCH) // timedelta(microseconds=1)}"


def decision_time(id_: str) -> datetime:
    """The time of the price that the decision `id_` was made on. Raises ValueError."""
    return _EPOCH + timedelta(microseconds=int(id_.rpartition("-")[2]))


def validate_settings(settings: StrategySettings) -> StrategySettings:
    """Return `settings` with normalized numbers.

    Raises:
        CommandRejected: ``invalid``, with the path of the field at fault.
    """
    validate_symbol_field("symbol", settings.symbol)
    validate_text_field("name", settings.name, max_length=MAX_NAME_LENGTH, is_ascii=False)
    max_trades = settings.max_trades
    if max_trades is not None:
        validate_integer_field("maxTrades", max_trades, minimum=1, maximum=MAX_TRADES)
    return StrategySettings(
        name=settings.name,
        symbol=settings.symbol,
        rule=_validate_rule(settings.rule),
        quantity=validate_decimal_field("quantity", settings.quantity, QTY),
        stop_loss=_validate_stop_loss(settings.stop_loss),
        max_trades=max_trades,
        take_profit=_validate_take_profit(settings.take_profit),
    )


def _validate_rule(rule: StrategyRule) -> StrategyRule:
    match rule:
        case MovingAverageCrossover(fast=fast, slow=slow):
            validate_integer_field("rule.fast", fast, minimum=1, maximum=MAX_WINDOW_PRICES - 1)
            validate_integer_field("rule.slow", slow, minimum=fast + 1, maximum=MAX_WINDOW_PRICES)
            return rule
        case Breakout(window=window, margin_percent=margin):
            validate_integer_field("rule.window", window, minimum=2, maximum=MAX_WINDOW_PRICES)
            path = "rule.marginPercent"
            margin = validate_decimal_field(path, margin, MARGIN_PERCENT)
            return Breakout(window=window, margin_percent=margin)
        case MeanReversion(window=window, deviations=deviations):
            validate_integer_field("rule.window", window, minimum=2, maximum=MAX_WINDOW_PRICES)
            path = "rule.deviations"
            deviations = validate_decimal_field(path, deviations, DEVIATIONS)
            return MeanReversion(window=window, deviations=deviations)
        case _:
            assert_never(rule)


def _validate_stop_loss(stop: StopLoss | None) -> StopLoss | None:
    if stop is None:
        return None
    percent = validate_decimal_field("stopLoss.percent", stop.percent, STOP_LOSS_PERCENT)
    return StopLoss(kind=stop.kind, percent=percent)


def _validate_take_profit(take_profit: TakeProfit | None) -> TakeProfit | None:
    if take_profit is None:
        return None
    percent = validate_decimal_field("takeProfit.percent", take_profit.percent, TAKE_PROFIT_PERCENT)
    return TakeProfit(percent=percent)
