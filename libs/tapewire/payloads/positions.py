"""Positions and the account, as the trading streams show them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.fields import DOLLARS, about


class PositionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A position, in dollars and shares. Fields that depend on a price are None while there is no
    price; `quantity` is 0 when the position is closed. `stale` is there when the position is valued
    at a price that is too old to rely on."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    current_price: Decimal | None
    unrealized_pnl: Decimal | None = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")
    stale: bool = False


class PositionsPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions whose size or value changed, and the value of all positions."""

    positions: Sequence[PositionView]
    total_value: Decimal | None
    timestamp: datetime


class PositionsSnapshotPayload(PositionsPayload, frozen=True, kw_only=True):
    """All positions of a user."""

    snapshot: bool = True


class AccountFigures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account, in dollars. `cash`, `realized_pnl` and `fees` are exact; what depends on prices
    is rounded to six places."""

    starting_balance: Annotated[Decimal, about("what the account began with", DOLLARS)]
    cash: Annotated[
        Decimal,
        about(
            "the starting balance, what was received less what was paid, fees included: below 0 "
            "when it is borrowed",
            DOLLARS,
        ),
    ]
    equity: Annotated[Decimal, about("cash and the value of all positions", DOLLARS)]
    gross_exposure: Annotated[
        Decimal, about("the values of all positions, short ones counted as positive", DOLLARS)
    ]
    net_exposure: Annotated[
        Decimal, about("the value of all positions, short ones counted as negative", DOLLARS)
    ]
    realized_pnl: Annotated[
        Decimal, about("exactly what was gained by all trades, fees taken off", DOLLARS)
    ] = msgspec.field(name="realizedPnL")
    unrealized_pnl: Annotated[
        Decimal, about("what would be gained by closing all positions now", DOLLARS)
    ] = msgspec.field(name="unrealizedPnL")
    fees: Annotated[
        Decimal | None,
        about(
            "all that were paid, rebates taken off; null if an earlier version has dropped some",
            DOLLARS,
        ),
    ]
    buying_power: Annotated[
        Decimal | None,
        about("what orders may add to the exposure; null where there is no limit", DOLLARS),
    ]
    stale: Annotated[
        bool, about("whether a price that this depends on is missing, or too old to rely on")
    ]
    unpriced: Annotated[
        int, about("open positions without a price, which are valued at their cost")
    ]


class AccountView(AccountFigures, frozen=True, kw_only=True):
    """An account as of the event id `as_of`, at the prices of `timestamp`."""

    timestamp: datetime
    as_of: str
