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

from tapewire.log.jetstream.headers import status
from tapewire.log.jetstream.wire import Wire, WireSubscription
from tapewire.log.port import Unavailable

BATCH = 64
PATIENT_SECONDS = 5.0
"""How long the server keeps the question for one message open."""
SILENT_SECONDS = PATIENT_SECONDS + 1.0
"""After so long without a word the question, or its answer, was lost."""
LEAVE_SECONDS = 2.0

_EVERYTHING = msgspec.json.encode({"batch": BATCH, "no_wait": True})
_ONE = msgspec.json.encode({"batch": 1, "expires": int(PATIENT_SECONDS * 1e9)})
_NOTHING = {"404", "408"}
"""No more there, or not for as long as was asked."""


class Pull:
    """Use it from one task: `open`, then `next` for ever, then `close`."""

    def __init__(self, wire: Wire, stream: str, consumer: str) -> None:
        self._wire = wire
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._inbox = wire.client.new_inbox()
        self._subscription: WireSubscription | None = None
        self._waiting: deque[Msg] = deque()
        self._woken = asyncio.Event()
        self._questions = 0
        self._missing = 0
        """How many messages the last question may still bring."""
        self._patient = False
        """Nothing was there: the next question, or the one that is open, is for one message."""
        self._failure: Unavailable | None = None
        self._leaving = False

    async def open(self) -> None:
        """Raises Unavailable."""
        self._subscription = await self._wire.subscribe(
            f"{self._inbox}.*", self._take, self._on_gap
        )

    async def next(self) -> Msg:
        """The next message, however long that takes.

        Raises:
            Unavailable: the consumer is gone, or cannot be asked now.
        """
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            if not self._missing:
                await self._ask()
            await self._wait()
        return self._waiting.popleft()

    async def close(self) -> None:
        """Give back what came, and what is still coming."""
        self._leaving = True
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while self._missing and not self._patient and self._wire.connected:
                    await self._wait()
        await subscription.drain(LEAVE_SECONDS)
        while self._waiting:
            await give_back(self._waiting.popleft())

    async def _ask(self) -> None:
        self._questions += 1
        self._missing, question = (1, _ONE) if self._patient else (BATCH, _EVERYTHING)
        await self._wire.publish(self._subject, question, reply=f"{self._inbox}.{self._questions}")

    async def _wait(self) -> None:
        """Until something came, or nothing will."""
        self._woken.clear()
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            self._missing = 0

    async def _take(self, message: Msg) -> None:
        word = status(message)
        if word:
            self._hear(word, message)
        else:
            self._missing = max(self._missing - 1, 0)
            if not self._missing:
                self._patient = False
            if self._leaving:
                await give_back(message)
            else:
                self._waiting.append(message)
        self._woken.set()

    def _hear(self, word: str, message: Msg) -> None:
        """The server's word on a question; only on the last one is it news."""
        if message.subject != f"{self._inbox}.{self._questions}":
            return
        self._missing = 0
        self._patient = True
        if word not in _NOTHING:
            why = (message.headers or {}).get("Description", "").strip() or "nobody answers"
            self._failure = Unavailable(f"consumer {self._consumer}: {why} ({word})")

    def _on_gap(self, _reason: str) -> None:
        """The server that was asked may have forgotten the question, and sent what was lost."""
        self._missing = 0
        self._patient = False
        self._woken.set()


async def give_back(message: Msg) -> None:
    """Let another process have it at once."""
    with contextlib.suppress(nats.errors.Error):
        await message.nak()
