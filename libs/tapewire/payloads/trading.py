"""Orders, strategies, decisions, alerts and settings, as the trading streams show them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from tapewire.events import (
    NO_FEE,
    Action,
    AgentState,
    AlertLevel,
    AlertRule,
    Configuration,
    ExecutionException,
    Order,
    StrategyStatus,
)

StrategyChange = Literal[
    "created",
    "updated",
    "started",
    "stopped",
    "completed",
    "error",
    "signal",
    "traded",
    "stop_loss_triggered",
    "stop_loss_executed",
    "take_profit_triggered",
    "take_profit_executed",
    "closing",
    "adjusted",
    "split",
    "deleted",
]
RuleChange = Literal["created", "triggered", "armed", "split", "deleted"]
ConfigurationChange = Literal["created", "changed", "deleted"]


class OrdersSnapshotPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    snapshot: bool
    orders: Sequence[Order]
    timestamp: datetime


class OrderFillPayload(Order, frozen=True, kw_only=True):
    """The order after a fill, and the fill. `exceptions` say why it does not fit the order."""

    fill_qty: Decimal
    fill_price: Decimal
    trade_id: str
    fill_fee: Decimal = NO_FEE
    execution_id: str | None = None
    venue_time: datetime | None = None
    exceptions: tuple[ExecutionException, ...] = ()


class StrategyUpdatePayload(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A change of a strategy, named by `change`. A signal has `action` to `reasoning`, a stop-loss
    and a take-profit its prices in dollars a share, an error its code and details."""

    change: StrategyChange
    strategy_id: str
    name: str
    symbol: str
    status: StrategyStatus
    position: Decimal
    message: str | None = None
    signal: Action | None = None
    action: Action | None = None
    confidence: Decimal | None = None
    reasoning: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    trigger_price: Decimal | None = None
    current_price: Decimal | None = None
    order_id: str | None = None
    error_code: str | None = None
    details: str | None = None
    timestamp: datetime


class DecisionPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`confidence` is from 0 to 1; `taken` is whether the strategy acted."""

    decision_id: str
    strategy_id: str
    symbol: str
    action: Action
    confidence: Decimal
    reasoning: str
    taken: bool
    timestamp: datetime


class AlertPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`priority` is ``high`` for an error, which does not wait for a flush window."""

    alert_id: str
    level: AlertLevel
    message: str
    symbol: str | None
    rule_id: str | None
    timestamp: datetime
    priority: Literal["high"] | None = None


class PublicAgentStatusPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The public state of a service. `instance` only distinguishes its processes."""

    service: str
    instance: str
    state: AgentState
    timestamp: datetime


class RuleUpdatePayload(AlertRule, frozen=True, kw_only=True, omit_defaults=True):
    """An alert rule after a change, named by `change`. `alert_id` is the alert that a rule raised
    when it was ``triggered``."""

    change: RuleChange
    alert_id: str | None = None


class ConfigurationUpdatePayload(Configuration, frozen=True, kw_only=True):
    """A configuration after a change, named by `change`."""

    change: ConfigurationChange


class ClientCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    client_count: int


class ConnectionCountsPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many connections and users all processes have. `clients_per_user` is for admins."""

    timestamp: datetime
    total_clients: int
    total_users: int
    clients_per_user: list[ClientCount] | msgspec.UnsetType = msgspec.UNSET
