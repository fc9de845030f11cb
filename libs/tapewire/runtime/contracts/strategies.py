"""Requests to the strategies service.

The verbs are `svc.strategies.create`, `update`, `start`, `stop`, `delete`, `get` and `list`. The
service rejects requests with the codes ``invalid`` (with the path of the field in JSON: ``symbol``,
``quantity``, ``rule.slow``, ``stopLoss.percent``, ``maxTrades``, …), ``not_found`` (unknown, or
another user's) and ``conflict``.

The orders of a strategy have the client order ids ``{strategyId}-{n}``. A closing order has a
suffix (`EXIT_SUFFIXES`): that of a stop-loss, ``{strategyId}-{n}-sl``, tells a SL_SELL from a SELL.
"""

import enum
from decimal import Decimal

import msgspec

from tapewire.events import ExitReason, StopLoss, Strategy, StrategyRule, TakeProfit
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "strategies"
CREATE, UPDATE, START, STOP, DELETE = "create", "update", "start", "stop", "delete"
GET, LIST = "get", "list"

STOP_LOSS_SUFFIX = "-sl"
EXIT_SUFFIXES = {
    ExitReason.STOP_LOSS: STOP_LOSS_SUFFIX,
    ExitReason.TAKE_PROFIT: "-tp",
    ExitReason.FLATTEN: "-x",
}
"""Ends of the client order ids of closing orders."""


class CreateStrategy(RequestStruct, frozen=True, kw_only=True):
    """Create a strategy of `user_id`, which does nothing until it is started; answered by
    `StrategyReply`. Repeating the command returns the existing strategy.

    `quantity` is in shares (above 0, at most 1,000,000, at most 6 decimal places). Windows of a
    rule are numbers of prices (at most 1,000): ``fast`` from 1 and below ``slow``, ``window`` from
    2. ``marginPercent`` is from 0 to 50, ``deviations`` above 0 and at most 10, ``percent`` of a
    stop-loss above 0 and below 100, of a take-profit above 0 and at most 1,000, each with at most 4
    decimal places. `max_trades` is 1 to 1,000,000. `name` has at most 100 characters; the default
    is made from the rule.
    """

    user_id: UserId
    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None = None
    max_trades: int | None = None
    name: str | None = None
    take_profit: TakeProfit | None = None


class UpdateStrategy(RequestStruct, frozen=True, kw_only=True):
    """Change the given fields; answered by `StrategyReply`. A null removes the stop-loss, the
    take-profit or the limit of trades. Given a stop-loss or a take-profit, the position is
    protected again where that was switched off. A changed rule of a started strategy warms up
    again. ``conflict`` if it is completed."""

    user_id: UserId
    strategy_id: str
    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET
    take_profit: TakeProfit | msgspec.UnsetType | None = msgspec.UNSET


class StartStrategy(RequestStruct, frozen=True, kw_only=True):
    """Let the strategy follow prices; answered by `StrategyReply`. ``conflict`` if it is
    completed."""

    user_id: UserId
    strategy_id: str


class StopPosition(enum.Enum):
    """What happens to the position of a strategy that is stopped.

    ``protect``: its stop-loss and take-profit are watched on. ``leave``: nothing is watched, and
    the position stays. ``close``: a pending order is canceled, and the position is closed.
    """

    PROTECT = "protect"
    LEAVE = "leave"
    CLOSE = "close"


class StopStrategy(RequestStruct, frozen=True, kw_only=True):
    """Let the strategy's rule follow prices no more; answered by `StrategyReply`. A pending order
    is canceled only to close the position. ``conflict`` if it was never started, is completed, or
    is in error and `position` is ``protect``, since that is what happens anyway."""

    user_id: UserId
    strategy_id: str
    position: StopPosition = StopPosition.PROTECT


class DeleteStrategy(RequestStruct, frozen=True, kw_only=True):
    """Delete the strategy; answered by `StrategyReply`. ``conflict`` while it is started, holds a
    position or has a pending order."""

    user_id: UserId
    strategy_id: str


class GetStrategy(RequestStruct, frozen=True, kw_only=True):
    """Get the current state of one strategy; answered by `StrategyReply`."""

    user_id: UserId
    strategy_id: str


class ListStrategies(PageRequest, frozen=True, kw_only=True):
    """List all strategies that a user ever created; answered by `StrategiesReply`."""

    user_id: UserId


class StrategyReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The strategy after the request."""

    strategy: Strategy


class StrategiesReply(PageReply, frozen=True, kw_only=True):
    """Strategies as they are now, the one created last first."""

    strategies: list[Strategy]


CREATE_STRATEGY = ServiceCall(SERVICE, CREATE, CreateStrategy, StrategyReply)
UPDATE_STRATEGY = ServiceCall(SERVICE, UPDATE, UpdateStrategy, StrategyReply)
START_STRATEGY = ServiceCall(SERVICE, START, StartStrategy, StrategyReply)
STOP_STRATEGY = ServiceCall(SERVICE, STOP, StopStrategy, StrategyReply)
DELETE_STRATEGY = ServiceCall(SERVICE, DELETE, DeleteStrategy, StrategyReply)
GET_STRATEGY = ServiceCall(SERVICE, GET, GetStrategy, StrategyReply)
LIST_STRATEGIES = ServiceCall(SERVICE, LIST, ListStrategies, StrategiesReply)
CALLS = (
    CREATE_STRATEGY,
    UPDATE_STRATEGY,
    START_STRATEGY,
    STOP_STRATEGY,
    DELETE_STRATEGY,
    GET_STRATEGY,
    LIST_STRATEGIES,
)
