"""What happens to a position: the holding of one user in one symbol, folded from trades.

Each event carries the position as it is afterwards, and the trade that caused it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.event_types import Delivery
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about


class Position(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A holding. `quantity` is in shares, below 0 when short. `cost_basis` is exactly what was paid
    for what is held, in dollars, below 0 when short: what was received. `entry_price` is the
    average price of that, dollars a share, rounded to six places, None when nothing is held.
    `realized_pnl` is exactly the dollars gained since the user's first trade in the symbol, with
    all `fees` taken off. `timestamp` is that of the last trade.

    So at any price, ``quantity * price - cost_basis`` is the unrealized gain, and realized and
    unrealized together are what was received less what was paid, fees included, to the last digit.
    """

    symbol: Annotated[str, about("what is held")]
    quantity: Annotated[Decimal, about("how much, below 0 when short", SHARES)]
    cost_basis: Annotated[
        Decimal,
        about(
            "exactly what was paid for what is held, below 0 when short: what was received", DOLLARS
        ),
    ]
    entry_price: Annotated[
        Decimal | None,
        about(
            "average price of what is held, rounded to six places, null when nothing is", PER_SHARE
        ),
    ]
    realized_pnl: Annotated[
        Decimal,
        about(
            "exactly what was gained since the first trade in the symbol, `fees` taken off", DOLLARS
        ),
    ]
    fees: Annotated[Decimal, about("all that were paid, rebates taken off", DOLLARS)]
    timestamp: Annotated[datetime, about("that of the last trade", UTC_TIME)]


class PositionEvent(Event, frozen=True, kw_only=True):
    """The position after trade `trade_id`, which stands at `trade_sequence` in the log."""

    position: Annotated[Position, about("the position as it is afterwards")]
    trade_id: Annotated[str, about("the trade that caused it")]
    trade_sequence: Annotated[int, about("where that trade stands in the journal")]


@event("position.opened", subject="ev.{user}.positions.{symbol}")
class PositionOpened(PositionEvent, frozen=True, kw_only=True):
    """Something is held where nothing was."""


@event("position.changed", subject="ev.{user}.positions.{symbol}")
class PositionChanged(PositionEvent, frozen=True, kw_only=True):
    """More or less is held, on the same side."""


@event("position.closed", subject="ev.{user}.positions.{symbol}")
class PositionClosed(PositionEvent, frozen=True, kw_only=True):
    """Nothing is held any more; the trade changed `realized_pnl` by `realized` dollars. When it
    went through zero, a PositionOpened of the same trade follows in the same atomic batch."""

    realized: Annotated[Decimal, about("what its trade changed `realizedPnl` by", DOLLARS)]


@event("position.valued", subject="mk.{user}.{symbol}", delivery=Delivery.NEWEST_WINS)
class PositionValued(Event, frozen=True, kw_only=True):
    """What a position is worth now: a newest-wins value in MARKET, not an event of the journal.
    The last one of a position says that nothing is held (`quantity` 0). Gains are in dollars,
    rounded to six places; `timestamp` is when it was valued."""

    symbol: Annotated[str, about("what is held")]
    quantity: Annotated[Decimal, about("how much, below 0 when short, 0 in the last value", SHARES)]
    entry_price: Annotated[Decimal | None, about("average price of what is held", PER_SHARE)]
    current_price: Annotated[Decimal, about("the quote it was valued at", PER_SHARE)]
    unrealized_pnl: Annotated[
        Decimal, about("what would be gained by closing now, rounded to six places", DOLLARS)
    ]
    realized_pnl: Annotated[Decimal, about("what was gained, rounded to six places", DOLLARS)]
    timestamp: Annotated[datetime, about("when it was valued", UTC_TIME)]
