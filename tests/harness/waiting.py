"""Waiting for a named condition instead of sleeping.

How long is patience with a machine that is slow or busy, never a promise: what must be quick is
shown by what would hold it up not happening at all.
"""

import asyncio
from collections.abc import Awaitable, Callable

WAIT_TIMEOUT_SECONDS = 60.0
POLL_INTERVAL_SECONDS = 0.005


async def wait_until(
    description: str,
    condition: Callable[[], object],
    *,
    describe_last: Callable[[], object] = lambda: "",
    timeout_seconds: float = WAIT_TIMEOUT_SECONDS,
) -> None:
    """Wait until `condition` holds; fail with `what` and the last thing `seen` when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(
                f"not within {timeout_seconds:g} s: {description}; last seen: {describe_last()!r}"
            )
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


async def wait_until_async(
    description: str,
    condition: Callable[[], Awaitable[object]],
    *,
    timeout_seconds: float = WAIT_TIMEOUT_SECONDS,
) -> None:
    """The same where looking takes its time; what was seen last is what `condition` gave."""
    seen: object = None
    try:
        async with asyncio.timeout(timeout_seconds):
            while not (seen := await condition()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(POLL_INTERVAL_SECONDS)
    except TimeoutError:
        raise AssertionError(
            f"not within {timeout_seconds:g} s: {description}; last seen: {seen!r}"
        ) from None
