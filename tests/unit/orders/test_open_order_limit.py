"""The limit of a user's open orders: exact in one process, and cheap."""

import asyncio
import contextlib

import pytest

from tapewire.log import CommandRejected
from tapewire_services.orders.open_order_limit import MAX_USERS, OpenOrderLimit


class UserOrders:
    """The open orders of users, and a clock. It counts how often they are counted."""

    def __init__(self) -> None:
        self.open_orders = 0
        self.count_calls = 0
        self.now = 0.0

    async def count(self, _user: str) -> int:
        self.count_calls += 1
        await asyncio.sleep(0)
        return self.open_orders

    def limit(self, max_open_orders: int) -> OpenOrderLimit:
        return OpenOrderLimit(max_open_orders, self.count, lambda: self.now)


@pytest.fixture
def orders() -> UserOrders:
    return UserOrders()


async def never() -> bool:
    return False


async def always() -> bool:
    return True


async def place(limit: OpenOrderLimit, orders: UserOrders) -> None:
    async with limit.reserve("alice", never):
        orders.open_orders += 1


async def test_the_limit_is_exact_for_orders_one_by_one(orders: UserOrders) -> None:
    limit = orders.limit(10)
    for _ in range(10):
        await place(limit, orders)
    with pytest.raises(CommandRejected, match="10 open orders"):
        await place(limit, orders)


async def test_orders_that_are_being_placed_count(orders: UserOrders) -> None:
    """None of them is stored before all have asked for room."""
    limit, stored = orders.limit(5), asyncio.Event()

    async def place_slowly() -> bool:
        try:
            async with limit.reserve("alice", never):
                await stored.wait()
        except CommandRejected:
            return False
        return True

    placing = [asyncio.create_task(place_slowly()) for _ in range(50)]
    await asyncio.wait(placing, timeout=0.2)
    stored.set()
    assert sum(await asyncio.gather(*placing)) == 5


async def test_an_order_that_fails_makes_room_again(orders: UserOrders) -> None:
    limit = orders.limit(1)
    with pytest.raises(RuntimeError):
        async with limit.reserve("alice", never):
            raise RuntimeError
    await place(limit, orders)


async def test_a_user_at_the_limit_is_counted_once_a_second(orders: UserOrders) -> None:
    limit = orders.limit(3)
    orders.open_orders = 3
    for _ in range(10):
        with pytest.raises(CommandRejected):
            await place(limit, orders)
    assert orders.count_calls == 1
    orders.open_orders = 2
    orders.now += 1.0
    await place(limit, orders)
    assert orders.count_calls == 2


async def test_many_orders_are_counted_seldom(orders: UserOrders) -> None:
    limit = orders.limit(5000)
    for _ in range(5000):
        await place(limit, orders)
    assert orders.count_calls <= 40


@pytest.mark.parametrize("processes", [2, 5])
async def test_processes_that_take_turns_keep_the_limit(orders: UserOrders, processes: int) -> None:
    """Regression: a process went on with the room of its last count, however old."""
    limits = [orders.limit(100) for _ in range(processes)]
    for limit in limits:
        await place(limit, orders)
    for number in range(200):
        orders.now += 1.0
        with contextlib.suppress(CommandRejected):
            await place(limits[number // 20 % processes], orders)
    assert orders.open_orders == 100


async def test_orders_through_another_process_within_a_second_exceed_the_limit_by_a_part(
    orders: UserOrders,
) -> None:
    idle, busy = orders.limit(100), orders.limit(100)
    await place(idle, orders)
    for limit in (busy, idle):
        for _ in range(200):
            with contextlib.suppress(CommandRejected):
                await place(limit, orders)
    assert 100 <= orders.open_orders <= 125


async def test_room_that_another_process_made_is_used_a_second_later(orders: UserOrders) -> None:
    limit = orders.limit(2)
    await place(limit, orders)
    await place(limit, orders)
    orders.open_orders = 0  # both were canceled elsewhere
    orders.now += 1.0
    await place(limit, orders)
    assert orders.open_orders == 1


async def test_a_repeated_order_needs_no_room(orders: UserOrders) -> None:
    limit = orders.limit(1)
    await place(limit, orders)
    async with limit.reserve("alice", always):
        pass


async def test_a_user_beyond_the_kept_ones_is_counted_again(orders: UserOrders) -> None:
    limit = orders.limit(1)
    await place(limit, orders)
    for number in range(MAX_USERS):
        orders.open_orders = 0
        async with limit.reserve(f"user-{number}", never):
            pass
    orders.open_orders = 1
    with pytest.raises(CommandRejected):
        await place(limit, orders)
