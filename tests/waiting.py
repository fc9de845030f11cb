"""Waiting for a named condition instead of sleeping.

How long is patience with a machine that is slow or busy, never a promise: what must be quick is
shown by what would hold it up not happening at all.
"""

import asyncio
from collections.abc import Awaitable, Callable

WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.005


async def until(
    what: str,
    condition: Callable[[], object],
    *,
    seen: Callable[[], object] = lambda: "",
    seconds: float = WAIT_SECONDS,
) -> None:
    """Wait until `condition` holds; fail with `what` and the last thing `seen` when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {seen()!r}")
        await asyncio.sleep(LOOK_SECONDS)


async def eventually(
    what: str, condition: Callable[[], Awaitable[object]], *, seconds: float = WAIT_SECONDS
) -> None:
    """The same where looking takes its time; what was seen last is what `condition` gave."""
    seen: object = None
    try:
        async with asyncio.timeout(seconds):
            while not (seen := await condition()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {seen!r}") from None
