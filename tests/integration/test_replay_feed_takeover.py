"""If the process of a replay feed is killed, its successor continues the day."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import StoredValue
from tapewire.log.checkpoint import decode_checkpoint
from tapewire.log.feed_state import CHECKPOINT_KEY, FeedState
from tapewire.log.jetstream import JetStreamLatestValueStore, NatsConnection, connect
from tapewire.log.jetstream.streams import LEASES
from tapewire_services.prices.service import LEASE_NAME
from tests.harness import fork_server
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.waiting import wait_until, wait_until_async

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
TRADES = 40_000
EVERY_MS = 50
WAIT_SECONDS = 90.0
STDERR_FD = 2


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """One share of IBM is traded every `EVERY_MS`; the volume therefore shows the progress."""
    path = tmp_path / "day.csv"
    rows = (f"{EVERY_MS * n},IBM,99,100,101,100,100,1\n" for n in range(TRADES))
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[NatsConnection]:
    broker = LocalNatsServer(tmp_path, provisioned=True)
    broker.start()
    connection = await connect(broker.url, "test")
    yield connection
    await connection.close()
    broker.close()


@contextlib.asynccontextmanager
async def playing(connection: NatsConnection, feed: Path) -> AsyncIterator[None]:
    """Run a process of the service, and kill it when the block ends."""
    url = connection.client.connected_url
    assert url is not None
    env = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
    env |= {
        "TAPEWIRE_NATS_URL": url.geturl(),
        "TAPEWIRE_FEED": str(feed),
        "TAPEWIRE_SPEED": "10",
    }
    process = fork_server.start_service("prices", env, STDERR_FD)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def test_a_new_process_continues_the_day_at_its_last_position(
    connection: NatsConnection, feed: Path
) -> None:
    views = JetStreamLatestValueStore(connection, stream="VIEWS", prefix="view")
    market = JetStreamLatestValueStore(
        connection, stream="MARKET", prefix="px", live_prefix="live.px"
    )
    volumes, positions = list[int](), list[int]()

    def quoted(_: str, value: StoredValue) -> None:
        volumes.append(int(CODEC.decode(value.data, PriceUpdated).volume))

    def record_checkpoint(key: str, value: StoredValue) -> None:
        if key == CHECKPOINT_KEY:
            state = bytes(decode_checkpoint(value.data).state)
            positions.append(CODEC.decode(state, FeedState).ms)

    subscriptions = [
        await market.subscribe(quoted, lambda _: None),
        await views.subscribe(record_checkpoint, lambda _: None),
    ]
    async with playing(connection, feed):
        await wait_until(
            "the feed was played for a while and saved its position",
            lambda: positions and positions[-1] > 100 * EVERY_MS,
            describe_last=lambda: (volumes[-1:], positions),
            timeout_seconds=WAIT_SECONDS,
        )
    stood = positions[-1]
    # Messages of the killed process may still be in flight; they arrive before its lease expires.
    leases = JetStreamLatestValueStore(connection, stream=LEASES, prefix="$KV.leases")

    async def free() -> bool:
        return await leases.get(LEASE_NAME) is None

    await wait_until_async("the lease has expired", free)
    before = len(volumes)
    async with playing(connection, feed):
        await wait_until(
            "the feed continues",
            lambda: len(volumes) > before + 10,
            describe_last=lambda: volumes[-1:],
            timeout_seconds=WAIT_SECONDS,
        )
    again = volumes[before:]
    assert again[0] > stood / EVERY_MS, "the feed started the day again"
    assert again == sorted(again)
    for subscription in subscriptions:
        await subscription.close()
