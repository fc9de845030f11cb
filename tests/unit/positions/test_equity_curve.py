"""Equity curves: exact, bounded, and without doubles over takeovers, restarts and faults."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import Side
from tapewire.log import CommandRejected, pattern
from tapewire.log.checkpoint import checkpoint_key
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime.contracts.positions import (
    EquityPoint,
    EquityReply,
    GetAccount,
    ListEquity,
)
from tapewire_services.positions.domain.equity_curve import (
    BLOCK_SAMPLES,
    KEPT_BLOCKS,
    CurveHead,
    EquitySample,
    add_sample,
)
from tapewire_services.positions.equity_sampler import EquitySampler
from tapewire_services.positions.equity_store import CHECKPOINT_NAME, EquityStore
from tapewire_services.positions.position_repository import PositionRepository
from tests.harness.erasures import append_erasure, held_pages
from tests.harness.memory_process import retry_until_answered
from tests.harness.position_builders import START
from tests.harness.recorded_log import read_events
from tests.unit.positions.harness import (
    CONTEXT,
    TERMS,
    PositionsProcess,
    TradeProducer,
    publish_quote,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time

INTERVAL = 60.0
RECENT_SAMPLES = BLOCK_SAMPLES * (KEPT_BLOCKS["recent"] + 1)


@pytest.fixture
async def server() -> MemoryServer:
    server = MemoryServer()
    await publish_quote(server, "100")
    return server


@pytest.fixture
async def producer(server: MemoryServer) -> TradeProducer:
    return TradeProducer(server)


async def start(server: MemoryServer, faults: Faults | None = None) -> PositionsProcess:
    """Start a process. Samples are taken between the moments at which tests go on."""
    process = await PositionsProcess(server, faults, equity_interval=INTERVAL).start()
    await asyncio.sleep(INTERVAL / 4)
    return process


async def curve(
    process: PositionsProcess, user: str = "alice", **fields: object
) -> list[EquityPoint]:
    """The whole curve, the oldest point first, read in pages."""
    points: list[EquityPoint] = []
    request = ListEquity(user_id=user, **fields)  # type: ignore[arg-type]
    while True:
        reply: EquityReply = await retry_until_answered(
            lambda: process.service.list_equity(request, CONTEXT)  # noqa: B023
        )
        points += reply.points
        if reply.next is None:
            return points[::-1]
        request = ListEquity(user_id=user, cursor=reply.next, **fields)  # type: ignore[arg-type]


def figures(points: list[EquityPoint]) -> list[str]:
    return [f"{point.equity} {point.cash}" for point in points]


def slots(points: list[EquityPoint]) -> list[int]:
    return [int(point.timestamp.timestamp() // INTERVAL) for point in points]


async def test_equity_is_sampled_where_it_changes(
    server: MemoryServer, producer: TradeProducer
) -> None:
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100", "1")
    await producer.append_trade(Side.SELL, "5", "100", user="bob")
    await asyncio.sleep(INTERVAL)
    await asyncio.sleep(3 * INTERVAL)
    assert figures(await curve(process)) == ["99999 98999"]
    await publish_quote(server, "101.5")
    await asyncio.sleep(INTERVAL)
    await producer.append_trade(Side.SELL, "10", "102", "1")
    await asyncio.sleep(INTERVAL)
    await publish_quote(server, "200")
    await asyncio.sleep(3 * INTERVAL)
    assert figures(await curve(process)) == ["99999 98999", "100014 98999", "100018 100018"]
    assert figures(await curve(process, "bob"))[0] == "100000 100500"
    assert await curve(process, "carol") == []
    await process.kill()


async def test_a_stale_price_is_said(server: MemoryServer, producer: TradeProducer) -> None:
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100")
    await producer.append_trade(Side.SELL, "10", "70", symbol="NONE", user="bob")
    await asyncio.sleep(INTERVAL + 1)
    assert [point.stale for point in await curve(process)] == [True]
    assert [(str(one.equity), one.stale) for one in await curve(process, "bob")] == [
        ("100000", True)
    ]
    await process.kill()


async def test_pages_and_since_select_points(server: MemoryServer, producer: TradeProducer) -> None:
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100")
    for price in range(101, 111):
        await publish_quote(server, str(price))
        await asyncio.sleep(INTERVAL)
    whole = await curve(process)
    assert [str(one.equity) for one in whole] == [str(100_000 + 10 * n) for n in range(1, 11)]
    assert await curve(process, limit=3) == whole
    assert await curve(process, limit=3, since=whole[4].timestamp) == whole[4:]
    later = whole[4].timestamp + timedelta(seconds=1)
    assert await curve(process, since=later) == whole[5:]
    for request in (
        ListEquity(user_id="alice", limit=0),
        ListEquity(user_id="alice", cursor="x"),
    ):
        with pytest.raises(CommandRejected) as rejection:
            await process.service.list_equity(request, CONTEXT)
        assert rejection.value.path in ("limit", "cursor")
    await process.kill()


@pytest.mark.parametrize("seed", range(3))
async def test_takeovers_and_a_second_owner_add_no_doubles(
    server: MemoryServer, producer: TradeProducer, seed: int
) -> None:
    """Each process believes to hold the lease. Their stores fail, repeat and answer late."""
    running = [await start(server, Faults(seed=seed + number)) for number in range(2)]
    for number in range(20):
        await producer.append_random_trade(user_count=2, symbol_count=2)
        await publish_quote(server, str(95 + number % 9), "S.0")
        await asyncio.sleep(INTERVAL / 2)
        if number % 4 == 3:
            await running.pop(0).kill()
            running.append(await start(server, Faults(seed=seed + 10 + number)))
    await wait_until_consistent(server)
    await asyncio.sleep(2 * INTERVAL)
    witness = await start(server)
    for user in ("u0", "u1"):
        points = await curve(witness, user)
        assert len(points) > 3
        assert slots(points) == sorted(set(slots(points)))
        cash = await witness.service.account(GetAccount(user_id=user), CONTEXT)
        assert points[-1].cash == cash.cash
    for process in (*running, witness):
        await process.kill()


async def test_the_curve_of_an_erased_user_is_not_written_again(
    server: MemoryServer, producer: TradeProducer
) -> None:
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100")
    await producer.append_trade(Side.BUY, "10", "100", user="bob")
    await asyncio.sleep(INTERVAL + 1)
    views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    keys = [key for key in await views.get_all() if key.startswith("alice.equity")]
    assert keys == [checkpoint_key("alice", CHECKPOINT_NAME)]
    await append_erasure(MemoryEventLog(server), "alice")
    await asyncio.sleep(1)
    for key in keys:
        await views.pop(key)
    await publish_quote(server, "105")
    await asyncio.sleep(2 * INTERVAL)
    assert await curve(process) == []
    assert len(await curve(process, "bob")) == 2
    await process.kill()


@pytest.mark.parametrize("sampled_before", [False, True])
async def test_the_sample_of_a_user_who_is_erased_meanwhile_is_not_stored(
    server: MemoryServer, producer: TradeProducer, sampled_before: bool
) -> None:
    """The samples of several users are stored together, and that of another user takes long."""
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100")
    if sampled_before:
        await asyncio.sleep(INTERVAL)
        await publish_quote(server, "105")
    await producer.append_trade(Side.BUY, "10", "100", user="bob")
    with held_pages(process.log, pattern(owner="bob", domain="positions")):
        await asyncio.sleep(INTERVAL)
        await append_erasure(MemoryEventLog(server), "alice")
        await asyncio.sleep(1)
        for key in await process.views.get_all():
            if key.startswith("alice."):
                await process.views.pop(key)
    await asyncio.sleep(1)
    assert await curve(process) == []
    assert len(await curve(process, "bob")) == 1
    await producer.append_trade(Side.BUY, "1", "100")
    await asyncio.sleep(INTERVAL)
    assert len(await curve(process)) == 1
    await process.kill()


async def test_a_curve_of_a_journal_that_is_no_more_begins_anew(
    server: MemoryServer, producer: TradeProducer
) -> None:
    process = await start(server)
    await producer.append_trade(Side.BUY, "10", "100")
    await asyncio.sleep(INTERVAL + 1)
    assert len(await curve(process)) == 1
    await process.kill()
    server.recreate()
    process = await start(server)
    assert await curve(process) == []
    await process.kill()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4 * RECENT_SAMPLES))
def test_what_is_kept_is_bounded_and_is_the_newest(count: int) -> None:
    head, stored = CurveHead(), dict[str, object]()
    for time in range(count):
        sample = EquitySample(time, Decimal(time), Decimal(0))
        head, full = add_sample(head, sample)
        stored |= full
        assert head.last_sample == sample
    assert len(stored) <= sum(KEPT_BLOCKS.values())
    assert len(head.recent.samples) < BLOCK_SAMPLES
    assert len(head.coarse.samples) < BLOCK_SAMPLES


async def test_a_long_curve_is_fine_at_its_end_and_coarse_before(server: MemoryServer) -> None:
    store = EquityStore(MemoryLatestValueStore(server, stream="VIEWS", prefix="view"))
    bounds = await PositionsProcess(server).log.bounds()
    count = 3 * RECENT_SAMPLES
    for time in range(count):
        sample = EquitySample(time, Decimal(time), Decimal(0))
        await store.add_samples({"alice": sample}, bounds)
    found = await store.read_samples("alice", bounds, before=None, since=0, limit=10**6)
    times = [sample.time for sample in found]
    assert times == sorted(set(times), reverse=True)
    fine = [time for time in times if times[0] - time < RECENT_SAMPLES - BLOCK_SAMPLES]
    assert fine == list(range(count - 1, count - 1 - len(fine), -1))
    coarse = [time for time in times if time < count - RECENT_SAMPLES]
    assert coarse == list(range(coarse[0], 0, -BLOCK_SAMPLES))
    assert coarse[-1] == BLOCK_SAMPLES - 1


async def test_what_a_position_gained_counts_once_when_it_is_opened_again(
    server: MemoryServer, producer: TradeProducer
) -> None:
    """Also after a position that was opened and closed between two samples."""
    process = await start(server)
    await publish_quote(server, "50", "SPY")
    await producer.append_trade(Side.BUY, "1", "50", symbol="SPY")
    for side, qty, price in (
        (Side.BUY, "10", "90"),
        (Side.SELL, "10", "100"),
        (Side.BUY, "10", "100"),
        (Side.SELL, "25", "100"),
        (Side.BUY, "15", "99"),
    ):
        await producer.append_trade(side, qty, price)
        await asyncio.sleep(INTERVAL)
    await producer.append_trade(Side.BUY, "3", "100", "0.5")
    await producer.append_trade(Side.SELL, "3", "100", "0.5")
    await asyncio.sleep(INTERVAL)
    assert figures(await curve(process)) == [
        "100100 99050", "100100 100050", "100100 99050", "100100 101550", "100115 100065",
        "100114 100064",
    ]  # fmt: skip
    await process.kill()


async def test_a_process_that_was_paused_does_not_overwrite_later_samples(
    server: MemoryServer,
) -> None:
    bounds = await PositionsProcess(server).log.bounds()
    owner, paused = (
        EquityStore(MemoryLatestValueStore(server, stream="VIEWS", prefix="view")) for _ in range(2)
    )

    async def add(store: EquityStore, time: int) -> list[int]:
        sample = EquitySample(time, Decimal(time), Decimal(0))
        await store.add_samples({"alice": sample, "bob": sample}, bounds)
        found = await store.read_samples("alice", bounds, before=None, since=0, limit=100)
        return [one.time for one in found]

    assert await paused.last_samples(["alice"], bounds) == {}
    for time in (1, 2, 3):
        await add(owner, time)
    assert await add(paused, 4) == [3, 2, 1]
    assert await add(paused, 5) == [5, 3, 2, 1]


async def test_an_interval_has_one_sample_however_often_it_is_sampled(
    server: MemoryServer, producer: TradeProducer
) -> None:
    """The clock is slow."""
    process = PositionsProcess(server)
    await process.start_quotes()
    moments = [START + timedelta(seconds=seconds) for seconds in range(61, 120)]
    sampler = EquitySampler(
        process.log,
        process.views,
        process.quote_cache,
        TERMS,
        interval_seconds=INTERVAL,
        now=lambda: moments[0] if len(moments) == 1 else moments.pop(0),
    )
    trade_events = PositionRepository(process.log)
    await producer.append_trade(Side.BUY, "1", "100")
    changed = await trade_events.apply_trades(await read_events(process.log))
    for key, position in changed.items():
        sampler.update_position(key, position)
    running = asyncio.create_task(sampler.run())
    for price in range(101, 120):
        await publish_quote(server, str(price))
        await asyncio.sleep(INTERVAL / 2)
    assert len(await curve(process)) == 1
    running.cancel()
    await process.kill()
