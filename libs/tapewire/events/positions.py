"""The events of a position: a user's holding in one symbol, folded from trades.

Each event carries the position after it, and the trade that caused it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.event_types import Delivery
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about


class Position(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A holding in one symbol.

    `quantity` is in shares, negative when short. `cost_basis` is exactly what was paid for the
    holding, in dollars; negative when short, where it is what was received. `entry_price` is the
    average price of the holding in dollars a share, rounded to eight places, or None if nothing is
    held. `realized_pnl` is exactly the profit in dollars since the user's first trade in the
    symbol, after all `fees`. `timestamp` is that of the last trade.

    At any price, ``quantity * price - cost_basis`` is the unrealized profit. The realized and the
    unrealized profit together are exactly what was received less what was paid, fees included.
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
            "average price of what is held, rounded to eight places, null when nothing is",
            PER_SHARE,
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

    @classmethod
    def before_trades(cls, symbol: str, timestamp: datetime) -> Self:
        """The position of a user who never traded `symbol`: nothing is held, paid or gained."""
        zero = Decimal(0)
        return cls(
            symbol=symbol,
            quantity=zero,
            cost_basis=zero,
            entry_price=None,
            realized_pnl=zero,
            fees=zero,
            timestamp=timestamp,
        )


class PositionEvent(Event, frozen=True, kw_only=True):
    """The position after the trade `trade_id`, whose sequence in the log is `trade_sequence`."""

    position: Annotated[Position, about("the position as it is afterwards")]
    trade_id: Annotated[str, about("the trade that caused it")]
    trade_sequence: Annotated[int, about("where that trade stands in the journal")]


@event("position.opened", subject="ev.{user}.positions.{symbol}")
class PositionOpened(PositionEvent, frozen=True, kw_only=True):
    """The user holds the symbol, and did not before."""


@event("position.changed", subject="ev.{user}.positions.{symbol}")
class PositionChanged(PositionEvent, frozen=True, kw_only=True):
    """The user holds more or less, on the same side."""


@event("position.closed", subject="ev.{user}.positions.{symbol}")
class PositionClosed(PositionEvent, frozen=True, kw_only=True):
    """The user holds nothing any more. The trade changed `realized_pnl` by `realized` dollars. If
    the trade goes through zero, a PositionOpened follows in the same atomic batch."""

    realized: Annotated[Decimal, about("what its trade changed `realizedPnl` by", DOLLARS)]


@event("position.corrected", subject="ev.{user}.positions.{symbol}")
class PositionCorrected(PositionEvent, frozen=True, kw_only=True):
    """The trade `trade_id` was corrected or busted. The position is what all trades of the symbol
    make of it with the correction; `trade_sequence` is that of the trade.corrected."""


@event("position.split", subject="ev.{user}.positions.{symbol}")
class PositionSplit(PositionEvent, frozen=True, kw_only=True):
    """The symbol was split: the holding is in the new shares, at the same cost. `trade_id` and
    `trade_sequence` are those of the split."""


@event("position.valued", subject="mk.{user}.{symbol}", delivery=Delivery.NEWEST_WINS)
class PositionValued(Event, frozen=True, kw_only=True):
    """The current value of a position: a newest-wins value in MARKET, not an event of the journal.

    The last value of a closed position has `quantity` 0. Profits are in dollars, rounded to six
    places. `timestamp` is the time of the valuation.
    """

    symbol: Annotated[str, about("what is held")]
    quantity: Annotated[Decimal, about("how much, below 0 when short, 0 in the last value", SHARES)]
    entry_price: Annotated[Decimal | None, about("average price of what is held", PER_SHARE)]
    current_price: Annotated[Decimal, about("the quote it was valued at", PER_SHARE)]
    unrealized_pnl: Annotated[
        Decimal, about("what would be gained by closing now, rounded to six places", DOLLARS)
    ]
    realized_pnl: Annotated[Decimal, about("what was gained, rounded to six places", DOLLARS)]
    timestamp: Annotated[datetime, about("when it was valued", UTC_TIME)]
