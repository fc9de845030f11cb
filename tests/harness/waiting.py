"""Waiting for a named condition instead of sleeping.

Timeouts allow for a slow or busy machine; they are no promise of how quick the product is.
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
    """Wait until `condition` holds; otherwise fail with `description` and `describe_last()`."""
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
    describe_last: Callable[[], object] | None = None,
    timeout_seconds: float = WAIT_TIMEOUT_SECONDS,
) -> None:
    """Wait in the same way for an asynchronous condition.

    Without `describe_last`, the error shows the last result of `condition`.
    """
    seen: object = None
    try:
        async with asyncio.timeout(timeout_seconds):
            while not (seen := await condition()):  # noqa: ASYNC110 - there is no notification
                await asyncio.sleep(POLL_INTERVAL_SECONDS)
    except TimeoutError:
        last = describe_last() if describe_last is not None else seen
        raise AssertionError(
            f"not within {timeout_seconds:g} s: {description}; last seen: {last!r}"
        ) from None
