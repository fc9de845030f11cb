"""Requests to the positions service (`svc.positions.list`, `reconcile`) and its replies.

The service refuses `reconcile` with the code ``conflict`` when the log was trimmed, because then
nothing can be proved. Positions are never changed by a request: only trades make them.
"""

import enum
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events import Position
from tapewire.runtime.contracts.request import RequestStruct, UserId
from tapewire.runtime.contracts.service_call import ServiceCall

SERVICE = "positions"
LIST, RECONCILE = "list", "reconcile"

MAX_LISTED_DIFFERENCES = 100
"""Differences that a reply lists; `differing` counts all."""


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


class ReconcilePositions(RequestStruct, frozen=True, kw_only=True):
    """Prove that the positions of `user_id` (None: of everybody) are the fold of all trades;
    answered by `ReconcileReply`. Reads every trade and position event that there ever was (the
    reply says how many): allow a second for each ten thousand in `seconds` of the request.
    """

    user_id: UserId | None = None


class DifferenceKind(enum.Enum):
    MISSING = "missing"
    """A trade that was passed on the way has no event of the position."""
    UNEXPECTED = "unexpected"
    """An event of the position that no trade accounts for, or the second for the same trade."""
    DIFFERENT = "different"
    """The event of this trade says something else than the fold."""


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a position first departs from the fold of its trades: the trade concerned
    (`trade_sequence` in the log), the event (`sequence`, None when missing), and the position as it
    should be and as it is then."""

    user_id: str
    symbol: str
    kind: DifferenceKind
    trade_id: str
    trade_sequence: int
    sequence: int | None
    expected: Position | None
    found: Position | None


class ReconcileReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the comparison found, at sequence `as_of` of log `epoch`.

    Positions equal the fold when `differing` (the number of positions that depart from it) is 0;
    `pending` trades were too new to be taken yet. `unusable` trades cannot be folded (their numbers
    are out of bounds, or this program cannot read them) and change nothing.
    """

    differing: int
    differences: list[Difference]
    trades: int
    events: int
    positions: int
    pending: int
    unusable: int
    as_of: int
    epoch: str


LIST_POSITIONS = ServiceCall(SERVICE, LIST, ListPositions, PositionsReply)
RECONCILE_POSITIONS = ServiceCall(SERVICE, RECONCILE, ReconcilePositions, ReconcileReply)
CALLS = (LIST_POSITIONS, RECONCILE_POSITIONS)
