"""`RequestAttempts`: several sendings of one request, with all their replies in one queue."""

import asyncio
import contextlib
from typing import Protocol

from nats.aio.msg import Msg

from tapewire.log.jetstream.reply_inbox import ReplyInbox

AttemptReply = tuple[int, Msg | Exception]
"""The number of the attempt, and its reply or the error that ends it."""


class AttemptConnection(Protocol):
    """The parts of a `NatsConnection` that attempts use."""

    @property
    def replies(self) -> ReplyInbox: ...
    async def publish(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None, *, reply: str = ""
    ) -> None: ...


class _AttemptReplies:
    """The sink of one attempt."""

    __slots__ = ("_attempt", "_queue", "subject")

    def __init__(self, subject: str, queue: asyncio.Queue[AttemptReply], attempt: int) -> None:
        self.subject = subject
        self._queue = queue
        self._attempt = attempt

    def receive(self, message: Msg) -> None:
        self._queue.put_nowait((self._attempt, message))

    def fail(self, error: Exception) -> None:
        self._queue.put_nowait((self._attempt, error))


class RequestAttempts:
    """The attempts of one request. Use it as a context manager."""

    def __init__(self, connection: AttemptConnection) -> None:
        self._connection = connection
        self._count = 0
        self._replies: asyncio.Queue[AttemptReply] = asyncio.Queue()
        self._sinks = contextlib.ExitStack()

    def __enter__(self) -> "RequestAttempts":
        return self

    def __exit__(self, *_: object) -> None:
        self._sinks.close()

    async def send(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        """Send the request to `subject`. Returns the number of the attempt. Raises Unavailable,
        AppendRejected."""
        number, self._count = self._count, self._count + 1
        sink = _AttemptReplies(subject, self._replies, number)
        reply = self._sinks.enter_context(self._connection.replies.receiving(sink))
        await self._connection.publish(subject, data, headers, reply=reply)
        return number

    async def next_reply(self) -> AttemptReply:
        """The next reply to any attempt."""
        return await self._replies.get()
