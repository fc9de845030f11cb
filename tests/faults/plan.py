"""What a trial asks of the system, drawn from its seed: orders, clients' manners, faults. Pure.

Everything that is asked is the same for the same seed; when it happens is up to the machine.
"""

import enum
import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire_services.prices.domain.random_walk import PROFILES

USERS = ("alice", "bob", "carol", "dave", "erin")
SYMBOLS = ("BAC", "BRK.B", "IBM", "SPY")
MAX_LOTS = 12
"""Several times what is mostly on offer, so that many orders are filled in parts."""


class Fault(enum.Enum):
    """What is done to a system; the value says so in the figures."""

    KILL_NATS = "nats killed"
    FREEZE_NATS = "nats frozen"
    KILL_EDGE = "edge killed"
    KILL_ORDERS = "orders killed"


class ExpectedEnd(enum.Enum):
    """What should become of an order."""

    MARKET_FILL = "market"
    """Filled at once, whole."""
    CROSSING_LIMIT = "crossing"
    """A limit that the market is better than: filled."""
    NEAR_LIMIT = "near"
    """A limit close to the touch: filled, partly, or not; canceled before the end."""
    FAR_LIMIT = "far"
    """A limit that the market never reaches: stays open."""
    CANCELED_LIMIT = "left"
    """The same, canceled soon."""


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a client asks for it.

    `repeated` asks for it once more after it was answered; `hasty` gives its first request up
    while it is under way; `pause` is how long to think before it, as a part of the mean.
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
    def request_body(self) -> dict[str, object]:
        """What is sent."""
        asked: dict[str, object] = {
            "symbol": self.symbol,
            "side": self.side,
            "type": "market" if self.limit_price is None else "limit",
            "qty": self.qty,
            "clientOrderId": self.client_order_id,
        }
        return asked if self.limit_price is None else {**asked, "limitPrice": str(self.limit_price)}


class WatcherBehavior(msgspec.Struct, frozen=True, kw_only=True):
    """How a client watches: `stay` is the mean of its connections in seconds; `reloads` that it
    sometimes comes back as a page that was loaded anew, without its last id."""

    user: str
    path: str
    mean_connection_seconds: float
    reloads_page: bool


class FaultStep(msgspec.Struct, frozen=True):
    """Faults at the same moment: when `after` orders are placed."""

    after_order_count: int
    faults: tuple[Fault, ...]


class TrialSize(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything. `rate` is of orders a second, as long as nothing is broken."""

    order_count: int
    fault_rounds: int
    with_fault_pairs: bool
    orders_per_second: float
    watcher_count: int = 20


FULL = TrialSize(order_count=2000, fault_rounds=2, with_fault_pairs=True, orders_per_second=40)
SHORT = TrialSize(order_count=300, fault_rounds=1, with_fault_pairs=False, orders_per_second=20)

FAULT_PAIRS = ((Fault.KILL_NATS, Fault.KILL_EDGE), (Fault.FREEZE_NATS, Fault.KILL_ORDERS))


class FaultTrialPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A trial."""

    seed: int
    size: TrialSize
    edge_processes: int
    orders: tuple[PlannedOrder, ...]
    watcher_behaviors: tuple[WatcherBehavior, ...]
    fault_steps: tuple[FaultStep, ...]

    @classmethod
    def from_seed(cls, seed: int, size: TrialSize, edge_processes: int = 1) -> "FaultTrialPlan":
        """The same for the same arguments."""
        chance = random.Random(f"plan {seed}")
        return cls(
            seed=seed,
            size=size,
            workers=edge_processes,
            orders=tuple(random_order(chance, number) for number in range(size.order_count)),
            manners=tuple(_random_behavior(chance, number) for number in range(size.watcher_count)),
            strikes=tuple(_random_fault_steps(chance, size)),
        )


def random_order(rng: random.Random, number: int) -> PlannedOrder:
    """The order of that number in a trial."""
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
    """Dollars. A random walk strays by at most some percent in a few minutes."""
    if expected_end is ExpectedEnd.MARKET_FILL:
        return None
    better = 1 if side == "buy" else -1
    opening = PROFILES[symbol].opening_cents
    match expected_end:
        case ExpectedEnd.CROSSING_LIMIT:
            cents = opening + better * opening // 4
        case ExpectedEnd.NEAR_LIMIT:
            cents = opening + rng.randint(-20, 20)
        case _:
            cents = opening - better * opening // 2
    return Decimal(cents).scaleb(-2)


def _random_behavior(rng: random.Random, number: int) -> WatcherBehavior:
    return WatcherBehavior(
        user=USERS[number % len(USERS)],
        path=f"/api/stream/{'orders' if number // len(USERS) % 2 else 'trading'}",
        mean_connection_seconds=rng.choice([0.5, 2.0, 8.0, 30.0]),
        reloads_page=number < len(USERS),
    )


def _random_fault_steps(rng: random.Random, size: TrialSize) -> Sequence[FaultStep]:
    """Evenly spaced over the orders, in an order that the seed chooses."""
    faults = [(fault,) for _ in range(size.fault_rounds) for fault in Fault]
    drawn: list[tuple[Fault, ...]] = [*faults, *(FAULT_PAIRS if size.with_fault_pairs else ())]
    rng.shuffle(drawn)
    step = size.order_count / (len(drawn) + 1)
    return [FaultStep(int(step * place), faults) for place, faults in enumerate(drawn, 1)]
