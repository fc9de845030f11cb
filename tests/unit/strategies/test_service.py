"""The requests of the strategies service, on the log in memory."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import (
    CODEC,
    Breakout,
    MovingAverageCrossover,
    Strategy,
    StrategyStatus,
)
from tapewire.log import Unavailable, new_id
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime.contracts.strategies import (
    CreateStrategy,
    GetStrategy,
    ListStrategies,
    StartStrategy,
    StopStrategy,
    UpdateStrategy,
)
from tests.harness.memory_process import await_rejection, make_context
from tests.harness.orders_process import OrdersProcess, QuoteSimulator
from tests.harness.strategies_process import (
    StrategiesProcess,
    UnreliableOrderClient,
    read_strategies_log,
)
from tests.unit.strategies.spec import USER, make_stop_loss

pytestmark = pytest.mark.virtual_time

TREND = MovingAverageCrossover(fast=2, slow=4)


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[StrategiesProcess]:
    """A process without a runner, in a market that quotes IBM."""
    await QuoteSimulator(server).publish_quote()
    order_client = UnreliableOrderClient(OrdersProcess(server))
    process = await StrategiesProcess(server, order_client).start(with_runner=False)
    await asyncio.sleep(10)
    yield process
    await process.kill()


def create_request(**changes: Any) -> CreateStrategy:
    request = CreateStrategy(user_id=USER, symbol="IBM", rule=TREND, quantity=Decimal(10))
    return msgspec.structs.replace(request, **changes)


async def create_strategy(process: StrategiesProcess, **changes: Any) -> Strategy:
    return (await process.service.create(create_request(**changes), make_context())).strategy


def get_request(strategy_id: str, user: str = USER) -> GetStrategy:
    return GetStrategy(user_id=user, strategy_id=strategy_id)


async def test_create_returns_the_strategy(process: StrategiesProcess) -> None:
    strategy = await create_strategy(process, stop_loss=make_stop_loss("2"), max_trades=5)
    assert strategy.status is StrategyStatus.CREATED
    assert strategy.name == "IBM moving-average crossover"
    assert (strategy.position, strategy.trades, strategy.order) == (Decimal(0), 0, None)
    assert (
        await process.service.get(get_request(strategy.strategy_id), make_context())
    ).strategy == strategy
    assert (await create_strategy(process, name="mine")).name == "mine"


async def test_a_repeated_command_creates_nothing(
    process: StrategiesProcess, server: MemoryServer
) -> None:
    first = await process.service.create(create_request(), make_context("command"))
    assert await process.service.create(create_request(), make_context("command")) == first
    other = await StrategiesProcess(server, UnreliableOrderClient(OrdersProcess(server))).start(
        with_runner=False
    )
    assert await other.service.create(create_request(), make_context("command")) == first
    id_ = first.strategy.strategy_id
    start = StartStrategy(user_id=USER, strategy_id=id_)
    started = await process.service.start(start, make_context("start"))
    assert await other.service.start(start, make_context("start")) == started
    assert (await read_strategies_log(server)).describe_events(id_) == ["created", "started"]
    await other.kill()


async def test_concurrent_repeats_of_a_command_create_one_strategy(
    process: StrategiesProcess, server: MemoryServer
) -> None:
    workers = [
        StrategiesProcess(
            server, process.dependencies.order_client, Faults(seed=n, max_delay_seconds=0.1)
        )
        for n in range(5)
    ]
    for other in workers:
        await other.start(with_runner=False)
    replies = await asyncio.gather(
        *(other.service.create(create_request(), make_context("command")) for other in workers)
    )
    assert len({reply.strategy.strategy_id for reply in replies}) == 1
    assert len((await read_strategies_log(server)).strategies) == 1
    for other in workers:
        await other.kill()


async def test_bad_fields_are_named(process: StrategiesProcess, server: MemoryServer) -> None:
    create = process.service.create
    for path, bad in (
        ("quantity", {"quantity": Decimal(0)}),
        ("rule.slow", {"rule": MovingAverageCrossover(fast=5, slow=5)}),
        ("stopLoss.percent", {"stop_loss": make_stop_loss("100")}),
        ("symbol", {"symbol": "NOPE"}),
        ("symbol", {"symbol": ""}),
        ("symbol", {"symbol": "x" * 10_000}),
        ("maxTrades", {"max_trades": 0}),
        ("name", {"name": "x" * 101}),
    ):
        assert await await_rejection(create(create_request(**bad), make_context())) == (
            "invalid",
            path,
        )
    assert (await read_strategies_log(server)).recorded_events == []


async def test_strategies_of_other_users_are_not_found(process: StrategiesProcess) -> None:
    id_ = (await create_strategy(process, user_id="bob")).strategy_id
    service = process.service
    for guess in (id_, "nonsense", "", "*", ">", "x" * 1000):
        for answer in (
            service.get(get_request(guess), make_context()),
            service.start(StartStrategy(user_id=USER, strategy_id=guess), make_context()),
            service.stop(StopStrategy(user_id=USER, strategy_id=guess), make_context()),
            service.update(UpdateStrategy(user_id=USER, strategy_id=guess), make_context()),
        ):
            assert await await_rejection(answer) == ("not_found", None)
    assert (await service.get(get_request(id_, "bob"), make_context())).strategy.strategy_id == id_


async def test_commands_are_decided_on_the_newest_state_in_the_log(
    process: StrategiesProcess, server: MemoryServer
) -> None:
    """A process that remembered a strategy as started used to answer "start" from memory although
    another process had stopped the strategy."""
    id_ = (await create_strategy(process)).strategy_id
    start = StartStrategy(user_id=USER, strategy_id=id_)
    await process.service.start(start, make_context())
    other = await StrategiesProcess(server, UnreliableOrderClient(OrdersProcess(server))).start(
        with_runner=False
    )
    await other.service.stop(StopStrategy(user_id=USER, strategy_id=id_), make_context())
    again = await process.service.start(start, make_context())
    assert again.strategy.status is StrategyStatus.STARTED
    assert (await read_strategies_log(server)).describe_events(id_) == [
        "created",
        "started",
        "stopped",
        "started",
    ]
    await other.kill()


async def test_update_changes_only_given_fields_and_null_removes_a_value(
    process: StrategiesProcess,
) -> None:
    id_ = (await create_strategy(process, stop_loss=make_stop_loss("2"), max_trades=5)).strategy_id

    async def change(**fields: Any) -> Strategy:
        request = UpdateStrategy(user_id=USER, strategy_id=id_, **fields)
        sent = CODEC.decode(CODEC.encode(request), UpdateStrategy)  # as over the wire
        return (await process.service.update(sent, make_context())).strategy

    changed = await change(quantity=Decimal("2.5"))
    assert (changed.quantity, changed.rule, changed.max_trades) == (Decimal("2.5"), TREND, 5)
    assert changed.stop_loss == make_stop_loss("2")
    changed = await change(stop_loss=None, max_trades=None, rule=Breakout(window=9))
    assert (changed.stop_loss, changed.max_trades) == (None, None)
    assert changed.rule == Breakout(window=9)


async def test_the_list_is_consistent_at_one_sequence(
    process: StrategiesProcess, server: MemoryServer
) -> None:
    ids = [(await create_strategy(process)).strategy_id for _ in range(3)]
    await create_strategy(process, user_id="bob")
    await process.service.start(StartStrategy(user_id=USER, strategy_id=ids[0]), make_context())
    reply = await process.service.list(ListStrategies(user_id=USER), make_context())
    assert [one.strategy_id for one in reply.strategies] == ids[::-1]
    assert reply.strategies[-1].status is StrategyStatus.STARTED
    assert (reply.as_of, reply.epoch) == (server.journal.last, server.journal.epoch)


async def test_without_the_log_requests_fail_as_unavailable(
    process: StrategiesProcess, server: MemoryServer
) -> None:
    id_ = (await create_strategy(process)).strategy_id
    server.stop()
    for answer in (
        process.service.create(create_request(), make_context()),
        process.service.get(get_request(id_), make_context()),
        process.service.list(ListStrategies(user_id=USER), make_context()),
        process.service.start(StartStrategy(user_id=USER, strategy_id=id_), make_context(new_id())),
    ):
        with pytest.raises(Unavailable):
            await answer


async def test_a_nearly_full_journal_lets_no_strategy_start(process: StrategiesProcess) -> None:
    started, other = await create_strategy(process), await create_strategy(process)
    start = StartStrategy(user_id=USER, strategy_id=started.strategy_id)
    await process.service.start(start, make_context())
    process.is_journal_nearly_full = True
    refused = msgspec.structs.replace(start, strategy_id=other.strategy_id)
    assert await await_rejection(process.service.start(refused, make_context())) == (
        "journal_full",
        None,
    )
    again = await process.service.start(start, make_context())
    assert again.strategy.status is StrategyStatus.STARTED
    stop = StopStrategy(user_id=USER, strategy_id=started.strategy_id)
    assert (await process.service.stop(stop, make_context())).strategy.status is (
        StrategyStatus.STOPPED
    )
    unknown = msgspec.structs.replace(start, strategy_id="x")
    assert await await_rejection(process.service.start(unknown, make_context())) == (
        "not_found",
        None,
    )
