"""The connection limit of a process and the rate limit of an address, with given times."""

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
    RetryAfter,
)


def refuse(limiter: RateLimiter, address: str, now: float) -> RetryAfter:
    """Try an attempt that must be refused."""
    wait = limiter.try_acquire(address, now)
    assert wait is not None
    return wait


class TestConnectionLimiter:
    def test_connections_up_to_the_limit_are_admitted(self) -> None:
        present: list[object] = []
        room = ConnectionLimiter(2, present.__len__)
        for _ in range(2):
            with room.reserve():
                present.append(object())
        with pytest.raises(ConnectionLimitReached), room.reserve():
            raise AssertionError("came in")
        present.pop()
        with room.reserve():
            pass

    def test_pending_reservations_count_as_connections(self) -> None:
        """Connections whose admission is pending at the same time cannot exceed the limit."""
        room = ConnectionLimiter(2, lambda: 0)
        with room.reserve(), room.reserve(), pytest.raises(ConnectionLimitReached), room.reserve():
            raise AssertionError("came in")

    def test_a_failed_admission_releases_its_reservation(self) -> None:
        room = ConnectionLimiter(1, lambda: 0)
        for _ in range(3):
            with pytest.raises(ValueError, match="refused"), room.reserve():
                raise ValueError("refused")


class TestRateLimiter:
    def test_attempts_over_the_rate_are_refused_with_a_wait(self) -> None:
        attempts = RateLimiter(5)
        assert [attempts.try_acquire("a", 0.1) for _ in range(5)] == [None] * 5
        assert refuse(attempts, "a", 0.1) == RetryAfter(61, is_first=True)
        assert not refuse(attempts, "a", 30.0).is_first
        assert refuse(attempts, "a", 30.1) == RetryAfter(31, is_first=False)

    def test_an_attempt_after_the_wait_is_accepted(self) -> None:
        attempts = RateLimiter(5)
        for number in range(5):
            attempts.try_acquire("a", number * 7.0)
        wait = refuse(attempts, "a", 40.3)
        assert attempts.try_acquire("a", 40.3 + wait.seconds) is None
        assert attempts.try_acquire("a", 40.3 + wait.seconds) is not None

    def test_recorded_attempts_of_other_processes_count(self) -> None:
        attempts = RateLimiter(5)
        attempts.record("a", 3, 0.0)
        attempts.record("b", 9, 0.0)
        assert [attempts.try_acquire("a", 1.0) for _ in range(2)] == [None] * 2
        assert refuse(attempts, "a", 1.0).seconds == 60
        attempts.record("a", 4, 10.0)
        assert refuse(attempts, "b", 1.0).seconds == 60

    def test_the_wait_ends_when_enough_attempts_have_expired(self) -> None:
        attempts = RateLimiter(5)
        for now in (0.0, 10.0, 20.0):
            attempts.record("a", 4, now)
        wait = refuse(attempts, "a", 30.0)
        assert wait.seconds == 41
        assert attempts.try_acquire("a", 30.0 + wait.seconds - 1) is not None
        assert attempts.try_acquire("a", 30.0 + wait.seconds) is None

    def test_each_address_has_its_own_limit(self) -> None:
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
    def test_the_limiter_agrees_with_an_exact_sliding_window(
        self, pauses: list[float], rate: int
    ) -> None:
        """Compare with a list of all times.

        An attempt is accepted only below the rate in the window, and is refused only if the rate
        is reached in the window plus one slot.
        """
        attempts, accepted, now = RateLimiter(rate), deque[float](), 0.0
        for pause in pauses:
            now += pause
            strict = sum(1 for at in accepted if at > now - WINDOW_SECONDS)
            loose = sum(1 for at in accepted if at > now - WINDOW_SECONDS - SLOT_SECONDS)
            if attempts.try_acquire("a", now) is None:
                assert strict < rate
                accepted.append(now)
            else:
                assert loose >= rate

    def test_memory_is_bounded_for_any_number_of_addresses(self) -> None:
        attempts = RateLimiter(60, max_slots=1000)
        for number in range(30_000):
            attempts.try_acquire(f"10.0.{number}", number / 100_000)
        assert len(attempts) == len(attempts._by_address) == 1000

    def test_expired_slots_are_removed(self) -> None:
        attempts = RateLimiter(60)
        for number in range(1000):
            attempts.try_acquire(f"10.0.{number}", 0.0)
        attempts.try_acquire("a", WINDOW_SECONDS * 2)
        assert len(attempts) == len(attempts._by_address) == 1

    def test_one_address_uses_a_bounded_number_of_slots(self) -> None:
        attempts = RateLimiter(1_000_000)
        for number in range(20_000):
            assert attempts.try_acquire("a", number / 200) is None
        assert len(attempts) <= WINDOW_SECONDS / SLOT_SECONDS + 2

    def test_the_least_recently_seen_address_is_evicted_first(self) -> None:
        attempts = RateLimiter(1, max_slots=10)
        for number in range(11):
            attempts.try_acquire(str(number), number / 10)
        assert attempts.try_acquire("10", 2.0) is not None
        assert attempts.try_acquire("0", 2.0) is None

    def test_an_address_uses_less_than_500_bytes(self) -> None:
        """Regression: each address had a deque of 1 KB, even after a single attempt. Many clients
        behind a proxy, or one client that forges addresses, cost 70 MB."""
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

    def test_totals_match_the_slots_after_random_attempts(self) -> None:
        rng = random.Random(3)
        attempts, now = RateLimiter(3, max_slots=50), 0.0
        for _ in range(20_000):
            now += rng.expovariate(20)
            attempts.try_acquire(str(rng.randrange(300)), now)
            assert len(attempts) <= 50
        tries = attempts._by_address.values()
        assert sum(len(one.slots) for one in tries) == len(attempts)
        assert all(one.total == sum(one.counts) for one in tries)
