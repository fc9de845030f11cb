"""Retries with growing, jittered delays, and jittered waits.

Jitter keeps processes that failed together from retrying together. The random generator is the
caller's, because simulations pass a seeded one. Start at `retry`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from structlog.typing import FilteringBoundLogger

from tapewire.log.ports import LogError

INITIAL_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 3.0
MIN_JITTER, MAX_JITTER = 0.5, 1.5
"""The factors between which a wait is drawn."""

T = TypeVar("T")


def new_rng() -> random.Random:
    """A random generator for jitter. It is not fit for secrets."""
    return random.Random()  # noqa: S311


def jittered(seconds: float, rng: random.Random) -> float:
    """A random duration between half of `seconds` and one and a half of it."""
    return seconds * rng.uniform(MIN_JITTER, MAX_JITTER)


async def wait_for_event(event: asyncio.Event, seconds: float, rng: random.Random) -> bool:
    """Wait until `event` is set, at most a jittered `seconds`; whether it was set."""
    try:
        async with asyncio.timeout(jittered(seconds, rng)):
            return await event.wait()
    except TimeoutError:
        return False


class Backoff:
    """A delay that doubles with every failure. `wait` after a failure, `reset` after a success."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._delay_seconds = INITIAL_DELAY_SECONDS

    async def wait(self) -> None:
        """Sleep for the jittered delay, then double it up to `MAX_DELAY_SECONDS`."""
        await asyncio.sleep(jittered(self._delay_seconds, self._rng))
        self._delay_seconds = min(self._delay_seconds * 2, MAX_DELAY_SECONDS)

    def reset(self) -> None:
        self._delay_seconds = INITIAL_DELAY_SECONDS


async def retry(
    operation: Callable[[], Awaitable[T]],
    rng: random.Random,
    logger: FilteringBoundLogger,
    event: str,
    *,
    errors: type[Exception] | tuple[type[Exception], ...] = LogError,
    **details: Any,
) -> T:
    """Call `operation` until it raises none of `errors`, with a `Backoff` between the calls.

    Args:
        event: the log event of a failure, written as a warning with `error` and `details`.
    """
    backoff = Backoff(rng)
    while True:
        try:
            return await operation()
        except errors as error:
            logger.warning(event, error=str(error), **details)
            await backoff.wait()
