"""How tests of strategies are written: `given(commands).when(command).then(lines)`.

An event is told by `said`: one short line with what matters of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from services.strategies.commands import (
    Act,
    Command,
    Create,
    EndOrder,
    Fail,
    Fill,
    Settings,
    Start,
    Stop,
    TriggerStopLoss,
    Update,
)
from services.strategies.domain import STRATEGIES, Absent, Made, State
from tapewire.events import (
    Action,
    Breakout,
    DecisionMade,
    Event,
    MovingAverageCrossover,
    OrderStatus,
    Rule,
    Side,
    StopLoss,
    StopLossKind,
    Strategy,
    StrategyEvent,
    StrategyTraded,
)
from tapewire.log import Happening, Refusal
from tapewire.runtime.contracts.orders import order_id

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
USER = "alice"
ID = "s1"
CROSSOVER = MovingAverageCrossover(fast=2, slow=4)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stop_loss(percent: str = "1", kind: StopLossKind = StopLossKind.FIXED) -> StopLoss:
    return StopLoss(kind=kind, percent=Decimal(percent))


def settings(
    *,
    quantity: str = "100",
    rule: Rule = CROSSOVER,
    stop: StopLoss | None = None,
    max_trades: int | None = None,
    name: str = "mine",
    symbol: str = "IBM",
) -> Settings:
    return Settings(
        name=name,
        symbol=symbol,
        rule=rule,
        quantity=Decimal(quantity),
        stop_loss=stop,
        max_trades=max_trades,
    )


def named(id: str, second: float = 0) -> dict[str, object]:  # noqa: A002
    return {"id": id, "at": at(second), "user": USER, "strategy_id": ID}


def create(of: Settings | None = None) -> Create:
    return Create(**named("create"), settings=of or settings())


def start(id: str = "start") -> Start:  # noqa: A002
    return Start(**named(id, 1))


def stop(id: str = "stop") -> Stop:  # noqa: A002
    return Stop(**named(id, 2))


def update(id: str = "update", **changes: object) -> Update:  # noqa: A002
    return Update(**named(id, 2), **changes)


def fail(id: str = "fail") -> Fail:  # noqa: A002
    return Fail(**named(id, 2), error_code="rule_failed", details="division by zero")


def buy(price: str = "100", orders: int = 0) -> Act:
    return act(Action.BUY, price, orders)


def sell(price: str = "100", orders: int = 0) -> Act:
    return act(Action.SELL, price, orders)


def act(action: Action, price: str, orders: int) -> Act:
    return Act(
        **named(f"{action.value} at {price}", 3),
        orders=orders,
        action=action,
        confidence=Decimal("0.7"),
        reasoning="because",
        price=Decimal(price),
        decided_at=at(3),
    )


def stopped_out(
    side: Side = Side.SELL, price: str = "98", trigger: str = "99", orders: int = 1
) -> TriggerStopLoss:
    return TriggerStopLoss(
        **named(f"stopped out at {price}", 4),
        orders=orders,
        side=side,
        price=Decimal(price),
        trigger_price=Decimal(trigger),
    )


def fill(order: str, filled: str, price: str = "100") -> Fill:
    """Order `order` (``1`` or ``2-sl``) is filled up to `filled`."""
    return Fill(
        **named(f"{order} filled to {filled}", 5),
        order_id=order_id(USER, f"{ID}-{order}"),
        trade_id=f"t{order}/{filled}",
        filled_qty=Decimal(filled),
        price=Decimal(price),
    )


def ended(order: str, status: OrderStatus | None, reason: str | None = "so") -> EndOrder:
    return EndOrder(
        **named(f"{order} ended", 6),
        order_id=order_id(USER, f"{ID}-{order}"),
        status=status,
        reason=reason,
    )


def said(happening: Happening) -> str:
    """The event in a line: what, the status, what is held, and the order under way."""
    event = happening.event
    if isinstance(event, DecisionMade):
        assert happening.subject.domain == "decisions"
        return f"decision {event.action.value} {'taken' if event.taken else 'declined'}"
    assert happening.subject.domain == "strategies"
    assert isinstance(event, StrategyEvent)
    strategy = event.strategy
    line = f"{type(event).__name__.removeprefix('Strategy')}: {strategy.status.value}"
    if isinstance(event, StrategyTraded):
        line += f" by {event.side.value} {event.qty}@{event.price}"
    if strategy.position:
        line += f", holds {strategy.position}@{strategy.entry_price}"
    if strategy.order is not None:
        order = strategy.order
        name = order.client_order_id.removeprefix(f"{ID}-")
        line += f", order {name} {order.side.value} {order.filled_qty}/{order.qty}"
    return line


class Given:
    """A history of commands, each decided on what the ones before it made."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.state: State = Absent()
        self.happenings: list[Happening] = []
        for command in commands:
            self.decide(command)

    @property
    def strategy(self) -> Strategy:
        assert isinstance(self.state, Made)
        return self.state.strategy

    def decide(self, command: Command) -> list[Happening]:
        happened = list(STRATEGIES.decide(self.state, command))
        for happening in happened:
            if happening.subject.domain == "strategies":
                self.state = STRATEGIES.evolve(self.state, happening.event)
        self.happenings += happened
        return happened

    def when(self, command: Command) -> "When":
        return When(self, command)

    def events(self) -> list[Event]:
        return [happening.event for happening in self.happenings]


class When:
    def __init__(self, given_: Given, command: Command) -> None:
        self._given = given_
        self._command = command

    def then(self, *lines: str) -> Given:
        assert [said(happening) for happening in self._given.decide(self._command)] == [*lines]
        return self._given

    def then_refused(self, code: str, path: str | None = None, *, saying: str = "") -> Given:
        with pytest.raises(Refusal) as refused:
            self._given.decide(self._command)
        refusal = refused.value
        assert (refusal.code, refusal.path) == (code, path)
        assert saying in refusal.message
        return self._given


def given(*commands: Command) -> Given:
    return Given(commands)


def started(of: Settings | None = None) -> tuple[Command, ...]:
    return (create(of), start())


def holding(of: Settings | None = None, qty: str = "100") -> tuple[Command, ...]:
    """Started, and long after its first order."""
    return (*started(of), buy(), fill("1", qty))


def strategy(**changes: object) -> Strategy:
    """A started one that holds nothing."""
    return msgspec.structs.replace(given(*started()).strategy, **changes)


WIDE_BREAKOUT = Breakout(window=3, margin_percent=Decimal("0.5"))
