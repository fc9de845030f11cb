"""Executions, stored in one atomic batch with the fill of their order."""

from datetime import datetime
from decimal import Decimal

from tapewire.events.catalogue import Event, event
from tapewire.events.orders import Side

NO_FEE = Decimal(0)


@event("trade.executed")
class TradeExecuted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """`qty` shares of `symbol` changed hands at `price` dollars a share for order `order_id`.

    `fee` is in dollars, below 0 when it is a rebate. A trade that carries none is stored without
    the field (the only one with a default), as all were before there was one.
    """

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    strategy_id: str | None
    timestamp: datetime
    fee: Decimal = NO_FEE
