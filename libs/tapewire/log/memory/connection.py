"""The connection between one process and the server, and the faults on the way.

A `MemoryConnection` carries requests (`read`, `write`) and one `DeliveryQueue` per live
subscription. A queue delivers in order, as a socket does; messages overtake each other only if the
server sends some of them late.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from tapewire.log.memory.faults import NO_FAULTS, Faults
from tapewire.log.ports import LogError, OutcomeUnknown, Unavailable

T = TypeVar("T")


class GapMarker:
    """Marks a loss in a queue."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class ReachableServer(Protocol):
    """The parts of the server that a connection uses."""

    @property
    def is_up(self) -> bool: ...
    def attach(self, connection: "MemoryConnection") -> None: ...
    def detach(self, connection: "MemoryConnection") -> None: ...
    def begin_outage(self, seconds: float) -> None: ...
    def deliver_pending(self) -> None: ...


class DeliveryQueue(Generic[T]):
    """The messages of one live subscription, from the server to the callback."""

    def __init__(
        self, on_item: Callable[[T], None], on_gap: Callable[[str], None], faults: Faults
    ) -> None:
        self._on_item = on_item
        self._on_gap = on_gap
        self._faults = faults
        self._queue: deque[T | GapMarker] = deque()
        self._next_due_at = 0.0
        self._is_open = True
        self.is_subscribed = False

    def offer(self, item: T) -> None:
        """Send `item` to the subscriber, unless a fault prevents it."""
        if not (self._is_open and self.is_subscribed):
            return
        faults = self._faults
        if faults.occurs(faults.lost_message_rate):
            return
        if faults.occurs(faults.gap_rate):
            self._push(GapMarker("slow consumer: messages were dropped"))
        elif faults.occurs(faults.late_message_rate):
            self._push_delayed(item)
        else:
            self._push(item)
            if faults.occurs(faults.duplicate_message_rate):
                self._push_delayed(item)

    def _push_delayed(self, item: T) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(
            self._faults.random_seconds(self._faults.max_late_seconds),
            self._push_if_subscribed,
            item,
        )

    def _push_if_subscribed(self, item: T) -> None:
        if self.is_subscribed:
            self._push(item)

    def _push(self, entry: T | GapMarker) -> None:
        # Every entry schedules one step, and every step takes the oldest entry. So the order is
        # kept whatever order the loop gives to timers of the same instant.
        loop = asyncio.get_running_loop()
        self._queue.append(entry)
        if self._faults.max_delay_seconds > 0:
            self._next_due_at = max(
                self._next_due_at,
                loop.time() + self._faults.random_seconds(self._faults.max_delay_seconds),
            )
            loop.call_at(self._next_due_at, self._deliver_next)
        else:
            loop.call_soon(self._deliver_next)

    def _deliver_next(self) -> None:
        if not (self._is_open and self._queue):
            return
        entry = self._queue.popleft()
        if isinstance(entry, GapMarker):
            self._on_gap(entry.reason)
        else:
            self._on_item(entry)

    def disconnect(self) -> None:
        """Lose the messages in flight, and those sent until the reconnect."""
        self.is_subscribed = False
        self._queue.clear()

    def reconnect(self, reason: str) -> None:
        """Subscribe again, and report the gap before any later message."""
        self.is_subscribed = True
        self._push(GapMarker(reason))

    def close(self) -> None:
        """Stop: no callback is called from now on."""
        self._is_open = False
        self._queue.clear()


class MemoryConnection:
    """One process's connection to the server."""

    def __init__(self, server: ReachableServer, faults: Faults | None) -> None:
        self._server = server
        self.faults = NO_FAULTS if faults is None else faults
        self._queues: list[DeliveryQueue[Any]] = []
        self._is_severed = False
        self._is_closed = False
        server.attach(self)

    @property
    def is_up(self) -> bool:
        """Whether requests reach the server."""
        return self._server.is_up and not self._is_severed and not self._is_closed

    async def read(self, operation: Callable[[], T]) -> T:
        """Read from the server. Raises Unavailable."""
        self._begin_request()
        await self._network_delay()
        self._reach_server()
        result = operation()
        await self._network_delay()
        self._require_connected()
        return result

    async def write(self, operation: Callable[[], T]) -> T:
        """Store something on the server.

        Raises:
            Unavailable: nothing was stored.
            OutcomeUnknown: it was stored, or was not, or will be.
            LogError: as `operation` raises it.
        """
        self._begin_request()
        faults = self.faults
        if faults.occurs(faults.outage_rate):
            self._server.begin_outage(faults.random_seconds(faults.max_outage_seconds))
        await self._network_delay()
        if not self.is_up or faults.occurs(faults.lost_append_rate):
            raise await self._time_out()
        if faults.occurs(faults.late_append_rate):
            loop = asyncio.get_running_loop()
            loop.call_later(
                faults.max_timeout_seconds + faults.random_seconds(faults.max_late_seconds),
                self._execute_late,
                operation,
            )
            raise await self._time_out()
        self._reach_server()
        result = operation()
        await self._network_delay()
        if not self.is_up or faults.occurs(faults.lost_ack_rate):
            raise await self._time_out()
        return result

    def send(self, operation: Callable[[], object]) -> None:
        """Send without waiting. The message arrives later or is lost."""
        faults = self.faults
        if self.is_up and not faults.occurs(faults.lost_append_rate):
            self._reach_server()
            operation()

    def _execute_late(self, operation: Callable[[], object]) -> None:
        if not self._server.is_up:
            return
        try:
            operation()
        except LogError:
            return  # the caller has stopped waiting for the answer

    async def _time_out(self) -> OutcomeUnknown:
        await asyncio.sleep(self.faults.max_timeout_seconds)
        return OutcomeUnknown("no answer in time: read before deciding again")

    def _begin_request(self) -> None:
        self._require_connected()
        faults = self.faults
        if faults.occurs(faults.unavailable_rate):
            raise Unavailable("not connected at the moment: try again")
        if faults.occurs(faults.disconnect_rate):
            self.sever(faults.random_seconds(faults.max_outage_seconds))

    def _require_connected(self) -> None:
        if not self.is_up:
            raise Unavailable("the server is away: try again when it is back")

    def _reach_server(self) -> None:
        self._require_connected()
        for queue in self._queues:
            queue.is_subscribed = True

    async def _network_delay(self) -> None:
        await asyncio.sleep(self.faults.random_seconds(self.faults.max_delay_seconds))

    async def ensure_connected(self) -> None:
        """Raises Unavailable if a subscription cannot start now."""
        self._begin_request()
        await asyncio.sleep(0)
        self._require_connected()

    def subscribe(self, queue: DeliveryQueue[T]) -> None:
        """Register the subscription at the server, at the latest before the next request."""
        self._queues.append(queue)
        if not self.faults.max_delay_seconds:
            queue.is_subscribed = self.is_up
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(
                self.faults.random_seconds(self.faults.max_delay_seconds), self._activate, queue
            )

    def _activate(self, queue: DeliveryQueue[T]) -> None:
        if self.is_up:
            queue.is_subscribed = True

    def unsubscribe(self, queue: DeliveryQueue[T]) -> None:
        """Remove the subscription; no callback is called from now on."""
        queue.close()
        if queue in self._queues:
            self._queues.remove(queue)

    def sever(self, seconds: float) -> None:
        """Break the connection for `seconds`."""
        if self._is_severed or self._is_closed:
            return
        self._is_severed = True
        self.disconnect()
        asyncio.get_running_loop().call_later(seconds, self._end_sever)

    def _end_sever(self) -> None:
        self._is_severed = False
        self.reconnect()

    def disconnect(self) -> None:
        """Handle the loss of the server, or of the connection to it."""
        for queue in self._queues:
            queue.disconnect()

    def reconnect(self) -> None:
        """Reconnect if the server is up."""
        if self.is_up:
            for queue in self._queues:
                queue.reconnect("reconnected to the server")
            self._server.deliver_pending()

    def close(self) -> None:
        """Close the connection and all its subscriptions. Closing twice is harmless."""
        self._is_closed = True
        for queue in self._queues:
            queue.close()
        self._queues.clear()
        self._server.detach(self)


class MemorySubscription(Generic[T]):
    """A live subscription. `leave` removes it from the server."""

    def __init__(
        self, connection: MemoryConnection, queue: DeliveryQueue[T], unregister: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._unregister = unregister

    async def close(self) -> None:
        """As `Subscription.close`."""
        self._connection.unsubscribe(self._queue)
        self._unregister()
