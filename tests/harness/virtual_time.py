"""A loop whose time is virtual: sleeping costs nothing, so hours of outages take milliseconds.

For code that does no I/O of its own: when nothing is ready to run, time jumps to the next timer.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _VirtualTimeSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for ever: a deadlock")
        self.now += max(timeout, 0.0)
        return []


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualTimeSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(coroutine: Coroutine[Any, Any, T], *, seconds: float = 3600) -> T:
    """Run `work` to its end; fail when it takes more than `seconds` of virtual time."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await coroutine

    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(bounded())
