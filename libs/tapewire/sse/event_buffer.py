"""The events between the connection, which receives them, and the caller, who asks for them."""

import asyncio
from collections import deque

from tapewire.sse.event import StreamEvent

MAX_BUFFERED_EVENTS = 1_000
"""With so many events waiting, the connection reads no more, until the caller has read some."""

BufferedItem = tuple[StreamEvent | None, str]
"""An event, and the position after it; None for a change of the position alone."""


class EventBuffer:
    """A queue with one reader. Its size is bounded as long as the writer waits for room."""

    def __init__(self) -> None:
        self._items: deque[BufferedItem] = deque()
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_finished = False
        self._error: BaseException | None = None

    def put(self, event: StreamEvent | None, position: str) -> None:
        """Append an event, or a change of the position; ignored after `finish`."""
        if self._is_finished:
            return
        if event is None and self._items and self._items[-1][0] is None:
            self._items.pop()
        self._items.append((event, position))
        if len(self._items) >= MAX_BUFFERED_EVENTS:
            self._has_room.clear()
        self._changed.set()

    async def wait_for_room(self) -> None:
        """Wait until the reader has read enough."""
        await self._has_room.wait()

    def finish(self, error: BaseException | None) -> None:
        """End the events: the reader gets those that wait, and then `error`. Ignored when called
        again."""
        if not self._is_finished:
            self._is_finished, self._error = True, error
            self._changed.set()
            self._has_room.set()

    def discard(self) -> None:
        """End the events now, those that wait too."""
        self._items.clear()
        self.finish(None)
        self._error = None
        self._changed.set()

    async def get(self) -> BufferedItem:
        """Wait for the next item.

        Raises:
            StopAsyncIteration: There is none, and will not be.
        """
        while not self._items:
            if self._is_finished:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if len(self._items) < MAX_BUFFERED_EVENTS // 2:
            self._has_room.set()
        return item

    async def get_batch(self) -> list[BufferedItem]:
        """Wait for items, and return all that there are; none at the end."""
        try:
            batch = [await self.get()]
        except StopAsyncIteration:
            return []
        batch += self._items
        self._items.clear()
        self._has_room.set()
        return batch
