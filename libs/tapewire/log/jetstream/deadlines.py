"""Work that ends at a deadline even if it ignores a cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any

CANCEL_RETRY_SECONDS = 0.1


async def run_until(deadline: float, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, and cancel it at `deadline`, in the loop's time, until it has ended. nats-py
    ignores a cancellation that arrives while it closes a failed connection.

    Raises:
        TimeoutError: it was canceled.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=deadline - asyncio.get_running_loop().time())
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_RETRY_SECONDS)
    if task.cancelled():
        raise TimeoutError
    task.result()
