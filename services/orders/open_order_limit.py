"""Limits the open orders of a user.

Counting a user's open orders means reading the user's view. `OpenOrderLimit` therefore counts once,
and then lets a part of the room be used without counting again, for a second. The limit is exact
for orders that are placed through one process. Orders that are placed through several processes
within the same second can exceed it by that part for each further process.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable

from tapewire.log import CommandRejected, EventLog, LatestValueStore, view_checkpoints
from tapewire.views import OrdersView

RECOUNT_SHARE = 4
"""Count again after this share of the room was used: a quarter."""
RECOUNT_INTERVAL_SECONDS = 1.0
"""A count is good for so long: other processes place orders, too. A user at the limit is counted at
most so often."""
MAX_USERS = 10_000
"""Users whose counts are kept; the one who placed nothing for the longest time is dropped."""


class _UserCount:
    """What is known of a user's open orders: how many there were at `counted_at`, how many more may
    be placed before the next count, and how many are being placed."""

    __slots__ = ("counted_at", "in_flight", "left", "lock", "open_orders")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.open_orders = 0
        self.left = 0
        self.in_flight = 0
        self.counted_at = float("-inf")


class OpenOrderLimit:
    """At most `max_open_orders` of a user. `count_open_orders` counts those of one; `clock` is a
    monotonic time in seconds."""

    def __init__(
        self,
        max_open_orders: int,
        count_open_orders: Callable[[str], Awaitable[int]],
        clock: Callable[[], float],
    ) -> None:
        self._max_open_orders = max_open_orders
        self._count_open_orders = count_open_orders
        self._clock = clock
        self._users: OrderedDict[str, _UserCount] = OrderedDict()

    @contextlib.asynccontextmanager
    async def reserve(
        self, user: str, is_repeated: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Reserve room for an order of `user`, which is placed within the block. A repeated order,
        by `is_repeated`, needs none.

        Raises:
            CommandRejected: there is no room; the message names the limit.
            LogError: the orders cannot be read.
        """
        count = self._count_of(user)
        async with count.lock:
            if count.left == 0 or self._age(count) >= RECOUNT_INTERVAL_SECONDS:
                await self._recount(user, count)
            has_room = count.left > 0
            count.left -= has_room
        if not has_room and not await is_repeated():
            raise CommandRejected(
                "conflict",
                f"{count.open_orders} open orders; a user has at most {self._max_open_orders} "
                "(TAPEWIRE_MAX_OPEN_ORDERS), besides market orders: cancel one first",
            )
        count.in_flight += 1
        try:
            yield
        finally:
            count.in_flight -= 1

    def _count_of(self, user: str) -> _UserCount:
        count = self._users.setdefault(user, _UserCount())
        self._users.move_to_end(user)
        if len(self._users) > MAX_USERS:
            self._users.popitem(last=False)
        return count

    def _age(self, count: _UserCount) -> float:
        return self._clock() - count.counted_at

    async def _recount(self, user: str, count: _UserCount) -> None:
        was_full = count.open_orders >= self._max_open_orders
        if was_full and self._age(count) < RECOUNT_INTERVAL_SECONDS:
            return
        count.open_orders = await self._count_open_orders(user)
        count.counted_at = self._clock()
        # An order that is being placed may be counted twice, which errs on the side of the limit.
        room = max(self._max_open_orders - count.open_orders - count.in_flight, 0)
        count.left = -(-room // RECOUNT_SHARE)


async def count_open_orders(log: EventLog, checkpoint_store: LatestValueStore, user: str) -> int:
    """The open orders of `user` as of the end of the log. Raises LogError."""
    view, _ = await view_checkpoints.load(log, checkpoint_store, OrdersView, user)
    return view.open_order_count
