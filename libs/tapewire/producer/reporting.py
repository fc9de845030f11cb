"""What callers tell of, as events: arguments checked and made exact. Pure but for the clock.

The `…Facts` are the named arguments of the calls in `happenings`; `given` refuses other names. Each
function raises BadCall for what cannot be meant.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NotRequired, TypedDict, TypeVar

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
from tapewire.producer import figures
from tapewire.producer.errors import BadCall
from tapewire.producer.figures import Number

NOTHING = Decimal(0)
PERCENT_PLACES = 4

L = TypeVar("L", bound=StopLossReport)
M = TypeVar("M", bound=Enum)


class Facts(TypedDict):
    """Of every call: whom it concerns (`user`), when it happened (`at`, with a time zone; now), and
    the id to store it under (`event_id`), which makes a repeated call harmless."""

    user: str
    at: NotRequired[datetime | None]
    event_id: NotRequired[str | None]


class StrategyFacts(Facts):
    """Of a strategy: what your program calls it, what it trades, what it holds (shares, below 0
    when short), what people call it, and why it is as it is."""

    strategy_id: str
    symbol: NotRequired[str | None]
    position: NotRequired[Number]
    name: NotRequired[str | None]
    message: NotRequired[str | None]


class OrderFacts(Facts):
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


class StopLossFacts(Facts):
    """Of a stop-loss: prices in dollars a share, and the order that closes the position."""

    strategy_id: str
    trigger_price: Number
    current_price: Number
    symbol: NotRequired[str | None]
    order_id: NotRequired[str | None]


class ErrorFacts(Facts):
    """Of an error: a word for programs, the same for people, and what helps to find the cause."""

    error_code: str
    error_message: str
    strategy_id: NotRequired[str | None]
    details: NotRequired[str | None]


class DecisionFacts(Facts):
    """Of a decision: ``buy``, ``sell`` or ``hold``, how sure (0 to 1), why, whether it was acted
    on."""

    strategy_id: str
    symbol: str
    action: Action | str
    confidence: Number
    reasoning: str
    taken: NotRequired[bool]


class AlertFacts(Facts):
    """Of an alert: its text, ``info``, ``warning`` or ``error``, and what it is about."""

    message: str
    level: NotRequired[AlertLevel | str | None]
    symbol: NotRequired[str | None]


class PriceFacts(TypedDict, total=False):
    """Of a quote: the touch and its sizes in shares (nothing is filled where nothing is on offer),
    what was traded today, and the day's first price, which the change is against."""

    bid: Number | None
    ask: Number | None
    bid_size: Number
    ask_size: Number
    volume: Number
    day_open: Number | None
    at: datetime | None


def given(call: str, kind: Any, facts: Mapping[str, Any]) -> None:
    """Raises TypeError when `facts` lacks one that `kind` requires, or has one that it has not."""
    missing = sorted(kind.__required_keys__ - facts.keys())
    if missing:
        raise TypeError(f"{call}() misses the argument {missing[0]!r}")
    unknown = sorted(facts.keys() - kind.__required_keys__ - kind.__optional_keys__)
    if unknown:
        known = ", ".join(sorted(kind.__required_keys__ | kind.__optional_keys__))
        raise TypeError(f"{call}() has no argument {unknown[0]!r}; it has: {known}")


def strategy(source: str, status: StrategyStatus, facts: StrategyFacts) -> ReportedStrategy:
    return ReportedStrategy(
        source=source,
        strategy_id=figures.name("strategy_id", facts["strategy_id"]),
        name=_name("name", facts.get("name")),
        symbol=_name("symbol", facts.get("symbol")),
        status=status,
        position=figures.number("position", facts.get("position", 0)),
        message=_words("message", facts.get("message")),
        timestamp=figures.moment("at", facts.get("at")),
    )


def order(source: str, status: OrderStatus, facts: OrderFacts) -> ReportedOrder:
    price = facts.get("price")
    return ReportedOrder(
        source=source,
        order_id=figures.name("order_id", facts["order_id"]),
        strategy_id=_name("strategy_id", facts.get("strategy_id")),
        symbol=figures.name("symbol", facts["symbol"]),
        side=_one_of(Side, "side", facts["side"]),
        stop_loss=_flag("stop_loss", facts.get("stop_loss", False)),
        quantity=figures.number("quantity", facts["quantity"], above=NOTHING),
        price=None if price is None else figures.price("price", price),
        status=status,
        reason=_words("reason", facts.get("reason")),
        timestamp=figures.moment("at", facts.get("at")),
    )


def stop_loss(kind: type[L], source: str, facts: StopLossFacts) -> L:
    return kind(
        source=source,
        strategy_id=figures.name("strategy_id", facts["strategy_id"]),
        symbol=_name("symbol", facts.get("symbol")),
        trigger_price=figures.price("trigger_price", facts["trigger_price"]),
        current_price=figures.price("current_price", facts["current_price"]),
        order_id=_name("order_id", facts.get("order_id")),
        timestamp=figures.moment("at", facts.get("at")),
    )


def error(source: str, facts: ErrorFacts) -> ErrorReported:
    return ErrorReported(
        source=source,
        strategy_id=_name("strategy_id", facts.get("strategy_id")),
        error_code=figures.name("error_code", facts["error_code"]),
        error_message=figures.words("error_message", facts["error_message"]),
        details=_words("details", facts.get("details")),
        timestamp=figures.moment("at", facts.get("at")),
    )


def decision(decision_id: str, facts: DecisionFacts) -> DecisionMade:
    confidence = figures.number("confidence", facts["confidence"], least=NOTHING)
    if confidence > 1:
        raise BadCall("confidence", facts["confidence"], "must be from 0 to 1")
    return DecisionMade(
        decision_id=decision_id,
        strategy_id=figures.name("strategy_id", facts["strategy_id"]),
        symbol=figures.name("symbol", facts["symbol"]),
        action=_one_of(Action, "action", facts["action"]),
        confidence=confidence,
        reasoning=figures.words("reasoning", facts["reasoning"]),
        taken=_flag("taken", facts.get("taken", True)),
        timestamp=figures.moment("at", facts.get("at")),
    )


def alert(alert_id: str, facts: AlertFacts) -> AlertRaised:
    return AlertRaised(
        alert_id=alert_id,
        level=_one_of(AlertLevel, "level", facts.get("level") or AlertLevel.INFO),
        message=figures.words("message", facts["message"]),
        symbol=_name("symbol", facts.get("symbol")),
        rule_id=None,
        timestamp=figures.moment("at", facts.get("at")),
    )


def quote(symbol: str, price: Number, facts: PriceFacts) -> PriceUpdated:
    last = figures.price("price", price)
    bid, ask, day_open = facts.get("bid"), facts.get("ask"), facts.get("day_open")
    first = last if day_open is None else figures.price("day_open", day_open)
    return PriceUpdated(
        symbol=figures.name("symbol", symbol),
        price=last,
        bid=last if bid is None else figures.price("bid", bid),
        ask=last if ask is None else figures.price("ask", ask),
        bid_size=figures.number("bid_size", facts.get("bid_size", 0), least=NOTHING),
        ask_size=figures.number("ask_size", facts.get("ask_size", 0), least=NOTHING),
        volume=figures.number("volume", facts.get("volume", 0), least=NOTHING),
        change=last - first,
        change_percent=figures.plain(round((last - first) * 100 / first, PERCENT_PLACES)),
        timestamp=figures.moment("at", facts.get("at")),
    )


def _name(field: str, value: str | None) -> str | None:
    return None if value is None else figures.name(field, value)


def _words(field: str, value: str | None) -> str | None:
    return None if value is None else figures.words(field, value)


def _flag(field: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise BadCall(field, value, "must be True or False")
    return value


def _one_of(kind: type[M], field: str, value: M | str) -> M:
    try:
        return kind(value)
    except ValueError:
        raise BadCall(field, value, f"must be one of {[one.value for one in kind]}") from None
