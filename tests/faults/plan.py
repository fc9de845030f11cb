"""What a trial asks of the system, drawn from its seed: orders, clients' manners, faults. Pure.

Everything that is asked is the same for the same seed; when it happens is up to the machine.
"""

import enum
import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from services.prices.domain.walk import PROFILES

USERS = ("alice", "bob", "carol", "dave", "erin")
SYMBOLS = ("BAC", "BRK.B", "IBM", "SPY")
MOST_LOTS = 12
"""Several times what is mostly on offer, so that many orders are filled in parts."""


class Fault(enum.Enum):
    """What is done to a system; the value says so in the figures."""

    KILL_NATS = "nats killed"
    FREEZE_NATS = "nats frozen"
    KILL_EDGE = "edge killed"
    KILL_ORDERS = "orders killed"


class Fate(enum.Enum):
    """What should become of an order."""

    MARKET = "market"
    """Filled at once, whole."""
    CROSSING = "crossing"
    """A limit that the market is better than: filled."""
    NEAR = "near"
    """A limit close to the touch: filled, partly, or not; canceled before the end."""
    FAR = "far"
    """A limit that the market never reaches: stays open."""
    LEFT = "left"
    """The same, canceled soon."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a client asks for it.

    `repeated` asks for it once more after it was answered; `hasty` gives its first request up
    while it is under way; `pause` is how long to think before it, as a part of the mean.
    """

    user: str
    client_order_id: str
    fate: Fate
    symbol: str
    side: str
    qty: int
    limit: Decimal | None
    repeated: bool
    hasty: bool
    pause: float

    @property
    def body(self) -> dict[str, object]:
        """What is sent."""
        asked: dict[str, object] = {
            "symbol": self.symbol,
            "side": self.side,
            "type": "market" if self.limit is None else "limit",
            "qty": self.qty,
            "clientOrderId": self.client_order_id,
        }
        return asked if self.limit is None else {**asked, "limitPrice": str(self.limit)}


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a client watches: `stay` is the mean of its connections in seconds; `reloads` that it
    sometimes comes back as a page that was loaded anew, without its last id."""

    user: str
    path: str
    stay: float
    reloads: bool


class Strike(msgspec.Struct, frozen=True):
    """Faults at the same moment: when `after` orders are placed."""

    after: int
    faults: tuple[Fault, ...]


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything. `rate` is of orders a second, as long as nothing is broken."""

    orders: int
    rounds: int
    pairs: bool
    rate: float
    clients: int = 20


FULL = Size(orders=2000, rounds=2, pairs=True, rate=40)
SHORT = Size(orders=300, rounds=1, pairs=False, rate=20)

PAIRS = ((Fault.KILL_NATS, Fault.KILL_EDGE), (Fault.FREEZE_NATS, Fault.KILL_ORDERS))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A trial."""

    seed: int
    size: Size
    workers: int
    orders: tuple[Asked, ...]
    manners: tuple[Manner, ...]
    strikes: tuple[Strike, ...]

    @classmethod
    def of(cls, seed: int, size: Size, workers: int = 1) -> "Plan":
        """The same for the same arguments."""
        chance = random.Random(f"plan {seed}")
        return cls(
            seed=seed,
            size=size,
            workers=workers,
            orders=tuple(order(chance, number) for number in range(size.orders)),
            manners=tuple(_manner(chance, number) for number in range(size.clients)),
            strikes=tuple(_strikes(chance, size)),
        )


def order(chance: random.Random, number: int) -> Asked:
    """The order of that number in a trial."""
    fate = chance.choices([*Fate], weights=[50, 15, 15, 10, 10])[0]
    symbol, side = chance.choice(SYMBOLS), chance.choice(["buy", "sell"])
    return Asked(
        user=USERS[number % len(USERS)],
        client_order_id=f"c-{number}",
        fate=fate,
        symbol=symbol,
        side=side,
        qty=chance.randint(1, MOST_LOTS * 100),
        limit=_limit(chance, fate, symbol, side),
        repeated=chance.random() < 0.03,
        hasty=chance.random() < 0.03,
        pause=chance.expovariate(1),
    )


def _limit(chance: random.Random, fate: Fate, symbol: str, side: str) -> Decimal | None:
    """Dollars. A random walk strays by at most some percent in a few minutes."""
    if fate is Fate.MARKET:
        return None
    better = 1 if side == "buy" else -1
    opening = PROFILES[symbol].opening
    match fate:
        case Fate.CROSSING:
            cents = opening + better * opening // 4
        case Fate.NEAR:
            cents = opening + chance.randint(-20, 20)
        case _:
            cents = opening - better * opening // 2
    return Decimal(cents).scaleb(-2)


def _manner(chance: random.Random, number: int) -> Manner:
    return Manner(
        user=USERS[number % len(USERS)],
        path=f"/api/stream/{'orders' if number // len(USERS) % 2 else 'trading'}",
        stay=chance.choice([0.5, 2.0, 8.0, 30.0]),
        reloads=number < len(USERS),
    )


def _strikes(chance: random.Random, size: Size) -> Sequence[Strike]:
    """Evenly spaced over the orders, in an order that the seed chooses."""
    faults = [(fault,) for _ in range(size.rounds) for fault in Fault]
    drawn: list[tuple[Fault, ...]] = [*faults, *(PAIRS if size.pairs else ())]
    chance.shuffle(drawn)
    step = size.orders / (len(drawn) + 1)
    return [Strike(int(step * place), faults) for place, faults in enumerate(drawn, 1)]
