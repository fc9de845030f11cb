"""The two implementations of the ports, with the operations that tests perform on their server."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec

from tapewire.log import EventLog, LatestValueStore, pattern
from tapewire.log.failed_event_store import FailedEventStore
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    provision,
)
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.streams import EVENTS, stream_configs
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.memory.connection import MemoryConnection
from tapewire.log.memory.failed_events import MemoryFailedEventStore
from tests.harness.nats_servers import NatsServer
from tests.harness.waiting import wait_until


class Backend(Protocol):
    """A new, empty log and a new, empty value store."""

    name: str

    async def event_log(self) -> EventLog:
        """The event log of a new process."""

    async def value_store(self) -> LatestValueStore:
        """The value store of a new process."""

    async def checkpoint_store(self) -> LatestValueStore:
        """The store of checkpoints, which takes several values as one batch."""

    async def failed_event_store(self) -> FailedEventStore:
        """The failed events of durable subscriptions, as a new process sees them."""

    async def trim(self, upto: int) -> None:
        """Remove the events up to and including `upto`."""

    async def remove_user(self, user: str) -> None:
        """Remove the events of `user`, as an erasure does."""

    async def recreate(self) -> None:
        """Delete the log and create it again."""

    def server_down(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Stop the server during the block; its clients detect the outage."""

    async def close(self) -> None: ...


async def wait_subscribed(connection: NatsConnection) -> None:
    """Wait until the server has processed all subscriptions of `connection`.

    The flush of nats-py is not sufficient, because its ping can overtake pending messages.
    """
    await connection.request("$JS.API.INFO")


class MemoryBackend:
    name = "memory"

    def __init__(self) -> None:
        self.server = MemoryServer()

    async def event_log(self) -> EventLog:
        return MemoryEventLog(self.server)

    async def value_store(self) -> LatestValueStore:
        return MemoryLatestValueStore(self.server)

    async def checkpoint_store(self) -> LatestValueStore:
        return MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view")

    async def failed_event_store(self) -> FailedEventStore:
        return MemoryFailedEventStore(
            MemoryConnection(self.server, None), self.server.failed_events
        )

    async def trim(self, upto: int) -> None:
        self.server.trim(upto)

    async def remove_user(self, user: str) -> None:
        self.server.remove_user(user)

    async def recreate(self) -> None:
        self.server.recreate()

    @contextlib.asynccontextmanager
    async def server_down(self) -> AsyncIterator[None]:
        self.server.stop()
        yield
        self.server.start()

    frozen = server_down

    async def close(self) -> None:
        pass


class JetStreamBackend:
    name = "jetstream"

    def __init__(self, broker: NatsServer) -> None:
        self._broker = broker
        self._connections: list[NatsConnection] = []

    async def open(self) -> None:
        """Remove the data of the previous test from the server."""
        self._operator_connection = await self.connect("operator")
        # The server removes the folder of the last stream while it creates the next stream there.
        # One permanent stream avoids that race.
        await self.request_api("STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept"]})
        await self._recreate_streams([configuration["name"] for configuration in stream_configs()])

    async def connect(self, name: str = "test") -> NatsConnection:
        """Open a connection that `close` closes."""
        connection = await connect(self._broker.url, name)
        self._connections.append(connection)
        return connection

    async def event_log(self) -> EventLog:
        return JetStreamEventLog(await self.connect())

    async def value_store(self) -> LatestValueStore:
        return JetStreamLatestValueStore(
            await self.connect(), stream="MARKET", prefix="px", live_prefix="live.px"
        )

    async def checkpoint_store(self) -> LatestValueStore:
        return JetStreamLatestValueStore(await self.connect(), stream="VIEWS", prefix="view")

    async def failed_event_store(self) -> FailedEventStore:
        return JetStreamFailedEventStore(await self.connect())

    async def request_api(self, verb: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request to the JetStream API, as an operator does."""
        answer = await self._operator_connection.request(
            f"$JS.API.{verb}", msgspec.json.encode(request or {})
        )
        decoded: dict[str, Any] = msgspec.json.decode(answer.data)
        return decoded

    async def provision(self) -> None:
        """Create the streams that do not exist."""
        await provision(self._operator_connection)

    async def trim(self, upto: int) -> None:
        await self.request_api(f"STREAM.PURGE.{EVENTS}", {"seq": upto + 1})

    async def remove_user(self, user: str) -> None:
        await self.request_api(f"STREAM.PURGE.{EVENTS}", {"filter": pattern(owner=user)})

    async def recreate(self) -> None:
        await self._recreate_streams([EVENTS])

    async def _recreate_streams(self, names: list[str]) -> None:
        """Delete the streams and create them again.

        The server answers before it deletes the files of a stream, and a new stream may then
        contain the messages of the old one (seen with 2.15.1). Repeat in that case.
        """
        for _ in range(10):
            for name in names:
                await self.request_api(f"STREAM.DELETE.{name}")
            await provision(self._operator_connection)
            made = [await self.request_api(f"STREAM.INFO.{name}") for name in names]
            if all(answer["state"]["last_seq"] == 0 for answer in made):
                return
        raise AssertionError(f"the server keeps what it should have deleted: {made}")

    @contextlib.asynccontextmanager
    async def server_down(self) -> AsyncIterator[None]:
        self._broker.kill()
        await self._all_connected(False)
        try:
            yield
        finally:
            self._broker.start()
            await self._all_connected(True)

    @contextlib.asynccontextmanager
    async def server_frozen(self) -> AsyncIterator[None]:
        self._broker.freeze()
        try:
            yield
        finally:
            self._broker.thaw()

    async def _all_connected(self, connected: bool) -> None:
        await wait_until(
            f"every connection {'is restored' if connected else 'noticed'}",
            lambda: all(connection.is_connected == connected for connection in self._connections),
            describe_last=lambda: [connection.is_connected for connection in self._connections],
        )

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
