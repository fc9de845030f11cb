"""Who waits for the replies to one question, be they one or a page of thousands."""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg

from tapewire.log.jetstream.headers import status
from tapewire.log.port import Unavailable

EXTEND_SECONDS = 0.5
"""A wait for many replies is extended by so much more, and not more often: a page has thousands."""

_NO_RESPONDERS = "503"


class Waiter:
    """Somebody waiting for replies until `is_last` says so."""

    __slots__ = ("_loop", "_seconds", "done", "is_last", "messages", "subject", "timeout")

    def __init__(self, subject: str, is_last: Callable[[Msg], bool], seconds: float) -> None:
        self.subject = subject
        self.is_last = is_last
        self.messages: list[Msg] = []
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self.timeout: asyncio.Timeout | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()

    def take(self, message: Msg) -> None:
        if self.done.done():
            return
        self.messages.append(message)
        if status(message) == _NO_RESPONDERS:
            self.done.set_exception(Unavailable(f"nothing answers at {self.subject}"))
        elif self.is_last(message):
            self.done.set_result(None)
        else:
            self._extend()

    def _extend(self) -> None:
        """A server at work on a long answer is waited for."""
        if self.timeout is None:
            return
        until, limit = self._loop.time() + self._seconds, self.timeout.when()
        if limit is not None and until > limit:
            self.timeout.reschedule(until + EXTEND_SECONDS)
