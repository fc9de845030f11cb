"""What can be asked of a strategy, and what makes such a request well-formed. Pure.

`checked` judges a `Settings`, which `Create` and `Update` come down to; paths in its refusals are
the fields as requests spell them in JSON.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

import msgspec

from services.strategies.exact import Inexact, exact, show
from tapewire.events import (
    Action,
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    OrderStatus,
    Rule,
    Side,
    StopLoss,
)
from tapewire.log import Refusal

MAX_QTY = Decimal(1_000_000)
"""Shares of one order."""
QTY_PLACES = 6
MAX_WINDOW = 1000
"""Prices that a rule looks back over."""
PERCENT_PLACES = 4
MAX_MARGIN = Decimal(50)
MAX_DEVIATIONS = Decimal(10)
LEAST = Decimal("0.0001")
"""The least of what must be above 0 and has `PERCENT_PLACES`."""
MAX_TRADES = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAME_LENGTH = 100
ID_LENGTH = 64
"""Characters of a strategy's id, a symbol."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses of a strategy."""

    name: str
    symbol: str
    rule: Rule
    quantity: Decimal
    stop_loss: StopLoss | None
    max_trades: int | None


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is when, UTC; the strategy is `strategy_id` of `user`."""

    id: str
    at: datetime
    user: str
    strategy_id: str


class Create(_Command, frozen=True, kw_only=True):
    """Make it."""

    settings: Settings


class Update(_Command, frozen=True, kw_only=True):
    """Change what is set; the symbol stays for ever."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: Rule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET

    def apply(self, settings: Settings) -> Settings:
        """`settings` with what is set changed."""
        fields = ("name", "rule", "quantity", "stop_loss", "max_trades")
        given = {name: getattr(self, name) for name in fields}
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        return msgspec.structs.replace(settings, **changes)


class Start(_Command, frozen=True, kw_only=True):
    """Follow prices."""


class Stop(_Command, frozen=True, kw_only=True):
    """Follow prices no more."""


class Act(_Command, frozen=True, kw_only=True):
    """The decision-maker wants to buy or sell at `price`, whose time is `decided_at`; it knew of
    `orders` orders of the strategy. A decision that knew of fewer than there were is void."""

    orders: int
    action: Action
    confidence: Decimal
    reasoning: str
    price: Decimal
    decided_at: datetime


class TriggerStopLoss(_Command, frozen=True, kw_only=True):
    """`price` reached `trigger_price`: close by an order of `side` whatever is held. Who says so
    knew of `orders` orders."""

    orders: int
    side: Side
    price: Decimal
    trigger_price: Decimal


class Fill(_Command, frozen=True, kw_only=True):
    """Trade `trade_id` at `price` brought order `order_id` to `filled_qty` shares in all."""

    order_id: str
    trade_id: str
    filled_qty: Decimal
    price: Decimal


class EndOrder(_Command, frozen=True, kw_only=True):
    """Nothing more of order `order_id` will be executed. `status` None: it was never placed."""

    order_id: str
    status: OrderStatus | None
    reason: str | None


class Fail(_Command, frozen=True, kw_only=True):
    """It cannot go on."""

    error_code: str
    details: str


Command = Create | Update | Start | Stop | Act | TriggerStopLoss | Fill | EndOrder | Fail


def decision_id(strategy_id: str, decided_at: datetime) -> str:
    """A decision is named after the strategy and the microsecond of the price that it is about, so
    whoever makes it again makes the same one."""
    return f"{strategy_id}-{(decided_at - _EPOCH) // timedelta(microseconds=1)}"


def checked(settings: Settings) -> Settings:
    """`settings` with their numbers in their plainest digits.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    _text("symbol", settings.symbol, ID_LENGTH)
    if not settings.symbol.isascii():
        raise Refusal("invalid", "symbol must be printable ASCII", "symbol")
    _text("name", settings.name, NAME_LENGTH)
    most_trades = settings.max_trades
    if most_trades is not None:
        _whole("maxTrades", most_trades, 1, MAX_TRADES)
    least = Decimal((0, (1,), -QTY_PLACES))
    return Settings(
        name=settings.name,
        symbol=settings.symbol,
        rule=_rule(settings.rule),
        quantity=_number("quantity", settings.quantity, least, MAX_QTY, QTY_PLACES),
        stop_loss=_stop_loss(settings.stop_loss),
        max_trades=most_trades,
    )


def _rule(rule: Rule) -> Rule:
    match rule:
        case MovingAverageCrossover(fast=fast, slow=slow):
            _whole("rule.fast", fast, 1, MAX_WINDOW - 1)
            _whole("rule.slow", slow, fast + 1, MAX_WINDOW)
            return rule
        case Breakout(window=window, margin_percent=margin):
            _whole("rule.window", window, 2, MAX_WINDOW)
            path = "rule.marginPercent"
            margin = _number(path, margin, Decimal(0), MAX_MARGIN, PERCENT_PLACES)
            return Breakout(window=window, margin_percent=margin)
        case MeanReversion(window=window, deviations=deviations):
            _whole("rule.window", window, 2, MAX_WINDOW)
            path = "rule.deviations"
            deviations = _number(path, deviations, LEAST, MAX_DEVIATIONS, PERCENT_PLACES)
            return MeanReversion(window=window, deviations=deviations)
        case _:
            assert_never(rule)


def _stop_loss(stop: StopLoss | None) -> StopLoss | None:
    if stop is None:
        return None
    most = Decimal(100) - LEAST
    percent = _number("stopLoss.percent", stop.percent, LEAST, most, PERCENT_PLACES)
    return StopLoss(kind=stop.kind, percent=percent)


def _number(path: str, value: Decimal, least: Decimal, most: Decimal, places: int) -> Decimal:
    try:
        return exact(value, least=least, most=most, places=places)
    except Inexact as error:
        raise Refusal("invalid", f"{path} {error}", path) from None


def _whole(path: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise Refusal("invalid", f"{path} must be {least} to {most}, not {show(value)}", path)


def _text(path: str, value: str, most: int) -> None:
    if not 1 <= len(value) <= most:
        message = f"{path} must have 1 to {most} characters, not {len(value)}"
        raise Refusal("invalid", message, path)
    if not value.isprintable():
        raise Refusal("invalid", f"{path} must be printable, not {show(ascii(value))}", path)
