"""The server in memory: the journal, the newest values and the durable consumers.

It outlives processes: give one `MemoryServer` to the logs of processes that come and go. Everything
here happens in one step of the loop; delays and faults are in `connection`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from tapewire.log.memory.connection import DeliveryQueue, MemoryConnection
from tapewire.log.memory.durable import MemoryDurableConsumer
from tapewire.log.memory.failed_events import FailedEventTable
from tapewire.log.memory.journal import Journal, index_keys, is_indexed
from tapewire.log.ports import AppendRejected, Conflict, EventDraft, RecordedEvent
from tapewire.log.stored_value import StoredValue
from tapewire.log.subjects import encode_token, matches

ACK_WAIT_SECONDS = 30.0
"""The time after which an unacknowledged event is delivered again."""
MAX_PAYLOAD_BYTES = 1 << 20
"""The largest message that a server accepts, headers included (its default)."""

EPOCH_START = datetime.fromtimestamp(0, UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryServer:
    """A server in memory. `now` stamps the events."""

    def __init__(
        self, now: Callable[[], datetime] = utc_now, ack_wait_seconds: float = ACK_WAIT_SECONDS
    ) -> None:
        self._now = now
        self._incarnation = 1
        self._connections: list[MemoryConnection] = []
        self._queues: dict[str, list[DeliveryQueue[RecordedEvent]]] = {}
        self._value_queues: dict[str, list[DeliveryQueue[tuple[str, StoredValue]]]] = {}
        self.is_up = True
        self.ack_wait_seconds = ack_wait_seconds
        self.journal = Journal("m1")
        self.values: dict[str, dict[str, list[bytes]]] = {}
        """By store, then by key: the newest value, then the one that it replaced."""
        self.value_places: dict[tuple[str, str], list[tuple[int, datetime]]] = {}
        """The revisions of `values`, and when each was stored."""
        self.last_revision = 0
        self.values_epoch = "v1"
        self.durable_consumers: dict[str, MemoryDurableConsumer] = {}
        self.failed_events = FailedEventTable()

    def attach(self, connection: MemoryConnection) -> None:
        self._connections.append(connection)

    def detach(self, connection: MemoryConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def append(self, drafts: Sequence[EventDraft], payloads: Sequence[bytes]) -> int:
        """Check, store and send to the subscribers; the sequence of the last event.

        Raises:
            Conflict, AlreadyStored: nothing was stored.
        """
        at = asyncio.get_running_loop().time()
        self.journal.check_append(drafts, at)
        for recorded in self.journal.store(drafts, payloads, at, self._now()):
            for queue in self._matching_queues(recorded.subject):
                queue.offer(recorded)
        self.deliver_pending()
        return self.journal.last

    def _matching_queues(self, subject: str) -> list[DeliveryQueue[RecordedEvent]]:
        queues = [*self._queues.get("ev.>", ())]
        for key in index_keys(subject):
            queues += self._queues.get(key, ())
        for filter_, others in self._queues.items():
            if filter_ != "ev.>" and not is_indexed(filter_) and matches(filter_, subject):
                queues += others
        return queues

    def subscribe(self, filter_: str, queue: DeliveryQueue[RecordedEvent]) -> None:
        """Send events that match `filter_` to `queue` from now on."""
        self._queues.setdefault(filter_, []).append(queue)

    def unsubscribe(self, filter_: str, queue: DeliveryQueue[RecordedEvent]) -> None:
        """Undo `subscribe`."""
        queues = self._queues.get(filter_, [])
        if queue in queues:
            queues.remove(queue)
        if not queues:
            self._queues.pop(filter_, None)

    def put(self, store: str, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """Store a value, for `ttl` seconds or for good, and send it to the subscribers. Raises
        AppendRejected if it is larger than a message may be."""
        if len(data) > MAX_PAYLOAD_BYTES:
            raise AppendRejected(f"{len(data)} bytes are more than the server takes")
        stored = self.values.setdefault(store, {})
        stored[key] = [data, *stored.get(key, ())[:1]]
        self.last_revision += 1
        place = self.last_revision, self._now()
        before = self.value_places.get((store, key), [])[:1]
        self.value_places[store, key] = [place, *before][: len(stored[key])]
        for queue in self._value_queues.get(store, ()):
            queue.offer((key, StoredValue(data, *place)))
        if ttl is not None:
            asyncio.get_running_loop().call_later(ttl, self._expire, store, key, stored[key])

    def put_all(
        self, store: str, values: Mapping[str, bytes], expected_revisions: Mapping[str, int]
    ) -> int:
        """Store several values or none; the revision of the last one. Raises Conflict or
        AppendRejected."""
        for key, revision in expected_revisions.items():
            found = self.value_places.get((store, key), [(0, EPOCH_START)])[0][0]
            if found != revision:
                raise Conflict(f"{key} is at revision {found}, expected at {revision}")
        if any(len(data) > MAX_PAYLOAD_BYTES for data in values.values()):
            raise AppendRejected("a value is larger than the server takes")
        for key, data in values.items():
            self.put(store, key, data)
        return self.last_revision

    def _expire(self, store: str, key: str, value: list[bytes]) -> None:
        if self.values[store].get(key) is value:
            del self.values[store][key]
            self.value_places.pop((store, key), None)

    def pop(self, store: str, key: str) -> bytes | None:
        """Remove and return the newest value of `key`; None if there is none."""
        self.value_places.pop((store, key), None)
        stored = self.values.get(store, {}).pop(key, None)
        return None if stored is None else stored[0]

    def subscribe_values(self, store: str, queue: DeliveryQueue[tuple[str, StoredValue]]) -> None:
        """Send the values of `store` to `queue` from now on."""
        self._value_queues.setdefault(store, []).append(queue)

    def unsubscribe_values(self, store: str, queue: DeliveryQueue[tuple[str, StoredValue]]) -> None:
        """Undo `subscribe_values`."""
        if queue in self._value_queues.get(store, ()):
            self._value_queues[store].remove(queue)

    def durable_consumer(
        self, name: str, filter_: str, *, in_order: bool = False
    ) -> MemoryDurableConsumer:
        """The durable consumer `name`, created if it does not exist."""
        if name not in self.durable_consumers:
            self.durable_consumers[name] = MemoryDurableConsumer(self, filter_, in_order=in_order)
        return self.durable_consumers[name]

    def stop(self) -> None:
        """Stop: every connection breaks."""
        if self.is_up:
            self.is_up = False
            for connection in [*self._connections]:
                connection.disconnect()

    def start(self) -> None:
        """Start again with everything that was stored."""
        if not self.is_up:
            self.is_up = True
            for connection in [*self._connections]:
                connection.reconnect()

    def begin_outage(self, seconds: float) -> None:
        """Stop for `seconds`. No effect if the server is stopped already."""
        if self.is_up:
            self.stop()
            asyncio.get_running_loop().call_later(seconds, self.start)

    def recreate(self) -> None:
        """Lose the log, as if its stream was deleted and created again: another epoch, from
        sequence 1."""
        self._incarnation += 1
        self.journal = Journal(f"m{self._incarnation}")
        for consumer in self.durable_consumers.values():
            consumer.reset()

    def recreate_values(self) -> None:
        """Lose all values, as if their streams were made anew: another epoch, from revision 1."""
        self._incarnation += 1
        self.values_epoch = f"v{self._incarnation}"
        self.last_revision = 0
        self.values.clear()
        self.value_places.clear()

    def trim(self, upto: int) -> None:
        """Forget the events up to and including `upto`."""
        self.journal.trim(upto)

    def remove_user(self, user: str) -> None:
        """Forget the events of `user`, as an erasure does."""
        self.journal.remove_owner(encode_token(user))

    def deliver_pending(self) -> None:
        """Deliver what the durable consumers hold."""
        for consumer in self.durable_consumers.values():
            consumer.deliver_pending()
