"""Room on a process, attempts from an address, and whose address that is: with virtual time."""

import random
import tracemalloc
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire_services.edge.cluster.limits import (
    SLOT_SECONDS,
    WINDOW_SECONDS,
    ConnectionLimiter,
    ConnectionLimitReached,
    RateLimiter,
)


class TestRoom:
    def test_as_many_as_there_are_places(self) -> None:
        present = []
        room = ConnectionLimiter(2, present.__len__)
        for _ in range(2):
            with room.reserve():
                present.append(object())
        with pytest.raises(ConnectionLimitReached), room.reserve():
            raise AssertionError("came in")
        present.pop()
        with room.reserve():
            pass

    def test_who_is_being_admitted_has_a_place(self) -> None:
        """A thousand that are looked up at once are not a thousand too many afterwards."""
        room = ConnectionLimiter(2, lambda: 0)
        with room.reserve(), room.reserve(), pytest.raises(ConnectionLimitReached), room.reserve():
            raise AssertionError("came in")

    def test_who_is_refused_gives_it_back(self) -> None:
        room = ConnectionLimiter(1, lambda: 0)
        for _ in range(3):
            with pytest.raises(ValueError, match="refused"), room.reserve():
                raise ValueError("refused")


class TestAttempts:
    def test_so_many_and_then_to_wait(self) -> None:
        attempts = RateLimiter(5)
        assert [attempts.try_acquire("a", 0.1) for _ in range(5)] == [None] * 5
        wait = attempts.try_acquire("a", 0.1)
        assert (wait.seconds, wait.is_first) == (61, True)
        assert not attempts.try_acquire("a", 30.0).is_first
        assert attempts.try_acquire("a", 30.1).seconds == 31

    def test_after_the_wait_there_is_room(self) -> None:
        attempts = RateLimiter(5)
        for number in range(5):
            attempts.try_acquire("a", number * 7.0)
        wait = attempts.try_acquire("a", 40.3)
        assert attempts.try_acquire("a", 40.3 + wait.seconds) is None
        assert attempts.try_acquire("a", 40.3 + wait.seconds) is not None

    def test_those_of_other_processes_count_and_are_never_refused(self) -> None:
        attempts = RateLimiter(5)
        attempts.record("a", 3, 0.0)
        attempts.record("b", 9, 0.0)
        assert [attempts.try_acquire("a", 1.0) for _ in range(2)] == [None] * 2
        assert attempts.try_acquire("a", 1.0).seconds == 60
        attempts.record("a", 4, 10.0)
        assert attempts.try_acquire("b", 1.0).seconds == 60

    def test_the_wait_is_until_enough_of_them_are_old(self) -> None:
        attempts = RateLimiter(5)
        for now in (0.0, 10.0, 20.0):
            attempts.record("a", 4, now)
        wait = attempts.try_acquire("a", 30.0)
        assert wait.seconds == 41
        assert attempts.try_acquire("a", 30.0 + wait.seconds - 1) is not None
        assert attempts.try_acquire("a", 30.0 + wait.seconds) is None

    def test_addresses_do_not_count_for_each_other(self) -> None:
        attempts = RateLimiter(1)
        assert [attempts.try_acquire(name, 0.0) for name in "abc"] == [None] * 3
        assert attempts.try_acquire("b", 1.0) is not None

    def test_a_refused_attempt_does_not_lengthen_the_wait(self) -> None:
        attempts = RateLimiter(1)
        attempts.try_acquire("a", 0.0)
        for number in range(1, 60):
            assert attempts.try_acquire("a", float(number)) is not None
        assert attempts.try_acquire("a", WINDOW_SECONDS + SLOT_SECONDS) is None

    @given(
        st.lists(st.floats(0.0, 3.0), min_size=1, max_size=400),
        st.integers(min_value=1, max_value=9),
    )
    def test_no_minute_has_more_and_nobody_waits_a_slot_too_long(
        self, pauses: list[float], rate: int
    ) -> None:
        """Against the definition: a list of every time."""
        attempts, taken, now = RateLimiter(rate), deque(), 0.0
        for pause in pauses:
            now += pause
            strict = sum(1 for at in taken if at > now - WINDOW_SECONDS)
            loose = sum(1 for at in taken if at > now - WINDOW_SECONDS - SLOT_SECONDS)
            if attempts.try_acquire("a", now) is None:
                assert strict < rate
                taken.append(now)
            else:
                assert loose >= rate

    def test_a_million_addresses_do_not_make_it_grow(self) -> None:
        attempts = RateLimiter(60, max_slots=1000)
        for number in range(30_000):
            attempts.try_acquire(f"10.0.{number}", number / 100_000)
        assert len(attempts) == len(attempts._by_address) == 1000

    def test_what_is_over_is_forgotten(self) -> None:
        attempts = RateLimiter(60)
        for number in range(1000):
            attempts.try_acquire(f"10.0.{number}", 0.0)
        attempts.try_acquire("a", WINDOW_SECONDS * 2)
        assert len(attempts) == len(attempts._by_address) == 1

    def test_one_address_takes_few_marks_however_often_it_comes(self) -> None:
        attempts = RateLimiter(1_000_000)
        for number in range(20_000):
            assert attempts.try_acquire("a", number / 200) is None
        assert len(attempts) <= WINDOW_SECONDS / SLOT_SECONDS + 2

    def test_the_longest_absent_is_forgotten_first(self) -> None:
        attempts = RateLimiter(1, max_slots=10)
        for number in range(11):
            attempts.try_acquire(str(number), number / 10)
        assert attempts.try_acquire("10", 2.0) is not None
        assert attempts.try_acquire("0", 2.0) is None

    def test_an_address_costs_some_hundred_bytes(self) -> None:
        """Each address that comes once had a deque of its own, 1 KB: a crowd behind a proxy, or
        who says so, cost 70 MB."""
        attempts, count = RateLimiter(60), 10_000
        names = [f"10.0.{number >> 8}.{number & 255}" for number in range(count)]
        tracemalloc.start()
        try:
            for number, name in enumerate(names):
                attempts.try_acquire(name, number / count)
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(attempts) == count
        assert used / count < 500

    def test_its_books_are_right_whatever_happens(self) -> None:
        rng = random.Random(3)
        attempts, now = RateLimiter(3, max_slots=50), 0.0
        for _ in range(20_000):
            now += rng.expovariate(20)
            attempts.try_acquire(str(rng.randrange(300)), now)
            assert len(attempts) <= 50
        tries = attempts._by_address.values()
        assert sum(len(one.slots) for one in tries) == len(attempts)
        assert all(one.total == sum(one.counts) for one in tries)
