"""The latest-value store: one value per key, reads of all values, and live subscriptions."""

import asyncio
import random

import msgspec
import pytest

from tapewire.log import (
    AppendRejected,
    Conflict,
    LatestValueStore,
    StoredValue,
    Unavailable,
    encode_token,
)
from tapewire.log.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tests.contract.backends import Backend
from tests.harness.waiting import wait_until

SYMBOLS = ["IBM", "BRK.B", "*", ">", "żółw", "a b", "^GSPC", "EUR/USD", "7203.T"]


class ValueCollector:
    def __init__(self) -> None:
        self.values: list[tuple[str, bytes]] = []
        self.gaps: list[str] = []

    def on_value(self, key: str, value: StoredValue) -> None:
        self.values.append((key, value.data))

    def on_gap(self, why: str) -> None:
        self.gaps.append(why)


async def test_a_missing_value_is_none(values: LatestValueStore) -> None:
    assert await values.get("IBM") is None
    assert await values.get_all() == {}


async def test_the_newest_value_wins(values: LatestValueStore) -> None:
    await values.put("IBM", b"1")
    await values.put("SPY", b"7")
    await values.put("IBM", b"2")

    assert await values.get("IBM") == b"2"
    assert await values.get_all() == {"IBM": b"2", "SPY": b"7"}


async def test_keys_of_any_symbol_and_values_of_any_bytes_are_stored(
    values: LatestValueStore,
) -> None:
    wanted = {encode_token(symbol): bytes(range(256)) + symbol.encode() for symbol in SYMBOLS}
    for key, data in wanted.items():
        await values.put(key, data)

    assert await values.get_all() == wanted
    assert {key: await values.get(key) for key in wanted} == wanted


async def test_several_values_are_stored_together_or_not_at_all(backend: Backend) -> None:
    store = await backend.checkpoint_store()
    await store.put("a", b"old")
    await store.put_all({"a": b"new", "b.c": b"x" * 500_000, "d": b""})
    assert await store.get_all() == {"a": b"new", "b.c": b"x" * 500_000, "d": b""}
    with pytest.raises(AppendRejected):
        await store.put_all({"a": b"newer", "b.c": b"y" * (2 << 20), "e": b"1"})
    assert await store.get_all() == {"a": b"new", "b.c": b"x" * 500_000, "d": b""}
    await store.put_all({"a": b"alone"})
    assert await store.get("a") == b"alone"


async def test_a_batch_expects_the_revision_that_it_was_made_from(backend: Backend) -> None:
    """Two processes that store the same thing do not mix their values."""
    store, other = await backend.checkpoint_store(), await backend.checkpoint_store()
    assert await store.get_revision("head") == (None, 0)
    first = await store.put_all({"block": b"1", "head": b"1"}, {"head": 0})
    assert await other.get_revision("head") == (b"1", first)
    with pytest.raises(Conflict):
        await other.put_all({"block": b"2", "head": b"2"}, {"head": 0})
    second = await other.put_all({"block": b"3", "head": b"3"}, {"head": first})
    with pytest.raises(Conflict):
        await store.put_all({"head": b"4"}, {"head": first})
    assert await store.get_all() == {"block": b"3", "head": b"3"}
    assert await store.put_all({"head": b"5"}, {"head": second}) > second


async def test_a_value_larger_than_a_message_is_rejected(values: LatestValueStore) -> None:
    with pytest.raises(AppendRejected):
        await values.put("IBM", b"x" * (2 << 20))
    assert await values.get("IBM") is None


@pytest.mark.parametrize("size", [100, 400_000, 3_000_000])
async def test_a_checkpoint_of_any_size_is_stored(backend: Backend, size: int) -> None:
    store = await backend.checkpoint_store()
    for seed in (1, 2):
        text = random.Random(seed).randbytes(size).hex()
        await write_checkpoint(store, "u.v", epoch="e1", as_of=seed, state=f'"{text}"'.encode())
        found = await read_checkpoint(await backend.checkpoint_store(), "u.v")
        assert found is not None
        assert (found.as_of, bytes(found.state)) == (seed, f'"{text}"'.encode())
    await write_checkpoint(store, "u.v", epoch="e1", as_of=3, state=b"1")
    assert await read_checkpoint(store, "u.v") == Checkpoint(
        epoch="e1", as_of=3, state=msgspec.Raw(b"1")
    )


async def test_keys_may_have_several_tokens(values: LatestValueStore) -> None:
    await values.put("alice.orders", b"1")
    await values.put("alice", b"2")

    assert await values.get("alice.orders") == b"1"
    assert await values.get_all() == {"alice.orders": b"1", "alice": b"2"}


async def test_an_empty_value_is_a_value(values: LatestValueStore) -> None:
    await values.put("IBM", b"")

    assert await values.get("IBM") == b""
    assert await values.get_all() == {"IBM": b""}


async def test_a_value_expires_after_its_time_to_live(values: LatestValueStore) -> None:
    await values.put("BAC", b"0", ttl=3600)
    await values.put("IBM", b"1", ttl=1)
    await values.put("SPY", b"2", ttl=1)
    await values.put("SPY", b"3")
    assert {"BAC", "SPY"} <= set(await values.get_all())

    async with asyncio.timeout(60):
        seen = await values.get("IBM")
        while seen is not None:
            await asyncio.sleep(0.05)
            seen = await values.get("IBM")

    assert await values.get_all() == {"BAC": b"0", "SPY": b"3"}


async def test_pop_returns_and_removes_a_value(values: LatestValueStore) -> None:
    await values.put("IBM", b"1")
    await values.put("IBM", b"2")
    await values.put("IBM.x", b"")

    assert await values.pop("IBM") == b"2"
    assert await values.pop("IBM") is None
    assert await values.get("IBM") is None
    assert await values.get_all() == {"IBM.x": b""}
    assert await values.pop("IBM.x") == b""
    assert await values.pop("never") is None

    await values.put("IBM", b"3")
    assert await values.pop("IBM") == b"3"


async def test_one_of_several_concurrent_pops_gets_the_value(backend: Backend) -> None:
    """Two processes call `pop` several times each. A value is never returned twice."""
    one, other = await backend.value_store(), await backend.value_store()
    for number in range(25):
        await one.put("ticket", str(number).encode())

        took = await asyncio.gather(*(by.pop("ticket") for by in (one, other) * 4))

        assert [data for data in took if data is not None] == [str(number).encode()]


async def test_pop_raises_unavailable_while_the_server_is_down(backend: Backend) -> None:
    values = await backend.value_store()
    await values.put("ticket", b"1")
    async with backend.server_down():
        with pytest.raises(Unavailable):
            await values.pop("ticket")


async def test_get_all_reads_any_number_of_keys(backend: Backend) -> None:
    """More keys than the server returns at once, each written several times."""
    writer, reader = await backend.value_store(), await backend.value_store()
    for turn in range(2):
        for number in range(3_000):
            await writer.put_unacknowledged(f"S{number}", f"{turn}:{number}".encode())
    await writer.put("last", b"")

    found = await reader.get_all()

    assert found.pop("last") == b""
    assert found == {f"S{number}": f"1:{number}".encode() for number in range(3_000)}


async def test_live_values_of_other_writers_arrive_in_order(backend: Backend) -> None:
    writer, reader = await backend.value_store(), await backend.value_store()
    collector = ValueCollector()
    subscription = await reader.subscribe(collector.on_value, collector.on_gap)
    await reader.get("IBM")

    wanted = [(encode_token(SYMBOLS[number % 9]), str(number).encode()) for number in range(90)]
    for key, data in wanted:
        await writer.put_unacknowledged(key, data)

    await wait_until(
        "90 values",
        lambda: len(collector.values) >= 90,
        describe_last=lambda: len(collector.values),
    )
    assert collector.values == wanted
    assert collector.gaps == []
    await subscription.close()
    await writer.put("IBM", b"after")
    assert await reader.get("IBM") == b"after"
    assert collector.values == wanted


async def test_subscribing_before_get_all_misses_no_value(backend: Backend) -> None:
    """Subscribe first, then read all values. One of the two has the newest value of every key."""
    writer, reader = await backend.value_store(), await backend.value_store()
    for number in range(500):
        await writer.put(f"S{number % 50}", str(number).encode())
    collector = ValueCollector()
    await reader.subscribe(collector.on_value, collector.on_gap)

    known = await reader.get_all()
    for number in range(500, 520):
        await writer.put(f"S{number % 50}", str(number).encode())

    await wait_until("the last value", lambda: ("S19", b"519") in collector.values)
    known.update(collector.values)
    assert known == {
        f"S{number}": str(number + (500 if number < 20 else 450)).encode() for number in range(50)
    }


async def test_live_and_read_values_have_the_same_place_in_the_stream(backend: Backend) -> None:
    writer, reader = await backend.value_store(), await backend.value_store()
    before, live = await reader.bounds(), dict[str, StoredValue]()
    await reader.subscribe(live.__setitem__, lambda _: None)
    for number in range(6):
        await writer.put(f"S{number % 3}", str(number).encode())

    await wait_until("the last value", lambda: "S2" in live and live["S2"].data == b"5")
    assert await reader.read_all() == live
    places = [live[key].sequence for key in ("S0", "S1", "S2")]
    assert places == sorted(set(places))
    after = await reader.bounds()
    assert (after.epoch, after.last) == (before.epoch, places[-1])
    assert before.last == places[-1] - 6
