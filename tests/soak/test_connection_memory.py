"""The memory that a connection costs the edge, with everything of its process included.

Each idle connection belongs to another user. A stream with positions is the most expensive one,
because each user has a NATS subscription for their valuations. The busy connections use gzip; their
users receive events of all kinds, and quotes and valuations change meanwhile. `SHORT=1` opens only
a few idle connections, of the expensive kind.
"""

import asyncio
import contextlib
import random
import resource
import sys
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from tapewire.log.jetstream import connect
from tests.harness.edge import EdgeProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.resource_monitor import ResourceMonitor
from tests.soak.client import RawHttpConnection
from tests.soak.event_producer import USERS, SoakEventProducer
from tests.soak.load_generator import fill_and_read_history
from tests.soak.plan import IS_SHORT
from tests.soak.scenarios import SoakHttpClient

IDLE_CONNECTION_COUNT = 500 if IS_SHORT else 10_000
MAX_IDLE_CONNECTION_BYTES = {"/api/stream/orders": 40 * 1024, "/api/stream/trading": 44 * 1024}
FIXED_COST_BYTES = 16 * 1024 if IS_SHORT else 0
"""With few connections each bears a larger share of the fixed cost."""
BUSY_CONNECTION_COUNT = 100
MAX_BUSY_CONNECTION_BYTES = 10_000_000
EVENT_COUNT = 500 if IS_SHORT else 4000
EVENTS_PER_SAMPLE = 250
CONCURRENT_OPENS = 50
LIVE_TIMEOUT_SECONDS = 120.0
BUSY_PATH = "/api/stream/trading"
KIB = 1024


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Raise the descriptor limit, because the test holds both ends of 10,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE_CONNECTION_COUNT + 200:
        pytest.skip(
            f"{IDLE_CONNECTION_COUNT:,} connections need more descriptors "
            f"than the {hard:,} allowed here"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def _edge_with_full_buffer(
    edge: EdgeProcess, nats_server: LocalNatsServer
) -> AsyncIterator[SoakHttpClient]:
    """Yield a client of an edge whose memory of recent events is full."""
    connection = await connect(nats_server.url, "cost")
    rng = random.Random(1)
    world = SoakEventProducer(connection, rng)
    street = SoakHttpClient(edge.port, world, rng)
    try:
        await world.append_initial_state()
        await fill_and_read_history(street)
        yield street
    finally:
        await connection.close()


async def _open_streams(
    http_client: SoakHttpClient, path: str, users: Sequence[str], *header_lines: str
) -> list[RawHttpConnection]:
    """Open a stream for each of `users` and read its opening."""
    at_once = asyncio.Semaphore(CONCURRENT_OPENS)

    async def one(user: str) -> RawHttpConnection:
        async with at_once:
            request = http_client.build_request("GET", path, f"X-User-ID: {user}", *header_lines)
            caller = await http_client.send(request)
            assert await caller.wait_for_status() == 200, caller.body_head
            await caller.read_some(1, 60)
            return caller

    return await asyncio.gather(*(one(user) for user in users))


async def _wait_until_all_live(gauges: ResourceMonitor, count: int) -> None:
    """Wait until `count` streams are open and have received their snapshots."""
    deadline = asyncio.get_running_loop().time() + LIVE_TIMEOUT_SECONDS
    while (live := await gauges.count_live_streams()) < count:
        assert asyncio.get_running_loop().time() < deadline, f"{live} of {count} are live"
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize(
    "path", [*MAX_IDLE_CONNECTION_BYTES][-1:] if IS_SHORT else MAX_IDLE_CONNECTION_BYTES
)
async def test_memory_of_an_idle_connection_is_bounded(
    edge_with_defaults: tuple[EdgeProcess, LocalNatsServer], path: str
) -> None:
    edge, broker = edge_with_defaults
    async with _edge_with_full_buffer(edge, broker) as street:
        gauges = ResourceMonitor(edge, broker)
        before = await gauges.sample()
        callers = await _open_streams(
            street, path, [f"idle-{number}" for number in range(IDLE_CONNECTION_COUNT)]
        )
        await _wait_until_all_live(gauges, IDLE_CONNECTION_COUNT)
        after = await gauges.sample()
        assert not any(caller.is_ended for caller in callers)
        each = (after.rss - before.rss) * KIB / IDLE_CONNECTION_COUNT
        sys.stdout.write(f"\n{IDLE_CONNECTION_COUNT:,} idle on {path}: {each:,.0f} bytes each\n")
        for caller in callers:
            caller.disconnect(street.rng)
    assert each < MAX_IDLE_CONNECTION_BYTES[path] + FIXED_COST_BYTES


async def test_memory_of_a_hundred_busy_connections_is_bounded(
    edge_with_defaults: tuple[EdgeProcess, LocalNatsServer],
) -> None:
    edge, broker = edge_with_defaults
    async with _edge_with_full_buffer(edge, broker) as street:
        gauges = ResourceMonitor(edge, broker)
        before, most = await gauges.sample(), 0.0
        users = [USERS[number % len(USERS)] for number in range(BUSY_CONNECTION_COUNT)]
        callers = await _open_streams(street, BUSY_PATH, users, "Accept-Encoding: gzip")
        await _wait_until_all_live(gauges, BUSY_CONNECTION_COUNT)
        for number in range(EVENT_COUNT):
            await street.producer.append_next_event()
            if number % EVENTS_PER_SAMPLE == EVENTS_PER_SAMPLE - 1:
                most = max(most, (await gauges.sample()).rss - before.rss)
        received = sum(caller.received_bytes for caller in callers)
        assert not any(caller.is_ended for caller in callers)
        sys.stdout.write(
            f"\n{BUSY_CONNECTION_COUNT} busy ones: {most:,.0f} KiB, {received:,} bytes sent\n"
        )
        for caller in callers:
            caller.disconnect(street.rng)
    assert most * KIB < MAX_BUSY_CONNECTION_BYTES
