"""Opens the next connection while the current one is still open: the server is about to close the
current one, its token is about to end, or it is a polling one that a stream should replace.

It retries until `detach_next` or `cancel`. A refusal for good stops it: then the current connection
is used until it ends.
"""

import asyncio
from collections.abc import Callable

from tapewire.sse.protocol.delays import delay_after_failure
from tapewire.sse.protocol.outcomes import RefusedForGood, RequestFailed
from tapewire.sse.stream_connection import StreamConnection

FIRST_RETRY_SECONDS = 0.5
"""The delay before the second try; it doubles afterwards."""
STREAM_AGAIN_SECONDS = 60.0
"""While the client polls, it tries to stream again so often."""


class Handover:
    """The search for the next connection, in a task of its own.

    Args:
        open_next: Opens it; it holds its events back.
        random: Returns a number in [0, 1).
        is_polling: The current connection polls, so there is no hurry.
    """

    def __init__(
        self,
        open_next: Callable[[], StreamConnection],
        random: Callable[[], float],
        *,
        is_polling: bool,
    ) -> None:
        self._open_next = open_next
        self._random = random
        self._is_polling = is_polling
        self._next: StreamConnection | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def is_stopped(self) -> bool:
        """Whether the next connection was refused for good."""
        return self._task.done()

    def detach_next(self) -> StreamConnection | None:
        """Stop, and return the connection that is opening or open; None without one."""
        found, self._next = self._next, None
        self._task.cancel()
        return found

    def cancel(self) -> None:
        """Stop, and give the next connection up."""
        found = self.detach_next()
        if found is not None:
            found.abort()

    async def _run(self) -> None:
        retry_seconds = STREAM_AGAIN_SECONDS if self._is_polling else FIRST_RETRY_SECONDS
        if self._is_polling:
            await asyncio.sleep(retry_seconds * (1 + self._random()))
        failures = 0
        while True:
            self._next = self._open_next()
            try:
                outcome = await self._next.wait()
            except Exception:
                self._next = None
                return
            self._next = None
            if isinstance(outcome, RefusedForGood):
                return
            failures += 1
            asked = outcome.retry_after_seconds if isinstance(outcome, RequestFailed) else 0.0
            await asyncio.sleep(delay_after_failure(failures, retry_seconds, asked, self._random()))
