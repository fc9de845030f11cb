"""What a runner leaves to the next one beyond the log."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from tapewire.events import (
    CODEC,
    Action,
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    PriceUpdated,
    StopLossTriggered,
    Strategy,
    StrategyRule,
    StrategySignaled,
)
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime.contracts.progress import GetProgress, Progress
from tapewire.runtime.contracts.strategies import UpdateStrategy
from tapewire_services.strategies import runner_checkpoint
from tapewire_services.strategies.decision_maker import RuleDecisionMaker
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.protection import ProtectionState
from tapewire_services.strategies.domain.rules import RuleState, make_rule
from tapewire_services.strategies.runner import StrategiesRunner
from tapewire_services.strategies.runner_checkpoint import (
    RunnerCheckpoint,
    StrategyCheckpoint,
    StrategyResumePoint,
    can_resume,
    digest_quote,
)
from tests.harness.memory_process import make_context
from tests.harness.order_builders import quote
from tests.harness.strategies_process import (
    StrategiesProcess,
    make_buy_when_flat,
    read_strategies_log,
    scripted_factory,
    wait_for_strategies_log,
)
from tests.unit.strategies.runner_scenario import TREND, RunnerScenario
from tests.unit.strategies.spec import USER, StrategyHistory, at, create, make_stop_loss, start

pytestmark = pytest.mark.virtual_time

CHECKPOINT_WAIT_SECONDS = 3.0
"""Time after which checkpoints are saved."""
PRICES = ("100", "99", "98", "97", "102")
"""The last price makes TREND buy."""


async def describe_events_after_failover(
    scenario: RunnerScenario, *, skipped_quotes: int, starts_before_price: bool = False
) -> list[str]:
    """The events of a crossover whose runner is killed before the price that makes it buy; the next
    runner misses `skipped_quotes` quotes before that price, and may read the last one before it."""
    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices(*PRICES[:-1])
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    await process.kill()
    if starts_before_price:
        process = await scenario.start_process()
    await scenario.quote_simulator.publish_quote(
        PRICES[-1], PRICES[-1], "100000", skipped_quotes=skipped_quotes
    )
    if not starts_before_price:
        process = await scenario.start_process()
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    seen = await read_strategies_log(scenario.server)
    seen.assert_consistent()
    await process.kill()
    return [
        one.reasoning if isinstance(one, StrategySignaled) else type(one).__name__
        for one in seen.events_by_strategy[id_]
    ]


@pytest.mark.parametrize("starts_before_price", [False, True])
async def test_a_rule_continues_from_the_prices_of_the_previous_runner(
    scenario: RunnerScenario, starts_before_price: bool
) -> None:
    """A takeover used to make every rule warm up again although no price was missed, so the trades
    of a day depended on when a process died. A price that the previous runner has handled, and the
    next one reads again, counts once."""
    assert await describe_events_after_failover(
        scenario, skipped_quotes=0, starts_before_price=starts_before_price
    ) == [
        "StrategyCreated",
        "StrategyStarted",
        "the average of 2 prices, 99.5, rose above that of 4, 99",
        "StrategyTraded",
    ]


async def test_a_rule_warms_up_again_when_a_price_was_missed(scenario: RunnerScenario) -> None:
    assert await describe_events_after_failover(scenario, skipped_quotes=1) == [
        "StrategyCreated",
        "StrategyStarted",
    ]


def quote_with_last_trade(price: str, ask: str, second: float) -> PriceUpdated:
    """A quote at `price` that follows the quote of one second before."""
    now = quote(str(Decimal(ask) - 1), ask, second=second)
    before = quote(second=second - 1).timestamp
    return msgspec.structs.replace(now, price=Decimal(price), follows=before)


async def test_a_quote_that_the_previous_runner_acted_on_is_not_acted_on_again(
    scenario: RunnerScenario,
) -> None:
    """The next runner used to treat the quote as the first one of the position that it had led to,
    closed that position at once, and published the decision that was followed as declined."""
    market = MemoryLatestValueStore(scenario.server)
    process = await scenario.start_process(scripted_factory(Action.HOLD, Action.BUY))
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("10"))
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    await market.put_unacknowledged("IBM", CODEC.encode(quote_with_last_trade("80", "100", 2)))
    seen = await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    await process.kill()
    process = await scenario.start_process(scripted_factory(Action.BUY))
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    await market.put_unacknowledged("IBM", CODEC.encode(quote_with_last_trade("95", "100", 3)))
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_) == ["created", "started", "signaled", "traded buy 10"]
    assert [one.taken for one in seen.decisions_by_strategy[id_] if one.action is Action.BUY] == [
        True
    ]
    await process.kill()


async def test_a_stop_loss_takes_precedence_over_a_signal_at_the_same_price(
    scenario: RunnerScenario,
) -> None:
    """Both used to begin an order, and chance decided which was first."""
    process = await scenario.start_process(scripted_factory(Action.BUY, Action.SELL))
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("10"))
    await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    await scenario.publish_prices("80")
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    assert seen.describe_events(id_)[-3:] == ["triggered", "traded sell 10", "executed"]
    assert len(seen.events_of_type(id_, StopLossTriggered)) == 1
    sell = seen.decisions_by_strategy[id_][-1]
    assert (sell.action, sell.taken) == (Action.SELL, False)
    assert sell.reasoning.endswith("; declined: the stop-loss at 90 was reached")
    await process.kill()


async def test_an_unreadable_decision_maker_state_is_ignored(scenario: RunnerScenario) -> None:
    class UnreadableDecisionMaker(RuleDecisionMaker):
        def restore_state(self, state: bytes) -> None:
            raise ValueError(f"{state!r} is of another program")

    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices(*PRICES)
    await asyncio.sleep(CHECKPOINT_WAIT_SECONDS)
    await process.kill()
    process = await scenario.start_process(UnreadableDecisionMaker)
    await scenario.publish_prices("103")
    assert (await read_strategies_log(scenario.server)).describe_events(id_)[-1] == "traded buy 10"
    await process.kill()


RULES: list[StrategyRule] = [
    MovingAverageCrossover(fast=2, slow=5),
    Breakout(window=4),
    MeanReversion(window=5, deviations=Decimal("0.5")),
]


@settings(deadline=None)
@examples(
    st.sampled_from(RULES),
    st.lists(st.decimals("0.01", "1000", places=2), min_size=1, max_size=40),
    st.data(),
)
def test_a_restored_rule_gives_the_same_signals(
    parameters: StrategyRule, prices: list[Decimal], data: st.DataObject
) -> None:
    point = data.draw(st.integers(0, len(prices)))
    straight, first, second = make_rule(parameters), make_rule(parameters), make_rule(parameters)
    for price in prices[:point]:
        straight.on_price(price)
        first.on_price(price)
    second.restore_state(CODEC.decode(CODEC.encode(first.export_state()), RuleState))
    for price in prices[point:]:
        assert second.on_price(price) == straight.on_price(price)


def sample_checkpoint() -> tuple[str, str, StrategyCheckpoint]:
    history = StrategyHistory([create(), start()])
    strategy: Strategy = history.strategy
    member = TrackedStrategy(
        user=USER, strategy=strategy, sequence=2, position_since=2, rule_since=2, correlation="c"
    )
    guard = ProtectionState(2, None, Decimal(7))
    resume_point = StrategyResumePoint(at(1), member, guard, None, '{"prices":[1.50]}')
    return "IBM", str(member.subject), StrategyCheckpoint(guard, resume_point)


async def test_checkpoints_are_restored_only_in_the_same_log() -> None:
    values = MemoryLatestValueStore(MemoryServer(), stream="VIEWS", prefix="view")
    symbol, subject, checkpoint = sample_checkpoint()
    store = RunnerCheckpoint(values, "e1")
    assert not store.is_saved([(symbol, subject, checkpoint)])
    await store.save([(symbol, subject, checkpoint)])
    assert store.is_saved([(symbol, subject, checkpoint)])
    assert await RunnerCheckpoint(values, "e1").load(["IBM", "SPY"]) == {subject: checkpoint}
    assert await RunnerCheckpoint(values, "e2").load(["IBM"]) == {}


async def test_a_checkpoint_that_is_too_large_is_saved_without_resume_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_checkpoint, "MAX_VALUE_BYTES", 10)

    values = MemoryLatestValueStore(MemoryServer(), stream="VIEWS", prefix="view")
    symbol, subject, checkpoint = sample_checkpoint()
    await RunnerCheckpoint(values, "e1").save([(symbol, subject, checkpoint)])
    assert await RunnerCheckpoint(values, "e1").load([symbol]) == {
        subject: StrategyCheckpoint(checkpoint.protection)
    }


def test_a_resume_point_is_not_that_of_another_quote_with_its_timestamp() -> None:
    handled, other = quote("99", "100", second=3), quote("98", "99", second=3)
    _, _, checkpoint = sample_checkpoint()
    assert checkpoint.resume_point is not None
    point = msgspec.structs.replace(
        checkpoint.resume_point, quoted_at=handled.timestamp, quote_digest=digest_quote(handled)
    )
    tracked = point.tracked
    assert can_resume(point, tracked, handled)
    assert not can_resume(point, tracked, other)
    assert not can_resume(
        point, tracked, msgspec.structs.replace(other, follows=handled.timestamp)
    ), "there may be a third one between the two"
    successor = msgspec.structs.replace(quote(second=2), follows=handled.timestamp)
    assert can_resume(point, tracked, successor), "a clock that was set back"
    assert not can_resume(point, tracked, quote(second=4))


async def test_one_purchase_stays_one_after_many_takeovers(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND)
    for price in ("100", "101", "102"):
        await scenario.publish_prices(price)
        await process.kill()
        process = await scenario.start_process(make_buy_when_flat)
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    assert len(seen.placed_orders_by_strategy[id_]) == 1
    await process.kill()


async def test_progress_reports_what_is_handled_and_saves_its_checkpoint_first(
    scenario: RunnerScenario,
) -> None:
    process = await StrategiesProcess(scenario.server, scenario.order_client).start(
        with_runner=False
    )
    runner = StrategiesRunner(process.dependencies, process.views, process.quote_cache)

    async def get_progress() -> Progress:
        return await runner.progress.get_progress(GetProgress(), make_context())

    process.tasks.append(asyncio.create_task(runner.run()))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="still reading"):
        await get_progress()
    id_ = await process.create_strategy(TREND)
    await asyncio.sleep(1)
    await scenario.quote_simulator.publish_quote("99", "99")
    await asyncio.sleep(0.1)
    progress = await get_progress()
    quote = process.quote_cache.quote("IBM")
    assert quote is not None
    assert (progress.busy, progress.quotes) == (0, {"IBM": quote.timestamp})
    assert progress.taken == {"ev.*.strategies.>": 2, "ev.*.orders.>": 0}
    epoch = (await process.log.bounds()).epoch
    [checkpoint] = (await RunnerCheckpoint(process.views, epoch).load(["IBM"])).values()
    assert checkpoint.resume_point is not None
    assert (checkpoint.resume_point.quoted_at, checkpoint.resume_point.decision_maker_state) == (
        quote.timestamp,
        '{"prices":[100,99],"above":null}',
    )
    scenario.order_client.is_open = False
    request = UpdateStrategy(user_id=USER, strategy_id=id_, rule=Breakout(window=2))
    await process.service.update(request, make_context())
    for price in ("100", "100", "120"):
        await asyncio.sleep(1)
        await scenario.quote_simulator.publish_quote(price, price)
    await asyncio.sleep(1)
    assert (await get_progress()).busy == 1, "an order is waiting to be placed"
    await process.kill()
