"""Builders and a language for tests of alert rules: `given(commands).when(command).then(lines)`.

`describe_event` puts the essentials of an event into one line.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tapewire.events import (
    CATALOGUE,
    AlertLevel,
    AlertRaised,
    AlertRule,
    Event,
    NotificationCreated,
    Order,
    OrderFailed,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    OrderType,
    PriceUpdated,
    RuleEvent,
    RuleKind,
    Side,
    StopLossTriggered,
    StrategyFailed,
)
from tapewire.log import NewEvent
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.commands import (
    ArmRuleCommand,
    Command,
    CreateRuleCommand,
    DeleteRuleCommand,
    TriggerRuleCommand,
)
from tapewire_services.alerts.domain.rules import RULE_DECIDER, State
from tests.harness.command_history import CommandHistory

START_TIME = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
USER = "alice"
GOLDEN_FOLDER = Path(__file__).parents[1] / "events" / "golden"


def at(seconds: float) -> datetime:
    return START_TIME + timedelta(seconds=seconds)


def create(
    kind: RuleKind = RuleKind.PRICE_ABOVE,
    *,
    symbol: str | None = "IBM",
    price: str | None = None,
    percent: str | None = None,
    window_seconds: int | None = None,
    id: str = "c",  # noqa: A002
) -> CreateRuleCommand:
    return CreateRuleCommand(
        id=id,
        at=START_TIME,
        user=USER,
        rule_id="r",
        kind=kind,
        level=AlertLevel.WARNING,
        symbol=symbol,
        price=None if price is None else Decimal(price),
        percent=None if percent is None else Decimal(percent),
        window_seconds=window_seconds,
    )


def create_price_above(price: str = "100", id: str = "c") -> CreateRuleCommand:  # noqa: A002
    return create(price=price, id=id)


def trigger(arming: str = "c", id: str = "t", message: str = "it is") -> TriggerRuleCommand:  # noqa: A002
    return TriggerRuleCommand(
        id=id, at=at(5), user=USER, arming=arming, symbol="IBM", message=message
    )


def arm(id: str = "a") -> ArmRuleCommand:  # noqa: A002
    return ArmRuleCommand(id=id, at=at(9), user=USER)


def delete(id: str = "d") -> DeleteRuleCommand:  # noqa: A002
    return DeleteRuleCommand(id=id, at=at(9), user=USER)


def describe_event(new_event: NewEvent) -> str:
    event, domain = new_event.event, new_event.subject.domain
    if isinstance(event, AlertRaised):
        return f"{domain}: {event.level.value} {event.symbol} {event.message}"
    assert isinstance(event, RuleEvent)
    name = type(event).__name__.removeprefix("Rule").lower()
    return f"{domain}: {name} {'armed' if event.rule.armed else 'unarmed'}"


class RuleHistory(CommandHistory[State, Command]):
    decider = RULE_DECIDER
    describe = staticmethod(describe_event)

    @property
    def alerts(self) -> list[AlertRaised]:
        return [event for event in self.events if isinstance(event, AlertRaised)]


def given(*commands: Command) -> RuleHistory:
    return RuleHistory(commands)


def make_quote(price: str | Decimal, second: float = 0, symbol: str = "IBM") -> PriceUpdated:
    value = Decimal(price)
    return PriceUpdated(
        symbol=symbol,
        price=value,
        bid=value,
        ask=value,
        bid_size=Decimal(0),
        ask_size=Decimal(0),
        volume=Decimal(0),
        change=Decimal(0),
        change_percent=Decimal(0),
        timestamp=at(second),
    )


def make_armed_rule(
    id: str,  # noqa: A002
    kind: RuleKind,
    *,
    price: str | Decimal | None = None,
    percent: str | Decimal | None = None,
    window_seconds: int | None = None,
    symbol: str | None = "IBM",
    second: float = 0,
    arming: str | None = None,
    sequence: int = 1,
    user: str = USER,
) -> ArmedRule:
    rule = AlertRule(
        rule_id=id,
        kind=kind,
        level=AlertLevel.INFO,
        symbol=symbol,
        price=None if price is None else Decimal(price),
        percent=None if percent is None else Decimal(percent),
        window_seconds=window_seconds,
        armed=True,
        timestamp=at(second),
    )
    return ArmedRule(user, rule, arming or f"{id}-arming", sequence, "correlation")


def make_order(
    status: OrderStatus = OrderStatus.NEW,
    *,
    id: str = "o",  # noqa: A002
    symbol: str = "IBM",
    filled_qty: str = "0",
    reason: str | None = None,
    side: Side = Side.BUY,
    second: float = 0,
) -> Order:
    return Order(
        order_id=id,
        client_order_id=f"client-{id}",
        symbol=symbol,
        side=side,
        type=OrderType.MARKET,
        qty=Decimal("1000"),
        limit_price=None,
        status=status,
        filled_qty=Decimal(filled_qty),
        filled_avg_price=Decimal("100.25") if filled_qty != "0" else None,
        strategy_id=None,
        reason=reason,
        timestamp=at(second),
    )


def order_rejected(reason: str = "too dear", **order_fields: Any) -> OrderRejected:
    return OrderRejected(
        order=make_order(OrderStatus.REJECTED, reason=reason, **order_fields),
        command_id="reject",
    )


def order_failed(reason: str = "venue down") -> OrderFailed:
    return OrderFailed(
        order=make_order(OrderStatus.FAILED, filled_qty="3", reason=reason), command_id="fail"
    )


def order_filled(status: OrderStatus = OrderStatus.FILLED, side: Side = Side.BUY) -> OrderFilled:
    return OrderFilled(
        order=make_order(status, filled_qty="1000", side=side),
        command_id="fill",
        trade_id="t",
        qty=Decimal(1),
        price=Decimal(1),
    )


def load_golden_event(tag: str) -> Event:
    """The golden event of `tag` from the tests of the catalogue."""
    return CATALOGUE.decode(tag, (GOLDEN_FOLDER / f"{tag}.json").read_bytes())


def strategy_failed(details: str = "division by zero", name: str = "Reverter") -> StrategyFailed:
    event = load_golden_event("strategy.failed.v1")
    assert isinstance(event, StrategyFailed)
    of = replace(event.strategy, name=name, symbol="SPY", timestamp=START_TIME)
    return replace(event, strategy=of, details=details)


def stop_loss_triggered() -> StopLossTriggered:
    event = load_golden_event("strategy.stop_loss_triggered.v1")
    assert isinstance(event, StopLossTriggered)
    of = replace(event.strategy, name="Reverter", symbol="SPY", timestamp=START_TIME)
    return replace(
        event, strategy=of, trigger_price=Decimal(95), current_price=Decimal("94.5"), order_id="o"
    )


def describe_notification(event: Event) -> str:
    """A notification in a line."""
    assert isinstance(event, NotificationCreated)
    notification = event.notification
    return f"{notification.type}: {notification.title}: {notification.message}"
