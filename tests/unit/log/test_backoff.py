"""Retries and jittered waits, in virtual time."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
import structlog
from structlog.testing import capture_logs

from tapewire.log import LogError, Unavailable
from tapewire.log.backoff import (
    INITIAL_DELAY_SECONDS,
    MAX_DELAY_SECONDS,
    MAX_JITTER,
    MIN_JITTER,
    Backoff,
    jittered,
    retry,
    wait_for_event,
)
from tests.harness import virtual_time

pytestmark = pytest.mark.virtual_time

logger = structlog.get_logger("test")


def fail_times(failures: int, error: Exception) -> Callable[[], Awaitable[str]]:
    left = [error] * failures

    async def operation() -> str:
        if left:
            raise left.pop()
        return "done"

    return operation


async def test_an_operation_is_repeated_until_it_succeeds_and_each_failure_is_logged() -> None:
    operation = fail_times(3, Unavailable("away"))
    with capture_logs() as logs:
        assert await retry(operation, random.Random(1), logger, "test.failed", name="x") == "done"
    entry = {"event": "test.failed", "error": "away", "name": "x", "log_level": "warning"}
    assert logs == [entry] * 3


def test_other_errors_are_raised_at_once() -> None:
    async def retry_once() -> None:
        await retry(fail_times(1, KeyError("x")), random.Random(1), logger, "test.failed")

    with pytest.raises(KeyError):
        virtual_time.run(retry_once())


async def test_the_errors_that_are_retried_can_be_chosen() -> None:
    operation = fail_times(1, KeyError("x"))
    assert (
        await retry(operation, random.Random(1), logger, "test.failed", errors=(LogError, KeyError))
        == "done"
    )


async def test_delays_double_up_to_a_limit_and_start_over_after_a_reset() -> None:
    backoff, clock = Backoff(random.Random(1)), asyncio.get_running_loop().time
    expected = INITIAL_DELAY_SECONDS
    for _ in range(8):
        began = clock()
        await backoff.wait()
        assert MIN_JITTER * expected <= clock() - began <= MAX_JITTER * expected
        expected = min(2 * expected, MAX_DELAY_SECONDS)
    backoff.reset()
    began = clock()
    await backoff.wait()
    assert clock() - began <= MAX_JITTER * INITIAL_DELAY_SECONDS


def test_jitter_spreads_over_the_whole_range() -> None:
    rng = random.Random(1)
    waits = [jittered(10.0, rng) for _ in range(1000)]
    assert 5.0 <= min(waits) < 5.5
    assert 14.5 < max(waits) <= 15.0


async def test_waiting_for_an_event_ends_with_the_event_or_the_timeout() -> None:
    event, clock, rng = asyncio.Event(), asyncio.get_running_loop().time, random.Random(1)
    assert not await wait_for_event(event, 10.0, rng)
    assert 5.0 <= clock() <= 15.0
    asyncio.get_running_loop().call_later(1.0, event.set)
    began = clock()
    assert await wait_for_event(event, 10.0, rng)
    assert clock() - began == pytest.approx(1.0)
