"""Decisions of several events, for tests of batches that are stored in part.

`DECISIONS` has every kind of decision whose events belong together. The last command of each is the
one to interrupt.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tapewire.events import (
    Action,
    AlertLevel,
    ExitReason,
    MovingAverageCrossover,
    OrderType,
    RuleKind,
    Side,
    StopLoss,
    StopLossKind,
)
from tapewire.log import CommandHandler, EventLog, EventSubject
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.alerts.domain.commands import CreateRuleCommand, TriggerRuleCommand
from tapewire_services.alerts.domain.rules import RULE_DECIDER
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    FillOrderCommand,
    PlaceOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    CreateStrategyCommand,
    StartStrategyCommand,
    StrategySettings,
    TriggerExitCommand,
    decision_id,
)
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER, derive_strategy_id

USER = "alice"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ORDER = order_id(USER, "c-1")
RULE = "r-1"
STRATEGY = derive_strategy_id(USER, "create")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class DecisionCase(NamedTuple):
    """Commands on one entity, and the tags of the events of the last one. `is_exact` says whether
    what is missing of it can be derived to the byte."""

    decider: Any
    subject: EventSubject
    commands: Sequence[Any]
    tags: tuple[str, ...]
    is_exact: bool = True

    async def decide_earlier(self, log: EventLog) -> None:
        """Handle all commands but the last."""
        handler = CommandHandler[Any, Any](log, self.decider)
        for command in self.commands[:-1]:
            await handler.handle(self.subject, command, correlation=f"c-{command.id}")

    async def decide_last(self, log: EventLog) -> None:
        """Handle the last command. Raises LogError if it is interrupted."""
        handler, command = CommandHandler[Any, Any](log, self.decider), self.commands[-1]
        await handler.handle(self.subject, command, correlation=f"c-{command.id}")


def _order_commands() -> list[Any]:
    place = PlaceOrderCommand(
        id="place", at=at(0), user=USER, symbol="IBM", side=Side.BUY, type=OrderType.LIMIT,
        qty=Decimal(10), limit_price=Decimal("100.5"), client_order_id="c-1",
    )  # fmt: skip
    accept = AcceptOrderCommand(id="accept", at=at(1), user=USER)
    fill = FillOrderCommand(
        id="fill", at=at(2), user=USER, filled_before=Decimal(0), qty=Decimal(4),
        price=Decimal("100.25"), quoted_at=at(2),
    )  # fmt: skip
    return [place, accept, fill]


def _rule_commands() -> list[Any]:
    create = CreateRuleCommand(
        id="arm", at=at(0), user=USER, rule_id=RULE, kind=RuleKind.PRICE_ABOVE,
        level=AlertLevel.INFO, symbol="IBM", price=Decimal(100),
    )  # fmt: skip
    trigger = TriggerRuleCommand(
        id=f"quote:{RULE}", at=at(1), user=USER, arming="arm", symbol="IBM", message="IBM is at 101"
    )
    return [create, trigger]


def _signal_commands(max_trades: int | None = None) -> list[Any]:
    fields: dict[str, Any] = {"user": USER, "strategy_id": STRATEGY}
    settings = StrategySettings(
        name="crossover", symbol="IBM", rule=MovingAverageCrossover(fast=1, slow=2),
        quantity=Decimal(5), stop_loss=StopLoss(kind=StopLossKind.FIXED, percent=Decimal(1)),
        max_trades=max_trades,
    )  # fmt: skip
    signal = ActOnSignalCommand(
        **fields, id=decision_id(STRATEGY, 0, at(2)), at=at(3), expected_order_count=0,
        action=Action.BUY, confidence=Decimal("0.7"), reasoning="the averages cross",
        price=Decimal(100), decided_at=at(2),
    )  # fmt: skip
    return [
        CreateStrategyCommand(**fields, id="create", at=at(0), settings=settings),
        StartStrategyCommand(**fields, id="start", at=at(1)),
        signal,
    ]


def _stop_loss_commands() -> list[Any]:
    """A stop-loss whose order ends the last trade of the strategy."""
    fields: dict[str, Any] = {"user": USER, "strategy_id": STRATEGY}

    def fill(suffix: str, second: float) -> ApplyFillCommand:
        return ApplyFillCommand(
            **fields, id=f"fill-{suffix}", at=at(second), trade_id=f"t-{suffix}",
            order_id=order_id(USER, f"{STRATEGY}-{suffix}"), filled_qty=Decimal(5),
            price=Decimal("98.5"),
        )  # fmt: skip

    trigger = TriggerExitCommand(
        **fields, id="stop-loss", at=at(5), expected_order_count=1,
        reason=ExitReason.STOP_LOSS, side=Side.SELL,
        price=Decimal(98), trigger_price=Decimal(99),
    )  # fmt: skip
    return [*_signal_commands(max_trades=2), fill("1", 4), trigger, fill("2-sl", 6)]


DECISIONS: dict[str, DecisionCase] = {
    "a fill and its trade": DecisionCase(
        ORDER_DECIDER,
        EventSubject(USER, "orders", ORDER),
        _order_commands(),
        ("order.filled.v1", "trade.executed.v1"),
    ),
    "a trigger and its alert": DecisionCase(
        RULE_DECIDER,
        EventSubject(USER, "rules", RULE),
        _rule_commands(),
        ("rule.triggered.v1", "alert.raised.v1"),
        is_exact=False,
    ),
    "a signal and its decision": DecisionCase(
        STRATEGY_DECIDER,
        EventSubject(USER, "strategies", STRATEGY),
        _signal_commands(),
        ("strategy.signaled.v1", "decision.made.v1"),
    ),
    "a stop-loss that completes its strategy": DecisionCase(
        STRATEGY_DECIDER,
        EventSubject(USER, "strategies", STRATEGY),
        _stop_loss_commands(),
        ("strategy.traded.v1", "strategy.stop_loss_executed.v1", "strategy.completed.v1"),
    ),
}
