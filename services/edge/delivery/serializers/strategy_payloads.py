"""What strategy streams say of what happened: payloads in snake_case."""

from datetime import datetime
from decimal import Decimal

import msgspec


class StrategyPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a strategy, and how it is now. `position` is in shares, below 0 when short;
    `error_code` is a word for programs."""

    type: str
    timestamp: datetime
    strategy_id: str
    user_id: str
    status: str
    position: Decimal
    message: str
    error_code: str | None = None
    details: str | None = None


class StopLossPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A stop-loss reached its trigger, or its closing order is filled. Dollars a share."""

    type: str
    timestamp: datetime
    strategy_id: str
    user_id: str
    symbol: str | None
    trigger_price: Decimal
    current_price: Decimal
    order_id: str | None


class OrderPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an order. `quantity` is what was executed by this event, else what is
    wanted, in shares; `price` that of the execution, else the limit, dollars a share."""

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


class ErrorPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Something went wrong, of one strategy or of none in particular."""

    type: str
    timestamp: datetime
    user_id: str
    strategy_id: str | None
    error_code: str
    error_message: str
    details: str | None
