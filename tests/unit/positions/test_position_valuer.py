"""When positions are valued, how often, and that the last value is right."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from tapewire.events import CODEC, PositionValued, Side
from tapewire.log import OutcomeUnknown, StoredValue, Unavailable
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.positions.domain.position import PositionKey
from tapewire_services.positions.position_valuer import VALUATION_INTERVAL_SECONDS
from tests.harness import virtual_time
from tests.harness.erasures import append_erasure
from tests.harness.position_builders import buy, given, sell
from tests.unit.positions.harness import (
    PositionsProcess,
    TradeProducer,
    last_positions,
    publish_quote,
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


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[PositionsProcess]:
    """A process that has caught up with the trades; IBM is quoted at 100."""
    await publish_quote(server, "100")
    process = await PositionsProcess(server).start()
    await asyncio.sleep(5)
    yield process
    process.raise_task_errors()
    await process.kill()


@pytest.mark.parametrize("is_removed", [False, True])
async def test_the_stale_value_of_a_user_who_is_erased_meanwhile_is_not_stored_again(
    server: MemoryServer,
    producer: TradeProducer,
    process: PositionsProcess,
    monkeypatch: pytest.MonkeyPatch,
    is_removed: bool,
) -> None:
    """A process that takes over closes the values that an earlier one left. It has read them, and
    the erasure comes before it handles them."""
    for user in ("alice", "bob"):
        await producer.append_trade(Side.BUY, "10", "100", user=user)
    await wait_for_valuations(server, "both are valued", lambda seen: len(seen) == 2)
    stale = await process.valuation_store.get_all()
    for user in ("alice", "bob"):
        await producer.append_trade(Side.SELL, "10", "100", user=user)
    await wait_for_valuations(
        server, "closed", lambda seen: not any(one.quantity for one in seen.values())
    )
    await process.kill()
    for name, data in stale.items():
        await MemoryLatestValueStore(server, prefix="mk").put(name, data)

    successor, released = PositionsProcess(server), asyncio.Event()
    read_all = successor.valuation_store.get_all

    async def read_late() -> dict[str, bytes]:
        found = await read_all()
        await released.wait()
        return found

    monkeypatch.setattr(successor.valuation_store, "get_all", read_late)
    await successor.start()
    await asyncio.sleep(5)
    await append_erasure(MemoryEventLog(server), "alice")
    await asyncio.sleep(5)
    await MemoryLatestValueStore(server, prefix="mk").pop("alice.IBM")
    if is_removed:
        server.remove_user("alice")
    released.set()
    seen = await wait_for_valuations(
        server, "bob's is closed", lambda seen: not seen["bob.IBM"].quantity
    )
    await asyncio.sleep(5)
    assert (await read_valuations(server)).keys() == seen.keys() == {"bob.IBM"}
    await successor.kill()


class ValuationRecorder:
    """Records every value, with the time of its arrival."""

    def __init__(self) -> None:
        self.values: list[tuple[float, PositionValued]] = []

    async def listen(self, server: MemoryServer) -> "ValuationRecorder":
        await MemoryLatestValueStore(server, prefix="mk").subscribe(self._on_value, lambda _: None)
        return self

    def _on_value(self, _: str, value: StoredValue) -> None:
        now = asyncio.get_running_loop().time()
        self.values.append((now, CODEC.decode(value.data, PositionValued)))

    def descriptions(self) -> list[str]:
        return [
            f"{one.quantity} @ {one.current_price}: {one.unrealized_pnl} + {one.realized_pnl}"
            for _, one in self.values
        ]

    def gaps(self) -> list[float]:
        times = [time for time, _ in self.values]
        return [later - time for time, later in itertools.pairwise(times)]


@pytest.mark.usefixtures("process")
async def test_a_position_is_valued_when_it_opens_when_it_is_quoted_and_when_it_closes(
    server: MemoryServer, producer: TradeProducer
) -> None:
    recorder = await ValuationRecorder().listen(server)
    await producer.append_trade(Side.BUY, "10", "99", "1")
    await wait_for_valuations(server, "open", lambda seen: seen)
    await asyncio.sleep(2)
    await publish_quote(server, "101")
    await asyncio.sleep(2)
    await producer.append_trade(Side.SELL, "10", "102")
    await wait_for_valuations(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
    await publish_quote(server, "103")
    await asyncio.sleep(5)
    assert recorder.descriptions() == ["10 @ 100: 10 + -1", "10 @ 101: 20 + -1", "0 @ 101: 0 + 29"]
    assert recorder.values[-1][1].entry_price is None


@pytest.mark.usefixtures("process")
async def test_a_short_position_gains_when_the_price_falls(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.SELL, "10", "101")
    seen = await wait_for_valuations(server, "open", lambda seen: seen)
    assert seen["alice.IBM"].unrealized_pnl == 10


@pytest.mark.usefixtures("process")
async def test_quotes_value_a_position_once_a_second_at_the_newest_price(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_for_valuations(server, "open", lambda seen: seen)
    recorder = await ValuationRecorder().listen(server)
    for number in range(400):
        await publish_quote(server, f"{100 + number / 100:.2f}")
        await asyncio.sleep(0.025)
    await asyncio.sleep(2)
    assert 9 <= len(recorder.values) <= 12
    assert min(recorder.gaps()) >= VALUATION_INTERVAL_SECONDS - 1e-6
    assert recorder.descriptions()[-1] == "10 @ 103.99: 39.9 + 0"


@pytest.mark.usefixtures("process")
async def test_a_quote_after_a_second_without_one_is_used_immediately(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await asyncio.sleep(10)
    recorder = await ValuationRecorder().listen(server)
    began = asyncio.get_running_loop().time()
    await publish_quote(server, "105")
    await asyncio.sleep(0.5)
    assert [time - began < 0.01 for time, _ in recorder.values] == [True]


@pytest.mark.usefixtures("process")
async def test_every_change_is_published_immediately(
    server: MemoryServer, producer: TradeProducer
) -> None:
    recorder = await ValuationRecorder().listen(server)
    for _number in range(10):
        await producer.append_trade(Side.BUY, "1", "100")
        await asyncio.sleep(0.05)
    assert [one.quantity for _, one in recorder.values] == [*range(1, 11)]


@pytest.mark.usefixtures("process")
async def test_a_position_is_valued_at_the_first_quote_of_its_symbol(
    server: MemoryServer, producer: TradeProducer
) -> None:
    await producer.append_trade(Side.BUY, "10", "100", symbol="BRK.B")
    await wait_until_consistent(server)
    await asyncio.sleep(5)
    assert await read_valuations(server) == {}
    await publish_quote(server, "110", "BRK.B")
    seen = await wait_for_valuations(server, "valued", lambda seen: seen)
    assert seen["alice.BRK%2EB"].unrealized_pnl == 100


async def test_the_next_lease_holder_values_open_positions_before_any_trade(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    for _number in range(100):
        await producer.append_trade(Side.BUY, "1", "100")
    await asyncio.sleep(5)
    await process.kill()
    recorder = await ValuationRecorder().listen(server)
    await publish_quote(server, "101")
    other = await PositionsProcess(server).start()
    await asyncio.sleep(3)
    assert recorder.descriptions() == ["100 @ 101: 100 + 0"]
    await other.kill()


async def test_the_next_lease_holder_publishes_the_missing_last_value_of_a_closed_position(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    """A process used to store the closing event and stop before it published the last value. A
    reader of values then showed the position as open forever."""
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_for_valuations(server, "open", lambda seen: seen)
    process.valuation_store.kill()
    await producer.append_trade(Side.SELL, "10", "103")
    assert (
        last_positions(await wait_until_consistent(server))[PositionKey("alice", "IBM")].quantity
        == 0
    )
    await process.kill()
    assert (await read_valuations(server))["alice.IBM"].quantity == 10
    other = await PositionsProcess(server).start()
    seen = await wait_for_valuations(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
    assert seen["alice.IBM"].realized_pnl == 30
    await other.kill()


async def test_values_of_a_lost_log_are_closed(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_for_valuations(server, "open", lambda seen: seen)
    server.recreate()
    await wait_for_valuations(server, "closed", lambda seen: not seen["alice.IBM"].quantity)
    process.raise_task_errors()


async def test_memory_holds_only_the_open_positions(
    server: MemoryServer, process: PositionsProcess
) -> None:
    valuer = process.make_valuer()
    task = asyncio.create_task(valuer.run())
    valuer.mark_caught_up()
    opened = given(buy("1", "100")).traded_state.position
    closed = given(buy("1", "100"), sell("1", "100")).traded_state.position
    for number in range(50):
        key = PositionKey(f"u{number}", "IBM")
        valuer.update_position(key, opened)
        await publish_quote(server, str(100 + number % 3))
        await asyncio.sleep(0.1)
        valuer.update_position(key, closed)
    valuer.update_position(PositionKey("alice", "SPY"), opened)
    await asyncio.sleep(5)
    assert [*valuer._holders_by_symbol] == ["SPY"]
    assert (valuer._closed_positions, len(valuer._due_heap)) == ({}, 0)
    task.cancel()


class FailingStore(MemoryLatestValueStore):
    """Fails the first calls."""

    failures: int = 4

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        self._fail(Unavailable("not now"))
        await super().put_unacknowledged(key, data)

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        self._fail(OutcomeUnknown("no answer"))
        await super().put(key, data, ttl=ttl)

    def _fail(self, error: Exception) -> None:
        if self.failures:
            self.failures -= 1
            raise error


async def test_a_value_that_could_not_be_sent_is_sent_later(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_until_consistent(server)
    held = last_positions(await wait_until_consistent(server))[PositionKey("alice", "IBM")]
    store = FailingStore(server, prefix="other")
    valuer = process.make_valuer(store)
    task = asyncio.create_task(valuer.run())
    valuer.update_position(PositionKey("alice", "IBM"), held)
    valuer.mark_caught_up()
    await asyncio.sleep(5)
    assert (store.failures, [*await store.get_all()]) == (0, ["alice.IBM"])
    store.failures = 4
    await producer.append_trade(Side.SELL, "10", "100")
    valuer.update_position(
        PositionKey("alice", "IBM"),
        last_positions(await wait_until_consistent(server))[PositionKey("alice", "IBM")],
    )
    await asyncio.sleep(5)
    closed = CODEC.decode((await store.get_all())["alice.IBM"], PositionValued)
    assert closed.quantity == 0
    task.cancel()


def test_the_last_values_are_those_of_the_positions_despite_faults() -> None:
    async def work(seed: int) -> None:
        server = MemoryServer()
        producer = TradeProducer(server, seed)
        faults = Faults.rough(seed)
        process = await PositionsProcess(server, faults).start()
        for number in range(100):
            await producer.append_random_trade()
            await publish_quote(server, str(90 + number % 20), f"S.{number % 3}")
            await asyncio.sleep(0.1)
        final = last_positions(await wait_until_consistent(server))
        faults.disable()
        for symbol in range(3):
            await publish_quote(server, "100", f"S.{symbol}")
        names = {f"{key.user}.S%2E{key.symbol[-1]}": one.quantity for key, one in final.items()}
        await wait_for_valuations(
            server,
            "all as they are",
            lambda seen: {name: seen[name].quantity for name in seen} == names,
        )
        process.raise_task_errors()
        await process.kill()

    for seed in range(10):
        virtual_time.run(work(seed))


async def test_positions_that_close_while_catching_up_take_no_memory(
    process: PositionsProcess,
) -> None:
    valuer = process.make_valuer()
    for number in range(100):
        key, history = PositionKey(f"u{number}", "IBM"), given(buy("1", "1"))
        valuer.update_position(key, history.traded_state.position)
        history.apply_trade(sell("1", "1"))
        valuer.update_position(key, history.traded_state.position)
    assert (valuer._closed_positions, valuer._holders_by_symbol) == ({}, {})
