"""An event of asyncio's kind, for what there is one of for each connection: an `asyncio.Event` has
a deque of 600 bytes for those who wait, and here nobody waits most of the time. Pure.
"""

import asyncio


class LightEvent:
    """Waved or not; wakes all who wait for it."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Wake who waits, and let nobody wait until `clear`."""
        self._is_set = True
        waiting, self._waiters = self._waiters, None
        for one in waiting or ():
            if not one.done():
                one.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        """Return when it is set."""
        if self._is_set:
            return
        one = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(one)
        try:
            await one
        finally:
            if self._waiters and one in self._waiters:
                self._waiters.remove(one)
