"""Serves a request until its client disconnects: ASGI reports that as a message."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from litestar.types import Receive


async def run_until_disconnect(
    serving: Coroutine[Any, Any, None], receive: Receive, timeout_seconds: float | None = None
) -> "asyncio.Task[None]":
    """Run `serving` until it ends, the client disconnects, or the time is over. Return its task,
    which is done; it was cancelled unless it ended by itself."""
    following = asyncio.create_task(serving)
    leaving = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait(
            {following, leaving},
            return_when=asyncio.FIRST_COMPLETED,
            timeout=timeout_seconds,
        )
    finally:
        for task in (following, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
    return following


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
