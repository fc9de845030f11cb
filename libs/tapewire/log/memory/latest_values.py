"""`MemoryLatestValueStore`: one process's view of the values of a `MemoryServer`."""

from collections.abc import Callable, Mapping

from tapewire.log.bounds import Bounds
from tapewire.log.memory.connection import DeliveryQueue, MemoryConnection, MemorySubscription
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.server import MemoryServer
from tapewire.log.ports import Subscription
from tapewire.log.stored_value import StoredValue


class MemoryLatestValueStore:
    """The values below `prefix` in `stream`."""

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
        """As `LatestValueStore.put`."""
        await self._connection.write(lambda: self._server.put(self._store, key, data, ttl=ttl))

    async def put_all(
        self, values: Mapping[str, bytes], expected_revisions: Mapping[str, int] | None = None
    ) -> int:
        """As `LatestValueStore.put_all`."""
        expected = expected_revisions or {}
        return await self._connection.write(
            lambda: self._server.put_all(self._store, values, expected)
        )

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        """As `LatestValueStore.put_unacknowledged`."""
        self._connection.send(lambda: self._server.put(self._store, key, data))

    async def get(self, key: str) -> bytes | None:
        """As `LatestValueStore.get`."""
        return (await self.get_revision(key))[0]

    async def get_revision(self, key: str) -> tuple[bytes | None, int]:
        """As `LatestValueStore.get_revision`."""

        def arrive() -> tuple[bytes | None, int]:
            stored = self._server.values.get(self._store, {}).get(key)
            if stored is None:
                return None, 0
            faults = self._connection.faults
            index = -1 if faults.occurs(faults.stale_read_rate) else 0
            return stored[index], self._server.value_places[self._store, key][index][0]

        return await self._connection.read(arrive)

    async def pop(self, key: str) -> bytes | None:
        """As `LatestValueStore.pop`."""
        return await self._connection.write(lambda: self._server.pop(self._store, key))

    async def get_all(self) -> dict[str, bytes]:
        """As `LatestValueStore.get_all`."""
        return {key: value.data for key, value in (await self.read_all()).items()}

    async def read_all(self) -> dict[str, StoredValue]:
        """As `LatestValueStore.read_all`."""
        return await self._connection.read(self._replica_values)

    def _replica_values(self) -> dict[str, StoredValue]:
        """What the answering replica holds: the newest value of each key, or the one before."""
        faults, found = self._connection.faults, dict[str, StoredValue]()
        for key, stored in self._server.values.get(self._store, {}).items():
            index = -1 if faults.occurs(faults.stale_read_rate) else 0
            found[key] = StoredValue(
                stored[index], *self._server.value_places[self._store, key][index]
            )
        return found

    async def bounds(self) -> Bounds:
        """As `LatestValueStore.bounds`. All stores of a server share one order."""
        server = self._server
        return await self._connection.read(
            lambda: Bounds(epoch=server.values_epoch, first=1, last=server.last_revision)
        )

    async def subscribe(
        self, on_value: Callable[[str, StoredValue], None], on_gap: Callable[[str], None]
    ) -> Subscription:
        """As `LatestValueStore.subscribe`."""
        await self._connection.ensure_connected()
        queue = DeliveryQueue[tuple[str, StoredValue]](
            lambda item: on_value(*item), on_gap, self._connection.faults
        )
        self._server.subscribe_values(self._store, queue)
        self._connection.subscribe(queue)
        return MemorySubscription(
            self._connection, queue, lambda: self._server.unsubscribe_values(self._store, queue)
        )

    def kill(self) -> None:
        """Stop without notifying the server, like a killed process. No callback is called."""
        self._connection.close()
