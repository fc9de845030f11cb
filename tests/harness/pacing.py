"""Calls at an even rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable

PACING_STEP_SECONDS = 0.002
"""Calls that are due within this time are made together."""


async def call_at_rate(
    rate: float, seconds: float, call: Callable[[int], Awaitable[object]]
) -> list[float]:
    """Await `call(number)` `rate` times a second for `seconds`.

    Returns the wall-clock time of every call, in seconds since the epoch.
    """
    began = time.time()
    times: list[float] = []
    for number in range(int(rate * seconds)):
        ahead = began + number / rate - time.time()
        if ahead > PACING_STEP_SECONDS / 2:
            await asyncio.sleep(ahead)
        times.append(time.time())
        await call(number)
        if number % 64 == 0:
            await asyncio.sleep(0)
    return times
