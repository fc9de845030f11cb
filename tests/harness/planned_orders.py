"""Orders that a trial places, drawn from its seed. Pure.

`faults` and `balancer` place them: the same number and generator give the same order.
"""

import enum
import random
from decimal import Decimal
from typing import Any

import msgspec

from tapewire_services.prices.domain.random_walk import PROFILES

USERS = ("alice", "bob", "carol", "dave", "erin")
SYMBOLS = ("BAC", "BRK.B", "IBM", "SPY")
MAX_LOTS = 12
"""Several times the usual size on offer, so many orders are filled in parts."""


class ExpectedEnd(enum.Enum):
    """The expected end of an order."""

    MARKET_FILL = "market"
    """Filled completely at once."""
    CROSSING_LIMIT = "crossing"
    """A limit inside the market: filled."""
    NEAR_LIMIT = "near"
    """A limit close to the touch: filled, partly filled, or not; canceled before the end."""
    FAR_LIMIT = "far"
    """A limit that the market never reaches: stays open."""
    CANCELED_LIMIT = "left"
    """A limit that the market never reaches, canceled soon."""


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a client requests it.

    An order that `is_sent_twice` is sent once more after it was answered. One that
    `has_short_timeout` abandons its first request while it is in progress. `pause_factor` is the
    pause before the order, as a multiple of the mean.
    """

    user: str
    client_order_id: str
    expected_end: ExpectedEnd
    symbol: str
    side: str
    qty: int
    limit_price: Decimal | None
    is_sent_twice: bool
    has_short_timeout: bool
    pause_factor: float

    @property
    def request_body(self) -> dict[str, Any]:
        """The JSON body of the request."""
        body: dict[str, Any] = {
            "symbol": self.symbol,
            "side": self.side,
            "type": "market" if self.limit_price is None else "limit",
            "qty": self.qty,
            "clientOrderId": self.client_order_id,
        }
        return body if self.limit_price is None else {**body, "limitPrice": str(self.limit_price)}


def random_order(rng: random.Random, number: int) -> PlannedOrder:
    """The order with that number in a trial."""
    fate = rng.choices([*ExpectedEnd], weights=[50, 15, 15, 10, 10])[0]
    symbol, side = rng.choice(SYMBOLS), rng.choice(["buy", "sell"])
    return PlannedOrder(
        user=USERS[number % len(USERS)],
        client_order_id=f"c-{number}",
        expected_end=fate,
        symbol=symbol,
        side=side,
        qty=rng.randint(1, MAX_LOTS * 100),
        limit_price=_random_limit_price(rng, fate, symbol, side),
        is_sent_twice=rng.random() < 0.03,
        has_short_timeout=rng.random() < 0.03,
        pause_factor=rng.expovariate(1),
    )


def _random_limit_price(
    rng: random.Random, expected_end: ExpectedEnd, symbol: str, side: str
) -> Decimal | None:
    """A limit in dollars. A random walk moves by at most some percent within a few minutes."""
    if expected_end is ExpectedEnd.MARKET_FILL:
        return None
    better = 1 if side == "buy" else -1
    opening_cents = PROFILES[symbol].opening_cents
    match expected_end:
        case ExpectedEnd.CROSSING_LIMIT:
            cents = opening_cents + better * opening_cents // 4
        case ExpectedEnd.NEAR_LIMIT:
            cents = opening_cents + rng.randint(-20, 20)
        case _:
            cents = opening_cents - better * opening_cents // 2
    return Decimal(cents).scaleb(-2)
