"""Durable reactions: who has handled which event, and what is to be handed out again.

`Reaction` is the server's part and outlives processes. `Member` is one process's part: it takes
an event, has it handled, and acknowledges it, one at a time.
"""

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.memory.journal import Journal
from tapewire.log.ports import RecordedEvent

RETRY_SECONDS = 0.5
"""After this long an event is handed out again whose handler raised."""

_logger = logging.getLogger(__name__)


class ConsumerServer(Protocol):
    """What a reaction needs of the server."""

    ack_wait_seconds: float
    journal: Journal


class MemoryDurableConsumer:
    """One durable consumer: everything its filter takes is handed out until acknowledged."""

    def __init__(self, server: ConsumerServer, filter_: str) -> None:
        self._server = server
        self._filter = filter_
        self._last_delivered = 0
        self._redeliveries: deque[tuple[int, int]] = deque()
        self._waiting_subscriptions: deque[MemoryDurableSubscription] = deque()

    def add_waiting(self, subscription: "MemoryDurableSubscription") -> None:
        """Hand an event to `member`, now or later: who waited longest gets the next one."""
        self._waiting_subscriptions.append(subscription)
        self.deliver_pending()

    def remove_waiting(self, subscription: "MemoryDurableSubscription") -> None:
        """Hand nothing to `member` any more."""
        if subscription in self._waiting_subscriptions:
            self._waiting_subscriptions.remove(subscription)

    def deliver_pending(self) -> None:
        """Hand out what there is, as far as somebody waits who can be reached."""
        while (
            member := next((one for one in self._waiting_subscriptions if one.is_reachable), None)
        ) is not None:
            recorded = self._next_event()
            if recorded is None:
                return
            self._waiting_subscriptions.remove(member)
            member.receive(recorded)

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

    def redeliver_after(self, recorded: RecordedEvent, delay_seconds: float) -> None:
        """Hand `recorded` out again after `seconds`."""
        loop = asyncio.get_running_loop()
        handed = recorded.sequence, recorded.delivery_count
        loop.call_later(delay_seconds, self._requeue, self._server.journal.epoch, handed)

    def redeliver_unacknowledged(self, recorded: RecordedEvent) -> None:
        """Its process died, or the acknowledgement got lost: only time tells the server."""
        self.redeliver_after(recorded, self._server.ack_wait_seconds)

    def _requeue(self, epoch: str, delivery: tuple[int, int]) -> None:
        if epoch == self._server.journal.epoch:
            self._redeliveries.append(delivery)
            self.deliver_pending()

    def reset(self) -> None:
        """The log was made anew."""
        self._last_delivered = 0
        self._redeliveries.clear()


class MemoryDurableSubscription:
    """A process that reacts."""

    def __init__(
        self,
        consumer: MemoryDurableConsumer,
        connection: MemoryConnection,
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> None:
        self._consumer = consumer
        self._connection = connection
        self._handler = handler
        self._current_event: RecordedEvent | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._received = asyncio.Event()

    @property
    def is_reachable(self) -> bool:
        """Whether the server can hand anything to it."""
        return self._connection.is_up

    def receive(self, recorded: RecordedEvent) -> None:
        """The server hands `recorded` to this process."""
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
            await self._handler(recorded)
        except Exception:
            _logger.warning("%r is handed out again: its handler raised", recorded, exc_info=True)
            self._consumer.redeliver_after(recorded, RETRY_SECONDS)
            return
        if not self._connection.is_up or faults.occurs(faults.redelivery_rate):
            self._consumer.redeliver_unacknowledged(recorded)

    async def close(self) -> None:
        """Stop, and give back what is being handled."""
        self._stop()
        if self._task is not asyncio.current_task():
            await asyncio.gather(self._task, return_exceptions=True)
        if self._current_event is not None:
            self._consumer.redeliver_after(self._current_event, 0)
            self._current_event = None

    def kill(self) -> None:
        """Die: nobody tells the server."""
        self._stop()
        if self._current_event is not None:
            self._consumer.redeliver_unacknowledged(self._current_event)
            self._current_event = None

    def _stop(self) -> None:
        self._consumer.remove_waiting(self)
        self._task.cancel()
