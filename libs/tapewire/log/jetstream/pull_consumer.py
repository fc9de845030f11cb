"""A consumer's messages on their way to one process: asked for in batches, and none left behind.

The server counts a message as delivered once it picked it for somebody, and gives it to nobody else
before the consumer's wait for an acknowledgement is over. So whoever stops must give back not only
what it holds but also what is under way to it. A question for a batch is therefore for what is
there now: the server ends its answer by a word, and `close` waits for that. Only when nothing was
there a question stays open, for one message. (nats-py's own pull subscription drops what a
cancelled fetch had got, which then comes again half a minute later.)
"""

import asyncio
import contextlib
from collections import deque

import msgspec
import nats.errors
from nats.aio.msg import Msg

from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import GapAwareSubscription, NatsConnection
from tapewire.log.ports import Unavailable

BATCH_MESSAGES = 64
LONG_POLL_SECONDS = 5.0
"""How long the server keeps the question for one message open."""
REQUEST_LOST_SECONDS = LONG_POLL_SECONDS + 1.0
"""After so long without a word the question, or its answer, was lost."""
DRAIN_SECONDS = 2.0

_BATCH_REQUEST = msgspec.json.encode({"batch": BATCH_MESSAGES, "no_wait": True})
_LONG_POLL_REQUEST = msgspec.json.encode({"batch": 1, "expires": int(LONG_POLL_SECONDS * 1e9)})
_NO_MESSAGES_CODES = {"404", "408"}
"""No more there, or not for as long as was asked."""


class PullConsumer:
    """Use it from one task: `open`, then `next` for ever, then `close`."""

    def __init__(self, connection: NatsConnection, stream: str, consumer: str) -> None:
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._inbox = connection.client.new_inbox()
        self._subscription: GapAwareSubscription | None = None
        self._buffer: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._request_number = 0
        self._outstanding = 0
        """How many messages the last question may still bring."""
        self._is_long_polling = False
        """Nothing was there: the next question, or the one that is open, is for one message."""
        self._failure: Unavailable | None = None
        self._is_closing = False

    async def open(self) -> None:
        """Raises Unavailable."""
        self._subscription = await self._connection.subscribe(
            f"{self._inbox}.*", self._on_message, self._on_gap
        )

    async def next(self) -> Msg:
        """The next message, however long that takes.

        Raises:
            Unavailable: the consumer is gone, or cannot be asked now.
        """
        while not self._buffer:
            if self._failure is not None:
                raise self._failure
            if not self._outstanding:
                await self._request_batch()
            await self._wait_for_message()
        return self._buffer.popleft()

    async def close(self) -> None:
        """Give back what came, and what is still coming."""
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
            (1, _LONG_POLL_REQUEST) if self._is_long_polling else (BATCH_MESSAGES, _BATCH_REQUEST)
        )
        await self._connection.publish(
            self._subject, question, reply=f"{self._inbox}.{self._request_number}"
        )

    async def _wait_for_message(self) -> None:
        """Until something came, or nothing will."""
        self._wake.clear()
        try:
            async with asyncio.timeout(REQUEST_LOST_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._outstanding = 0

    async def _on_message(self, message: Msg) -> None:
        word = status_code(message)
        if word:
            self._on_status(word, message)
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
        """The server's word on a question; only on the last one is it news."""
        if message.subject != f"{self._inbox}.{self._request_number}":
            return
        self._outstanding = 0
        self._is_long_polling = True
        if code not in _NO_MESSAGES_CODES:
            why = (message.headers or {}).get("Description", "").strip() or "nobody answers"
            self._failure = Unavailable(f"consumer {self._consumer}: {why} ({code})")

    def _on_gap(self, _reason: str) -> None:
        """The server that was asked may have forgotten the question, and sent what was lost."""
        self._outstanding = 0
        self._is_long_polling = False
        self._wake.set()


async def nak_message(message: Msg) -> None:
    """Let another process have it at once."""
    with contextlib.suppress(nats.errors.Error):
        await message.nak()
