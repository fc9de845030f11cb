"""The request that the current task carries out: its deadline, and what it may have stored.

A request can wait in many places: in a queue, behind a limit, between retries, in a process that is
suspended. Every append therefore checks the deadline at the last moment, and records whether events
may have been stored. The server of the request (`tapewire.runtime.requests`) opens a scope with
`RequestScope.enter`; the implementations of the log use `guard_append`. Outside of a scope there is
no deadline.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from tapewire.log.ports import (
    AlreadyStored,
    AppendRejected,
    Conflict,
    DeadlineExceeded,
    Unavailable,
)

_NOTHING_STORED = (Conflict, AlreadyStored, Unavailable, AppendRejected)


class RequestScope:
    """A request that must be carried out within `seconds`, or at any time for None.

    The time has passed as soon as one of two clocks says so: the loop's clock, which nobody can
    set, or the wall clock, which continues while the machine is suspended. `may_have_stored` is
    true if events of the request were stored, or may be stored later.
    """

    def __init__(
        self, seconds: float | None, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall_clock = wall_clock
        self._loop_limit = None if seconds is None else self._loop.time() + seconds
        self._wall_limit = None if seconds is None else wall_clock() + seconds
        self.may_have_stored = False

    def check(self) -> None:
        """Raises DeadlineExceeded after the deadline."""
        if self._loop_limit is None or self._wall_limit is None:
            return
        late = max(self._loop.time() - self._loop_limit, self._wall_clock() - self._wall_limit)
        if late >= 0:
            raise DeadlineExceeded(f"the deadline of the request passed {late:.3f} s ago")

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Make this the scope of the block, and of the tasks that it starts."""
        token = _scope.set(self)
        try:
            yield
        finally:
            _scope.reset(token)

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """As `guard_append`, for an append of this scope that another task stores."""
        self.check()
        try:
            yield
        except _NOTHING_STORED:
            raise
        except BaseException:
            self.may_have_stored = True
            raise
        else:
            self.may_have_stored = True


_scope: ContextVar[RequestScope | None] = ContextVar("tapewire_request", default=None)


def current_scope() -> RequestScope | None:
    """The scope of the request that the calling task carries out, if there is one."""
    return _scope.get()


def check_deadline() -> None:
    """Raises DeadlineExceeded if the deadline of the current request has passed."""
    scope = _scope.get()
    if scope is not None:
        scope.check()


def guard_append() -> contextlib.AbstractContextManager[None]:
    """A block that appends events for the current request.

    Records in the scope whether events may have been stored.

    Raises:
        DeadlineExceeded: the deadline has passed; the block does not run.
    """
    scope = _scope.get()
    return contextlib.nullcontext() if scope is None else scope.guard()
