"""Builds events from the arguments of the client's calls, which it validates.

The `…Arguments` types are the keyword arguments of the calls in `trading_events`; `check_arguments`
rejects other names. Every function raises `InvalidArgument` for a malformed value. The only
impurity is the clock: a missing time is the current one.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NotRequired, TypedDict, TypeVar

from tapewire.client import validation
from tapewire.client.errors import InvalidArgument
from tapewire.decimals import WIDE_CONTEXT, percent_change
from tapewire.events import (
    Action,
    AlertLevel,
    AlertRaised,
    DecisionMade,
    ErrorReported,
    OrderStatus,
    PriceUpdated,
    ReportedOrder,
    ReportedStrategy,
    Side,
    StopLossReport,
    StrategyStatus,
)
from tapewire.values import NOT_NEGATIVE, POSITIVE, Number, NumberRange

CONFIDENCE = NumberRange(minimum=Decimal(0), maximum=Decimal(1))

L = TypeVar("L", bound=StopLossReport)
M = TypeVar("M", bound=Enum)


class EventArguments(TypedDict):
    """Arguments of every call.

    `user` is the user concerned, `at` the time of the event with a time zone (default: now), and
    `event_id` the id to store it under, which makes a repeated call harmless.
    """

    user: str
    at: NotRequired[datetime | None]
    event_id: NotRequired[str | None]


class StrategyArguments(EventArguments):
    """Arguments about a strategy of your program.

    `strategy_id` is its id in your program, `symbol` what it trades, `position` its shares (below 0
    if short), `name` its name for people, and `message` the reason for its state.
    """

    strategy_id: str
    symbol: NotRequired[str | None]
    position: NotRequired[Number]
    name: NotRequired[str | None]
    message: NotRequired[str | None]


class OrderArguments(EventArguments):
    """Arguments about an order of your program.

    `order_id` is its id in your program, `quantity` is in shares, and `price` in dollars a share is
    its limit or its execution price. `stop_loss` says that it closes a position for a stop-loss.
    `reason` explains its status.
    """

    order_id: str
    symbol: str
    side: Side | str
    quantity: Number
    price: NotRequired[Number | None]
    strategy_id: NotRequired[str | None]
    stop_loss: NotRequired[bool]
    reason: NotRequired[str | None]


class StopLossArguments(EventArguments):
    """Arguments about a stop-loss. Prices are dollars a share; the order closes the position."""

    strategy_id: str
    trigger_price: Number
    current_price: Number
    symbol: NotRequired[str | None]
    order_id: NotRequired[str | None]


class ErrorArguments(EventArguments):
    """Arguments about an error: a code for programs, a message for people, and further details."""

    error_code: str
    error_message: str
    strategy_id: NotRequired[str | None]
    details: NotRequired[str | None]


class DecisionArguments(EventArguments):
    """Arguments about a decision.

    `action` is ``buy``, ``sell`` or ``hold``, `confidence` is from 0 to 1, and `taken` says whether
    the decision was acted on.
    """

    strategy_id: str
    symbol: str
    action: Action | str
    confidence: Number
    reasoning: str
    taken: NotRequired[bool]


class AlertArguments(EventArguments):
    """Arguments about an alert. `level` is ``info`` (the default), ``warning`` or ``error``."""

    message: str
    level: NotRequired[AlertLevel | str | None]
    symbol: NotRequired[str | None]


class PriceArguments(TypedDict, total=False):
    """Arguments about a quote.

    Sizes are in shares; orders fill only against offered sizes. `volume` is what was traded today,
    and `day_open` the price that the change is measured from.
    """

    bid: Number | None
    ask: Number | None
    bid_size: Number
    ask_size: Number
    volume: Number
    day_open: Number | None
    at: datetime | None


def check_arguments(method_name: str, arguments_type: Any, arguments: Mapping[str, Any]) -> None:
    """Raise TypeError for a missing or an unknown argument of the call `method_name`."""
    missing = sorted(arguments_type.__required_keys__ - arguments.keys())
    if missing:
        raise TypeError(f"{method_name}() misses the argument {missing[0]!r}")
    unknown = sorted(
        arguments.keys() - arguments_type.__required_keys__ - arguments_type.__optional_keys__
    )
    if unknown:
        known = ", ".join(
            sorted(arguments_type.__required_keys__ | arguments_type.__optional_keys__)
        )
        raise TypeError(f"{method_name}() has no argument {unknown[0]!r}; it has: {known}")


def build_reported_strategy(
    source: str, status: StrategyStatus, arguments: StrategyArguments
) -> ReportedStrategy:
    return ReportedStrategy(
        source=source,
        strategy_id=validation.validate_name("strategy_id", arguments["strategy_id"]),
        name=_validate_optional_name("name", arguments.get("name")),
        symbol=_validate_optional_symbol(arguments.get("symbol")),
        status=status,
        position=validation.validate_number("position", arguments.get("position", 0)),
        message=_validate_optional_text("message", arguments.get("message")),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_reported_order(
    source: str, status: OrderStatus, arguments: OrderArguments
) -> ReportedOrder:
    price = arguments.get("price")
    return ReportedOrder(
        source=source,
        order_id=validation.validate_name("order_id", arguments["order_id"]),
        strategy_id=_validate_optional_name("strategy_id", arguments.get("strategy_id")),
        symbol=validation.validate_symbol("symbol", arguments["symbol"]),
        side=_validate_enum(Side, "side", arguments["side"]),
        stop_loss=validation.validate_flag("stop_loss", arguments.get("stop_loss", False)),
        quantity=validation.validate_number("quantity", arguments["quantity"], POSITIVE),
        price=None if price is None else validation.validate_price("price", price),
        status=status,
        reason=_validate_optional_text("reason", arguments.get("reason")),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_stop_loss_report(event_type: type[L], source: str, arguments: StopLossArguments) -> L:
    return event_type(
        source=source,
        strategy_id=validation.validate_name("strategy_id", arguments["strategy_id"]),
        symbol=_validate_optional_symbol(arguments.get("symbol")),
        trigger_price=validation.validate_price("trigger_price", arguments["trigger_price"]),
        current_price=validation.validate_price("current_price", arguments["current_price"]),
        order_id=_validate_optional_name("order_id", arguments.get("order_id")),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_error_reported(source: str, arguments: ErrorArguments) -> ErrorReported:
    return ErrorReported(
        source=source,
        strategy_id=_validate_optional_name("strategy_id", arguments.get("strategy_id")),
        error_code=validation.validate_name("error_code", arguments["error_code"]),
        error_message=validation.validate_text("error_message", arguments["error_message"]),
        details=_validate_optional_text("details", arguments.get("details")),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_decision_made(decision_id: str, arguments: DecisionArguments) -> DecisionMade:
    return DecisionMade(
        decision_id=decision_id,
        strategy_id=validation.validate_name("strategy_id", arguments["strategy_id"]),
        symbol=validation.validate_symbol("symbol", arguments["symbol"]),
        action=_validate_enum(Action, "action", arguments["action"]),
        confidence=validation.validate_number("confidence", arguments["confidence"], CONFIDENCE),
        reasoning=validation.validate_text("reasoning", arguments["reasoning"]),
        taken=validation.validate_flag("taken", arguments.get("taken", True)),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_alert_raised(alert_id: str, arguments: AlertArguments) -> AlertRaised:
    return AlertRaised(
        alert_id=alert_id,
        level=_validate_enum(AlertLevel, "level", arguments.get("level") or AlertLevel.INFO),
        message=validation.validate_text("message", arguments["message"]),
        symbol=_validate_optional_symbol(arguments.get("symbol")),
        rule_id=None,
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_price_updated(symbol: str, price: Number, arguments: PriceArguments) -> PriceUpdated:
    last = validation.validate_price("price", price)
    bid, ask, day_open = arguments.get("bid"), arguments.get("ask"), arguments.get("day_open")
    first = last if day_open is None else validation.validate_price("day_open", day_open)
    return PriceUpdated(
        symbol=validation.validate_symbol("symbol", symbol),
        price=last,
        bid=last if bid is None else validation.validate_price("bid", bid),
        ask=last if ask is None else validation.validate_price("ask", ask),
        bid_size=validation.validate_number("bid_size", arguments.get("bid_size", 0), NOT_NEGATIVE),
        ask_size=validation.validate_number("ask_size", arguments.get("ask_size", 0), NOT_NEGATIVE),
        volume=validation.validate_number("volume", arguments.get("volume", 0), NOT_NEGATIVE),
        change=WIDE_CONTEXT.subtract(last, first),
        change_percent=percent_change(first, last),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def _validate_optional_name(field: str, value: str | None) -> str | None:
    return None if value is None else validation.validate_name(field, value)


def _validate_optional_symbol(value: str | None) -> str | None:
    return None if value is None else validation.validate_symbol("symbol", value)


def _validate_optional_text(field: str, value: str | None) -> str | None:
    return None if value is None else validation.validate_text(field, value)


def _validate_enum(enum_type: type[M], field: str, value: M | str) -> M:
    try:
        return enum_type(value)
    except ValueError:
        raise InvalidArgument(
            field, value, f"must be one of {[one.value for one in enum_type]}"
        ) from None
