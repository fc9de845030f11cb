"""Newest-wins values as one process sees them: `MemoryValues`, a `Values` over a `MemoryServer`."""

from collections.abc import Callable

from tapewire.log.memory.connection import DeliveryQueue, MemoryConnection, MemorySubscription
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.server import MemoryServer
from tapewire.log.ports import Subscription


class MemoryLatestValueStore:
    """One process's values below `prefix` of `stream`."""

    def __init__(
        self,
        server: MemoryServer,
        faults: Faults | None = None,
        *,
        stream: str = "MARKET",
        prefix: str = "px",
    ) -> None:
        self._server = server
        self._connection = MemoryConnection(server, faults)
        self._store = f"{stream}/{prefix}"

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """As `Values.put`."""
        await self._connection.write(lambda: self._server.put(self._store, key, data, ttl=ttl))

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        """As `Values.post`."""
        self._connection.send(lambda: self._server.put(self._store, key, data))

    async def get(self, key: str) -> bytes | None:
        """As `Values.get`."""
        return await self._connection.read(lambda: self._replica_values().get(key))

    async def pop(self, key: str) -> bytes | None:
        """As `Values.take`."""
        return await self._connection.write(lambda: self._server.pop(self._store, key))

    async def get_all(self) -> dict[str, bytes]:
        """As `Values.all`."""
        return await self._connection.read(self._replica_values)

    def _replica_values(self) -> dict[str, bytes]:
        """What the replica that answers has: of every key the newest value, or the one before."""
        faults = self._connection.faults
        return {
            key: kept[-1] if faults.occurs(faults.stale_read_rate) else kept[0]
            for key, kept in self._server.values.get(self._store, {}).items()
        }

    async def subscribe(
        self, on_value: Callable[[str, bytes], None], on_gap: Callable[[str], None]
    ) -> Subscription:
        """As `Values.live`."""
        await self._connection.ensure_connected()
        feed = DeliveryQueue[tuple[str, bytes]](
            lambda item: on_value(*item), on_gap, self._connection.faults
        )
        self._server.subscribe_values(self._store, feed)
        self._connection.subscribe(feed)
        return MemorySubscription(
            self._connection, feed, lambda: self._server.unsubscribe_values(self._store, feed)
        )

    def kill(self) -> None:
        """The process dies: nothing is called back."""
        self._connection.close()
