"""The order of newest-wins values: the place in the stream decides, whatever the times say."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.log import StoredValue
from tapewire.log.memory import Faults, MemoryLatestValueStore, MemoryServer
from tapewire.log.value_follower import ValueFollower

pytestmark = pytest.mark.virtual_time

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class FollowedServer:
    """A server whose clock the test sets, and a follower of its values."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.clock = NOON
        self.server = MemoryServer(now=lambda: self.clock)
        self.writer = MemoryLatestValueStore(self.server)
        self.values: dict[str, bytes] = {}
        self.changes: list[tuple[str, bytes]] = []
        self.arrivals: list[str] = []
        self.follower = ValueFollower(
            MemoryLatestValueStore(self.server, faults),
            self._on_value,
            name="test",
            rng=random.Random(1),
            on_arrival=self.arrivals.append,
        )
        self.running = asyncio.create_task(self.follower.run())

    def _on_value(self, key: str, value: StoredValue) -> None:
        self.values[key] = value.data
        self.changes.append((key, value.data))

    async def put(self, key: str, data: bytes, clock: datetime = NOON) -> None:
        await asyncio.sleep(1)
        self.clock = clock
        await self.writer.put(key, data)
        await asyncio.sleep(1)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@pytest.mark.parametrize(
    "clocks",
    [
        [0, 0, 0],  # one second for all
        [3600, 0, 1],  # the first is ahead
        [0, -3600, -7200],  # the clock is set back, twice
    ],
)
async def test_a_later_value_is_shown_whatever_the_servers_clock_says(clocks: list[int]) -> None:
    market = FollowedServer()
    for number, seconds in enumerate(clocks):
        await market.put("IBM", b"%d" % number, NOON + timedelta(seconds=seconds))
        assert market.values == {"IBM": b"%d" % number}
    await market.stop()


async def test_values_of_a_stream_made_anew_without_a_disconnection_are_shown() -> None:
    market = FollowedServer()
    for number in range(20):
        await market.put("IBM", b"old %d" % number)
    market.server.recreate_values()
    await market.put("IBM", b"new", NOON - timedelta(days=1))
    assert market.values == {"IBM": b"new"}
    await market.stop()


async def test_values_of_a_stream_made_anew_during_a_disconnection_are_shown() -> None:
    """One symbol is ahead of its old place in the new stream, and the other is not."""
    market = FollowedServer()
    await market.put("SPY", b"old")
    await market.put("IBM", b"old")
    market.server.stop()
    market.server.recreate_values()
    market.server.start()
    await market.writer.put("IBM", b"new")
    await market.writer.put("SPY", b"new")
    await asyncio.sleep(5)
    assert market.values == {"IBM": b"new", "SPY": b"new"}
    await market.stop()


async def test_a_stream_that_lost_its_values_and_keeps_its_name_begins_a_new_order() -> None:
    """A cluster that restarts makes a stream in memory again, with the creation time of before."""
    market = FollowedServer()
    for number in range(20):
        await market.put("IBM", b"old %d" % number)
    epoch = market.server.values_epoch
    market.server.recreate_values()
    market.server.values_epoch = epoch
    await market.put("SPY", b"new")
    await market.put("IBM", b"new")
    assert market.values == {"IBM": b"new", "SPY": b"new"}
    await market.stop()


async def test_a_value_that_the_stream_lost_stays_known() -> None:
    market = FollowedServer()
    await market.put("IBM", b"1")
    market.server.stop()
    market.server.recreate_values()
    market.server.start()
    await asyncio.sleep(5)
    assert market.values == {"IBM": b"1"}
    await market.stop()


async def test_the_same_bytes_again_are_an_arrival_and_no_change() -> None:
    market = FollowedServer()
    await market.put("IBM", b"1")
    await market.put("IBM", b"1")
    await market.put("IBM", b"2")
    await market.put("IBM", b"1")
    assert market.changes == [("IBM", b"1"), ("IBM", b"2"), ("IBM", b"1")]
    assert market.arrivals == ["IBM"] * 4
    await market.stop()


@pytest.mark.parametrize("seed", range(20))
async def test_the_last_value_is_shown_after_late_lost_and_repeated_messages(seed: int) -> None:
    """Stale replicas, gaps, late and repeated messages, a clock that jumps, and new streams."""
    rng = random.Random(seed)
    faults = Faults(
        seed=seed,
        gap_rate=0.05,
        late_message_rate=0.1,
        duplicate_message_rate=0.1,
        max_late_seconds=3.0,
    )
    market = FollowedServer(faults)
    last: dict[str, bytes] = {}
    for number in range(100):
        if rng.random() < 0.03:
            market.server.recreate_values()
        market.clock = NOON + timedelta(seconds=rng.choice((0, 0, 1, -3600, 86_400)))
        key = rng.choice(("IBM", "SPY", "QQQ"))
        last[key] = b"%d" % number
        await market.writer.put(key, last[key])
        await asyncio.sleep(rng.choice((0.0, 0.0, 0.5, 4.0)))
    await asyncio.sleep(60)
    for key in last:  # what was lost without a gap is repaired by the next value
        last[key] += b" again"
        await market.put(key, last[key])
    await asyncio.sleep(60)
    assert market.values == last
    await market.stop()
