"""Builders and a language for tests of strategies: `given(commands).when(command).then(lines)`.

`describe_event` puts the essentials of an event into one line.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict

import msgspec

from tapewire.events import (
    Action,
    Breakout,
    DecisionMade,
    ExitReason,
    MovingAverageCrossover,
    OrderStatus,
    Side,
    StopLoss,
    StopLossKind,
    Strategy,
    StrategyEvent,
    StrategyRule,
    StrategyTraded,
    TakeProfit,
    WaitingReason,
)
from tapewire.log import NewEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    Command,
    ContinueExitCommand,
    CreateStrategyCommand,
    DeleteStrategyCommand,
    EndOrderCommand,
    FailStrategyCommand,
    NoteOrderWaitingCommand,
    StartStrategyCommand,
    StopStrategyCommand,
    StrategySettings,
    TriggerExitCommand,
    UpdateStrategyCommand,
)
from tapewire_services.strategies.domain.strategy import (
    STRATEGY_DECIDER,
    CreatedStrategyState,
    State,
)
from tests.harness.command_history import CommandHistory

START_TIME = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
USER = "alice"
STRATEGY_ID = "s1"
CROSSOVER = MovingAverageCrossover(fast=2, slow=4)


def at(seconds: float) -> datetime:
    return START_TIME + timedelta(seconds=seconds)


def make_stop_loss(percent: str = "1", kind: StopLossKind = StopLossKind.FIXED) -> StopLoss:
    return StopLoss(kind=kind, percent=Decimal(percent))


def make_settings(
    *,
    quantity: str = "100",
    rule: StrategyRule = CROSSOVER,
    stop_loss: StopLoss | None = None,
    max_trades: int | None = None,
    name: str = "mine",
    symbol: str = "IBM",
    take_profit: str | None = None,
) -> StrategySettings:
    return StrategySettings(
        name=name,
        symbol=symbol,
        rule=rule,
        quantity=Decimal(quantity),
        stop_loss=stop_loss,
        max_trades=max_trades,
        take_profit=None if take_profit is None else TakeProfit(percent=Decimal(take_profit)),
    )


class CommandFields(TypedDict):
    """The fields of every command."""

    id: str
    at: datetime
    user: str
    strategy_id: str


def command_fields(id: str, second: float = 0) -> CommandFields:  # noqa: A002
    return {"id": id, "at": at(second), "user": USER, "strategy_id": STRATEGY_ID}


def create(settings: StrategySettings | None = None) -> CreateStrategyCommand:
    return CreateStrategyCommand(**command_fields("create"), settings=settings or make_settings())


def start(id: str = "start") -> StartStrategyCommand:  # noqa: A002
    return StartStrategyCommand(**command_fields(id, 1))


def stop(
    id: str = "stop",  # noqa: A002
    position: StopPosition = StopPosition.PROTECT,
) -> StopStrategyCommand:
    return StopStrategyCommand(**command_fields(id, 2), position=position)


def delete() -> DeleteStrategyCommand:
    return DeleteStrategyCommand(**command_fields("delete", 7))


def continue_exit(order_count: int) -> ContinueExitCommand:
    return ContinueExitCommand(
        **command_fields(f"close {order_count}", 8), expected_order_count=order_count
    )


def update(id: str = "update", **changes: Any) -> UpdateStrategyCommand:  # noqa: A002
    return UpdateStrategyCommand(**command_fields(id, 2), **changes)


def fail(id: str = "fail") -> FailStrategyCommand:  # noqa: A002
    return FailStrategyCommand(
        **command_fields(id, 2), error_code="rule_failed", details="division by zero"
    )


def buy(price: str = "100", order_count: int = 0) -> ActOnSignalCommand:
    return act(Action.BUY, price, order_count)


def sell(price: str = "100", order_count: int = 0) -> ActOnSignalCommand:
    return act(Action.SELL, price, order_count)


def act(action: Action, price: str, order_count: int) -> ActOnSignalCommand:
    return ActOnSignalCommand(
        **command_fields(f"{action.value} at {price}", 3),
        expected_order_count=order_count,
        action=action,
        confidence=Decimal("0.7"),
        reasoning="because",
        price=Decimal(price),
        decided_at=at(3),
    )


def trigger_stop_loss(
    side: Side = Side.SELL,
    price: str = "98",
    trigger_price: str = "99",
    order_count: int = 1,
    reason: ExitReason = ExitReason.STOP_LOSS,
) -> TriggerExitCommand:
    return TriggerExitCommand(
        **command_fields(f"stopped out at {price}", 4),
        expected_order_count=order_count,
        reason=reason,
        side=side,
        price=Decimal(price),
        trigger_price=Decimal(trigger_price),
    )


def fill(order_suffix: str, filled_qty: str, price: str = "100") -> ApplyFillCommand:
    """Order `order_suffix` (``1`` or ``2-sl``) is filled up to `filled_qty`."""
    return ApplyFillCommand(
        **command_fields(f"{order_suffix} filled to {filled_qty}", 5),
        order_id=order_id(USER, f"{STRATEGY_ID}-{order_suffix}"),
        trade_id=f"t{order_suffix}/{filled_qty}",
        filled_qty=Decimal(filled_qty),
        price=Decimal(price),
    )


def note_waiting(
    order_suffix: str, waiting: WaitingReason = WaitingReason.NO_OFFER
) -> NoteOrderWaitingCommand:
    return NoteOrderWaitingCommand(
        **command_fields(f"{order_suffix} waits: {waiting.value}", 5),
        order_id=order_id(USER, f"{STRATEGY_ID}-{order_suffix}"),
        waiting=waiting,
    )


def late_fill(
    order_suffix: str, qty: str, side: Side = Side.BUY, price: str = "100"
) -> ApplyFillCommand:
    """`qty` shares of order `order_suffix` are reported after its end."""
    return msgspec.structs.replace(
        fill(order_suffix, qty, price), id=f"late {qty}", side=side, late_qty=Decimal(qty)
    )


def end_order(
    order_suffix: str,
    status: OrderStatus | None,
    reason: str | None = "so",
    *,
    is_position_gone: bool = False,
) -> EndOrderCommand:
    return EndOrderCommand(
        **command_fields(f"{order_suffix} ended", 6),
        order_id=order_id(USER, f"{STRATEGY_ID}-{order_suffix}"),
        status=status,
        reason=reason,
        is_position_gone=is_position_gone,
    )


def describe_event(new_event: NewEvent) -> str:
    """The event in a line: its kind, the status, the position and the pending order."""
    event = new_event.event
    if isinstance(event, DecisionMade):
        assert new_event.subject.domain == "decisions"
        return f"decision {event.action.value} {'taken' if event.taken else 'declined'}"
    assert new_event.subject.domain == "strategies"
    assert isinstance(event, StrategyEvent)
    strategy = event.strategy
    line = f"{type(event).__name__.removeprefix('Strategy')}: {strategy.status.value}"
    if isinstance(event, StrategyTraded):
        line += f" by {event.side.value} {event.qty}@{event.price}"
    if strategy.position:
        line += f", holds {strategy.position}@{strategy.entry_price}"
    if strategy.order is not None:
        order = strategy.order
        name = order.client_order_id.removeprefix(f"{STRATEGY_ID}-")
        line += f", order {name} {order.side.value} {order.filled_qty}/{order.qty}"
    return line


class StrategyHistory(CommandHistory[State, Command]):
    decider = STRATEGY_DECIDER
    describe = staticmethod(describe_event)

    @property
    def strategy(self) -> Strategy:
        assert isinstance(self.state, CreatedStrategyState)
        return self.state.strategy


def given(*commands: Command) -> StrategyHistory:
    return StrategyHistory(commands)


def started_commands(settings: StrategySettings | None = None) -> tuple[Command, ...]:
    return (create(settings), start())


def holding_commands(
    settings: StrategySettings | None = None, qty: str = "100"
) -> tuple[Command, ...]:
    """Started, with a long position after its first order."""
    return (*started_commands(settings), buy(), fill("1", qty))


def started_strategy(**changes: Any) -> Strategy:
    """A started strategy without a position."""
    return msgspec.structs.replace(given(*started_commands()).strategy, **changes)


WIDE_BREAKOUT = Breakout(window=3, margin_percent=Decimal("0.5"))
