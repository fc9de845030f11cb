"""What a connection costs the edge in memory, everything of its process included.

Idle ones are each of another user; on a stream with positions, whose values are followed by a NATS
subscription for each user, they are at their most expensive. Busy ones: gzip, of users to whom all
kinds of things happen, while quotes and valuations go along. `SHORT=1`: few idle ones, of
the expensive kind.
"""

import asyncio
import contextlib
import random
import resource
import sys
from collections.abc import Iterator

import pytest

from tapewire.log.jetstream import connect
from tests.broker import LocalBroker
from tests.integration.edge.gauges import Gauges
from tests.integration.edge.house import Edge
from tests.soak.plan import SHORT
from tests.soak.visitors import read_the_past
from tests.soak.visits import Street
from tests.soak.world import USERS, World

IDLE = 500 if SHORT else 10_000
IDLE_BYTES = {"/api/stream/orders": 40 * 1024, "/api/stream/trading": 40 * 1024}
SHARE_BYTES = 16 * 1024 if SHORT else 0
"""Of few connections each bears more of what is paid once."""
BUSY = 100
BUSY_BYTES = 10_000_000
HAPPENINGS = 500 if SHORT else 4000
LOOK_HAPPENINGS = 250
OPENING_AT_ONCE = 50
LIVE_SECONDS = 120.0
BUSY_PATH = "/api/stream/trading"
KIB = 1024


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as are allowed: both ends of 10,000 connections are held."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 200:
        pytest.skip(f"{IDLE:,} connections need more descriptors than the {hard:,} allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def _living(edge, broker):
    """A street to an edge that remembers as much as it ever does."""
    wire = await connect(broker.url, "cost")
    rng = random.Random(1)
    world = World(wire, rng)
    street = Street(edge.port, world, rng)
    try:
        await world.begin()
        await read_the_past(street)
        yield street
    finally:
        await wire.close()


async def _open(street, path: str, users, *lines):
    """A stream for each of `users`, whose opening has come."""
    at_once = asyncio.Semaphore(OPENING_AT_ONCE)

    async def one(user: str):
        async with at_once:
            request = street.request("GET", path, f"X-User-ID: {user}", *lines)
            caller = await street.call(request)
            assert await caller.answered() == 200, caller.text
            await caller.some(1, 60)
            return caller

    return await asyncio.gather(*(one(user) for user in users))


async def _all_live(gauges, count: int) -> None:
    """Opened, known what they hold, and given their snapshots."""
    deadline = asyncio.get_running_loop().time() + LIVE_SECONDS
    while (live := await gauges.live()) < count:
        assert asyncio.get_running_loop().time() < deadline, f"{live} of {count} are live"
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("path", [*IDLE_BYTES][-1:] if SHORT else IDLE_BYTES)
async def test_an_idle_connection(patient: tuple[Edge, LocalBroker], path: str) -> None:
    edge, broker = patient
    async with _living(edge, broker) as street:
        gauges = Gauges(edge, broker)
        before = await gauges.sample()
        callers = await _open(street, path, [f"idle-{number}" for number in range(IDLE)])
        await _all_live(gauges, IDLE)
        after = await gauges.sample()
        assert not any(caller.ended for caller in callers)
        each = (after.rss - before.rss) * KIB / IDLE
        sys.stdout.write(f"\n{IDLE:,} idle on {path}: {each:,.0f} bytes each\n")
        for caller in callers:
            caller.leave(street.rng)
    assert each < IDLE_BYTES[path] + SHARE_BYTES


async def test_a_hundred_busy_ones(patient: tuple[Edge, LocalBroker]) -> None:
    edge, broker = patient
    async with _living(edge, broker) as street:
        gauges = Gauges(edge, broker)
        before, most = await gauges.sample(), 0.0
        users = [USERS[number % len(USERS)] for number in range(BUSY)]
        callers = await _open(street, BUSY_PATH, users, "Accept-Encoding: gzip")
        await _all_live(gauges, BUSY)
        for number in range(HAPPENINGS):
            await street.world.go_on()
            if number % LOOK_HAPPENINGS == LOOK_HAPPENINGS - 1:
                most = max(most, (await gauges.sample()).rss - before.rss)
        received = sum(caller.received for caller in callers)
        assert not any(caller.ended for caller in callers)
        sys.stdout.write(f"\n{BUSY} busy ones: {most:,.0f} KiB, {received:,} bytes sent\n")
        for caller in callers:
            caller.leave(street.rng)
    assert most * KIB < BUSY_BYTES
