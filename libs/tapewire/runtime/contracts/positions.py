"""The request to the positions service: `svc.positions.list`.

No request changes a position; only trades do.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.runtime.contracts.request import PageReply, PageRequest, ServiceCall, UserId

SERVICE = "positions"
LIST = "list"


class ListPositions(PageRequest, frozen=True, kw_only=True):
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


class PositionsReply(PageReply, frozen=True, kw_only=True):
    """Positions, sorted by symbol, at current prices.

    `total_value` is the sum of the values of all positions, listed on this page or not (negative
    for short positions); a position without a price counts with what was paid for it.
    `unrealized_pnl` is the total of all positions too, and `realized_pnl` the exact total over all
    symbols that the user ever traded.
    """

    positions: list[ValuedPosition]
    total_value: Decimal
    unrealized_pnl: Decimal = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")


LIST_POSITIONS = ServiceCall(SERVICE, LIST, ListPositions, PositionsReply)
CALLS = (LIST_POSITIONS,)
