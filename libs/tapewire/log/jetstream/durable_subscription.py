"""Durable subscriptions: a pull consumer that several processes share.

Each process handles one event at a time and acknowledges it when the handler returns. An event
whose handler raises is recorded and acknowledged too, so it does not hold up the others;
`failed_events` tries it again. The server delivers an event again only if its process died or
could not record the failure. Start at `DurableSubscription`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from tapewire.log.batch_part import read_batch_part
from tapewire.log.failed_events import RetryingHandler
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.pull_consumer import BATCH_MESSAGES, PullConsumer, nak_message
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import LogError, RecordedEvent, Unavailable

ACK_WAIT_SECONDS = 30
"""If a handler takes longer, the event is delivered again, possibly to another process."""
MAX_ACK_PENDING = 4 * BATCH_MESSAGES
"""Unacknowledged events of all processes of one subscription together, unless they are handled in
order: then it is one."""
INITIAL_REOPEN_SECONDS = 0.1
REDELIVERY_SECONDS = 1.0
"""The delay before an event is delivered again whose failure could not be recorded."""
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
        retrying_handler: RetryingHandler,
        wait_usable: Callable[[], Awaitable[None]],
        *,
        in_order: bool = False,
    ) -> None:
        """`wait_usable` returns once the journal may be used, and raises Unavailable if that takes
        too long."""
        self._connection = connection
        self.name = name
        self._filter = filter_
        self._retrying_handler = retrying_handler
        self._wait_usable = wait_usable
        self._in_order = in_order
        self._tasks: set[asyncio.Task[None]] = set()
        self._consumer: PullConsumer | None = None

    @property
    def parked_count(self) -> int:
        """Events that were parked because their handler kept failing, a few seconds ago."""
        return self._retrying_handler.parked_count

    async def start(self) -> None:
        """Create the consumer unless it exists, and start handling events. Raises Unavailable."""
        self._consumer = await self._open_consumer()
        self._tasks = {
            asyncio.create_task(self._run(), name=f"durable subscription {self.name}"),
            asyncio.create_task(self._retrying_handler.run(), name=f"retries of {self.name}"),
        }

    async def close(self) -> None:
        """Stop. Events that are not acknowledged go to another process."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._close_consumer()

    async def _close_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()

    async def _open_consumer(self) -> PullConsumer:
        max_ack_pending = 1 if self._in_order else MAX_ACK_PENDING
        await ensure_consumer(
            self._connection, self.name, self._filter, max_ack_pending=max_ack_pending
        )
        batch = 1 if self._in_order else BATCH_MESSAGES
        consumer = PullConsumer(self._connection, EVENTS, self.name, batch_messages=batch)
        await consumer.open()
        return consumer

    async def _run(self) -> None:
        delay = INITIAL_REOPEN_SECONDS
        while not self._connection.client.is_closed:
            try:
                if self._consumer is None:
                    self._consumer = await self._open_consumer()
                await self._handle(await self._consumer.next())
                delay = INITIAL_REOPEN_SECONDS
            except (nats.errors.Error, OSError, Unavailable) as error:
                logger.info(
                    "durable_subscription.waiting",
                    name=self.name,
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
            while not await self._is_journal_usable():
                await message.in_progress()
            await self._retrying_handler.handle(_to_recorded_event(message))
        except asyncio.CancelledError:
            await nak_message(message)
            raise
        except LogError as error:
            logger.warning(
                "durable_subscription.failure_not_recorded",
                name=self.name,
                sequence=message.metadata.sequence.stream,
                error=str(error),
            )
            await message.nak(delay=REDELIVERY_SECONDS)
        else:
            await message.ack()

    async def _is_journal_usable(self) -> bool:
        """Wait a while for the journal. A journal that must not be used is no handler's failure."""
        try:
            await self._wait_usable()
        except Unavailable:
            return False
        return True


async def ensure_consumer(
    connection: NatsConnection, name: str, filter_: str, *, max_ack_pending: int = MAX_ACK_PENDING
) -> bool:
    """Create the consumer of the durable subscription `name` unless it exists; whether it did.

    Where NATS does not permit that to this user, `tapewire provision` creates it.

    Raises:
        Unavailable: there is no such consumer, and it cannot be created now.
    """
    info = await connection.request(f"$JS.API.CONSUMER.INFO.{EVENTS}.{name}")
    found = msgspec.json.decode(info.data)
    config = found.get("config", {})
    if config.get("filter_subject") == filter_ and config["max_ack_pending"] == max_ack_pending:
        return False
    config = {
        "durable_name": name,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_SECONDS * 1_000_000_000,
        "filter_subject": filter_,
        "max_ack_pending": max_ack_pending,
    }
    request = {"stream_name": EVENTS, "config": config}
    try:
        answer = await connection.request(
            f"$JS.API.CONSUMER.DURABLE.CREATE.{EVENTS}.{name}", msgspec.json.encode(request)
        )
    except LogError as error:
        raise Unavailable(
            f"the durable subscription {name} cannot start: {error}; tapewire provision creates it"
        ) from error
    created = msgspec.json.decode(answer.data)
    if "error" in created:
        description = created["error"].get("description")
        raise Unavailable(f"the durable subscription {name} cannot start: {description}")
    return True


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
        batch=read_batch_part(headers),
    )


def _stored_time(message: Msg) -> datetime:
    """When the event was stored, in microseconds as in a page; nats-py converts through a float.
    ADR-15 of the NATS architecture defines the reply subject, with and without a domain."""
    tokens = message.reply.split(".")
    nanoseconds = int(tokens[7] if len(tokens) == 9 else tokens[9])
    return _UNIX_EPOCH + timedelta(microseconds=nanoseconds // 1000)
