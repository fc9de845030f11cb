"""Payloads of the strategy streams, in snake_case."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import NO_FEE, StrategyStatus


class StrategyPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of a strategy, and its state after it. `position` is in shares, negative when short;
    `error_code` is machine-readable."""

    type: str
    timestamp: datetime
    strategy_id: str
    user_id: str
    status: StrategyStatus
    position: Decimal
    message: str
    error_code: str | None = None
    details: str | None = None


class StopLossPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A stop-loss reached its trigger, or its closing order was filled. Prices are in dollars a
    share."""

    type: str
    timestamp: datetime
    strategy_id: str
    user_id: str
    symbol: str | None
    trigger_price: Decimal
    current_price: Decimal
    order_id: str | None


class OrderPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of an order. For an execution, `quantity` and `price` are those of the fill;
    otherwise the ordered quantity and the limit price. Shares, and dollars a share. What is
    `requested` is not confirmed yet; `waiting` is what the order waits for beside its price. Fields
    with a default are absent while they have it."""

    type: str
    timestamp: datetime
    strategy_id: str | None
    user_id: str
    order_id: str
    order_type: str
    symbol: str
    quantity: Decimal
    price: Decimal | None
    status: str
    message: str | None
    waiting: str | None = None
    stop_price: Decimal | None = None
    fee: Decimal = NO_FEE
    execution_id: str | None = None
    requested_quantity: Decimal | None = None
    requested_price: Decimal | None = None
    requested_stop_price: Decimal | None = None


class ErrorPayload(msgspec.Struct, frozen=True, kw_only=True):
    """An error, of one strategy or of none in particular."""

    type: str
    timestamp: datetime
    user_id: str
    strategy_id: str | None
    error_code: str
    error_message: str
    details: str | None


class StrategyStatePayload(msgspec.Struct, frozen=True, kw_only=True):
    """The complete current state of a strategy."""

    type: str
    timestamp: datetime
    strategy_id: str
    user_id: str
    status: StrategyStatus
    position: Decimal
    message: str
    name: str
    symbol: str
    rule: Any
    quantity: Decimal
    stop_loss: Any
    take_profit: Any
    is_protected: bool
    entry_price: Decimal | None
    orders: int
    trades: int


class InitialStatesPayload(msgspec.Struct, frozen=True, kw_only=True):
    """All strategies of a user."""

    type: str
    timestamp: datetime
    user_id: str
    strategies: list[StrategyStatePayload]
