"""The trade of a fill. Pure."""

from tapewire.events import OrderFilled, TradeExecuted


def trade_of_fill(filled: OrderFilled) -> TradeExecuted:
    """The trade that is stored in one atomic batch with `filled`."""
    order = filled.order
    return TradeExecuted(
        trade_id=filled.trade_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        qty=filled.qty,
        price=filled.price,
        strategy_id=order.strategy_id,
        timestamp=order.timestamp,
    )
