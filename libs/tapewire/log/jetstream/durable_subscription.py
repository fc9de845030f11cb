"""Durable subscriptions: a pull consumer that several processes share.

Each process handles one event at a time and acknowledges it when the handler returns. If a handler
raises, the event is delivered again after a growing delay, without limit. No event is dropped, and
a failing event does not hold up the others. Start at `DurableSubscription`.
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
"""If a handler takes longer, the event is delivered again, possibly to another process."""
MAX_ACK_PENDING = 4 * BATCH_MESSAGES
"""Unacknowledged events of all processes of one subscription together."""
INITIAL_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 30.0
MAX_REOPEN_SECONDS = 3.0

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = structlog.get_logger("tapewire.subscription")


class DurableSubscription:
    """This process's part of the durable subscription `name`."""

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
        """Create the consumer unless it exists, and start handling events. Raises Unavailable."""
        self._consumer = await self._open_consumer()
        self._task = asyncio.create_task(self._run(), name=f"durable subscription {self._name}")

    async def close(self) -> None:
        """Stop. Events that are not acknowledged go to another process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._close_consumer()

    async def _close_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()

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
            raise Unavailable(
                f"the durable subscription {self._name} cannot start: {error!r}"
            ) from error
        consumer = PullConsumer(self._connection, EVENTS, self._name)
        await consumer.open()
        return consumer

    async def _run(self) -> None:
        delay = INITIAL_RETRY_SECONDS
        while not self._connection.client.is_closed:
            try:
                if self._consumer is None:
                    self._consumer = await self._open_consumer()
                await self._handle(await self._consumer.next())
                delay = INITIAL_RETRY_SECONDS
            except (nats.errors.Error, OSError, Unavailable) as error:
                logger.info(
                    "durable_subscription.waiting",
                    name=self._name,
                    error=repr(error),
                    delay_seconds=delay,
                )
                # The consumer or its stream may be gone. Opening creates the consumer unless it
                # exists.
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
                "durable_subscription.handler_failed",
                name=self._name,
                sequence=message.metadata.sequence.stream,
                attempt=attempt,
                delay_seconds=delay,
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
    """When the event was stored, in microseconds as in a page; nats-py converts through a float.
    ADR-15 of the NATS architecture defines the reply subject, with and without a domain."""
    tokens = message.reply.split(".")
    nanoseconds = int(tokens[7] if len(tokens) == 9 else tokens[9])
    return _UNIX_EPOCH + timedelta(microseconds=nanoseconds // 1000)
