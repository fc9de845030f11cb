"""The histories of Tapewire: orders, trades, strategies, alerts, notifications and items."""

from tapewire.events import (
    AlertRaised,
    Event,
    Item,
    ItemAnalysed,
    ItemChangedEvent,
    Notification,
    NotificationCreated,
    Order,
    OrderEvent,
    OrderPlaced,
    Strategy,
    StrategyCreated,
    StrategyEvent,
    TradeRow,
)
from tapewire.views.history import HistoryChange, HistoryView


class OrderHistory(HistoryView[Order]):
    """One user's orders, in the order of their placing."""

    domain = "orders"
    name = "orders-history"
    row_type = Order
    has_changing_rows = True

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[Order] | None:
        if not isinstance(event, OrderEvent):
            return None
        order = event.order
        is_new, is_final = isinstance(event, OrderPlaced), not order.status.is_open
        return HistoryChange(order, key=cls.key_of(order), is_new=is_new, is_final=is_final)

    @classmethod
    def key_of(cls, row: Order) -> str:
        return row.order_id


class TradeHistory(HistoryView[TradeRow]):
    """One user's trades and their corrections. The row of a corrected trade stays as it is."""

    domain = "trades"
    name = "trades-history"
    row_type = TradeRow

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[TradeRow] | None:
        return None if (row := TradeRow.of(event)) is None else HistoryChange(row)


class StrategyHistory(HistoryView[Strategy]):
    """One user's strategies, in the order of their creation."""

    domain = "strategies"
    name = "strategies-history"
    row_type = Strategy
    has_changing_rows = True

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[Strategy] | None:
        if not isinstance(event, StrategyEvent):
            return None
        strategy, is_new = event.strategy, isinstance(event, StrategyCreated)
        return HistoryChange(strategy, key=cls.key_of(strategy), is_new=is_new, is_final=False)

    @classmethod
    def key_of(cls, row: Strategy) -> str:
        return row.strategy_id


class AlertHistory(HistoryView[AlertRaised]):
    """One user's alerts."""

    domain = "alerts"
    name = "alerts-history"
    row_type = AlertRaised

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[AlertRaised] | None:
        return HistoryChange(event) if isinstance(event, AlertRaised) else None


class NotificationHistory(HistoryView[Notification]):
    """One user's notifications as they were created; `NotificationsView` knows which are read."""

    domain = "notifications"
    name = "notifications-history"
    row_type = Notification

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[Notification] | None:
        return HistoryChange(event.notification) if isinstance(event, NotificationCreated) else None


class ItemHistory(HistoryView[Item]):
    """All items, in their order of arrival. A retracted one keeps its place, and says so."""

    domain = "items"
    name = "items-history"
    row_type = Item
    has_changing_rows = True

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[Item] | None:
        if isinstance(event, ItemChangedEvent):
            return HistoryChange(event.item, number=event.number, is_new=False)
        return HistoryChange(event.item) if isinstance(event, ItemAnalysed) else None
