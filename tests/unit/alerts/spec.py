"""How tests of alert rules are written: `given(commands).when(command).then(lines)`, and things to
say. An event is told by `said`: one short line with what matters of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.alerts.domain.armed import Armed
from services.alerts.domain.commands import Arm, Command, Create, Delete, Trigger
from services.alerts.domain.rules import RULES, Absent, State
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
from tapewire.log import Happening, Refusal

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
USER = "alice"
GOLDEN = Path(__file__).parents[1] / "events" / "golden"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def create(
    kind: RuleKind = RuleKind.PRICE_ABOVE,
    *,
    symbol: str | None = "IBM",
    price: str | None = None,
    percent: str | None = None,
    window: int | None = None,
    id: str = "c",  # noqa: A002
) -> Create:
    return Create(
        id=id,
        at=START,
        user=USER,
        rule_id="r",
        kind=kind,
        level=AlertLevel.WARNING,
        symbol=symbol,
        price=None if price is None else Decimal(price),
        percent=None if percent is None else Decimal(percent),
        window_seconds=window,
    )


def above(price: str = "100", id: str = "c") -> Create:  # noqa: A002
    return create(price=price, id=id)


def trigger(arming: str = "c", id: str = "t", message: str = "it is") -> Trigger:  # noqa: A002
    return Trigger(id=id, at=at(5), user=USER, arming=arming, symbol="IBM", message=message)


def arm(id: str = "a") -> Arm:  # noqa: A002
    return Arm(id=id, at=at(9), user=USER)


def delete(id: str = "d") -> Delete:  # noqa: A002
    return Delete(id=id, at=at(9), user=USER)


def said(happening: Happening) -> str:
    event, domain = happening.event, happening.subject.domain
    if isinstance(event, AlertRaised):
        return f"{domain}: {event.level.value} {event.symbol} {event.message}"
    assert isinstance(event, RuleEvent)
    name = type(event).__name__.removeprefix("Rule").lower()
    return f"{domain}: {name} {'armed' if event.rule.armed else 'unarmed'}"


class Given:
    """A history of commands, each decided on what the ones before it made."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.state: State = Absent()
        self.happenings: list[Happening] = []
        for command in commands:
            self.decide(command)

    def decide(self, command: Command) -> list[Happening]:
        happened = list(RULES.decide(self.state, command))
        for happening in happened:
            if happening.subject.domain == "rules":
                self.state = RULES.evolve(self.state, happening.event)
        self.happenings += happened
        return happened

    def when(self, command: Command) -> "When":
        return When(self, command)

    def alerts(self) -> list[AlertRaised]:
        return [one.event for one in self.happenings if isinstance(one.event, AlertRaised)]


class When:
    def __init__(self, given_: Given, command: Command) -> None:
        self._given = given_
        self._command = command

    def then(self, *lines: str) -> Given:
        assert [said(happening) for happening in self._given.decide(self._command)] == [*lines]
        return self._given

    def then_refused(self, code: str, path: str | None = None, *, saying: str = "") -> None:
        with pytest.raises(Refusal) as refused:
            self._given.decide(self._command)
        refusal = refused.value
        assert (refusal.code, refusal.path) == (code, path)
        assert saying in refusal.message


def given(*commands: Command) -> Given:
    return Given(commands)


def quote(price: str | Decimal, second: float = 0, symbol: str = "IBM") -> PriceUpdated:
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


def armed(
    id: str,  # noqa: A002
    kind: RuleKind,
    *,
    price: str | Decimal | None = None,
    percent: str | Decimal | None = None,
    window: int | None = None,
    symbol: str | None = "IBM",
    second: float = 0,
    arming: str | None = None,
    sequence: int = 1,
    user: str = USER,
) -> Armed:
    rule = AlertRule(
        rule_id=id,
        kind=kind,
        level=AlertLevel.INFO,
        symbol=symbol,
        price=None if price is None else Decimal(price),
        percent=None if percent is None else Decimal(percent),
        window_seconds=window,
        armed=True,
        timestamp=at(second),
    )
    return Armed(user, rule, arming or f"{id}-arming", sequence, "correlation")


def order(
    status: OrderStatus = OrderStatus.NEW,
    *,
    id: str = "o",  # noqa: A002
    symbol: str = "IBM",
    filled: str = "0",
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
        filled_qty=Decimal(filled),
        filled_avg_price=Decimal("100.25") if filled != "0" else None,
        strategy_id=None,
        reason=reason,
        timestamp=at(second),
    )


def rejected(reason: str = "too dear", **more: str) -> OrderRejected:
    return OrderRejected(
        order=order(OrderStatus.REJECTED, reason=reason, **more),  # type: ignore[arg-type]
        command_id="reject",
    )


def failed(reason: str = "venue down") -> OrderFailed:
    return OrderFailed(
        order=order(OrderStatus.FAILED, filled="3", reason=reason), command_id="fail"
    )


def filled(status: OrderStatus = OrderStatus.FILLED, side: Side = Side.BUY) -> OrderFilled:
    return OrderFilled(
        order=order(status, filled="1000", side=side),
        command_id="fill",
        trade_id="t",
        qty=Decimal(1),
        price=Decimal(1),
    )


def golden(tag: str) -> Event:
    """The event of that tag as the catalogue's tests have it."""
    return CATALOGUE.decode(tag, (GOLDEN / f"{tag}.json").read_bytes())


def strategy_failed(details: str = "division by zero", name: str = "Reverter") -> StrategyFailed:
    event = golden("strategy.failed.v1")
    assert isinstance(event, StrategyFailed)
    of = replace(event.strategy, name=name, symbol="SPY", timestamp=START)
    return replace(event, strategy=of, details=details)


def stop_loss() -> StopLossTriggered:
    event = golden("strategy.stop_loss_triggered.v1")
    assert isinstance(event, StopLossTriggered)
    of = replace(event.strategy, name="Reverter", symbol="SPY", timestamp=START)
    return replace(
        event, strategy=of, trigger_price=Decimal(95), current_price=Decimal("94.5"), order_id="o"
    )


def told(event: Event) -> str:
    """A notification in a line."""
    assert isinstance(event, NotificationCreated)
    notification = event.notification
    return f"{notification.type}: {notification.title}: {notification.message}"
