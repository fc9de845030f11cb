"""What callers tell of, as events: arguments checked and made exact. Pure but for the clock.

The `…Facts` are the named arguments of the calls in `happenings`; `given` refuses other names. Each
function raises BadCall for what cannot be meant.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NotRequired, TypedDict, TypeVar

from tapewire.client import validation
from tapewire.client.errors import InvalidArgument
from tapewire.decimals import Number, limit_places
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

ZERO = Decimal(0)
PERCENT_PLACES = 4

L = TypeVar("L", bound=StopLossReport)
M = TypeVar("M", bound=Enum)


class EventArguments(TypedDict):
    """Of every call: whom it concerns (`user`), when it happened (`at`, with a time zone; now), and
    the id to store it under (`event_id`), which makes a repeated call harmless."""

    user: str
    at: NotRequired[datetime | None]
    event_id: NotRequired[str | None]


class StrategyArguments(EventArguments):
    """Of a strategy: what your program calls it, what it trades, what it holds (shares, below 0
    when short), what people call it, and why it is as it is."""

    strategy_id: str
    symbol: NotRequired[str | None]
    position: NotRequired[Number]
    name: NotRequired[str | None]
    message: NotRequired[str | None]


class OrderArguments(EventArguments):
    """Of an order: what your program calls it, `quantity` in shares, `price` in dollars a share
    (its limit, or what it was executed at), its strategy, whether it closes a position for a
    stop-loss, and why it is as it is."""

    order_id: str
    symbol: str
    side: Side | str
    quantity: Number
    price: NotRequired[Number | None]
    strategy_id: NotRequired[str | None]
    stop_loss: NotRequired[bool]
    reason: NotRequired[str | None]


class StopLossArguments(EventArguments):
    """Of a stop-loss: prices in dollars a share, and the order that closes the position."""

    strategy_id: str
    trigger_price: Number
    current_price: Number
    symbol: NotRequired[str | None]
    order_id: NotRequired[str | None]


class ErrorArguments(EventArguments):
    """Of an error: a word for programs, the same for people, and what helps to find the cause."""

    error_code: str
    error_message: str
    strategy_id: NotRequired[str | None]
    details: NotRequired[str | None]


class DecisionArguments(EventArguments):
    """Of a decision: ``buy``, ``sell`` or ``hold``, how sure (0 to 1), why, whether it was acted
    on."""

    strategy_id: str
    symbol: str
    action: Action | str
    confidence: Number
    reasoning: str
    taken: NotRequired[bool]


class AlertArguments(EventArguments):
    """Of an alert: its text, ``info``, ``warning`` or ``error``, and what it is about."""

    message: str
    level: NotRequired[AlertLevel | str | None]
    symbol: NotRequired[str | None]


class PriceArguments(TypedDict, total=False):
    """Of a quote: the touch and its sizes in shares (nothing is filled where nothing is on offer),
    what was traded today, and the day's first price, which the change is against."""

    bid: Number | None
    ask: Number | None
    bid_size: Number
    ask_size: Number
    volume: Number
    day_open: Number | None
    at: datetime | None


def check_arguments(method_name: str, arguments_type: Any, arguments: Mapping[str, Any]) -> None:
    """Raises TypeError when `facts` lacks one that `kind` requires, or has one that it has not."""
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
        symbol=_validate_optional_name("symbol", arguments.get("symbol")),
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
        symbol=validation.validate_name("symbol", arguments["symbol"]),
        side=_validate_enum(Side, "side", arguments["side"]),
        stop_loss=_validate_bool("stop_loss", arguments.get("stop_loss", False)),
        quantity=validation.validate_positive_number("quantity", arguments["quantity"]),
        price=None if price is None else validation.validate_positive_number("price", price),
        status=status,
        reason=_validate_optional_text("reason", arguments.get("reason")),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_stop_loss_report(event_type: type[L], source: str, arguments: StopLossArguments) -> L:
    return event_type(
        source=source,
        strategy_id=validation.validate_name("strategy_id", arguments["strategy_id"]),
        symbol=_validate_optional_name("symbol", arguments.get("symbol")),
        trigger_price=validation.validate_positive_number(
            "trigger_price", arguments["trigger_price"]
        ),
        current_price=validation.validate_positive_number(
            "current_price", arguments["current_price"]
        ),
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
    confidence = validation.validate_number("confidence", arguments["confidence"], minimum=ZERO)
    if confidence > 1:
        raise InvalidArgument("confidence", arguments["confidence"], "must be from 0 to 1")
    return DecisionMade(
        decision_id=decision_id,
        strategy_id=validation.validate_name("strategy_id", arguments["strategy_id"]),
        symbol=validation.validate_name("symbol", arguments["symbol"]),
        action=_validate_enum(Action, "action", arguments["action"]),
        confidence=confidence,
        reasoning=validation.validate_text("reasoning", arguments["reasoning"]),
        taken=_validate_bool("taken", arguments.get("taken", True)),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_alert_raised(alert_id: str, arguments: AlertArguments) -> AlertRaised:
    return AlertRaised(
        alert_id=alert_id,
        level=_validate_enum(AlertLevel, "level", arguments.get("level") or AlertLevel.INFO),
        message=validation.validate_text("message", arguments["message"]),
        symbol=_validate_optional_name("symbol", arguments.get("symbol")),
        rule_id=None,
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def build_price_updated(symbol: str, price: Number, arguments: PriceArguments) -> PriceUpdated:
    last = validation.validate_positive_number("price", price)
    bid, ask, day_open = arguments.get("bid"), arguments.get("ask"), arguments.get("day_open")
    first = last if day_open is None else validation.validate_positive_number("day_open", day_open)
    return PriceUpdated(
        symbol=validation.validate_name("symbol", symbol),
        price=last,
        bid=last if bid is None else validation.validate_positive_number("bid", bid),
        ask=last if ask is None else validation.validate_positive_number("ask", ask),
        bid_size=validation.validate_number("bid_size", arguments.get("bid_size", 0), minimum=ZERO),
        ask_size=validation.validate_number("ask_size", arguments.get("ask_size", 0), minimum=ZERO),
        volume=validation.validate_number("volume", arguments.get("volume", 0), minimum=ZERO),
        change=last - first,
        change_percent=limit_places((last - first) * 100 / first, PERCENT_PLACES),
        timestamp=validation.validate_timestamp("at", arguments.get("at")),
    )


def _validate_optional_name(field: str, value: str | None) -> str | None:
    return None if value is None else validation.validate_name(field, value)


def _validate_optional_text(field: str, value: str | None) -> str | None:
    return None if value is None else validation.validate_text(field, value)


def _validate_bool(field: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(field, value, "must be True or False")
    return value


def _validate_enum(enum_type: type[M], field: str, value: M | str) -> M:
    try:
        return enum_type(value)
    except ValueError:
        raise InvalidArgument(
            field, value, f"must be one of {[one.value for one in enum_type]}"
        ) from None
