"""An asyncio event loop in virtual time: sleeping costs nothing, so hours of outages take
milliseconds.

When nothing is ready to run, the clock jumps to the next timer. This suits code that does no I/O
of its own, such as everything that runs on the log in memory: the loop never looks at a socket.

A test module asks for it with `pytestmark = pytest.mark.virtual_time`; its async tests and async
fixtures then run on this loop, for at most `DEFAULT_LIMIT_SECONDS` of virtual time
(`pytest.mark.virtual_time(seconds=7200)` allows more). `run` does the same for one coroutine, for
tests that compare several runs.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import pytest

DEFAULT_LIMIT_SECONDS = 3600.0
MARKER = "virtual_time"

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every task waits, and no timer will wake one of them."""


class _VirtualTimeSelector(selectors.SelectSelector):
    """Polls nothing; instead of waiting for a timeout, it moves its clock ahead by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.deadline = float("inf")
        self.on_stuck: Callable[[Exception], None] = _raise

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            tasks = "\n  ".join(sorted(map(repr, asyncio.all_tasks(asyncio.get_running_loop()))))
            self.on_stuck(DeadlockError(f"every task waits and no timer is set:\n  {tasks}"))
        elif self.now + timeout > self.deadline:
            self.on_stuck(TimeoutError(f"not done at {self.deadline:g} s of virtual time"))
        else:
            self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and jumps from timer to timer.

    `run_until_complete` cancels what it runs when that takes more than `limit_seconds` of virtual
    time or when nothing can go on, and raises `TimeoutError` or `DeadlockError`; the traceback
    of its cause shows where the task waited.
    """

    def __init__(self, limit_seconds: float = DEFAULT_LIMIT_SECONDS) -> None:
        self._virtual = _VirtualTimeSelector()
        self._limit_seconds = limit_seconds
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        task = asyncio.ensure_future(cast("Awaitable[T]", future), loop=self)
        errors: list[Exception] = []

        def cancel(error: Exception) -> None:
            if errors:
                raise error  # the task ignores its cancellation
            errors.append(error)
            task.cancel()

        self._virtual.deadline = self._virtual.now + self._limit_seconds
        self._virtual.on_stuck = cancel
        try:
            return super().run_until_complete(task)
        except asyncio.CancelledError as cancelled:
            if errors:
                raise errors[0] from cancelled
            raise


def _raise(error: Exception) -> None:
    raise error


def run(coroutine: Coroutine[Any, Any, T], *, seconds: float = DEFAULT_LIMIT_SECONDS) -> T:
    """Run `coroutine` to its end in a virtual-time loop of its own, and return its result.

    Raises `TimeoutError` after `seconds` of virtual time, `DeadlockError` when nothing can go on.
    """
    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, seconds)) as runner:
        return runner.run(coroutine)


def loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loop of a test for pytest-asyncio: virtual time when the test is marked so."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return {"real_time": asyncio.new_event_loop}
    limit_seconds = marker.kwargs.get("seconds", DEFAULT_LIMIT_SECONDS)
    return {MARKER: partial(VirtualTimeLoop, limit_seconds)}
