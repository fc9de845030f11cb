"""The types of all payloads by the name of the event, and which of them a payload has.

Some events have several: `order:update` is one order, or the snapshot of all of them. Their fields
tell them apart. Start at `find_type`.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from tapewire.events import CATALOGUE, AgentStatusChanged, Order, TradeCorrected, TradeExecuted
from tapewire.payloads import control, items, market, positions, strategies, trading

Payload = type[msgspec.Struct]

_ORDER_NAMES = (
    "ORDER_PLACED",
    "ORDER_EXECUTED",
    "ORDER_REJECTED",
    "ORDER_CANCELLED",
    "ORDER_FAILED",
    "ORDER_UPDATED",
)
_STRATEGY_NAMES = (
    "STRATEGY_STARTED",
    "STRATEGY_STOPPED",
    "STRATEGY_UPDATED",
    "STRATEGY_COMPLETED",
    "STRATEGY_ERROR",
)

PAYLOAD_TYPES: Mapping[str, tuple[Payload, ...]] = {
    "connected": (control.ConnectedPayload, control.SnakeCaseConnectedPayload),
    "CONNECTED": (control.SnakeCaseConnectedPayload,),
    "checkpoint": (control.EmptyPayload,),
    "PING": (control.PingPayload,),
    "heartbeat": (control.HeartbeatPayload,),
    "subscribed": (control.SubscribedPayload,),
    **{
        name: (payload, control.SNAKE_CASE_CONTROL_PAYLOADS[name])
        for name, payload in control.CONTROL_PAYLOADS.items()
    },
    "order:update": (Order, trading.OrdersSnapshotPayload),
    "order:fill": (trading.OrderFillPayload,),
    "trade:new": (TradeExecuted,),
    "trade:corrected": (TradeCorrected,),
    "position:update": (positions.PositionsPayload, positions.PositionsSnapshotPayload),
    "account:update": (positions.AccountView,),
    "price:update": (market.PriceView, market.PricesSnapshotPayload),
    "price:stale": (market.QuoteView,),
    "bar:snapshot": (market.BarsSnapshotPayload,),
    "bar:update": (market.BarPayload,),
    "strategy:update": (trading.StrategyUpdatePayload,),
    "ai:decision": (trading.DecisionPayload,),
    "alert:new": (trading.AlertPayload,),
    "rule:update": (trading.RuleUpdatePayload,),
    "configuration:update": (trading.ConfigurationUpdatePayload,),
    "agent:status": (trading.PublicAgentStatusPayload, AgentStatusChanged),
    "metrics": (trading.ConnectionCountsPayload, items.MetricsPayload),
    "item:metrics": (items.MetricsPayload,),
    "new_item": (items.ItemView,),
    "item:corrected": (items.ItemView,),
    "item:retracted": (items.RetractedItemView,),
    "notification": (items.NotificationView,),
    "notification:read": (items.NotificationsReadPayload,),
    "notification:unread": (items.UnreadCountPayload,),
    **dict.fromkeys(_STRATEGY_NAMES, (strategies.StrategyPayload,)),
    **dict.fromkeys(_ORDER_NAMES, (strategies.OrderPayload,)),
    **dict.fromkeys(("SL_TRIGGERED", "SL_EXECUTED"), (strategies.StopLossPayload,)),
    "ERROR": (strategies.ErrorPayload,),
    "initial_state": (strategies.StrategyStatePayload, strategies.InitialStatesPayload),
    "state_update": (strategies.StrategyStatePayload,),
    "PRICE_UPDATE": (market.PricePayload,),
    "PRICE_STALE": (market.StalePricePayload,),
}
"""A test of the edge compares them with what streams can show."""


def find_type(event_type: str, data: Any) -> Payload | None:
    """Return the type of the payload `data`; None if it is of none that is known.

    Types that other packages declare with an SSE name are known when they are imported.
    """
    candidates = PAYLOAD_TYPES.get(event_type) or _declared_types(event_type)
    if not isinstance(data, dict):
        return None
    keys = data.keys()
    fitting = [one for one in candidates if _field_names(one)[0] <= keys]
    return max(fitting, key=lambda one: len(_field_names(one)[1] & keys), default=None)


def _declared_types(event_type: str) -> Iterable[Payload]:
    return [
        kind.struct
        for kind in CATALOGUE.event_types()
        if kind.sse_binding is not None and kind.sse_binding.event_name == event_type
    ]


@lru_cache(maxsize=256)
def _field_names(payload: Payload) -> tuple[frozenset[str], frozenset[str]]:
    """The names in JSON of the fields that are always there, and of all fields."""
    fields = msgspec.structs.fields(payload)
    return (
        frozenset(field.encode_name for field in fields if field.required),
        frozenset(field.encode_name for field in fields),
    )
