"""Executions and their corrections, each stored in one atomic batch with the event of its order."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.orders import NO_FEE, ExecutionException, ExecutionTerms, Side


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
    venue_time: Annotated[
        datetime | None, about("when it was executed, as the venue reported it", UTC_TIME)
    ] = None
    exceptions: Annotated[
        tuple[ExecutionException, ...],
        about("why the execution does not fit its order; it counts all the same"),
    ] = ()


@event("trade.corrected", subject="ev.{user}.trades.{orderId}")
class TradeCorrected(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A trade is corrected: it counts as `qty` shares at `price` from here on, in the place that it
    has among the trades. With a `qty` of 0 it is busted, and counts as if it had never been."""

    trade_id: Annotated[str, about("the trade that is corrected")]
    order_id: Annotated[str, about("the order that it executes")]
    symbol: Annotated[str, about("what was traded")]
    side: Annotated[Side, about("which side of the order's user")]
    qty: Annotated[Decimal, about("what changed hands, 0 if it was busted", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]
    strategy_id: Annotated[str | None, about("the strategy it was for, null for a person's order")]
    timestamp: Annotated[datetime, about("when it was corrected", UTC_TIME)]
    before: Annotated[ExecutionTerms, about("what it counted as until now")]
    number: Annotated[int, about("counts the corrections of the order, from 1")]
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)] = NO_FEE
    execution_id: Annotated[str | None, about("what the broker's venue calls the execution")] = None
    correction_id: Annotated[str | None, about("what the venue calls the correction")] = None


class TradeRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A trade in a list, or the correction of one, which is a row of its own with the same
    `trade_id`: what the trade counts as from there on, and `before`, what it counted as until then.
    A busted trade has the `qty` 0."""

    trade_id: Annotated[str, about("its id")]
    order_id: Annotated[str, about("the order that it executes")]
    symbol: Annotated[str, about("what was traded")]
    side: Annotated[Side, about("which side of the order's user")]
    qty: Annotated[Decimal, about("what changed hands, 0 if it was busted", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]
    strategy_id: Annotated[str | None, about("the strategy it was for, null for a person's order")]
    timestamp: Annotated[datetime, about("when it was executed, or corrected", UTC_TIME)]
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)] = NO_FEE
    execution_id: Annotated[str | None, about("what the broker's venue calls it")] = None
    venue_time: Annotated[
        datetime | None, about("when it was executed, as the venue reported it", UTC_TIME)
    ] = None
    exceptions: Annotated[
        tuple[ExecutionException, ...],
        about("why the execution does not fit its order; it counts all the same"),
    ] = ()
    before: Annotated[
        ExecutionTerms | None, about("what it counted as before it was corrected")
    ] = None
    correction_id: Annotated[str | None, about("what the venue calls the correction")] = None

    @classmethod
    def of(cls, event: Event) -> "TradeRow | None":
        """The row of `event`; None if it is neither a trade nor a correction."""
        if not isinstance(event, TradeExecuted | TradeCorrected):
            return None
        names = [name for name in event.__struct_fields__ if name != "number"]
        return cls(**{name: getattr(event, name) for name in names})
