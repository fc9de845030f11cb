"""The requests to the positions service: `svc.positions.list`, `account` and `equity`.

No request changes a position; only trades do.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.fields import DOLLARS, UTC_TIME, about
from tapewire.payloads.positions import AccountFigures as AccountFigures
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "positions"
LIST = "list"
ACCOUNT = "account"
EQUITY = "equity"


class ListPositions(PageRequest, frozen=True, kw_only=True):
    """List a user's open and recently closed positions; answered by `PositionsReply`."""

    user_id: UserId


class ValuedPosition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A position and its value in dollars.

    `quantity` is negative when short and 0 when closed. `entry_price` is None when closed.
    `current_price`, `value` and `unrealized_pnl` are None while the symbol has no quote.
    `realized_pnl` is after all `fees`. Values computed from prices are rounded to six places;
    `realized_pnl` and `fees` are exact. `timestamp` is that of the last trade.
    `stale` is there when the position is valued at a price that is too old to rely on.
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
    stale: bool = False


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


class GetAccount(RequestStruct, frozen=True, kw_only=True):
    """Get a user's account; answered by `AccountReply`."""

    user_id: UserId


class AccountReply(AccountFigures, frozen=True, kw_only=True):
    """An account as of sequence `as_of` of the log named `epoch`, at current prices."""

    as_of: int
    epoch: str


class ListEquity(PageRequest, frozen=True, kw_only=True):
    """List the equity curve of a user, the newest sample first: those that are not before `since`,
    from `cursor` on; answered by `EquityReply`."""

    user_id: UserId
    since: datetime | None = None


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """An account at `timestamp`. Until the next point, nothing changed at the times of samples."""

    timestamp: Annotated[datetime, about("when it was sampled", UTC_TIME)]
    equity: Annotated[Decimal, about("cash and the value of all positions", DOLLARS)]
    cash: Annotated[Decimal, about("as in the account", DOLLARS)]
    stale: Annotated[
        bool, about("whether a price that the equity depends on was missing or too old")
    ]


class EquityReply(msgspec.Struct, frozen=True, kw_only=True):
    """Points of an equity curve, the newest first. `next` is the `cursor` of the older ones, None
    after the last that is kept."""

    points: list[EquityPoint]
    next: str | None = None


LIST_POSITIONS = ServiceCall(SERVICE, LIST, ListPositions, PositionsReply)
GET_ACCOUNT = ServiceCall(SERVICE, ACCOUNT, GetAccount, AccountReply)
LIST_EQUITY = ServiceCall(SERVICE, EQUITY, ListEquity, EquityReply)
CALLS = (LIST_POSITIONS, GET_ACCOUNT, LIST_EQUITY)
