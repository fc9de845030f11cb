"""The events of a strategy, its decisions and its stop-loss.

A strategy's events have the subjects ``ev.{user}.strategies.{id}`` and carry the strategy as it is
afterwards. Its decisions, whether acted on or not, have ``ev.{user}.decisions.{id}``.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import PER_SHARE, PERCENT, SHARES, UTC_TIME, about
from tapewire.events.orders import Side


class StrategyStatus(enum.Enum):
    CREATED = "created"
    STARTED = "started"
    STOPPED = "stopped"
    COMPLETED = "completed"
    ERROR = "error"


class StopLossKind(enum.Enum):
    FIXED = "fixed"
    TRAILING = "trailing"


class Action(enum.Enum):
    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


class _StrategyRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind"):
    """The parameters of a rule. Windows are numbers of prices."""


class MovingAverageCrossover(
    _StrategyRule, frozen=True, kw_only=True, tag="moving_average_crossover"
):
    """Buy when the average of the last `fast` prices rises above that of the last `slow`, sell when
    it falls below."""

    fast: Annotated[int, about("prices in the short average")]
    slow: Annotated[int, about("prices in the long average")]


class Breakout(_StrategyRule, frozen=True, kw_only=True, tag="breakout"):
    """Buy `margin_percent` above the highest of the last `window` prices, sell as much below the
    lowest."""

    window: Annotated[int, about("prices looked back at")]
    margin_percent: Annotated[Decimal, about("how far beyond them", PERCENT)] = Decimal(0)


class MeanReversion(_StrategyRule, frozen=True, kw_only=True, tag="mean_reversion"):
    """Buy `deviations` standard deviations below the mean of the last `window` prices, sell as far
    above it."""

    window: Annotated[int, about("prices in the mean")]
    deviations: Annotated[Decimal, about("standard deviations away from it")]


StrategyRule = MovingAverageCrossover | Breakout | MeanReversion


class StopLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Close the position when the price is `percent` worse than the entry (fixed) or than the best
    price since the entry (trailing)."""

    kind: Annotated[
        StopLossKind, about("fixed: from the entry; trailing: from the best price since")
    ]
    percent: Annotated[Decimal, about("how much worse closes the position", PERCENT)]


class StrategyOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy's pending order: `qty` shares at the market, of which `filled_qty` are executed.
    `trigger_price` is that of the stop-loss whose order it is, else None."""

    order_id: Annotated[str, about("the order's id")]
    client_order_id: Annotated[str, about("what the strategy calls it")]
    side: Annotated[Side, about("buy or sell")]
    qty: Annotated[Decimal, about("what it is for, at the market", SHARES)]
    filled_qty: Annotated[Decimal, about("executed so far", SHARES)]
    trigger_price: Annotated[
        Decimal | None,
        about("that of the stop-loss it closes the position for, else null", PER_SHARE),
    ]


class Strategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy as clients see it.

    `quantity` is the size of each order of its rule, in shares. `position` is its holding, negative
    when short, and `entry_price` the average price of that, rounded to eight places. `order` is the
    pending order; there is never a second one. `orders` counts the orders, `trades` those that were
    executed, in part or completely, whatever the number of fills. After `max_trades` of them (None:
    no limit) the strategy is completed as soon as its stop-loss has nothing to guard. `message`
    explains the status. `timestamp` is the time of the last change, UTC.
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


class StrategyEvent(Event, frozen=True, kw_only=True):
    """The strategy after the event, and the id of the command that caused it."""

    strategy: Annotated[Strategy, about("the strategy as it is afterwards")]
    command_id: Annotated[str, about("the command that caused it")]


@event("strategy.created", subject="ev.{user}.strategies.{strategyId}")
class StrategyCreated(StrategyEvent, frozen=True, kw_only=True):
    """A user created the strategy, which is not started yet."""


@event("strategy.updated", subject="ev.{user}.strategies.{strategyId}")
class StrategyUpdated(StrategyEvent, frozen=True, kw_only=True):
    """Its name, rule, quantity, stop-loss or number of trades was changed."""


@event("strategy.started", subject="ev.{user}.strategies.{strategyId}")
class StrategyStarted(StrategyEvent, frozen=True, kw_only=True):
    """The strategy follows prices from now on."""


@event("strategy.stopped", subject="ev.{user}.strategies.{strategyId}")
class StrategyStopped(StrategyEvent, frozen=True, kw_only=True):
    """The strategy follows prices no more; its holding stays."""


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
