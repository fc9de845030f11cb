"""A pull consumer that fetches messages in batches and returns what it does not handle.

The server counts a message as delivered once it has selected it for a client, and delivers it to no
other client before the acknowledgement times out. A client that stops must therefore return both
the messages that it holds and those on their way. A batch request asks only for messages that exist
now; the server ends its answer with a status, and `close` waits for that. Only if no message
exists, a long poll for a single message stays open. (nats-py's own pull subscription drops the
messages of a cancelled fetch, which then are delivered again half a minute later.) Start at
`PullConsumer.next`.
"""

import asyncio
import contextlib
from collections import deque

import msgspec
import nats.errors
from nats.aio.msg import Msg

from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.gap_aware_subscription import GapAwareSubscription
from tapewire.log.ports import Unavailable

BATCH_MESSAGES = 64
LONG_POLL_SECONDS = 5.0
"""How long the server keeps a long poll open."""
REQUEST_LOST_SECONDS = LONG_POLL_SECONDS + 1.0
"""Without an answer for this long, the request or its answer was lost."""
DRAIN_SECONDS = 2.0

_LONG_POLL_REQUEST = msgspec.json.encode({"batch": 1, "expires": int(LONG_POLL_SECONDS * 1e9)})
_NO_MESSAGES_CODES = {"404", "408"}
"""The server has no more messages, or had none for as long as was asked."""


class PullConsumer:
    """Use it from one task: `open`, then `next` repeatedly, then `close`."""

    def __init__(
        self,
        connection: NatsConnection,
        stream: str,
        consumer: str,
        *,
        batch_messages: int = BATCH_MESSAGES,
    ) -> None:
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._batch_messages = batch_messages
        self._batch_request = msgspec.json.encode({"batch": batch_messages, "no_wait": True})
        self._inbox = connection.client.new_inbox()
        self._subscription: GapAwareSubscription | None = None
        self._buffer: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._request_number = 0
        self._outstanding = 0
        """Messages that the last request may still deliver."""
        self._is_long_polling = False
        """No message existed: the next request, or the open one, is for a single message."""
        self._failure: Unavailable | None = None
        self._is_closing = False

    async def open(self) -> None:
        """Subscribe to the inbox. Raises Unavailable."""
        self._subscription = await self._connection.subscribe(
            f"{self._inbox}.*", self._on_message, self._on_gap
        )

    async def next(self) -> Msg:
        """Wait for the next message.

        Raises:
            Unavailable: the consumer does not exist, or does not answer.
        """
        while not self._buffer:
            if self._failure is not None:
                raise self._failure
            if not self._outstanding:
                await self._request_batch()
            await self._wait_for_message()
        return self._buffer.popleft()

    async def close(self) -> None:
        """Return the messages that were received and those on their way."""
        self._is_closing = True
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while (
                    self._outstanding
                    and not self._is_long_polling
                    and self._connection.is_connected
                ):
                    await self._wait_for_message()
        await subscription.drain(DRAIN_SECONDS)
        while self._buffer:
            await nak_message(self._buffer.popleft())

    async def _request_batch(self) -> None:
        self._request_number += 1
        self._outstanding, question = (
            (1, _LONG_POLL_REQUEST)
            if self._is_long_polling
            else (self._batch_messages, self._batch_request)
        )
        await self._connection.publish(
            self._subject, question, reply=f"{self._inbox}.{self._request_number}"
        )

    async def _wait_for_message(self) -> None:
        """Wait until a message or a status arrives, or the request counts as lost."""
        self._wake.clear()
        try:
            async with asyncio.timeout(REQUEST_LOST_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._outstanding = 0

    async def _on_message(self, message: Msg) -> None:
        status = status_code(message)
        if status:
            self._on_status(status, message)
        else:
            self._outstanding = max(self._outstanding - 1, 0)
            if not self._outstanding:
                self._is_long_polling = False
            if self._is_closing:
                await nak_message(message)
            else:
                self._buffer.append(message)
        self._wake.set()

    def _on_status(self, code: str, message: Msg) -> None:
        """Handle the status that ends a request. Only that of the last request matters."""
        if message.subject != f"{self._inbox}.{self._request_number}":
            return
        self._outstanding = 0
        self._is_long_polling = True
        if code not in _NO_MESSAGES_CODES:
            reason = (message.headers or {}).get("Description", "").strip() or "nobody answers"
            self._failure = Unavailable(f"consumer {self._consumer}: {reason} ({code})")

    def _on_gap(self, _reason: str) -> None:
        """Forget the request: the server may have forgotten it, or its answer may be lost."""
        self._outstanding = 0
        self._is_long_polling = False
        self._wake.set()


async def nak_message(message: Msg) -> None:
    """Have the message delivered to another process at once."""
    with contextlib.suppress(nats.errors.Error):
        await message.nak()
