"""Durable subscriptions in memory: which events are handled, and which are delivered again.

`MemoryDurableConsumer` is the server's part and outlives processes. `MemoryDurableSubscription` is
the part of one process: it receives an event, runs the handler and acknowledges the event, one
event at a time.
"""

import asyncio
import copy
from collections import deque
from typing import Protocol

import structlog

from tapewire.log.failed_events import RetryingHandler
from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.memory.journal import Journal
from tapewire.log.ports import LogError, RecordedEvent

REDELIVERY_SECONDS = 0.5
"""The delay before an event is delivered again whose failure could not be recorded."""

logger = structlog.get_logger("tapewire.memory")


class ConsumerServer(Protocol):
    """The parts of the server that a consumer uses."""

    ack_wait_seconds: float
    journal: Journal


class MemoryDurableConsumer:
    """Delivers every event that its filter matches until the event is acknowledged.

    Args:
        in_order: deliver one event at a time.
    """

    def __init__(self, server: ConsumerServer, filter_: str, *, in_order: bool = False) -> None:
        self._server = server
        self._filter = filter_
        self._in_order = in_order
        self._unacknowledged_count = 0
        self._last_delivered = 0
        self._redeliveries: deque[tuple[int, int]] = deque()
        self._waiting_subscriptions: deque[MemoryDurableSubscription] = deque()

    def add_waiting(self, subscription: "MemoryDurableSubscription") -> None:
        """Deliver an event to `subscription`, now or later. The one that has waited longest is
        served first."""
        self._waiting_subscriptions.append(subscription)
        self.deliver_pending()

    def remove_waiting(self, subscription: "MemoryDurableSubscription") -> None:
        """Deliver nothing more to `subscription`."""
        if subscription in self._waiting_subscriptions:
            self._waiting_subscriptions.remove(subscription)

    def deliver_pending(self) -> None:
        """Deliver what there is to reachable subscriptions that wait."""
        while (
            subscription := next(
                (one for one in self._waiting_subscriptions if one.is_reachable), None
            )
        ) is not None:
            if self._in_order and self._unacknowledged_count:
                return
            recorded = self._next_event()
            if recorded is None:
                return
            self._unacknowledged_count += 1
            self._waiting_subscriptions.remove(subscription)
            subscription.receive(recorded)

    def _next_event(self) -> RecordedEvent | None:
        journal = self._server.journal
        while self._redeliveries:
            sequence, times = self._redeliveries.popleft()
            recorded = journal.event_at(sequence)
            if recorded is not None:
                recorded = copy.copy(recorded)
                recorded.delivery_count = times + 1
                return recorded
        page = journal.page(
            self._filter, after=self._last_delivered, limit=1, max_bytes=1, upto=journal.last
        )
        self._last_delivered = page.events[0].sequence if page.events else journal.last
        return page.events[0] if page.events else None

    def acknowledge(self) -> None:
        """Do not deliver an event again."""
        self._unacknowledged_count -= 1
        self.deliver_pending()

    def redeliver_after(self, recorded: RecordedEvent, delay_seconds: float) -> None:
        """Deliver `recorded` again after `delay_seconds`."""
        loop = asyncio.get_running_loop()
        handed = recorded.sequence, recorded.delivery_count
        loop.call_later(delay_seconds, self._requeue, self._server.journal.epoch, handed)

    def redeliver_unacknowledged(self, recorded: RecordedEvent) -> None:
        """Deliver the event again after the acknowledgement timed out: its process was killed, or
        the acknowledgement was lost."""
        self.redeliver_after(recorded, self._server.ack_wait_seconds)

    def _requeue(self, epoch: str, delivery: tuple[int, int]) -> None:
        if epoch == self._server.journal.epoch:
            self._unacknowledged_count -= 1
            self._redeliveries.append(delivery)
            self.deliver_pending()

    def reset(self) -> None:
        """Start over: the log was recreated."""
        self._last_delivered = 0
        self._unacknowledged_count = 0
        self._redeliveries.clear()


class MemoryDurableSubscription:
    """One process's part of the subscription."""

    def __init__(
        self,
        consumer: MemoryDurableConsumer,
        connection: MemoryConnection,
        retrying_handler: RetryingHandler,
    ) -> None:
        self._consumer = consumer
        self._connection = connection
        self._retrying_handler = retrying_handler
        self._current_event: RecordedEvent | None = None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(retrying_handler.run())]
        self._received = asyncio.Event()

    @property
    def is_reachable(self) -> bool:
        """Whether the server can deliver to this process."""
        return self._connection.is_up

    def receive(self, recorded: RecordedEvent) -> None:
        """Handle `recorded`, which the server delivers."""
        self._current_event = recorded
        self._received.set()

    async def _run(self) -> None:
        while True:
            self._consumer.add_waiting(self)
            await self._received.wait()
            self._received.clear()
            if self._current_event is not None:
                await self._handle(self._current_event)
            self._current_event = None

    async def _handle(self, recorded: RecordedEvent) -> None:
        faults = self._connection.faults
        await asyncio.sleep(faults.random_seconds(faults.max_delay_seconds))
        try:
            await self._retrying_handler.handle(recorded)
        except LogError as error:
            logger.warning(
                "durable_subscription.failure_not_recorded",
                sequence=recorded.sequence,
                error=str(error),
            )
            self._consumer.redeliver_after(recorded, REDELIVERY_SECONDS)
            return
        if not self._connection.is_up or faults.occurs(faults.redelivery_rate):
            self._consumer.redeliver_unacknowledged(recorded)
        else:
            self._consumer.acknowledge()

    async def close(self) -> None:
        """Stop, and return the event that is being handled."""
        self._stop()
        others = [one for one in self._tasks if one is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        if self._current_event is not None:
            self._consumer.redeliver_after(self._current_event, 0)
            self._current_event = None

    def kill(self) -> None:
        """Stop without notifying the server, like a killed process."""
        self._stop()
        if self._current_event is not None:
            self._consumer.redeliver_unacknowledged(self._current_event)
            self._current_event = None

    def _stop(self) -> None:
        self._consumer.remove_waiting(self)
        for task in self._tasks:
            task.cancel()
