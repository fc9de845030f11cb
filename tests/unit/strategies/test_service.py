"""What the service answers, on the log in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

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
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process, context
from tests.unit.strategies.house import Counter, Worker, ledger, refusal
from tests.unit.strategies.spec import USER, stop_loss

Story = Callable[[Worker, MemoryServer], Awaitable[None]]
TREND = MovingAverageCrossover(fast=2, slow=4)


def play(story: Story) -> None:
    """The story of a process that does not run strategies, in a settled market that quotes IBM."""

    async def work() -> None:
        server = MemoryServer()
        await Feed(server).show()
        worker = await Worker(server, Counter(Process(server))).start(runner=False)
        await asyncio.sleep(10)
        await story(worker, server)
        await worker.kill()

    virtual.run(work())


def ask(**changes: object) -> CreateStrategy:
    request = CreateStrategy(user_id=USER, symbol="IBM", rule=TREND, quantity=Decimal(10))
    return msgspec.structs.replace(request, **changes)


async def made(worker: Worker, **changes: object) -> Strategy:
    return (await worker.service.create(ask(**changes), context())).strategy


def get(id_: str, user: str = USER) -> GetStrategy:
    return GetStrategy(user_id=user, strategy_id=id_)


def test_creating_answers_with_the_strategy() -> None:
    async def story(worker: Worker, _: MemoryServer) -> None:
        strategy = await made(worker, stop_loss=stop_loss("2"), max_trades=5)
        assert strategy.status is StrategyStatus.CREATED
        assert strategy.name == "IBM moving-average crossover"
        assert (strategy.position, strategy.trades, strategy.order) == (Decimal(0), 0, None)
        assert (await worker.service.get(get(strategy.strategy_id), context())).strategy == strategy
        assert (await made(worker, name="mine")).name == "mine"

    play(story)


def test_a_command_that_is_repeated_makes_nothing_again() -> None:
    async def story(worker: Worker, server: MemoryServer) -> None:
        first = await worker.service.create(ask(), context("command"))
        assert await worker.service.create(ask(), context("command")) == first
        other = await Worker(server, Counter(Process(server))).start(runner=False)
        assert await other.service.create(ask(), context("command")) == first
        id_ = first.strategy.strategy_id
        start = StartStrategy(user_id=USER, strategy_id=id_)
        started = await worker.service.start(start, context("start"))
        assert await other.service.start(start, context("start")) == started
        assert (await ledger(server)).story(id_) == ["created", "started"]
        await other.kill()

    play(story)


def test_the_same_command_at_once_makes_one_strategy() -> None:
    async def story(worker: Worker, server: MemoryServer) -> None:
        workers = [Worker(server, worker.desk.orders, Faults(seed=n, delay=0.1)) for n in range(5)]
        for other in workers:
            await other.start(runner=False)
        replies = await asyncio.gather(
            *(other.service.create(ask(), context("command")) for other in workers)
        )
        assert len({reply.strategy.strategy_id for reply in replies}) == 1
        assert len((await ledger(server)).strategies) == 1
        for other in workers:
            await other.kill()

    play(story)


def test_bad_fields_are_named() -> None:
    async def story(worker: Worker, server: MemoryServer) -> None:
        create = worker.service.create
        for path, bad in (
            ("quantity", {"quantity": Decimal(0)}),
            ("rule.slow", {"rule": MovingAverageCrossover(fast=5, slow=5)}),
            ("stopLoss.percent", {"stop_loss": stop_loss("100")}),
            ("symbol", {"symbol": "NOPE"}),
            ("symbol", {"symbol": ""}),
            ("symbol", {"symbol": "x" * 10_000}),
            ("maxTrades", {"max_trades": 0}),
            ("name", {"name": "x" * 101}),
        ):
            assert await refusal(create(ask(**bad), context())) == ("invalid", path)
        assert (await ledger(server)).stored == []

    play(story)


def test_what_is_another_users_is_not_found() -> None:
    async def story(worker: Worker, _: MemoryServer) -> None:
        id_ = (await made(worker, user_id="bob")).strategy_id
        service = worker.service
        for guess in (id_, "nonsense", "", "*", ">", "x" * 1000):
            for answer in (
                service.get(get(guess), context()),
                service.start(StartStrategy(user_id=USER, strategy_id=guess), context()),
                service.stop(StopStrategy(user_id=USER, strategy_id=guess), context()),
                service.update(UpdateStrategy(user_id=USER, strategy_id=guess), context()),
            ):
                assert await refusal(answer) == ("not_found", None)
        assert (await service.get(get(id_, "bob"), context())).strategy.strategy_id == id_

    play(story)


def test_commands_are_decided_on_what_other_processes_wrote() -> None:
    """A process that remembers a strategy as started used to answer "start" with that memory,
    although another process had stopped it."""

    async def story(worker: Worker, server: MemoryServer) -> None:
        id_ = (await made(worker)).strategy_id
        start = StartStrategy(user_id=USER, strategy_id=id_)
        await worker.service.start(start, context())
        other = await Worker(server, worker.desk.orders).start(runner=False)
        await other.service.stop(StopStrategy(user_id=USER, strategy_id=id_), context())
        again = await worker.service.start(start, context())
        assert again.strategy.status is StrategyStatus.STARTED
        assert (await ledger(server)).story(id_) == ["created", "started", "stopped", "started"]
        await other.kill()

    play(story)


def test_only_what_is_given_is_changed_and_null_takes_away() -> None:
    async def story(worker: Worker, _: MemoryServer) -> None:
        id_ = (await made(worker, stop_loss=stop_loss("2"), max_trades=5)).strategy_id

        async def change(**fields: object) -> Strategy:
            request = UpdateStrategy(user_id=USER, strategy_id=id_, **fields)
            sent = CODEC.decode(CODEC.encode(request), UpdateStrategy)  # as over the wire
            return (await worker.service.update(sent, context())).strategy

        changed = await change(quantity=Decimal("2.5"))
        assert (changed.quantity, changed.rule, changed.max_trades) == (Decimal("2.5"), TREND, 5)
        assert changed.stop_loss == stop_loss("2")
        changed = await change(stop_loss=None, max_trades=None, rule=Breakout(window=9))
        assert (changed.stop_loss, changed.max_trades) == (None, None)
        assert changed.rule == Breakout(window=9)

    play(story)


def test_the_list_is_true_for_one_sequence() -> None:
    async def story(worker: Worker, server: MemoryServer) -> None:
        ids = [(await made(worker)).strategy_id for _ in range(3)]
        await made(worker, user_id="bob")
        await worker.service.start(StartStrategy(user_id=USER, strategy_id=ids[0]), context())
        reply = await worker.service.list(ListStrategies(user_id=USER), context())
        assert [one.strategy_id for one in reply.strategies] == [ids[1], ids[2], ids[0]]
        assert (reply.as_of, reply.epoch) == (server.journal.last, server.journal.epoch)

    play(story)


def test_without_the_log_the_answer_is_unavailable_and_nothing_else() -> None:
    async def story(worker: Worker, server: MemoryServer) -> None:
        id_ = (await made(worker)).strategy_id
        server.stop()
        for answer in (
            worker.service.create(ask(), context()),
            worker.service.get(get(id_), context()),
            worker.service.list(ListStrategies(user_id=USER), context()),
            worker.service.start(StartStrategy(user_id=USER, strategy_id=id_), context(new_id())),
        ):
            with pytest.raises(Unavailable):
                await answer

    play(story)
