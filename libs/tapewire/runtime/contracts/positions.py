"""The request to the positions service (`svc.positions.list`) and its reply.

No request changes a position: only trades do.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.runtime.contracts.request import RequestStruct, UserId
from tapewire.runtime.contracts.service_call import ServiceCall

SERVICE = "positions"
LIST = "list"


class ListPositions(RequestStruct, frozen=True, kw_only=True):
    """A user's positions, open and recently closed; answered by `PositionsReply`."""

    user_id: UserId


class ValuedPosition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position and what it is worth, in dollars. `quantity` is below 0 when short, 0 when closed;
    `entry_price` is None when closed; `current_price`, `value` and `unrealized_pnl` are None while
    the market has no quote of the symbol. `realized_pnl` has all `fees` taken off. What is worked
    out from prices is rounded to six places, `realized_pnl` and `fees` are exact. `timestamp` is
    that of the last trade.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    current_price: Decimal | None
    value: Decimal | None
    unrealized_pnl: Decimal | None = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    fees: Decimal
    timestamp: datetime


class PositionsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions, least recently changed first, as they were at sequence `as_of` of log `epoch`, and
    prices as they are now. `total_value` is the sum of the values (short ones count below 0); one
    without a price counts as what was paid for it. `realized_pnl` is the total over every symbol
    the user ever traded, exact."""

    positions: list[ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    as_of: int
    epoch: str


LIST_POSITIONS = ServiceCall(SERVICE, LIST, ListPositions, PositionsReply)
CALLS = (LIST_POSITIONS,)
