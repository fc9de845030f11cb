"""What happens to a strategy, what it decides, and its stop-loss.

A strategy's events live at ``ev.{user}.strategies.{id}`` and carry the strategy as it is
afterwards; each decision, taken or declined, at ``ev.{user}.decisions.{id}``.
"""

import enum
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events.catalogue import Event, event
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


class _Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind"):
    """A rule's parameters; windows are numbers of prices."""


class MovingAverageCrossover(_Rule, frozen=True, kw_only=True, tag="moving_average_crossover"):
    """Buy when the average of the last `fast` prices rises above that of the last `slow`, sell when
    it falls below."""

    fast: int
    slow: int


class Breakout(_Rule, frozen=True, kw_only=True, tag="breakout"):
    """Buy above the highest of the last `window` prices by `margin_percent`, sell below the
    lowest."""

    window: int
    margin_percent: Decimal = Decimal(0)


class MeanReversion(_Rule, frozen=True, kw_only=True, tag="mean_reversion"):
    """Buy `deviations` standard deviations below the mean of the last `window` prices, sell that
    far above."""

    window: int
    deviations: Decimal


Rule = MovingAverageCrossover | Breakout | MeanReversion


class StopLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Close the position when the price is `percent` worse than the entry (fixed) or than the best
    price since (trailing)."""

    kind: StopLossKind
    percent: Decimal


class StrategyOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order of a strategy that is under way: `qty` shares at the market, `filled_qty` of them
    executed. `trigger_price` is that of the stop-loss that it closes the position for, else None.
    """

    order_id: str
    client_order_id: str
    side: Side
    qty: Decimal
    filled_qty: Decimal
    trigger_price: Decimal | None


class Strategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy as clients see it. `quantity` is what each order that its rule wants is for, in
    shares; `position` what it holds, below 0 when short, and `entry_price` the average price of
    that, rounded to six places. `order` is the one under way (there is never a second), `orders`
    how many there were, `trades` how many of them were executed, in part or whole, however many
    fills that took; `max_trades` of them complete the strategy as soon as its stop-loss has nothing
    to guard, None never. `message` says why its status is what it is. `timestamp` is when it last
    changed, UTC.
    """

    strategy_id: str
    name: str
    symbol: str
    rule: Rule
    quantity: Decimal
    stop_loss: StopLoss | None
    max_trades: int | None
    status: StrategyStatus
    position: Decimal
    entry_price: Decimal | None
    order: StrategyOrder | None
    orders: int
    trades: int
    message: str | None
    timestamp: datetime


class StrategyEvent(Event, frozen=True, kw_only=True):
    """The strategy after the event, and the command that caused it."""

    strategy: Strategy
    command_id: str


@event("strategy.created")
class StrategyCreated(StrategyEvent, frozen=True, kw_only=True):
    """A user made it; it does nothing yet."""


@event("strategy.updated")
class StrategyUpdated(StrategyEvent, frozen=True, kw_only=True):
    """Its name, rule, quantity, stop-loss or number of trades was changed."""


@event("strategy.started")
class StrategyStarted(StrategyEvent, frozen=True, kw_only=True):
    """It follows prices from now on."""


@event("strategy.stopped")
class StrategyStopped(StrategyEvent, frozen=True, kw_only=True):
    """It follows prices no more; what it holds stays."""


@event("strategy.completed")
class StrategyCompleted(StrategyEvent, frozen=True, kw_only=True):
    """It did all that it was for."""


@event("strategy.failed")
class StrategyFailed(StrategyEvent, frozen=True, kw_only=True):
    """It cannot go on: `error_code` is a word for programs, `details` for people."""

    error_code: str
    details: str


@event("strategy.signaled")
class StrategySignaled(StrategyEvent, frozen=True, kw_only=True):
    """It wants `action`; the order `order_id` is placed for it, as `strategy.order` has it."""

    action: Action
    confidence: Decimal
    reasoning: str
    price: Decimal
    order_id: str


@event("strategy.traded")
class StrategyTraded(StrategyEvent, frozen=True, kw_only=True):
    """One of its orders was executed, in part or whole."""

    trade_id: str
    order_id: str
    side: Side
    qty: Decimal
    price: Decimal


@event("strategy.stop_loss_triggered")
class StopLossTriggered(StrategyEvent, frozen=True, kw_only=True):
    """`current_price` reached `trigger_price`; order `order_id` closes the position."""

    trigger_price: Decimal
    current_price: Decimal
    order_id: str


@event("strategy.stop_loss_executed")
class StopLossExecuted(StrategyEvent, frozen=True, kw_only=True):
    """The closing order of a stop-loss is filled."""

    trigger_price: Decimal
    current_price: Decimal
    order_id: str


@event("decision.made")
class DecisionMade(Event, frozen=True, kw_only=True):
    """What a strategy made of the price at `timestamp`: `confidence` is from 0 to 1, `taken` says
    whether it acted, `reasoning` why, in words. Every decision taken is told, of those declined no
    more than a few a minute.
    """

    decision_id: str
    strategy_id: str
    symbol: str
    action: Action
    confidence: Decimal
    reasoning: str
    taken: bool
    timestamp: datetime
