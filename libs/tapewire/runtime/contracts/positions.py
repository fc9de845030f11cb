"""The request to the positions service: `svc.positions.list`.

No request changes a position; only trades do.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.runtime.contracts.request import RequestStruct, ServiceCall, UserId

SERVICE = "positions"
LIST = "list"


class ListPositions(RequestStruct, frozen=True, kw_only=True):
    """List a user's open and recently closed positions; answered by `PositionsReply`."""

    user_id: UserId


class ValuedPosition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position and its value in dollars.

    `quantity` is negative when short and 0 when closed. `entry_price` is None when closed.
    `current_price`, `value` and `unrealized_pnl` are None while the symbol has no quote.
    `realized_pnl` is after all `fees`. Values computed from prices are rounded to six places;
    `realized_pnl` and `fees` are exact. `timestamp` is that of the last trade.
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
    """Positions, the least recently changed first, as of sequence `as_of` of the log named `epoch`,
    at current prices.

    `total_value` is the sum of the values (negative for short positions); a position without a
    price counts with what was paid for it. `realized_pnl` is the exact total over all symbols that
    the user ever traded.
    """

    positions: list[ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    as_of: int
    epoch: str


LIST_POSITIONS = ServiceCall(SERVICE, LIST, ListPositions, PositionsReply)
CALLS = (LIST_POSITIONS,)
