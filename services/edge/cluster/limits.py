"""Limits of connections of this process and of attempts from an address.

`RateLimiter` is pure: the time is an argument, in seconds. Its memory is bounded: it keeps the
attempts of the last minute, and beyond `MAX_SLOTS` forgets the addresses that have been quiet for
longest. `distributed_rate_limiter` adds the attempts at other processes.
"""

import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, takewhile

import msgspec

WINDOW_SECONDS = 60.0
SLOT_SECONDS = 0.25
"""Attempts of an address within one slot are stored as one count, as old as the slot's end."""
MAX_SLOTS = 1 << 16
"""Slots of all addresses together: about 25 MB when each has an address of its own."""


class ConnectionLimitReached(Exception):
    """The process has as many streams as it may."""


class ConnectionLimiter:
    """Limits the streams of this process. A stream that is being admitted already counts, therefore
    many at once cannot exceed the limit."""

    def __init__(self, max_connections: int, current_count: Callable[[], int]) -> None:
        self._max_connections = max_connections
        self._current_count = current_count
        self._reserved_count = 0

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserve room for a stream until the block ends; by then `current_count` includes it.

        Raises:
            ConnectionLimitReached: there is no room.
        """
        if self._current_count() + self._reserved_count >= self._max_connections:
            raise ConnectionLimitReached
        self._reserved_count += 1
        try:
            yield
        finally:
            self._reserved_count -= 1


class RetryAfter(msgspec.Struct, frozen=True):
    """Too many attempts: the next one is allowed after `seconds`. `is_first` says that this address
    was not rejected before within this minute."""

    seconds: int
    is_first: bool


class _AddressAttempts:
    """The attempts of one address: slots with their counts, the oldest first. They are two plain
    lists because there are tens of thousands of these, most with one slot, and a deque takes 600
    bytes."""

    __slots__ = ("counts", "slots", "total", "was_rejected")

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.counts: list[int] = []
        self.total = 0
        self.was_rejected = False


class RateLimiter:
    """At most `max_per_minute` attempts from one address within any minute."""

    def __init__(self, max_per_minute: int, max_slots: int = MAX_SLOTS) -> None:
        self._max_per_minute = max_per_minute
        self._max_slots = max_slots
        self._by_address: OrderedDict[str, _AddressAttempts] = OrderedDict()
        self._slot_count = 0

    def __len__(self) -> int:
        """The number of slots in memory."""
        return self._slot_count

    def try_acquire(self, address: str, now: float) -> RetryAfter | None:
        """Count an attempt of `address` and return None; over the limit, count nothing and return
        how long to wait."""
        attempts = self._attempts_of(address, now)
        if attempts.total >= self._max_per_minute:
            first, attempts.was_rejected = not attempts.was_rejected, True
            return RetryAfter(max(math.ceil(self._next_allowed_at(attempts) - now), 1), first)
        attempts.was_rejected = False
        self._add_to_slot(address, 1, now)
        return None

    def record(self, address: str, count: int, now: float) -> None:
        """Count attempts of `address` that another process let through."""
        self._attempts_of(address, now)
        self._add_to_slot(address, count, now)

    def _next_allowed_at(self, attempts: _AddressAttempts) -> float:
        """The time at which enough attempts are over a minute old for another one."""
        left = accumulate(attempts.counts, operator.sub, initial=attempts.total)
        next(left)
        return next(
            _slot_expires_at(slot)
            for slot, total in zip(attempts.slots, left, strict=True)
            if total < self._max_per_minute
        )

    def _attempts_of(self, address: str, now: float) -> _AddressAttempts:
        self._evict_expired(now)
        attempts = self._by_address.get(address)
        if attempts is None:
            attempts = self._by_address[address] = _AddressAttempts()
        self._prune_expired(attempts, now)
        return attempts

    def _add_to_slot(self, address: str, count: int, now: float) -> None:
        attempts, slot = self._by_address[address], int(now // SLOT_SECONDS)
        if attempts.slots and attempts.slots[-1] == slot:
            attempts.counts[-1] += count
        else:
            attempts.slots.append(slot)
            attempts.counts.append(count)
            self._slot_count += 1
        attempts.total += count
        self._by_address.move_to_end(address)
        while self._slot_count > self._max_slots:
            self._evict_oldest()

    def _prune_expired(self, attempts: _AddressAttempts, now: float) -> None:
        old = sum(1 for _ in takewhile(lambda slot: _slot_expires_at(slot) <= now, attempts.slots))
        if old:
            attempts.total -= sum(attempts.counts[:old])
            self._slot_count -= old
            del attempts.slots[:old], attempts.counts[:old]

    def _evict_expired(self, now: float) -> None:
        while self._by_address:
            attempts = next(iter(self._by_address.values()))
            if attempts.slots and _slot_expires_at(attempts.slots[-1]) > now:
                return
            self._evict_oldest()

    def _evict_oldest(self) -> None:
        _, attempts = self._by_address.popitem(last=False)
        self._slot_count -= len(attempts.slots)


def _slot_expires_at(slot: int) -> float:
    """The time at which all attempts of `slot` are older than the window."""
    return (slot + 1) * SLOT_SECONDS + WINDOW_SECONDS
