"""Executions, each stored in one atomic batch with the fill of its order."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.orders import NO_FEE, ExecutionException, Side


@event("trade.executed", subject="ev.{user}.trades.{orderId}")
class TradeExecuted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """`qty` shares of `symbol` were traded at `price` dollars a share for the order `order_id`.

    `fee` is in dollars, negative for a rebate. A trade without a fee is stored without the field,
    as were all trades before the field existed.
    """

    trade_id: Annotated[str, about("its id")]
    order_id: Annotated[str, about("the order that it executes")]
    symbol: Annotated[str, about("what was traded")]
    side: Annotated[Side, about("which side of the order's user")]
    qty: Annotated[Decimal, about("what changed hands", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]
    strategy_id: Annotated[str | None, about("the strategy it was for, null for a person's order")]
    timestamp: Annotated[datetime, about("when it was executed", UTC_TIME)]
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)] = NO_FEE
    execution_id: Annotated[str | None, about("what the broker's venue calls it")] = None
    exceptions: Annotated[
        tuple[ExecutionException, ...],
        about("why the execution does not fit its order; it counts all the same"),
    ] = ()
