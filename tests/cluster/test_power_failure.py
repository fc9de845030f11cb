"""Acknowledged events survive a loss of power in a cluster of three, one of which is away (J8).

The regression: with the default `sync_interval`, the server that lost its power and the one that
was away formed a quorum without them.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tapewire.log import OutcomeUnknown, Unavailable
from tapewire.log.jetstream import JetStreamEventLog, connect
from tapewire.log.jetstream.provisioning import provision_when_available
from tests.cluster.conftest import IS_SHORT
from tests.cluster.power_failure import VolatileDisk, why_unavailable
from tests.harness.event_factories import make_draft, notes_of
from tests.harness.nats_cluster import (
    SERVERS,
    SHIPPED_CONFIG,
    NatsCluster,
    local_hosts,
    run_nats_cluster,
)
from tests.harness.recorded_log import read_events
from tests.harness.waiting import wait_until_async

JOURNAL_BYTES = 32 << 20
EVENT_COUNT = 40
STORE_SETTINGS = "max_file_store: 8GB"


def shipped_sync() -> str:
    """The line of the shipped configuration that says when the server writes to its disk."""
    lines = SHIPPED_CONFIG.read_text().splitlines()
    return next(line.strip() for line in lines if line.strip().startswith("sync_interval"))


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[list[VolatileDisk]]:
    if why := why_unavailable(tmp_path):
        pytest.skip(why)
    made = [VolatileDisk(tmp_path / f"n{number}") for number in range(SERVERS)]
    yield made
    for disk in made:
        disk.close()


async def append_events(url: str, notes: list[str]) -> list[str]:
    """Append an event with each of `notes`; return the acknowledged ones."""
    connection = await connect(url, "test")
    try:
        log = JetStreamEventLog(connection)
        for note in notes:
            await log.append([make_draft(f"alice/orders/{note}", note)])
    finally:
        await connection.close()
    return notes


async def read_notes(url: str) -> list[str]:
    """The notes of all events, once the journal has a leader."""
    connection = await connect(url, "test")
    found: list[str] = []
    try:

        async def is_read() -> bool:
            try:
                found[:] = notes_of(await read_events(JetStreamEventLog(connection)))
                info = await connection.request("$JS.API.STREAM.INFO.EVENTS")
            except (Unavailable, OutcomeUnknown):
                return False
            # The leader knows how many there are; a server that lags may have answered the read.
            state = msgspec.json.decode(info.data).get("state", {})
            return bool(state.get("messages") == len(found))

        await wait_until_async("the journal is read", is_read)
    finally:
        await connection.close()
    return found


async def leader_of(url: str) -> int:
    connection = await connect(url, "test")
    try:
        info = await connection.request("$JS.API.STREAM.INFO.EVENTS")
    finally:
        await connection.close()
    leader = msgspec.json.decode(info.data)["cluster"]["leader"]
    return int(leader.removeprefix("n"))


async def lose_power_of_a_follower(
    cluster: NatsCluster, disks: list[VolatileDisk]
) -> tuple[list[str], list[str]]:
    """Have one server away, the power of another one lost, and the leader killed. Return what was
    acknowledged and what the journal holds afterwards."""
    connection = await connect(cluster.url, "operator")
    try:
        await provision_when_available(
            connection, wait_seconds=60, replicas=SERVERS, journal_bytes=JOURNAL_BYTES
        )
    finally:
        await connection.close()
    before = await append_events(cluster.url, [f"before-{number}" for number in range(5)])
    await asyncio.sleep(1)  # the followers have them
    for disk in disks:
        disk.flush()
    leader = await leader_of(cluster.url)
    away, without_power = (number for number in range(SERVERS) if number != leader)
    cluster.kill(away)
    acknowledged = await append_events(
        cluster.url, [f"after-{number}" for number in range(EVENT_COUNT)]
    )
    disks[without_power].lose_power(cluster, without_power)
    cluster.kill(leader)
    cluster.start(without_power)
    cluster.start(away)
    return before + acknowledged, await read_notes(cluster.url)


async def lost_events(tmp_path: Path, disks: list[VolatileDisk], sync: str) -> list[str]:
    """The acknowledged events that are lost with the setting `sync`."""
    hosts = local_hosts(tmp_path)
    with run_nats_cluster(tmp_path, hosts, f"{STORE_SETTINGS}, {sync}") as cluster:
        acknowledged, found = await lose_power_of_a_follower(cluster, disks)
    assert len(set(found)) == len(found)
    return [note for note in acknowledged if note not in found]


async def test_acknowledged_events_survive_the_power_of_a_server_and_the_leader(
    tmp_path: Path, disks: list[VolatileDisk]
) -> None:
    assert await lost_events(tmp_path, disks, shipped_sync()) == []


@pytest.mark.skipif(IS_SHORT, reason="in the full form: it tests the disks of the test above")
async def test_they_would_not_with_the_default_of_nats(
    tmp_path: Path, disks: list[VolatileDisk]
) -> None:
    """This shows that the disks lose what was not written."""
    lost = await lost_events(tmp_path, disks, "sync_interval: 2m")
    assert len(lost) == EVENT_COUNT
