"""The pending replies of one request: a single reply, or a page of thousands."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from nats.aio.msg import Msg

from tapewire.log.jetstream.compat import status_code
from tapewire.log.ports import Unavailable

TIMEOUT_EXTENSION_SECONDS = 0.5
"""How much a wait for many replies is extended at a time. A page has thousands of replies, so the
extension is not per reply."""

NO_RESPONDERS = "503"
"""The status of the server's reply to a request that nobody listens to."""


class ReplySink(Protocol):
    """Receives the replies of one reply subject. `subject` is that of the request."""

    subject: str

    def receive(self, message: Msg) -> None: ...

    def fail(self, error: Exception) -> None:
        """Take note that no reply will arrive."""


class NotPermitted(Unavailable):
    """The server does not permit this user to do that. Nothing was stored."""


class PendingReplies:
    """Collects replies until `is_last` is true for one."""

    __slots__ = (
        "_loop",
        "_timeout_seconds",
        "completion",
        "is_last",
        "messages",
        "subject",
        "timeout",
    )

    def __init__(
        self, subject: str, is_last: Callable[[Msg], bool], timeout_seconds: float
    ) -> None:
        self.subject = subject
        self.is_last = is_last
        self.messages: list[Msg] = []
        self._loop = asyncio.get_running_loop()
        self._timeout_seconds = timeout_seconds
        self.timeout: asyncio.Timeout | None = None
        self.completion: asyncio.Future[None] = self._loop.create_future()

    def receive(self, message: Msg) -> None:
        if self.completion.done():
            return
        self.messages.append(message)
        if status_code(message) == NO_RESPONDERS:
            self.completion.set_exception(Unavailable(f"nothing answers at {self.subject}"))
        elif self.is_last(message):
            self.completion.set_result(None)
        else:
            self._extend_timeout()

    def fail(self, error: Exception) -> None:
        if not self.completion.done():
            self.completion.set_exception(error)

    def _extend_timeout(self) -> None:
        """Keep waiting for a server that is sending a long answer."""
        if self.timeout is None:
            return
        until, limit = self._loop.time() + self._timeout_seconds, self.timeout.when()
        if limit is not None and until > limit:
            self.timeout.reschedule(until + TIMEOUT_EXTENSION_SECONDS)
