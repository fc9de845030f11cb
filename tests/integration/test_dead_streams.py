"""A stream in memory that has lost its copies comes back by itself (J8).

The regression: two of three servers were restarted, and the third one before they had caught up.
The servers waited for each other for ever, without quotes.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.log.jetstream import NatsConnection, connect, dead_streams, provisioning
from tapewire.log.jetstream.provisioning import keep_provisioned, provision_when_available
from tapewire.log.ports import OutcomeUnknown, Unavailable
from tests.harness.nats_cluster import SERVERS, NatsCluster, run_nats_cluster
from tests.harness.publishers import QuoteDriver
from tests.harness.waiting import wait_until, wait_until_async


async def ask(connection: NatsConnection, subject: str, body: Any = None) -> dict[str, Any]:
    data = json.dumps(body).encode() if body is not None else b""
    return dict(json.loads((await connection.request(f"$JS.API.{subject}", data)).data))


@pytest.fixture
def quick_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_streams, "DEAD_AFTER_SECONDS", 1.0)
    monkeypatch.setattr(provisioning, "MONITOR_SECONDS", 0.3)


@pytest.fixture
async def single_copy(tmp_path: Path) -> AsyncIterator[tuple[NatsCluster, NatsConnection, int]]:
    """A cluster in which one server alone has a copy of MARKET; a connection to the others, and the
    number of that server."""
    with run_nats_cluster(tmp_path) as cluster:
        operator = await connect(cluster.url, "operator")
        await provision_when_available(operator, wait_seconds=60, replicas=SERVERS)
        config = (await ask(operator, "STREAM.INFO.MARKET"))["config"]
        answer = await ask(operator, "STREAM.UPDATE.MARKET", {**config, "num_replicas": 1})
        assert "error" not in answer, answer
        holder = ""

        async def is_single() -> bool:
            nonlocal holder
            found = (await ask(operator, "STREAM.INFO.MARKET")).get("cluster", {})
            holder = found.get("leader") or ""
            return bool(holder) and not found.get("replicas")

        await wait_until_async("MARKET has one copy", is_single)
        await operator.close()
        number = int(holder.removeprefix("n"))
        others = ",".join(cluster.url_of(one) for one in range(SERVERS) if one != number)
        connection = await connect(others, "provision")
        yield cluster, connection, number
        await connection.close()


@contextlib.asynccontextmanager
async def provisioned(connection: NatsConnection) -> AsyncIterator[list[str]]:
    """`keep_provisioned` during the block; yields its changes."""
    changes: list[str] = []
    task = asyncio.create_task(keep_provisioned(connection, replicas=1, on_change=changes.append))
    try:
        yield changes
    finally:
        task.cancel()


async def can_publish(connection: NatsConnection) -> bool:
    try:
        await QuoteDriver(connection).publish("SYM")
    except (Unavailable, OutcomeUnknown):
        return False
    return True


@pytest.mark.usefixtures("quick_monitor")
async def test_a_stream_without_any_copy_is_created_again(
    single_copy: tuple[NatsCluster, NatsConnection, int],
) -> None:
    cluster, connection, holder = single_copy
    cluster.kill(holder)
    async with provisioned(connection) as changes:
        await wait_until("MARKET is created", lambda: "MARKET: created" in changes)
        await wait_until_async("quotes are stored again", lambda: can_publish(connection))


@pytest.mark.usefixtures("quick_monitor")
async def test_a_stream_that_is_served_is_left_alone(
    single_copy: tuple[NatsCluster, NatsConnection, int],
) -> None:
    _, connection, _ = single_copy
    assert await can_publish(connection)
    async with provisioned(connection) as changes:
        await asyncio.sleep(3)  # several times what the monitor waits
    assert changes == []
    assert (await ask(connection, "STREAM.INFO.MARKET"))["state"]["messages"] == 1


@pytest.mark.usefixtures("quick_monitor")
async def test_nothing_is_removed_while_the_quorum_is_lost(
    single_copy: tuple[NatsCluster, NatsConnection, int],
) -> None:
    """Then no stream is served, and the disk may be all that is missing."""
    cluster, connection, holder = single_copy
    remaining = next(one for one in range(SERVERS) if one != holder)
    async with provisioned(connection) as changes:
        for number in range(SERVERS):
            if number != remaining:
                cluster.freeze(number)
        await asyncio.sleep(3)
        for number in range(SERVERS):
            if number != remaining:
                cluster.thaw(number)
        await wait_until_async("quotes are stored again", lambda: can_publish(connection))
    assert "MARKET: created" not in changes
