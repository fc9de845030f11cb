"""The plan of a trial, drawn from its seed: orders, clients and faults. Pure.

The same seed gives the same plan; the timing depends on the machine.
"""

import enum
import random
from collections.abc import Sequence

import msgspec

from tests.harness.order_trial.plan import OrderTrialPlan, draw_plan


class Fault(enum.Enum):
    """A fault to inject; the value is its name in the figures."""

    KILL_NATS = "nats killed"
    FREEZE_NATS = "nats frozen"
    KILL_EDGE = "edge killed"
    KILL_ORDERS = "orders killed"


class FaultStep(msgspec.Struct, frozen=True):
    """Faults to inject at the same moment, once `after_order_count` orders are placed."""

    after_order_count: int
    faults: tuple[Fault, ...]


class TrialSize(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a trial. `orders_per_second` is the rate while nothing is broken."""

    order_count: int
    fault_rounds: int
    with_fault_pairs: bool
    orders_per_second: float
    watcher_count: int = 20


FULL = TrialSize(order_count=2000, fault_rounds=2, with_fault_pairs=True, orders_per_second=40)
SHORT = TrialSize(order_count=300, fault_rounds=1, with_fault_pairs=False, orders_per_second=20)

FAULT_PAIRS = ((Fault.KILL_NATS, Fault.KILL_EDGE), (Fault.FREEZE_NATS, Fault.KILL_ORDERS))


class FaultTrialPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan: orders and clients, and faults."""

    seed: int
    size: TrialSize
    edge_processes: int
    trial: OrderTrialPlan
    fault_steps: tuple[FaultStep, ...]

    @classmethod
    def from_seed(cls, seed: int, size: TrialSize, edge_processes: int = 1) -> "FaultTrialPlan":
        """The plan of `seed`; the same arguments give the same plan."""
        rng = random.Random(f"plan {seed}")
        return cls(
            seed=seed,
            size=size,
            edge_processes=edge_processes,
            trial=draw_plan(
                rng,
                seed=seed,
                order_count=size.order_count,
                orders_per_second=size.orders_per_second,
                watcher_count=size.watcher_count,
            ),
            fault_steps=tuple(_random_fault_steps(rng, size)),
        )


def _random_fault_steps(rng: random.Random, size: TrialSize) -> Sequence[FaultStep]:
    """Fault steps, evenly spaced over the orders, in an order that the seed determines."""
    faults = [(fault,) for _ in range(size.fault_rounds) for fault in Fault]
    drawn: list[tuple[Fault, ...]] = [*faults, *(FAULT_PAIRS if size.with_fault_pairs else ())]
    rng.shuffle(drawn)
    step = size.order_count / (len(drawn) + 1)
    return [FaultStep(int(step * number), faults) for number, faults in enumerate(drawn, 1)]
