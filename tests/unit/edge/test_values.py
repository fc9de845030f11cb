"""Declared values of other packages: a stream sends the newest of each key.

A value of the stream's own user takes precedence over the public value of the same key.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import CODEC, Delivery, Event, event
from tapewire.log import StoredValue, ValueKey
from tapewire.log.light_objects import ExitList
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime import Settings
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_info import ConnectionInfo, StreamContent
from tapewire_services.edge.delivery.outbox import FlushClock, Outbox
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.engine import Engine
from tests.harness.erasures import append_erasure
from tests.harness.simulated_edge import no_bars


@event("edgetest.rate", delivery=Delivery.NEWEST_WINS, sse="edgetest:rate")
class Rate(Event, frozen=True, kw_only=True):
    percent: Decimal


@event("edgetest.other", delivery=Delivery.NEWEST_WINS, sse="edgetest:other")
class Other(Event, frozen=True, kw_only=True):
    percent: Decimal


RATE, OTHER = "edgetest.rate.v1", "edgetest.other.v1"


class ValueHarness:
    """A value store, and an engine that sends its values; only its declared values run."""

    def __init__(self, store_type: type[MemoryLatestValueStore] = MemoryLatestValueStore) -> None:
        self.server = MemoryServer()
        self.values = MemoryLatestValueStore(self.server, prefix="val")
        self.engine = Engine(
            instance="edge",
            log=MemoryEventLog(self.server),
            views=MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view"),
            quotes=MemoryLatestValueStore(self.server),
            user_valuations=lambda user: MemoryLatestValueStore(self.server, prefix=f"mk.{user}"),
            declared_values=store_type(self.server, prefix="val"),
            get_newest_bars=no_bars,
            settings=msgspec.structs.replace(Settings(), flush_ms=1),
            now=lambda: datetime.now(UTC),
            seed=1,
        )

    @contextmanager
    def subscribe(self, connection: Connection) -> Iterator[None]:
        """Subscribe `connection` to the values of its route during the block."""
        live_values = self.engine.stream_service.parts.live_values
        with ExitList() as joined:
            live_values.subscribe(connection, ValueSubscription(None, 10.0), joined)
            yield

    async def put(self, owner: str, percent: int, entity: str = "x", tag: str = RATE) -> None:
        key = ValueKey(owner, tag, entity)
        await self.values.put(str(key), CODEC.encode(Rate(percent=Decimal(percent))))

    def connection(self, owner: str | None, *tags: str) -> Connection:
        route = msgspec.structs.replace(STREAM_ROUTES[0], declared_value_tags=frozenset(tags))
        info = ConnectionInfo(
            client_id="c",
            route=route,
            content=StreamContent(topics=route.topics, values=ValueSubscription(None, 10.0)),
            owner=owner,
            correlation="c",
        )
        return Connection(info, Outbox(FlushClock(0.001), 8, 1 << 16), 0.0, lambda: None)


async def read_values(connection: Connection) -> list[int]:
    """Return the values that are pending in the outbox of the connection."""
    connection.outbox.interrupt()
    frames = (await connection.outbox.next_chunk()).split(b"\n\n")
    assert all(b"\nid:" not in frame for frame in frames)
    return [int(frame.split(b'"percent":')[1].split(b"}")[0]) for frame in frames if frame]


@pytest.fixture
async def harness() -> AsyncIterator[ValueHarness]:
    made = ValueHarness()
    running = asyncio.create_task(made.engine.declared_values.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def waits(connection: Connection, number: int) -> list[int]:
    """Return the next `number` values that the connection receives, in order."""
    found: list[int] = []
    async with asyncio.timeout(60):
        while len(found) < number:
            found += await read_values(connection)
            await asyncio.sleep(0.001)
    return found


async def until_seen(connection: Connection, percent: int) -> None:
    while percent not in await waits(connection, 1):
        pass


async def test_a_connection_receives_the_current_values_and_then_new_ones(
    harness: ValueHarness,
) -> None:
    await harness.put("alice", 1)
    await harness.put("bob", 2)
    await harness.put("_all", 3, "y")
    alice = harness.connection("alice", RATE)
    await asyncio.sleep(0)
    with harness.subscribe(alice):
        assert sorted(await waits(alice, 2)) == [1, 3]
        await harness.put("alice", 4)
        assert await waits(alice, 1) == [4]
        await harness.put("bob", 5)
        await harness.put("_all", 6, "y")
        assert await waits(alice, 1) == [6]
    witness = harness.connection("alice", RATE)
    with harness.subscribe(witness):
        await harness.put("alice", 7)
        await until_seen(witness, 7)
    assert await read_values(alice) == []


async def test_only_types_of_the_route_are_sent(harness: ValueHarness) -> None:
    one, both = harness.connection("alice", OTHER), harness.connection("alice", RATE, OTHER)
    with harness.subscribe(one), harness.subscribe(both):
        await harness.put("alice", 1)
        await harness.put("alice", 2, tag=OTHER)
        assert await waits(one, 1) == [2]
        assert sorted(await waits(both, 2)) == [1, 2]


async def test_a_users_own_value_replaces_the_public_value(harness: ValueHarness) -> None:
    await harness.put("_all", 1)
    await harness.put("alice", 2)
    alice, bob = harness.connection("alice", RATE), harness.connection("bob", RATE)
    await asyncio.sleep(0)
    with harness.subscribe(alice), harness.subscribe(bob):
        assert await waits(alice, 1) == [2]
        assert await waits(bob, 1) == [1]


async def test_the_values_of_an_erased_user_are_shown_no_more(harness: ValueHarness) -> None:
    tail_task = asyncio.create_task(harness.engine.log_tail.run())
    await harness.engine.log_tail.ready.wait()
    await harness.put("alice", 1)
    await harness.put("bob", 2)
    before = harness.connection("alice", RATE)
    with harness.subscribe(before):
        assert await waits(before, 1) == [1]
        await harness.put("alice", 3)
        await append_erasure(MemoryEventLog(harness.server), "alice")
        await asyncio.sleep(0.01)
    await harness.values.pop(str(ValueKey("alice", RATE, "x")))
    alice, bob = harness.connection("alice", RATE), harness.connection("bob", RATE)
    with harness.subscribe(alice), harness.subscribe(bob):
        assert await waits(bob, 1) == [2]
        await asyncio.sleep(0.01)
        assert await read_values(alice) == []
        await harness.put("alice", 3)
        assert await waits(alice, 1) == [3]
    tail_task.cancel()


async def test_an_unreadable_value_is_skipped(harness: ValueHarness) -> None:
    alice = harness.connection("alice", RATE)
    with harness.subscribe(alice):
        await harness.values.put("alice.x", b"{}")
        await harness.values.put(str(ValueKey("alice", "edgetest.rate.v9", "x")), b"{}")
        await harness.values.put(str(ValueKey("alice", RATE, "x")), b'{"percent":"much"}')
        await harness.put("alice", 5)
        assert await waits(alice, 1) == [5]


async def test_a_live_value_is_not_replaced_by_an_older_read_value() -> None:
    """Reading all values takes time. A read value must not replace a newer live value."""

    class Slow(MemoryLatestValueStore):
        async def read_all(self) -> dict[str, StoredValue]:
            found = await super().read_all()
            reading.set()
            await released.wait()
            return found

    reading, released = asyncio.Event(), asyncio.Event()
    harness = ValueHarness(Slow)
    await harness.put("alice", 1)
    running = asyncio.create_task(harness.engine.declared_values.run())
    await reading.wait()
    alice = harness.connection("alice", RATE)
    with harness.subscribe(alice):
        await harness.put("alice", 2)
        assert await waits(alice, 1) == [2]
        released.set()
        await asyncio.sleep(0)
        await harness.put("alice", 3, "z")
        assert await waits(alice, 1) == [3]
        late = harness.connection("alice", RATE)
        with harness.subscribe(late):
            assert await waits(late, 2) == [2, 3]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_values_are_read_again_after_a_gap(harness: ValueHarness) -> None:
    alice = harness.connection("alice", RATE)
    with harness.subscribe(alice):
        await harness.put("alice", 1)
        assert await waits(alice, 1) == [1]
        harness.server.stop()
        key = str(ValueKey("alice", RATE, "x"))
        harness.server.put("MARKET/val", key, b'{"percent":2}')
        harness.server.start()
        assert await waits(alice, 1) == [2]
