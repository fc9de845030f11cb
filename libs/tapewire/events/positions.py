"""What happens to a position: the holding of one user in one symbol, folded from trades.

Each event carries the position as it is afterwards, and the trade that caused it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events.catalogue import Event, event


class Position(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A holding. `quantity` is in shares, below 0 when short. `cost_basis` is exactly what was paid
    for what is held, in dollars, below 0 when short: what was received. `entry_price` is the
    average price of that, dollars a share, rounded to six places, None when nothing is held.
    `realized_pnl` is exactly the dollars gained since the user's first trade in the symbol, with
    all `fees` taken off. `timestamp` is that of the last trade.

    So at any price, ``quantity * price - cost_basis`` is the unrealized gain, and realized and
    unrealized together are what was received less what was paid, fees included, to the last digit.
    """

    symbol: str
    quantity: Decimal
    cost_basis: Decimal
    entry_price: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    timestamp: datetime


class PositionEvent(Event, frozen=True, kw_only=True):
    """The position after trade `trade_id`, which stands at `trade_sequence` in the log."""

    position: Position
    trade_id: str
    trade_sequence: int


@event("position.opened")
class PositionOpened(PositionEvent, frozen=True, kw_only=True):
    """Something is held where nothing was."""


@event("position.changed")
class PositionChanged(PositionEvent, frozen=True, kw_only=True):
    """More or less is held, on the same side."""


@event("position.closed")
class PositionClosed(PositionEvent, frozen=True, kw_only=True):
    """Nothing is held any more; the trade changed `realized_pnl` by `realized` dollars. When it
    went through zero, a PositionOpened of the same trade follows in the same atomic batch."""

    realized: Decimal


@event("position.valued")
class PositionValued(Event, frozen=True, kw_only=True):
    """What a position is worth now: a newest-wins value in MARKET, not an event of the journal.
    The last one of a position says that nothing is held (`quantity` 0). Gains are in dollars,
    rounded to six places; `timestamp` is when it was valued."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    current_price: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    timestamp: datetime
