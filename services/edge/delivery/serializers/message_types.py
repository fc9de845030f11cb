"""The events that streams can show, by name, with the types of their payloads.

They are listed by what causes them: a domain of events, a snapshot, a newest-wins value, or the
stream itself. A test compares them with what streams send. Start at `FamilyMessages`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tapewire.events import AgentStatusChanged, Order, TradeCorrected, TradeExecuted
from tapewire.payloads.control import (
    CONTROL_PAYLOADS,
    SNAKE_CASE_CONTROL_PAYLOADS,
    ConnectedPayload,
    EmptyPayload,
    HeartbeatPayload,
    PingPayload,
    SnakeCaseConnectedPayload,
    SubscribedPayload,
)
from tapewire.payloads.items import (
    ItemView,
    MetricsPayload,
    NotificationsReadPayload,
    NotificationView,
    RetractedItemView,
    UnreadCountPayload,
)
from tapewire.payloads.market import (
    BarPayload,
    BarsSnapshotPayload,
    PricePayload,
    PricesSnapshotPayload,
    PriceView,
    QuoteView,
    StalePricePayload,
)
from tapewire.payloads.positions import AccountView, PositionsPayload, PositionsSnapshotPayload
from tapewire.payloads.strategies import (
    ErrorPayload,
    InitialStatesPayload,
    OrderPayload,
    StopLossPayload,
    StrategyPayload,
    StrategyStatePayload,
)
from tapewire.payloads.trading import (
    AlertPayload,
    ConfigurationUpdatePayload,
    ConnectionCountsPayload,
    DecisionPayload,
    OrderFillPayload,
    OrdersSnapshotPayload,
    PublicAgentStatusPayload,
    RuleUpdatePayload,
    StrategyUpdatePayload,
)
from tapewire_services.edge.delivery.serializers.api_family import (
    DASHBOARD,
    NOTIFICATIONS,
    STRATEGIES,
    TRADING,
)
from tapewire_services.edge.delivery.serializers.control_messages import CHECKPOINT
from tapewire_services.edge.delivery.serializers.strategies import (
    ORDER_EVENT_NAMES,
    STOP_LOSS_EVENT_NAMES,
    STRATEGY_EVENT_NAMES,
)

MessageTypes = Mapping[str, tuple[Any, ...]]
"""The types of payloads by the name of the event."""


class FamilyMessages(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one API family.

    `control` are events about the stream. `domains` are events of the log, by domain, and
    `unsequenced` those that are sent without ids. `snapshots` and `values` have the names of
    `SnapshotKind` and `LiveValue`.
    """

    control: MessageTypes
    domains: Mapping[str, MessageTypes] = {}
    unsequenced: MessageTypes = {}
    snapshots: Mapping[str, MessageTypes] = {}
    values: Mapping[str, MessageTypes] = {}


_CHECKPOINT: MessageTypes = {CHECKPOINT[0]: (EmptyPayload,)}


_CAMEL_CASE_CONTROL: MessageTypes = {
    "connected": (ConnectedPayload,),
    **_CHECKPOINT,
    **{name: (payload,) for name, payload in CONTROL_PAYLOADS.items()},
}
_SNAKE_CASE_CONTROL: MessageTypes = {
    **_CHECKPOINT,
    **{name: (payload,) for name, payload in SNAKE_CASE_CONTROL_PAYLOADS.items()},
}
_STRATEGIES_CONTROL: MessageTypes = {
    "CONNECTED": (SnakeCaseConnectedPayload,),
    "PING": (PingPayload,),
    **_SNAKE_CASE_CONTROL,
}
_DASHBOARD_CONTROL: MessageTypes = {
    "connected": (SnakeCaseConnectedPayload,),
    "heartbeat": (HeartbeatPayload,),
    **_SNAKE_CASE_CONTROL,
}
_ORDER_EVENTS: MessageTypes = dict.fromkeys(ORDER_EVENT_NAMES.values(), (OrderPayload,))
_STRATEGY_EVENTS: MessageTypes = {
    **dict.fromkeys(STRATEGY_EVENT_NAMES.values(), (StrategyPayload,)),
    **dict.fromkeys(STOP_LOSS_EVENT_NAMES.values(), (StopLossPayload,)),
}
_STRATEGY_STATES: MessageTypes = {
    "initial_state": (StrategyStatePayload, InitialStatesPayload),
    "state_update": (StrategyStatePayload,),
}

_ITEM_EVENTS: MessageTypes = {
    "new_item": (ItemView,),
    "item:corrected": (ItemView,),
    "item:retracted": (RetractedItemView,),
}
_NOTIFICATION_EVENTS: MessageTypes = {
    "notification": (NotificationView,),
    "notification:read": (NotificationsReadPayload,),
}
_UNREAD_COUNT: MessageTypes = {"notification:unread": (UnreadCountPayload,)}

MESSAGES_BY_FAMILY: Mapping[str, FamilyMessages] = {
    TRADING.name: FamilyMessages(
        control=_CAMEL_CASE_CONTROL,
        domains={
            "orders": {"order:update": (Order,), "order:fill": (OrderFillPayload,)},
            "trades": {
                "trade:new": (TradeExecuted,),
                "trade:corrected": (TradeCorrected,),
            },
            "positions": {"position:update": (PositionsPayload,)},
            "strategies": {"strategy:update": (StrategyUpdatePayload,)},
            "decisions": {"ai:decision": (DecisionPayload,)},
            "alerts": {"alert:new": (AlertPayload,)},
            "rules": {"rule:update": (RuleUpdatePayload,)},
            "notifications": _NOTIFICATION_EVENTS,
            "items": _ITEM_EVENTS,
            "configurations": {"configuration:update": (ConfigurationUpdatePayload,)},
            "agents": {"agent:status": (AgentStatusChanged,)},
        },
        unsequenced={"agent:status": (PublicAgentStatusPayload,)},
        snapshots={
            "orders": {"order:update": (OrdersSnapshotPayload,)},
            "positions": {"position:update": (PositionsSnapshotPayload,)},
            "unread": _UNREAD_COUNT,
            "agents": {"agent:status": (AgentStatusChanged,)},
        },
        values={
            "agents": {"agent:status": (PublicAgentStatusPayload,)},
            "prices": {
                "price:update": (PriceView, PricesSnapshotPayload),
                "price:stale": (QuoteView,),
            },
            "bars": {"bar:snapshot": (BarsSnapshotPayload,), "bar:update": (BarPayload,)},
            "valuations": {"position:update": (PositionsPayload,), "price:stale": (QuoteView,)},
            "account": {"account:update": (AccountView,)},
            "counts": {"metrics": (ConnectionCountsPayload,)},
            "metrics": {TRADING.item_metrics_name: (MetricsPayload,)},
        },
    ),
    STRATEGIES.name: FamilyMessages(
        control=_STRATEGIES_CONTROL,
        domains={
            "strategies": _STRATEGY_EVENTS,
            "orders": _ORDER_EVENTS,
            "reports": {**_STRATEGY_EVENTS, **_ORDER_EVENTS, "ERROR": (ErrorPayload,)},
        },
        snapshots={"strategies": _STRATEGY_STATES},
        values={
            "prices": {
                "subscribed": (SubscribedPayload,),
                "PRICE_UPDATE": (PricePayload,),
                "PRICE_STALE": (StalePricePayload,),
            }
        },
    ),
    DASHBOARD.name: FamilyMessages(
        control=_DASHBOARD_CONTROL,
        domains={"items": _ITEM_EVENTS},
        values={"metrics": {DASHBOARD.item_metrics_name: (MetricsPayload,)}},
    ),
    NOTIFICATIONS.name: FamilyMessages(
        control=_DASHBOARD_CONTROL,
        domains={"notifications": _NOTIFICATION_EVENTS},
        snapshots={"unread": _UNREAD_COUNT},
    ),
}
