"""An event of asyncio's kind, for what there is one of for each connection: an `asyncio.Event` has
a deque of 600 bytes for those who wait, and here nobody waits most of the time. Pure.
"""

import asyncio


class Flag:
    """Waved or not; wakes all who wait for it."""

    __slots__ = ("_waiting", "_waved")

    def __init__(self) -> None:
        self._waved = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._waved

    def set(self) -> None:
        """Wake who waits, and let nobody wait until `clear`."""
        self._waved = True
        waiting, self._waiting = self._waiting, None
        for one in waiting or ():
            if not one.done():
                one.set_result(None)

    def clear(self) -> None:
        self._waved = False

    async def wait(self) -> None:
        """Return when it is set."""
        if self._waved:
            return
        one = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(one)
        try:
            await one
        finally:
            if self._waiting and one in self._waiting:
                self._waiting.remove(one)
