"""A durable reaction: a pull consumer that many processes share, one event at a time in each.

An event is acknowledged when its handler returned; a handler that raises gets the event again
after a growing delay, for ever: nothing is dropped, and a poisoned event does not stop the others.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tapewire.log.jetstream import fetch
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.jetstream.wire import Wire
from tapewire.log.port import Recorded, Unavailable

FETCH_EVENTS = 64
FETCH_SECONDS = 5.0
ACK_WAIT_SECONDS = 30
"""A handler that takes longer sees its event again elsewhere."""
CANCEL_AGAIN_SECONDS = 0.1
RETRY_FIRST_SECONDS = 0.1
RETRY_MOST_SECONDS = 30.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = structlog.get_logger("tapewire.reaction")


class Reaction:
    """One process's share of the reaction `name`."""

    def __init__(
        self,
        wire: Wire,
        name: str,
        filter_: str,
        handler: Callable[[Recorded], Awaitable[None]],
    ) -> None:
        self._wire = wire
        self._name = name
        self._filter = filter_
        self._handler = handler
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._pull: JetStreamContext.PullSubscription | None = None

    async def start(self) -> None:
        """Make the consumer when it is not there, and begin. Raises Unavailable."""
        await self._subscribe()
        self._task = asyncio.create_task(self._run(), name=f"reaction {self._name}")

    async def close(self) -> None:
        """Finish nothing more; what is unacknowledged goes to another process."""
        self._closing = True
        # nats-py waits by asyncio.wait_for, which can lose a cancellation (before Python 3.12).
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_SECONDS)
        await self._leave()

    async def _leave(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None and not self._wire.client.is_closed:
            with contextlib.suppress(nats.errors.Error):
                await pull.unsubscribe()

    async def _subscribe(self) -> None:
        config = ConsumerConfig(
            durable_name=self._name,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            filter_subject=self._filter,
            max_ack_pending=4 * FETCH_EVENTS,
        )
        context = self._wire.client.jetstream()
        try:
            await context.add_consumer(EVENTS, config)
            self._pull = await context.pull_subscribe_bind(self._name, EVENTS)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable(f"reaction {self._name} cannot begin: {error!r}") from error

    async def _run(self) -> None:
        delay = RETRY_FIRST_SECONDS
        while not self._closing:
            try:
                await self._fetch()
                delay = RETRY_FIRST_SECONDS
            except (nats.errors.Error, nats.js.errors.Error, OSError, Unavailable) as error:
                # On a closed connection nats-py turns a cancellation into an error of its own.
                if self._wire.client.is_closed:
                    return
                logger.info("reaction waits", reaction=self._name, error=repr(error), seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST_SECONDS / 10)

    async def _fetch(self) -> None:
        if self._pull is None:
            await self._subscribe()
        assert self._pull is not None  # noqa: S101 - _subscribe sets it or raises
        try:
            messages = await self._pull.fetch(FETCH_EVENTS, timeout=FETCH_SECONDS)
        except nats.errors.TimeoutError:
            return
        except nats.js.errors.APIError:
            # The consumer is gone, with its stream or without, and nothing answers in its place:
            # make it again, which is nothing when it is there after all.
            await self._leave()
            raise
        waiting = deque(messages)
        try:
            while waiting and not self._closing:
                await self._handle(waiting[0])
                waiting.popleft()
        finally:
            await _give_back(waiting)

    async def _handle(self, message: Msg) -> None:
        try:
            await self._handler(_recorded(message))
        except Exception:
            attempt = message.metadata.num_delivered
            delay = min(RETRY_FIRST_SECONDS * 2 ** min(attempt, 16), RETRY_MOST_SECONDS)
            logger.exception(
                "reaction failed; the event comes again",
                reaction=self._name,
                sequence=message.metadata.sequence.stream,
                attempt=attempt,
                seconds=delay,
            )
            await message.nak(delay=delay)
        else:
            await message.ack()


async def _give_back(messages: Iterable[Msg]) -> None:
    """Let another process have at once what this one will not handle any more."""
    for message in messages:
        with contextlib.suppress(nats.errors.Error):
            await message.nak()


def _recorded(message: Msg) -> Recorded:
    headers = message.headers or {}
    metadata = message.metadata
    return Recorded(
        sequence=metadata.sequence.stream,
        subject=message.subject,
        tag=headers.get("Tw-Type", ""),
        data=message.data,
        meta=fetch.meta(headers),
        time=_time(message),
    )


def _time(message: Msg) -> datetime:
    """When the event was stored, to the microsecond as a page has it; nats-py goes by way of a
    float. The layouts are of ADR-15 of the NATS architecture: without and with a domain."""
    tokens = message.reply.split(".")
    nanoseconds = int(tokens[7] if len(tokens) == 9 else tokens[9])
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
