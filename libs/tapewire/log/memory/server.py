"""What outlives the processes: one stored stream of events, the values, the durable reactions.

Give the same `MemoryServer` to the logs of "processes" that come and go. Everything here happens
at once, in one step of the loop; what takes time or goes wrong is in `connection`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tapewire.log.memory.connection import DeliveryQueue, MemoryConnection
from tapewire.log.memory.durable import MemoryDurableConsumer
from tapewire.log.memory.journal import Journal, index_keys, is_indexed
from tapewire.log.ports import EventDraft, RecordedEvent
from tapewire.log.subjects import matches

ACK_WAIT_SECONDS = 30.0
"""After this long without an acknowledgement an event is handed out again."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryServer:
    """A server in memory. `now` gives the times that events are stamped with."""

    def __init__(
        self, now: Callable[[], datetime] = utc_now, ack_wait_seconds: float = ACK_WAIT_SECONDS
    ) -> None:
        self._now = now
        self._incarnation = 1
        self._connections: list[MemoryConnection] = []
        self._queues: dict[str, list[DeliveryQueue[RecordedEvent]]] = {}
        self._value_queues: dict[str, list[DeliveryQueue[tuple[str, bytes]]]] = {}
        self.is_up = True
        self.ack_wait_seconds = ack_wait_seconds
        self.journal = Journal("m1")
        self.values: dict[str, dict[str, list[bytes]]] = {}
        """By store, then by key: the newest value first, then the one that it replaced."""
        self.durable_consumers: dict[str, MemoryDurableConsumer] = {}

    def attach(self, connection: MemoryConnection) -> None:
        self._connections.append(connection)

    def detach(self, connection: MemoryConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def append(self, drafts: Sequence[EventDraft], payloads: Sequence[bytes]) -> int:
        """Admit, store and send to whoever listens; the sequence of the last one.

        Raises:
            Conflict, AlreadyStored: nothing was stored.
        """
        at = asyncio.get_running_loop().time()
        self.journal.check_append(drafts, at)
        for recorded in self.journal.store(drafts, payloads, at, self._now()):
            for feed in self._matching_queues(recorded.subject):
                feed.offer(recorded)
        self.deliver_pending()
        return self.journal.last

    def _matching_queues(self, subject: str) -> list[DeliveryQueue[RecordedEvent]]:
        feeds = [*self._queues.get("ev.>", ())]
        for key in index_keys(subject):
            feeds += self._queues.get(key, ())
        for filter_, others in self._queues.items():
            if filter_ != "ev.>" and not is_indexed(filter_) and matches(filter_, subject):
                feeds += others
        return feeds

    def subscribe(self, filter_: str, queue: DeliveryQueue[RecordedEvent]) -> None:
        """Send what `filter_` takes to `feed` from now on."""
        self._queues.setdefault(filter_, []).append(queue)

    def unsubscribe(self, filter_: str, queue: DeliveryQueue[RecordedEvent]) -> None:
        """The opposite of `listen`."""
        feeds = self._queues.get(filter_, [])
        if queue in feeds:
            feeds.remove(queue)
        if not feeds:
            self._queues.pop(filter_, None)

    def put(self, store: str, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """Store a value, for `ttl` seconds or for good, and send it to whoever listens."""
        kept = self.values.setdefault(store, {})
        kept[key] = [data, *kept.get(key, ())[:1]]
        for feed in self._value_queues.get(store, ()):
            feed.offer((key, data))
        if ttl is not None:
            asyncio.get_running_loop().call_later(ttl, self._expire, store, key, kept[key])

    def _expire(self, store: str, key: str, value: list[bytes]) -> None:
        if self.values[store].get(key) is value:
            del self.values[store][key]

    def pop(self, store: str, key: str) -> bytes | None:
        """The newest value of `key`, removed; None when there is none."""
        kept = self.values.get(store, {}).pop(key, None)
        return None if kept is None else kept[0]

    def subscribe_values(self, store: str, queue: DeliveryQueue[tuple[str, bytes]]) -> None:
        """Send the values of `store` to `feed` from now on."""
        self._value_queues.setdefault(store, []).append(queue)

    def unsubscribe_values(self, store: str, queue: DeliveryQueue[tuple[str, bytes]]) -> None:
        """The opposite of `listen_values`."""
        if queue in self._value_queues.get(store, ()):
            self._value_queues[store].remove(queue)

    def durable_consumer(self, name: str, filter_: str) -> MemoryDurableConsumer:
        """The durable reaction of that name, made when it is not there yet."""
        if name not in self.durable_consumers:
            self.durable_consumers[name] = MemoryDurableConsumer(self, filter_)
        return self.durable_consumers[name]

    def stop(self) -> None:
        """Go away: every connection breaks."""
        if self.is_up:
            self.is_up = False
            for connection in [*self._connections]:
                connection.disconnect()

    def start(self) -> None:
        """Be there again, with all that was stored."""
        if not self.is_up:
            self.is_up = True
            for connection in [*self._connections]:
                connection.reconnect()

    def begin_outage(self, seconds: float) -> None:
        """Be away for `seconds`; nothing when away already."""
        if self.is_up:
            self.stop()
            asyncio.get_running_loop().call_later(seconds, self.start)

    def recreate(self) -> None:
        """Lose the log, as when its stream is deleted and made anew: another epoch, from 1."""
        self._incarnation += 1
        self.journal = Journal(f"m{self._incarnation}")
        for reaction in self.durable_consumers.values():
            reaction.reset()

    def trim(self, upto: int) -> None:
        """Forget the events up to and including `upto`."""
        self.journal.trim(upto)

    def deliver_pending(self) -> None:
        """Hand out what reactions wait for."""
        for reaction in self.durable_consumers.values():
            reaction.deliver_pending()
