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

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.pull_consumer import BATCH_MESSAGES, PullConsumer, nak_message
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import RecordedEvent, Unavailable

ACK_WAIT_SECONDS = 30
"""A handler that takes longer sees its event again elsewhere."""
MAX_ACK_PENDING = 4 * BATCH_MESSAGES
"""Events under way to all processes of a reaction at once."""
INITIAL_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 30.0
MAX_REOPEN_SECONDS = 3.0

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = structlog.get_logger("tapewire.reaction")


class DurableSubscription:
    """One process's share of the reaction `name`."""

    def __init__(
        self,
        connection: NatsConnection,
        name: str,
        filter_: str,
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._name = name
        self._filter = filter_
        self._handler = handler
        self._task: asyncio.Task[None] | None = None
        self._consumer: PullConsumer | None = None

    async def start(self) -> None:
        """Make the consumer when it is not there, and begin. Raises Unavailable."""
        self._consumer = await self._open_consumer()
        self._task = asyncio.create_task(self._run(), name=f"reaction {self._name}")

    async def close(self) -> None:
        """Finish nothing more; what is unacknowledged goes to another process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._close_consumer()

    async def _close_consumer(self) -> None:
        pull, self._consumer = self._consumer, None
        if pull is not None:
            await pull.close()

    async def _open_consumer(self) -> PullConsumer:
        config = ConsumerConfig(
            durable_name=self._name,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            filter_subject=self._filter,
            max_ack_pending=MAX_ACK_PENDING,
        )
        try:
            await self._connection.client.jetstream().add_consumer(EVENTS, config)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable(f"reaction {self._name} cannot begin: {error!r}") from error
        pull = PullConsumer(self._connection, EVENTS, self._name)
        await pull.open()
        return pull

    async def _run(self) -> None:
        delay = INITIAL_RETRY_SECONDS
        while not self._connection.client.is_closed:
            try:
                if self._consumer is None:
                    self._consumer = await self._open_consumer()
                await self._handle(await self._consumer.next())
                delay = INITIAL_RETRY_SECONDS
            except (nats.errors.Error, OSError, Unavailable) as error:
                logger.info("reaction waits", reaction=self._name, error=repr(error), seconds=delay)
                # The consumer may be gone, with its stream or without: it is made again, which is
                # nothing when it is there after all.
                await self._close_consumer()
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_REOPEN_SECONDS)

    async def _handle(self, message: Msg) -> None:
        try:
            await self._handler(_to_recorded_event(message))
        except asyncio.CancelledError:
            await nak_message(message)
            raise
        except Exception:
            attempt = message.metadata.num_delivered
            delay = min(INITIAL_RETRY_SECONDS * 2 ** min(attempt, 16), MAX_RETRY_SECONDS)
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


def _to_recorded_event(message: Msg) -> RecordedEvent:
    headers = message.headers or {}
    metadata = message.metadata
    return RecordedEvent(
        sequence=metadata.sequence.stream,
        subject=message.subject,
        tag=headers.get("Tw-Type", ""),
        data=message.data,
        metadata=stream_reads.to_event_metadata(headers),
        time=_stored_time(message),
        delivery_count=metadata.num_delivered,
    )


def _stored_time(message: Msg) -> datetime:
    """When the event was stored, to the microsecond as a page has it; nats-py goes by way of a
    float. The layouts are of ADR-15 of the NATS architecture: without and with a domain."""
    tokens = message.reply.split(".")
    nanoseconds = int(tokens[7] if len(tokens) == 9 else tokens[9])
    return _UNIX_EPOCH + timedelta(microseconds=nanoseconds // 1000)
