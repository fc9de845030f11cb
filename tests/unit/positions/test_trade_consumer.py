"""Trades become positions, on the log in memory: which events are stored, how often and when."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from tapewire.events import (
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    TradeExecuted,
)
from tapewire.log import (
    EVERYBODY,
    EventDraft,
    EventMetadata,
    EventSubject,
    LatestValueStore,
    RecordedEvent,
)
from tapewire.log.catch_up_subscription import (
    MAX_CHECKPOINT_AGE_SECONDS,
    MIN_CHECKPOINT_EVENTS,
)
from tapewire.log.checkpoint import decode_checkpoint
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.positions import position_repository
from tapewire_services.positions.domain.position import PositionKey, TradedState
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.trade_consumer import CHECKPOINT_NAME
from tests.harness import waiting
from tests.harness.erasures import append_erasure
from tests.harness.position_builders import buy, given, trade
from tests.unit.positions.harness import (
    PositionsProcess,
    TradeProducer,
    last_applied_trade,
    last_positions,
    last_trade,
    publish_quote,
    read_all_events,
    read_valuations,
    wait_for_valuations,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def producer(server: MemoryServer) -> TradeProducer:
    return TradeProducer(server)


def positions(events: list[RecordedEvent]) -> list[RecordedEvent]:
    return [one for one in events if isinstance(one.event, PositionEvent)]


async def test_trades_become_positions(server: MemoryServer, producer: TradeProducer) -> None:
    process = await PositionsProcess(server).start()
    await producer.append_trade(Side.BUY, "10", "100", "1")
    await producer.append_trade(Side.SELL, "4", "105")
    await producer.append_trade(Side.SELL, "1", "50", user="bob", symbol="BRK.B")
    final = last_positions(await wait_until_consistent(server))
    assert final[PositionKey("alice", "IBM")].realized_pnl == 19
    assert final[PositionKey("bob", "BRK.B")].quantity == -1
    await process.kill()


async def test_an_event_has_the_correlation_of_its_trade_and_an_id_derived_from_it(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await producer.append_trade(Side.SELL, "15", "100")
    process = await PositionsProcess(server).start()
    events = await wait_until_consistent(server)
    assert [
        (
            one.metadata.id,
            one.metadata.causation,
            one.metadata.correlation,
            one.metadata.traceparent,
        )
        for one in positions(events)
    ] == [
        ("trade-1.1.0", "trade-1", "of-trade-1", "00-trade-1"),
        ("trade-2.2.0", "trade-2", "of-trade-2", "00-trade-2"),
        ("trade-2.2.1", "trade-2", "of-trade-2", "00-trade-2"),
    ]
    await process.kill()


class RecordingLog(MemoryEventLog):
    """Records the drafts of each append."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.appends: list[list[EventDraft]] = []

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        self.appends.append([*drafts])
        return await super().append(drafts)


async def test_going_through_zero_is_one_append(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    log = RecordingLog(server)
    repository = PositionRepository(log)
    await repository.apply_trades(await read_all_events(server))
    await producer.append_trade(Side.SELL, "15", "100")
    await repository.apply_trades((await read_all_events(server, "ev.*.trades.>"))[1:])
    assert [type(draft.event) for draft in log.appends[1]] == [PositionClosed, PositionOpened]
    assert [draft.expected_sequence for draft in log.appends[1]] == [2, None]


async def test_a_page_of_trades_is_one_append_with_one_expected_sequence_a_position(
    server: MemoryServer, producer: TradeProducer
) -> None:
    for _ in range(100):
        await producer.append_random_trade()
    log = RecordingLog(server)
    repository = PositionRepository(log)
    await repository.apply_trades(await read_all_events(server))
    [drafts] = log.appends
    events = await read_all_events(server)
    assert last_applied_trade(events) == last_trade(events)
    expected = [str(draft.subject) for draft in drafts if draft.expected_sequence is not None]
    assert sorted(expected) == sorted({str(draft.subject) for draft in drafts})
    await producer.append_random_trade()
    await repository.apply_trades((await read_all_events(server, "ev.*.trades.>"))[-1:])
    assert len(log.appends) == 2, "the last sequence of each position is cached"


async def test_applying_trades_again_changes_nothing(
    server: MemoryServer, producer: TradeProducer
) -> None:
    for _ in range(50):
        await producer.append_random_trade()
    trades = await read_all_events(server)
    one, other = (
        PositionRepository(MemoryEventLog(server)),
        PositionRepository(MemoryEventLog(server)),
    )
    first = await one.apply_trades(trades)
    before = len(await read_all_events(server))
    assert await one.apply_trades(trades) == first
    assert await other.apply_trades(trades) == first
    assert len(await read_all_events(server)) == before


async def test_several_lease_holders_store_everything_once(
    server: MemoryServer, producer: TradeProducer
) -> None:
    processes = [await PositionsProcess(server).start() for _ in range(3)]
    for _ in range(300):
        await producer.append_random_trade()
        await asyncio.sleep(0.01)
    events = await wait_until_consistent(server)
    sequences = [
        (one.event_subject, one.event.trade_sequence, type(one.event))
        for one in positions(events)
        if isinstance(one.event, PositionEvent)
    ]
    assert len(sequences) == len(set(sequences))
    for process in processes:
        process.raise_task_errors()
        await process.kill()


async def test_unusable_trades_are_skipped(server: MemoryServer, producer: TradeProducer) -> None:
    process = await PositionsProcess(server).start()
    await producer.append_event("alice", trade(Side.BUY, "0", "100", number=1), "none")
    await producer.append_event("alice", trade(Side.BUY, "1e9999", "100", number=2), "all")
    await producer.append_event("alice", trade(Side.BUY, "1", "100", symbol="", number=3), "what")
    await MemoryEventLog(server).append([event_of_another_type()])
    await producer.append_trade(Side.BUY, "10", "100")
    await asyncio.sleep(5)
    process.raise_task_errors()
    assert last_positions(await read_all_events(server))[PositionKey("alice", "IBM")].quantity == 10
    await process.kill()


def event_of_another_type() -> EventDraft:
    """An event of another type on a subject of trades."""
    event = given(buy("1", "1")).events[0]
    return EventDraft(
        subject=EventSubject("alice", "trades", "odd"),
        event=event,
        metadata=EventMetadata(id="odd", correlation="c"),
    )


async def test_the_checkpoint_holds_open_positions_only(
    server: MemoryServer, producer: TradeProducer
) -> None:
    for _ in range(MIN_CHECKPOINT_EVENTS):
        await producer.append_trade(Side.BUY, "1", "100")
    await producer.append_trade(Side.BUY, "1", "100", symbol="SPY")
    await producer.append_trade(Side.SELL, "1", "101", symbol="SPY")
    process = await PositionsProcess(server).start()
    await wait_until_consistent(server)
    await asyncio.sleep(5)
    views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    data = await views.get(f"{EVERYBODY}.{CHECKPOINT_NAME}")
    assert data is not None
    consumer, repository = process.make_consumer()
    consumer.restore_state(bytes(decode_checkpoint(data).state))
    [(key, known)] = repository.open_positions().items()
    assert key == PositionKey("alice", "IBM")
    assert isinstance(known.state, TradedState)
    assert known == await PositionRepository(MemoryEventLog(server)).load_position(key)
    assert known.state.position.quantity == MIN_CHECKPOINT_EVENTS
    await process.kill()


@pytest.mark.parametrize("state", [b"1", b'"?"', b"[[]]", b'{"rows":[]}', b'[["alice"]]'])
async def test_a_state_of_another_shape_is_rejected_as_a_whole(
    state: bytes, server: MemoryServer
) -> None:
    consumer, repository = PositionsProcess(server).make_consumer()
    with pytest.raises(ValueError, match=r"."):
        consumer.restore_state(state)
    assert repository.open_positions() == {}


async def test_a_restored_state_equals_the_serialized_one(
    server: MemoryServer, producer: TradeProducer
) -> None:
    for _ in range(200):
        await producer.append_random_trade(user_count=10, symbol_count=10)
    consumer, repository = PositionsProcess(server).make_consumer()
    other_consumer, other_repository = PositionsProcess(server).make_consumer()
    await consumer.handle(await read_all_events(server))
    other_consumer.restore_state(consumer.serialize_state())
    assert other_repository.open_positions() == repository.open_positions()
    assert len(repository.open_positions()) > 20


async def test_the_cache_of_closed_positions_is_bounded(
    monkeypatch: pytest.MonkeyPatch, server: MemoryServer, producer: TradeProducer
) -> None:
    monkeypatch.setattr(position_repository, "MAX_CACHED_CLOSED_POSITIONS", 5)

    for number in range(20):
        await producer.append_trade(Side.BUY, "1", "100", symbol=f"S{number}")
        await producer.append_trade(Side.SELL, "1", "101", symbol=f"S{number}")
    await producer.append_trade(Side.BUY, "1", "100", symbol="S3")
    repository = PositionRepository(MemoryEventLog(server))
    await repository.apply_trades(await read_all_events(server))
    assert len(repository._closed) == 5
    assert [*repository.open_positions()] == [PositionKey("alice", "S3")]
    await producer.append_trade(Side.BUY, "1", "100", symbol="S0")
    final = await repository.apply_trades((await read_all_events(server, "ev.*.trades.>"))[-1:])
    assert final[PositionKey("alice", "S0")].realized_pnl == Decimal(1)


async def test_positions_start_again_when_the_log_is_recreated(
    server: MemoryServer, producer: TradeProducer
) -> None:
    process = await PositionsProcess(server).start()
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_until_consistent(server)
    server.recreate()
    await producer.append_trade(Side.BUY, "3", "100")
    events = await wait_until_consistent(server)
    assert last_positions(events)[PositionKey("alice", "IBM")].quantity == 3
    process.raise_task_errors()
    await process.kill()


async def test_trades_of_any_user_and_symbol_are_applied(
    server: MemoryServer, producer: TradeProducer
) -> None:
    """The filter matches the subjects that executions are stored under."""
    await producer.append_trade(Side.BUY, "1", "2", user="a.b*c>", symbol="BRK.B")
    process = await PositionsProcess(server).start()
    events = await wait_until_consistent(server)
    assert [*last_positions(events)] == [PositionKey("a.b*c>", "BRK.B")]
    assert isinstance(events[0].event, TradeExecuted)
    await process.kill()


async def test_nothing_is_stored_twice_after_the_server_forgot_all_event_ids(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    sleeper, other = (
        PositionRepository(MemoryEventLog(server)),
        PositionRepository(MemoryEventLog(server)),
    )
    await sleeper.apply_trades(await read_all_events(server))
    for _ in range(3):
        await producer.append_trade(Side.SELL, "15", "100")
    trades = await read_all_events(server, "ev.*.trades.>")
    await other.apply_trades(trades)
    before = await read_all_events(server)
    await asyncio.sleep(600)
    await sleeper.apply_trades(trades)
    assert len(await read_all_events(server)) == len(before)
    assert last_applied_trade(before) == last_trade(before)


async def test_an_erased_user_is_valued_no_more_and_leaves_no_checkpoint(
    server: MemoryServer, producer: TradeProducer
) -> None:
    process = await PositionsProcess(server).start()
    await publish_quote(server, "100")
    for user in ("alice", "bob"):
        await producer.append_trade(Side.BUY, "10", "100", user=user)
    await wait_for_valuations(server, "both are valued", lambda seen: len(seen) == 2)
    await append_erasure(process.log, "alice")
    erased_at = asyncio.get_running_loop().time()
    key = f"{EVERYBODY}.{CHECKPOINT_NAME}"
    await waiting.wait_until_async(
        "the checkpoint is saved without further events",
        lambda: _is_stored(process.views, key),
    )
    assert asyncio.get_running_loop().time() - erased_at < MAX_CHECKPOINT_AGE_SECONDS / 2
    state = bytes(decode_checkpoint(await process.views.get(key) or b"").state)
    assert b"bob" in state
    assert b"alice" not in state
    before = (await read_valuations(server))["alice.IBM"]

    await asyncio.sleep(2)
    await publish_quote(server, "105")
    seen = await wait_for_valuations(
        server, "bob is valued", lambda seen: seen["bob.IBM"].current_price == 105
    )
    assert seen["alice.IBM"] == before
    await process.kill()


async def _is_stored(store: LatestValueStore, key: str) -> bool:
    return await store.get(key) is not None
