"""A durable reaction: a pull consumer that many processes share, one event at a time in each.

An event is acknowledged when its handler returned; a handler that raises gets the event again
after a growing delay, for ever: nothing is dropped, and a poisoned event does not stop the others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tapewire.log.jetstream import fetch
from tapewire.log.jetstream.pull import BATCH, Pull, give_back
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.jetstream.wire import Wire
from tapewire.log.port import Recorded, Unavailable

ACK_WAIT_SECONDS = 30
"""A handler that takes longer sees its event again elsewhere."""
UNACKNOWLEDGED = 4 * BATCH
"""Events under way to all processes of a reaction at once."""
RETRY_FIRST_SECONDS = 0.1
RETRY_MOST_SECONDS = 30.0
ASK_AGAIN_MOST_SECONDS = 3.0

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
        self._pull: Pull | None = None

    async def start(self) -> None:
        """Make the consumer when it is not there, and begin. Raises Unavailable."""
        self._pull = await self._open()
        self._task = asyncio.create_task(self._run(), name=f"reaction {self._name}")

    async def close(self) -> None:
        """Finish nothing more; what is unacknowledged goes to another process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._leave()

    async def _leave(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    async def _open(self) -> Pull:
        config = ConsumerConfig(
            durable_name=self._name,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            filter_subject=self._filter,
            max_ack_pending=UNACKNOWLEDGED,
        )
        try:
            await self._wire.client.jetstream().add_consumer(EVENTS, config)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable(f"reaction {self._name} cannot begin: {error!r}") from error
        pull = Pull(self._wire, EVENTS, self._name)
        await pull.open()
        return pull

    async def _run(self) -> None:
        delay = RETRY_FIRST_SECONDS
        while not self._wire.client.is_closed:
            try:
                if self._pull is None:
                    self._pull = await self._open()
                await self._handle(await self._pull.next())
                delay = RETRY_FIRST_SECONDS
            except (nats.errors.Error, OSError, Unavailable) as error:
                logger.info("reaction waits", reaction=self._name, error=repr(error), seconds=delay)
                # The consumer may be gone, with its stream or without: it is made again, which is
                # nothing when it is there after all.
                await self._leave()
                await asyncio.sleep(delay)
                delay = min(delay * 2, ASK_AGAIN_MOST_SECONDS)

    async def _handle(self, message: Msg) -> None:
        try:
            await self._handler(_recorded(message))
        except asyncio.CancelledError:
            await give_back(message)
            raise
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
        delivered=metadata.num_delivered,
    )


def _time(message: Msg) -> datetime:
    """When the event was stored, to the microsecond as a page has it; nats-py goes by way of a
    float. The layouts are of ADR-15 of the NATS architecture: without and with a domain."""
    tokens = message.reply.split(".")
    nanoseconds = int(tokens[7] if len(tokens) == 9 else tokens[9])
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
