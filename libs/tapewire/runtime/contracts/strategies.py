"""Requests to the strategies service.

The verbs are `svc.strategies.create`, `update`, `start`, `stop`, `get` and `list`. The service
rejects requests with the codes ``invalid`` (with the path of the field in JSON: ``symbol``,
``quantity``, ``rule.slow``, ``stopLoss.percent``, ``maxTrades``, …), ``not_found`` (unknown, or
another user's) and ``conflict``.

The orders of a strategy have the client order ids ``{strategyId}-{n}``, the closing order of a
stop-loss ``{strategyId}-{n}-sl`` (`STOP_LOSS_SUFFIX`). The suffix tells a SL_SELL from a SELL.
"""

from decimal import Decimal

import msgspec

from tapewire.events import StopLoss, Strategy, StrategyRule
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "strategies"
CREATE, UPDATE, START, STOP = "create", "update", "start", "stop"
GET, LIST = "get", "list"

STOP_LOSS_SUFFIX = "-sl"


class CreateStrategy(RequestStruct, frozen=True, kw_only=True):
    """Create a strategy of `user_id`, which does nothing until it is started; answered by
    `StrategyReply`. Repeating the command returns the existing strategy.

    `quantity` is in shares (above 0, at most 1,000,000, at most 6 decimal places). Windows of a
    rule are numbers of prices (at most 1,000): ``fast`` from 1 and below ``slow``, ``window`` from
    2. ``marginPercent`` is from 0 to 50, ``deviations`` above 0 and at most 10, ``percent`` of a
    stop-loss above 0 and below 100, each with at most 4 decimal places. `max_trades` is 1 to
    1,000,000. `name` has at most 100 characters; the default is made from the rule.
    """

    user_id: UserId
    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None = None
    max_trades: int | None = None
    name: str | None = None


class UpdateStrategy(RequestStruct, frozen=True, kw_only=True):
    """Change the given fields; answered by `StrategyReply`. A null removes the stop-loss or the
    limit of trades. A changed rule of a started strategy warms up again. ``conflict`` if it is
    completed."""

    user_id: UserId
    strategy_id: str
    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET


class StartStrategy(RequestStruct, frozen=True, kw_only=True):
    """Let the strategy follow prices; answered by `StrategyReply`. ``conflict`` if it is
    completed."""

    user_id: UserId
    strategy_id: str


class StopStrategy(RequestStruct, frozen=True, kw_only=True):
    """Let the strategy follow prices no more; answered by `StrategyReply`. Its holding stays, and
    **its stop-loss is not watched any more**; a pending order is not canceled. ``conflict`` if it
    is neither started nor stopped."""

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
GET_STRATEGY = ServiceCall(SERVICE, GET, GetStrategy, StrategyReply)
LIST_STRATEGIES = ServiceCall(SERVICE, LIST, ListStrategies, StrategiesReply)
CALLS = (
    CREATE_STRATEGY,
    UPDATE_STRATEGY,
    START_STRATEGY,
    STOP_STRATEGY,
    GET_STRATEGY,
    LIST_STRATEGIES,
)
