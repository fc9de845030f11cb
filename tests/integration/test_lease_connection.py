"""Leases have a NATS connection of their own.

A connection that is busy with a large transfer, or whose reader is slow, costs no lease. A process
whose other connection is gone gives its leases up, because it can do nothing with them.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.log.jetstream import JetStreamLatestValueStore, connect
from tapewire.log.jetstream.streams import LEASES
from tapewire.runtime.leases import LEASE_TTL_SECONDS
from tapewire_services.orders.broker_runner import LEASE
from tests.harness.edge import Harness, ManagedService
from tests.harness.nats_link import NatsLink, run_nats_link
from tests.harness.waiting import wait_until, wait_until_async

WORK_CONNECTION = "tapewire orders"
LEASE_CONNECTION = "tapewire orders leases"
STALL_SECONDS = LEASE_TTL_SECONDS + 1.5
FLOOD_MESSAGE = b"x" * 4096
FLOOD_BATCH_MESSAGES = 500


@pytest.fixture
async def link(isolated_harness: Harness) -> AsyncIterator[NatsLink]:
    async with run_nats_link(isolated_harness.broker.url) as link:
        yield link


@pytest.fixture
async def holder(isolated_harness: Harness, link: NatsLink) -> ManagedService:
    """The process that holds the broker's lease, over the link. Another one stands by."""
    holder = await _start_orders(isolated_harness, link.url, "holder")
    await _wait_held_by(isolated_harness, "holder")
    await _start_orders(isolated_harness, isolated_harness.broker.url, "standby")
    return holder


async def test_a_stalled_transfer_costs_no_lease(
    isolated_harness: Harness, link: NatsLink, holder: ManagedService
) -> None:
    link.stall(WORK_CONNECTION)
    await asyncio.sleep(STALL_SECONDS)  # longer than a lease lives
    await _check_kept(isolated_harness, holder)
    link.resume(WORK_CONNECTION)
    await _check_kept(isolated_harness, holder)


@pytest.mark.slow
async def test_a_flood_that_the_service_reads_slowly_costs_no_lease(
    isolated_harness: Harness, holder: ManagedService
) -> None:
    """The messages are no quotes, so each costs the service a log line."""
    connection = await connect(isolated_harness.broker.url, "flood")
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + STALL_SECONDS
    while loop.time() < ends_at:
        for _ in range(FLOOD_BATCH_MESSAGES):
            await connection.publish("live.px.FLOOD", FLOOD_MESSAGE)
        await connection.flush(60)
    await _check_kept(isolated_harness, holder)
    await connection.close()


async def test_a_process_without_its_work_connection_gives_its_leases_up(
    isolated_harness: Harness, link: NatsLink, holder: ManagedService
) -> None:
    link.cut(WORK_CONNECTION)
    await _wait_held_by(isolated_harness, "standby")
    assert holder.find_log_lines("lease.given_up", name=LEASE)
    assert holder.process.poll() is None
    await asyncio.sleep(1)  # it does not compete for what it cannot use
    assert len(holder.find_log_lines("lease.acquired", name=LEASE)) == 1


async def test_a_process_without_its_lease_connection_stops_its_leased_work(
    isolated_harness: Harness, link: NatsLink, holder: ManagedService
) -> None:
    link.stall(LEASE_CONNECTION)
    await wait_until(
        "the holder stopped its work", lambda: holder.find_log_lines("lease.released", name=LEASE)
    )
    await _wait_held_by(isolated_harness, "standby")


async def _start_orders(harness: Harness, url: str, instance: str) -> ManagedService:
    """Start the service without blocking the link, which runs in this process."""
    service = harness.start_process(
        lambda environment, folder: ManagedService("orders", environment, folder),
        TAPEWIRE_NATS_URL=url,
        TAPEWIRE_INSTANCE=instance,
    )
    await asyncio.to_thread(service.wait_ready)
    return service


async def _read_holder(harness: Harness) -> str:
    connection = await connect(harness.broker.url, "test")
    leases = JetStreamLatestValueStore(connection, stream=LEASES, prefix="$KV.leases")
    try:
        return (await leases.get(LEASE) or b"").decode()
    finally:
        await connection.close()


async def _wait_held_by(harness: Harness, instance: str) -> None:
    async def is_held() -> bool:
        return await _read_holder(harness) == instance

    await wait_until_async(f"{instance} holds the lease", is_held)


async def _check_kept(harness: Harness, holder: ManagedService) -> None:
    assert await _read_holder(harness) == "holder"
    events = [str(line["event"]) for line in holder.log_lines()]
    assert [event for event in events if event.startswith("lease.")] == ["lease.acquired"]
