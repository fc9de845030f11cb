"""What the processes of all services have in common, on a log in memory.

`MemoryProcess` is the base of a service's process in this process, wired as the service's
`__main__`, without NATS. A test can kill it at any moment and start another beside or after it.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from tapewire.log import CommandRejected, LogError, TooManyConflicts, new_id
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext

RETRY_SECONDS = 0.2

T = TypeVar("T")


class MemoryProcess:
    """A process with a log, stores and quotes of its own. `faults` are injected into all of them;
    `rng` follows from their seed."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self._server, self._faults = server, faults
        self._stores: list[MemoryLatestValueStore] = []
        self.log = MemoryEventLog(server, faults)
        self.views = self._open_store(stream="VIEWS", prefix="view")
        self.quote_store = self._open_store()
        self.rng = random.Random(faults.seed if faults is not None else 0)
        self.quote_cache = QuoteCache(self.quote_store, self.rng)
        self.tasks: list[asyncio.Task[None]] = []

    def _open_store(self, **options: Any) -> MemoryLatestValueStore:
        store = MemoryLatestValueStore(self._server, self._faults, **options)
        self._stores.append(store)
        return store

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the process is killed."""
        self.tasks.append(asyncio.create_task(work))

    async def start_quotes(self) -> None:
        """Follow the quotes."""
        await retry_until_answered(self.quote_cache.start)
        self.spawn(self.quote_cache.run())

    async def kill(self) -> None:
        """Kill the process, whatever it is doing."""
        self.log.kill()
        for store in self._stores:
            store.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    def raise_task_errors(self) -> None:
        """Raise the error of a task that has ended."""
        for task in self.tasks:
            if task.done():
                task.result()


def make_clock(start: datetime) -> Callable[[], datetime]:
    """A clock that shows `start` at second 0 of the event loop."""
    return lambda: start + timedelta(seconds=asyncio.get_running_loop().time())


def make_context(command_id: str | None = None, correlation: str = "c") -> RequestContext:
    """The context of a request; without a `command_id` it is a new command."""
    return RequestContext(
        correlation=correlation, command_id=command_id or new_id(), traceparent=None
    )


async def retry_until_answered(
    operation: Callable[[], Awaitable[T]],
    errors: tuple[type[Exception], ...] = (LogError, TooManyConflicts),
) -> T:
    """Repeat `operation` as long as it raises one of `errors`, as a gateway does."""
    while True:
        with contextlib.suppress(*errors):
            return await operation()
        await asyncio.sleep(RETRY_SECONDS)


async def await_rejection(reply: Awaitable[object]) -> tuple[str, str | None]:
    """The code and the path that `reply` is rejected with."""
    with pytest.raises(CommandRejected) as caught:
        await reply
    return caught.value.code, caught.value.path
