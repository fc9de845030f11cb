"""A price feed that falls silent is said: by its service, by `tapewire status`, and by a metric.

The services stay ready: what they do without quotes is right.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapewire.log import encode_token
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import get, run_command
from tests.harness.waiting import wait_until_async

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"


class FeedPlatform:
    """A message server, an edge, and a prices service that plays the random walk or a recording of
    half a second."""

    def __init__(self, folder: Path, *, ends: bool, row: str = "99,100,101,100,100,1") -> None:
        self.server = LocalNatsServer(folder, provisioned=True)
        self.server.start()
        recording = folder / "day.csv"
        rows = (f"{100 * n},IBM,{row}\n" for n in range(5))
        recording.write_text(HEADER + "".join(rows))
        settings = {
            "TAPEWIRE_NATS_URL": self.server.url,
            "TAPEWIRE_INSTANCE": "one",
            "TAPEWIRE_AGENT_HEARTBEAT": "1",
        }
        played = {"TAPEWIRE_FEED": str(recording)}
        played["TAPEWIRE_FEED_END"] = "loop" if row.endswith(",") else "stop"
        self.edge = EdgeProcess(settings, folder)
        self.prices = ManagedService("prices", settings | (played if ends else {}), folder)

    async def wait_ready(self) -> None:
        for service in (self.edge, self.prices):
            await asyncio.to_thread(service.wait_ready)

    async def status(self) -> str:
        return (await asyncio.to_thread(run_command, "status", "--nats", self.server.url))[1]

    async def quote_age(self) -> float:
        text = (await get(f"{self.edge.url}/metrics")).text
        [value] = re.findall(r"^tapewire_quote_age_seconds (.+)$", text, re.MULTILINE)
        return float(value)

    async def wait_status(self, *patterns: str) -> None:
        seen = ""

        async def found() -> bool:
            nonlocal seen
            seen = await self.status()
            return all(re.search(pattern, seen) for pattern in patterns)

        await wait_until_async(f"status has {patterns}", found, describe_last=lambda: seen)

    def close(self) -> None:
        for service in (self.edge, self.prices):
            service.kill()
        self.server.close()


@pytest.fixture
async def ending(tmp_path: Path) -> AsyncIterator[FeedPlatform]:
    made = FeedPlatform(tmp_path, ends=True)
    await made.wait_ready()
    yield made
    made.close()


@pytest.fixture
async def unquoted(tmp_path: Path) -> AsyncIterator[FeedPlatform]:
    made = FeedPlatform(tmp_path, ends=True, row="99,100,,,,")
    await made.wait_ready()
    yield made
    made.close()


@pytest.fixture
async def endless(tmp_path: Path) -> AsyncIterator[FeedPlatform]:
    made = FeedPlatform(tmp_path, ends=False)
    await made.wait_ready()
    yield made
    made.close()


async def test_a_feed_that_ends_is_reported_once_and_takes_no_readiness_away(
    ending: FeedPlatform,
) -> None:
    await ending.wait_status(
        r"prices: no quote for [0-9]+ s", r"prices +one +degraded .*the feed is"
    )
    assert await ending.quote_age() >= 4
    assert (await get(f"{ending.edge.url}/health/ready")).status_code == 200
    await ending.wait_status(r"prices: no quote for ([1-9][0-9]|9) s")  # some heartbeats later
    connection = await connect(ending.server.url, "test")
    try:
        log = JetStreamEventLog(connection)
        page = await log.page(f"ev._all.agents.{encode_token('prices/one')}", after=0)
    finally:
        await connection.close()
    assert len([recorded for recorded in page.events if b"silent" in recorded.data]) == 1


async def test_a_feed_without_a_quote_is_reported_with_the_time_since_when(
    unquoted: FeedPlatform,
) -> None:
    """Its ticks have a bid and no ask."""
    await unquoted.wait_status(
        r"prices +one +degraded .*no quote yet since 2[0-9]{3}-[0-9T:-]+Z: a quote needs a bid",
        r"prices: no quote yet",
    )
    health = await get(f"{unquoted.edge.url}/health/ready")
    assert health.status_code == 200
    assert re.match(r"no quote yet since 2[0-9]{3}-", health.json()["reason"])


async def test_a_suspended_feed_is_seen_from_outside_and_recovers(endless: FeedPlatform) -> None:
    await endless.wait_status(r"prices +one +running")
    assert "no quote" not in await endless.status()
    assert await endless.quote_age() < 4
    endless.prices.process.send_signal(signal.SIGSTOP)
    await endless.wait_status(r"prices: no quote for [0-9]+ s")
    assert await endless.quote_age() >= 3.5
    assert (await get(f"{endless.edge.url}/health/ready")).status_code == 200
    endless.prices.process.send_signal(signal.SIGCONT)
    age = 0.0

    async def quoted() -> bool:
        nonlocal age
        age = await endless.quote_age()
        return age < 4

    await wait_until_async("quotes arrive again", quoted, describe_last=lambda: age)
    await endless.wait_status(r"prices +one +running")
    assert "no quote" not in await endless.status()
