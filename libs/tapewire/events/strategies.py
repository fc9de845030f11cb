"""The events of a strategy, its decisions, and the exits that protect its position.

A strategy's events have the subjects ``ev.{user}.strategies.{id}`` and carry the strategy as it is
afterwards. Its decisions, whether acted on or not, have ``ev.{user}.decisions.{id}``.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.orders import ExecutionTerms, Side
from tapewire.events.splits import SplitRatio
from tapewire.events.strategy_settings import StopLoss, StrategyRule, TakeProfit


class StrategyStatus(enum.Enum):
    CREATED = "created"
    STARTED = "started"
    STOPPED = "stopped"
    COMPLETED = "completed"
    ERROR = "error"
    DELETED = "deleted"


class ExitReason(enum.Enum):
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    FLATTEN = "flatten"


class Action(enum.Enum):
    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


class StrategyExit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The position is being closed. A pending order that is not the closing one is canceled first.

    `attempts` counts the closing orders that ended without closing it.
    """

    reason: Annotated[ExitReason, about("what began it")]
    side: Annotated[
        Side | None, about("of the order that closes the position, null to close any position")
    ]
    trigger_price: Annotated[
        Decimal | None, about("the price that began it, null when a person did", PER_SHARE)
    ]
    attempts: Annotated[int, about("closing orders that ended without closing it")] = 0


class StrategyOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A strategy's pending order: `qty` shares at the market, of which `filled_qty` are executed.
    `trigger_price` is that of the stop-loss or take-profit whose order it is, else None. An order
    that `closes` the position is reduce-only."""

    order_id: Annotated[str, about("the order's id")]
    client_order_id: Annotated[str, about("what the strategy calls it")]
    side: Annotated[Side, about("buy or sell")]
    qty: Annotated[Decimal, about("what it is for, at the market", SHARES)]
    filled_qty: Annotated[Decimal, about("executed so far", SHARES)]
    trigger_price: Annotated[
        Decimal | None,
        about("that of the exit it closes the position for, else null", PER_SHARE),
    ]
    closes: Annotated[
        ExitReason | None, about("why it closes the position, null for an order of the rule")
    ] = None

    @property
    def closing_reason(self) -> ExitReason | None:
        """Why it closes the position. Orders of stop-losses from before `closes` existed are known
        by their trigger price."""
        if self.closes is None and self.trigger_price is not None:
            return ExitReason.STOP_LOSS
        return self.closes


class Strategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A strategy as clients see it.

    `quantity` is the size of each order of its rule, in shares. `position` is its holding, negative
    when short, and `entry_price` the average price of that, rounded to eight places. `order` is the
    pending order; there is never a second one. `orders` counts the orders, `trades` those that were
    executed, in part or completely, whatever the number of fills. After `max_trades` of them (None:
    no limit) the strategy is completed as soon as its stop-loss and take-profit have nothing to
    guard. `message` explains the status. `timestamp` is the time of the last change, UTC.

    `is_protected` says whether the stop-loss and the take-profit are watched, whatever the status.
    It is None in events from before the field existed, when only those of a started strategy were.
    `exit` is set while the position is being closed. A field with a default is absent in JSON while
    it has its default.
    """

    strategy_id: Annotated[str, about("its id")]
    name: Annotated[str, about("what its user calls it")]
    symbol: Annotated[str, about("what it trades")]
    rule: Annotated[StrategyRule, about("when it buys and sells")]
    quantity: Annotated[Decimal, about("what each order that its rule wants is for", SHARES)]
    stop_loss: Annotated[StopLoss | None, about("when it gives up a position, null for never")]
    max_trades: Annotated[int | None, about("executed orders that complete it, null for never")]
    status: Annotated[StrategyStatus, about("what it does")]
    position: Annotated[Decimal, about("what it holds, below 0 when short", SHARES)]
    entry_price: Annotated[
        Decimal | None, about("average price of that, rounded to eight places", PER_SHARE)
    ]
    order: Annotated[StrategyOrder | None, about("the one under way; there is never a second")]
    orders: Annotated[int, about("how many it placed")]
    trades: Annotated[int, about("how many of them were executed, in part or whole")]
    message: Annotated[str | None, about("why its status is what it is")]
    timestamp: Annotated[datetime, about("when it last changed", UTC_TIME)]
    take_profit: Annotated[TakeProfit | None, about("when it takes its profit, null for never")] = (
        None
    )
    is_protected: Annotated[
        bool | None, about("whether stop-loss and take-profit are watched, in any status")
    ] = None
    exit: Annotated[StrategyExit | None, about("how its position is being closed, else null")] = (
        None
    )

    @property
    def has_protection(self) -> bool:
        """Whether its stop-loss and its take-profit are watched."""
        if self.is_protected is None:
            return self.status is StrategyStatus.STARTED
        return self.is_protected

    @property
    def guards_position(self) -> bool:
        """Whether there is a position that a stop-loss or a take-profit is watched for."""
        is_guarded = self.stop_loss is not None or self.take_profit is not None
        return self.has_protection and is_guarded and self.position != 0


class StrategyEvent(Event, frozen=True, kw_only=True):
    """The strategy after the event, and the id of the command that caused it."""

    strategy: Annotated[Strategy, about("the strategy as it is afterwards")]
    command_id: Annotated[str, about("the command that caused it")]


@event("strategy.created", subject="ev.{user}.strategies.{strategyId}")
class StrategyCreated(StrategyEvent, frozen=True, kw_only=True):
    """A user created the strategy, which is not started yet."""


@event("strategy.updated", subject="ev.{user}.strategies.{strategyId}")
class StrategyUpdated(StrategyEvent, frozen=True, kw_only=True):
    """Its settings were changed, or an order ended that changes nothing else."""


@event("strategy.started", subject="ev.{user}.strategies.{strategyId}")
class StrategyStarted(StrategyEvent, frozen=True, kw_only=True):
    """The strategy follows prices from now on."""


@event("strategy.stopped", subject="ev.{user}.strategies.{strategyId}")
class StrategyStopped(StrategyEvent, frozen=True, kw_only=True):
    """The strategy's rule follows prices no more. Its position stays, and so does its protection if
    `strategy.isProtected`."""


@event("strategy.completed", subject="ev.{user}.strategies.{strategyId}")
class StrategyCompleted(StrategyEvent, frozen=True, kw_only=True):
    """The strategy has reached its number of trades."""


@event("strategy.failed", subject="ev.{user}.strategies.{strategyId}")
class StrategyFailed(StrategyEvent, frozen=True, kw_only=True):
    """The strategy cannot continue. `error_code` is for programs, `details` for people."""

    error_code: Annotated[str, about("a word for programs")]
    details: Annotated[str, about("the same for people")]


@event("strategy.signaled", subject="ev.{user}.strategies.{strategyId}")
class StrategySignaled(StrategyEvent, frozen=True, kw_only=True):
    """The strategy decided on `action`. It places the order `order_id`, which is
    `strategy.order`."""

    action: Annotated[Action, about("what it wants")]
    confidence: Annotated[Decimal, about("how sure it is, from 0 to 1")]
    reasoning: Annotated[str, about("why, in words")]
    price: Annotated[Decimal, about("the price that it decided on", PER_SHARE)]
    order_id: Annotated[str, about("the order that is placed for it")]


@event("strategy.traded", subject="ev.{user}.strategies.{strategyId}")
class StrategyTraded(StrategyEvent, frozen=True, kw_only=True):
    """One of its orders was executed, in part or completely."""

    trade_id: Annotated[str, about("the execution")]
    order_id: Annotated[str, about("the order that it executes")]
    side: Annotated[Side, about("buy or sell")]
    qty: Annotated[Decimal, about("what changed hands", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]


@event("strategy.stop_loss_triggered", subject="ev.{user}.strategies.{strategyId}")
class StopLossTriggered(StrategyEvent, frozen=True, kw_only=True):
    """`current_price` reached `trigger_price`; the order `order_id` closes the position."""

    trigger_price: Annotated[Decimal, about("where it closes the position", PER_SHARE)]
    current_price: Annotated[Decimal, about("the price that reached it", PER_SHARE)]
    order_id: Annotated[str, about("the order that closes the position")]


@event("strategy.stop_loss_executed", subject="ev.{user}.strategies.{strategyId}")
class StopLossExecuted(StrategyEvent, frozen=True, kw_only=True):
    """The closing order of a stop-loss is filled."""

    trigger_price: Annotated[Decimal, about("where it closed the position", PER_SHARE)]
    current_price: Annotated[Decimal, about("what it was executed at", PER_SHARE)]
    order_id: Annotated[str, about("the order that closed the position")]


@event("strategy.take_profit_triggered", subject="ev.{user}.strategies.{strategyId}")
class TakeProfitTriggered(StrategyEvent, frozen=True, kw_only=True):
    """`current_price` reached `trigger_price`; the order `order_id` closes the position."""

    trigger_price: Annotated[Decimal, about("where it closes the position", PER_SHARE)]
    current_price: Annotated[Decimal, about("the price that reached it", PER_SHARE)]
    order_id: Annotated[str, about("the order that closes the position")]


@event("strategy.take_profit_executed", subject="ev.{user}.strategies.{strategyId}")
class TakeProfitExecuted(StrategyEvent, frozen=True, kw_only=True):
    """The closing order of a take-profit is filled."""

    trigger_price: Annotated[Decimal, about("where it closed the position", PER_SHARE)]
    current_price: Annotated[Decimal, about("what it was executed at", PER_SHARE)]
    order_id: Annotated[str, about("the order that closed the position")]


@event("strategy.closing", subject="ev.{user}.strategies.{strategyId}")
class StrategyClosing(StrategyEvent, frozen=True, kw_only=True):
    """A closing order was begun that no trigger began: after another order had ended, after an
    earlier closing order had failed, or to flatten the position."""

    order_id: Annotated[str, about("the order that closes the position")]


@event("strategy.position_adjusted", subject="ev.{user}.strategies.{strategyId}")
class StrategyPositionAdjusted(StrategyEvent, frozen=True, kw_only=True, omit_defaults=True):
    """Its position changed without an execution of its own orders: nothing is left of it, or an
    execution was corrected."""

    position_before: Annotated[Decimal, about("what it held before", SHARES)]
    reason: Annotated[str, about("what changed it, in words")]
    trade_id: Annotated[str | None, about("the trade that was corrected")] = None
    terms: Annotated[ExecutionTerms | None, about("what that trade counts as from here on")] = None


@event("strategy.split", subject="ev.{user}.strategies.{strategyId}")
class StrategySplit(StrategyEvent, frozen=True, kw_only=True):
    """Its symbol was split: its quantities and its entry price are those of the new shares."""

    split_id: Annotated[str, about("the split")]
    ratio: Annotated[SplitRatio, about("how many shares take the place of how many")]


@event("strategy.deleted", subject="ev.{user}.strategies.{strategyId}")
class StrategyDeleted(StrategyEvent, frozen=True, kw_only=True):
    """Its user deleted the strategy, which is in no list any more."""


@event("decision.made", subject="ev.{user}.decisions.{strategyId}")
class DecisionMade(Event, frozen=True, kw_only=True):
    """A strategy's decision on the price at `timestamp`.

    `confidence` is from 0 to 1, `taken` says whether the strategy acted, and `reasoning` explains
    the decision in words. Every decision that was acted on is recorded; of the others, at most a
    few a minute.
    """

    decision_id: Annotated[str, about("its id")]
    strategy_id: Annotated[str, about("whose decision it is")]
    symbol: Annotated[str, about("what it is about")]
    action: Annotated[Action, about("what was decided")]
    confidence: Annotated[Decimal, about("how sure, from 0 to 1")]
    reasoning: Annotated[str, about("why, in words")]
    taken: Annotated[bool, about("whether it was acted upon")]
    timestamp: Annotated[datetime, about("of the price that it was made of", UTC_TIME)]
