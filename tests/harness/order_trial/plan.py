"""The plan of a trial, drawn from its seed: orders and client behavior. Pure.

The same seed gives the same plan; the timing depends on the machine.
"""

import random

import msgspec

from tests.harness.planned_orders import USERS, PlannedOrder, random_order


class WatcherBehavior(msgspec.Struct, frozen=True, kw_only=True):
    """How a client watches. A client that `reloads_page` sometimes reconnects without its last id,
    as a reloaded page does."""

    user: str
    path: str
    mean_connection_seconds: float
    reloads_page: bool


class OrderTrialPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. `orders_per_second` is the rate while nothing is broken.

    With `ends_with_faults`, no order is placed after the last fault, and orders are left over.
    """

    seed: int
    orders_per_second: float
    orders: tuple[PlannedOrder, ...]
    watcher_behaviors: tuple[WatcherBehavior, ...]
    ends_with_faults: bool = False


def draw_plan(
    rng: random.Random,
    *,
    seed: int,
    order_count: int,
    orders_per_second: float,
    watcher_count: int,
    ends_with_faults: bool = False,
) -> OrderTrialPlan:
    """Draw a plan from `rng`; `seed` is for the generators of clients."""
    return OrderTrialPlan(
        seed=seed,
        orders_per_second=orders_per_second,
        orders=tuple(random_order(rng, number) for number in range(order_count)),
        watcher_behaviors=tuple(_random_behavior(rng, number) for number in range(watcher_count)),
        ends_with_faults=ends_with_faults,
    )


def _random_behavior(rng: random.Random, number: int) -> WatcherBehavior:
    return WatcherBehavior(
        user=USERS[number % len(USERS)],
        path=f"/api/stream/{'orders' if number // len(USERS) % 2 else 'trading'}",
        mean_connection_seconds=rng.choice([0.5, 2.0, 8.0, 30.0]),
        reloads_page=number < len(USERS),
    )
