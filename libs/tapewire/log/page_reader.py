"""Reads a long part of the log page by page, from a replica that may lag.

The next page is requested while the caller works on the current one. Start at `read_pages`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from tapewire.log.bounds import Bounds
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    Page,
    RecordedEvent,
    Unavailable,
)

MAX_READ_ATTEMPTS = 6
"""Attempts to read a page from a lagging replica."""
RETRY_DELAY_SECONDS = 0.05
"""The wait before the second attempt; it doubles before each further one."""


class LogReader(Protocol):
    """What reading needs of a log: these methods of `EventLog`."""

    async def bounds(self) -> Bounds: ...

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = ...,
        max_bytes: int = ...,
    ) -> Page: ...

    async def last_sequence(self, filter: str) -> int: ...  # noqa: A002


async def read_pages(
    log: LogReader, filter_: str, *, after: int, up_to: int
) -> AsyncIterator[list[RecordedEvent]]:
    """All events that match `filter_` after the sequence `after`, up to and including `up_to`, in
    lists that may be empty.

    Raises:
        LogError: the log cannot be read, or a replica lags for too long.
    """
    last = min(await log.last_sequence(filter_), up_to)
    pending = asyncio.create_task(read_page(log, filter_, after)) if after < last else None
    try:
        while pending is not None:
            page = await pending
            after, pending = page.events[-1].sequence, None
            if after < last:
                pending = asyncio.create_task(read_page(log, filter_, after))
                await asyncio.sleep(0)  # send the request before the caller works on the page
            yield [recorded for recorded in page.events if recorded.sequence <= up_to]
    finally:
        if pending is not None:
            pending.cancel()


async def read_page(
    log: LogReader, filter_: str, after: int, *, limit: int = CATCH_UP_PAGE_EVENTS
) -> Page:
    """A page with at least one event that matches `filter_` after the sequence `after`, which the
    log is known to hold. Raises as `read_pages`."""
    for attempt in range(MAX_READ_ATTEMPTS):
        page = await log.page(filter_, after=after, limit=limit, max_bytes=CATCH_UP_PAGE_BYTES)
        if page.events:
            return page
        await asyncio.sleep(RETRY_DELAY_SECONDS * 2**attempt)
    raise Unavailable(f"{filter_} goes on after {after}, a replica does not")
