"""Light forms of objects of the standard library, for what exists once per connection. Pure."""

import asyncio
from collections.abc import Callable
from typing import Self


class OnExit:
    """A context manager that calls `callback(*arguments)` at its end. One that is made of a
    generator takes 300 bytes more."""

    __slots__ = ("_arguments", "_callback")

    def __init__(self, callback: Callable[..., None], *arguments: object) -> None:
        self._callback = callback
        self._arguments = arguments

    def __enter__(self) -> None: ...

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        self._callback(*self._arguments)


class ExitList:
    """Several `OnExit`s that end together, the newest first. `contextlib.ExitStack` takes 1,200
    bytes more."""

    __slots__ = ("_contexts",)

    def __init__(self) -> None:
        self._contexts: list[OnExit] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def add(self, context: OnExit) -> None:
        """End `context` together with the others."""
        self._contexts.append(context)

    def end(self) -> None:
        """End all; others may be added afterwards."""
        while self._contexts:
            self._contexts.pop().end()


class LightEvent:
    """A flag; setting it wakes every task that waits for it. `asyncio.Event` always holds a deque
    of 600 bytes for its waiters; most connections have none."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Wake all waiters; `wait` returns at once until `clear`."""
        self._is_set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        """Return when the flag is set."""
        if self._is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if self._waiters and waiter in self._waiters:
                self._waiters.remove(waiter)
