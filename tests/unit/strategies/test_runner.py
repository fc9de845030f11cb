"""The runner with its workers, on the log in memory and in virtual time."""

import asyncio
from decimal import Decimal
from typing import cast

import msgspec
import pytest

from tapewire.events import (
    CODEC,
    Action,
    Breakout,
    StopLossExecuted,
    StopLossKind,
    Strategy,
    StrategyEvent,
    StrategyFailed,
    StrategySignaled,
    StrategyStatus,
)
from tapewire.log import pattern
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore
from tapewire.runtime.contracts.orders import CancelOrder
from tapewire.runtime.contracts.strategies import StartStrategy, StopStrategy, UpdateStrategy
from tapewire_services.strategies.decision_maker import (
    DECISION_TIMEOUT_SECONDS,
    DecisionInput,
    DecisionMaker,
    RuleDecisionMaker,
)
from tapewire_services.strategies.domain.rules import Signal
from tapewire_services.strategies.runner import STRATEGIES_FILTER
from tests.harness.erasures import append_erasure, held_pages
from tests.harness.memory_process import make_context
from tests.harness.order_builders import quote
from tests.harness.orders_process import place_request, wait_for_log
from tests.harness.recorded_log import read_events
from tests.harness.strategies_process import (
    ScriptedDecisionMaker,
    StrategiesLogSummary,
    make_buy_when_flat,
    read_strategies_log,
    scripted_factory,
    wait_for_strategies_log,
)
from tests.unit.strategies.runner_scenario import TREND, RunnerScenario
from tests.unit.strategies.spec import USER, make_stop_loss

pytestmark = pytest.mark.virtual_time

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD


async def test_a_rule_trades(scenario: RunnerScenario) -> None:
    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "99", "98", "97", "102", "105", "106", "90", "80", "70")
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert seen.describe_events(id_) == [
        "created",
        "started",
        "signaled",
        "traded buy 10",
        "signaled",
        "traded sell 10",
    ]
    first = seen.events_of_type(id_, StrategySignaled)[0]
    assert isinstance(first, StrategySignaled)
    assert first.reasoning == "the average of 2 prices, 99.5, rose above that of 4, 99"
    assert first.price == Decimal(102)
    assert seen.strategies[id_].trades == 2
    await process.kill()


async def test_events_caused_by_a_decision_have_its_correlation(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "100")
    seen = await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    [decision] = [one for one in seen.decisions_by_strategy[id_] if one.taken]
    tags = [
        one.tag for one in seen.recorded_events if one.metadata.correlation == decision.decision_id
    ]
    assert "strategy.signaled.v1" in tags
    assert tags[-1] == "strategy.traded.v1"
    await process.kill()


@pytest.mark.parametrize("kind", StopLossKind)
async def test_a_stop_loss_closes_the_position_once(
    kind: StopLossKind, scenario: RunnerScenario
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("5", kind))
    await scenario.publish_prices("100", "100", "110", "105", "96", "94", "50", "40", "200")
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert seen.describe_events(id_)[2:] == [
        "signaled", "traded buy 10", "triggered", "traded sell 10", "executed",
    ]  # fmt: skip
    order = seen.placed_orders_by_strategy[id_][1]
    assert order.client_order_id == f"{id_}-2-sl"
    expected = "94" if kind is StopLossKind.FIXED else "96"
    assert str(seen.orders_by_id[order.order_id].filled_avg_price) == expected
    await process.kill()


async def test_a_stop_loss_touched_during_an_order_waits_for_the_end_of_the_order(
    scenario: RunnerScenario,
) -> None:
    """The opening order is filled in parts while the price falls through the stop-loss. Closing the
    first part at once would let the rest of the order open the position again."""
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("5"))
    await scenario.publish_prices("100", "100", "90", size="3")
    await scenario.publish_prices("100", "100", "100", "100", "100")
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert "executed" in seen.describe_events(id_)
    assert seen.describe_events(id_).count("triggered") == 1
    assert seen.strategies[id_].position == 0
    await process.kill()


class FailingDecisionMaker:
    """Divides by zero when it sees a price of 99."""

    async def decide(self, decision_input: DecisionInput) -> Signal:
        1 / (decision_input.quotes[-1].price - 99)
        return Signal(HOLD, Decimal(0), "fine")


async def test_an_error_in_a_rule_fails_its_strategy_and_no_other(scenario: RunnerScenario) -> None:
    def make(strategy: Strategy) -> DecisionMaker:
        return FailingDecisionMaker() if strategy.quantity == 13 else RuleDecisionMaker(strategy)

    process = await scenario.start_process(make)
    bad = await process.create_strategy(TREND, quantity="13")
    good = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "99", "98", "97", "102", "105")
    seen = await wait_for_strategies_log(
        scenario.server, "traded", lambda seen: seen.strategies[good].trades
    )
    failed = seen.events_by_strategy[bad][-1]
    assert isinstance(failed, StrategyFailed)
    assert failed.error_code == "rule_failed"
    assert failed.details.startswith("DivisionByZero")
    assert seen.describe_events(bad) == ["created", "started", "failed"]
    process.raise_task_errors()
    await process.kill()


class SlowDecisionMaker(ScriptedDecisionMaker):
    async def decide(self, decision_input: DecisionInput) -> Signal:
        await asyncio.sleep(DECISION_TIMEOUT_SECONDS * 2)
        return await super().decide(decision_input)


async def test_a_slow_decision_maker_delays_no_stop_loss_and_finally_fails_its_strategy(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(scripted_factory(BUY))
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("5"))
    await scenario.publish_prices("100", "100")
    await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    await process.kill()
    process = await scenario.start_process(lambda _: SlowDecisionMaker())
    await asyncio.sleep(1)
    await scenario.publish_prices("100", "94")
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_)[-1] == "executed"
    for _ in range(20):
        await scenario.publish_prices("94", "95")
    seen = await wait_for_strategies_log(
        scenario.server, "failed", lambda seen: "failed" in seen.describe_events(id_)
    )
    failed = seen.events_by_strategy[id_][-1]
    assert isinstance(failed, StrategyFailed)
    assert failed.details == "no decision within 5 s, 3 times in a row"
    await process.kill()


@pytest.mark.parametrize(
    "bad",
    [
        Signal(BUY, Decimal(2), "too sure"),
        Signal(BUY, Decimal("NaN"), "who knows"),
        Signal(cast("Action", "up"), Decimal(0), "no action"),
        "buy!",
    ],
    ids=["confidence above 1", "confidence NaN", "no action", "no signal"],
)
async def test_an_invalid_signal_fails_the_strategy(bad: Signal, scenario: RunnerScenario) -> None:
    class Maker:
        async def decide(self, _: DecisionInput) -> Signal:
            return bad

    process = await scenario.start_process(lambda _: Maker())
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100")
    seen = await wait_for_strategies_log(
        scenario.server, "failed", lambda seen: "failed" in seen.describe_events(id_)
    )
    failed = seen.events_by_strategy[id_][-1]
    assert isinstance(failed, StrategyFailed)
    assert failed.details.startswith("InvalidSignal")
    await process.kill()


async def test_a_decision_maker_receives_every_quote_since_its_last_decision(
    scenario: RunnerScenario,
) -> None:
    maker = ScriptedDecisionMaker()
    process = await scenario.start_process(lambda _: maker)
    await process.create_strategy(TREND)
    await asyncio.sleep(1)
    await scenario.publish_prices("101", "102", "103")
    received = [quote.price for one in maker.decision_inputs for quote in one.quotes]
    assert received == [Decimal(price) for price in ("100", "101", "102", "103")]
    await process.kill()


@pytest.mark.parametrize(
    "seconds",
    [
        (100, 100, 100, 100),  # one stamp for all
        (100, 99, 98, 40),  # a clock that is set back
        (31_536_000, 1, 2, 3),  # a year ahead
        (100, 98, 100, 98),  # two producers
    ],
)
async def test_a_strategy_receives_every_quote_whatever_its_timestamp(
    seconds: tuple[int, ...], scenario: RunnerScenario
) -> None:
    maker = ScriptedDecisionMaker()
    process = await scenario.start_process(lambda _: maker)
    await process.create_strategy(TREND)
    await asyncio.sleep(1)
    for number, second in enumerate(seconds):
        await scenario.put_quote(str(101 + number), second)
    received = [str(one.price) for each in maker.decision_inputs for one in each.quotes]
    assert received == ["100", "101", "102", "103", "104"]
    await process.kill()


async def test_a_stop_loss_is_touched_by_a_price_between_others_of_its_timestamp(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("5"), max_trades=1)
    await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    for price in ("99", "40", "99"):
        await scenario.put_quote(price, 3)
    seen = await wait_for_strategies_log(
        scenario.server, "sold", lambda seen: seen.events_of_type(id_, StopLossExecuted)
    )
    assert seen.strategies[id_].position == 0
    await process.kill()


async def test_signals_at_prices_with_one_timestamp_are_all_followed(
    scenario: RunnerScenario,
) -> None:
    """The ids of their decisions used to be the same, so the second one counted as repeated."""
    process = await scenario.start_process(
        scripted_factory(Action.HOLD, Action.BUY, Action.SELL, Action.BUY, Action.SELL)
    )
    id_ = await process.create_strategy(TREND)
    await asyncio.sleep(1)
    for price in ("101", "102", "103", "104"):
        await scenario.put_quote(price, 3)
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_)[2:] == [
        *("signaled", "traded buy 10", "signaled", "traded sell 10") * 2
    ]
    await process.kill()


@pytest.mark.parametrize("price", ["NaN", "1e12", "-1e12", "0.000000001"])
async def test_an_invalid_price_is_ignored(price: str, scenario: RunnerScenario) -> None:
    maker = ScriptedDecisionMaker()
    process = await scenario.start_process(lambda _: maker)
    await process.create_strategy(TREND, stop_loss=make_stop_loss())
    await asyncio.sleep(1)
    odd = msgspec.structs.replace(quote("1", "1", second=50), price=Decimal(price))
    data = CODEC.encode(odd)
    await MemoryLatestValueStore(scenario.server).put_unacknowledged("IBM", data)
    await asyncio.sleep(0.5)
    await MemoryLatestValueStore(scenario.server).put_unacknowledged(
        "IBM", CODEC.encode(quote("101", "101", second=51))
    )
    await asyncio.sleep(0.5)
    received = [str(one.price) for each in maker.decision_inputs for one in each.quotes]
    assert received == ["100", "101"]
    process.raise_task_errors()
    await process.kill()


async def test_declined_decisions_are_published_now_and_then(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(scripted_factory(*[BUY] * 40))
    id_ = await process.create_strategy(TREND)
    for _ in range(30):
        await scenario.publish_prices("100", "101")
    seen = await read_strategies_log(scenario.server)
    published = [(one.action.value, one.taken) for one in seen.decisions_by_strategy[id_]]
    assert published[0] == ("buy", True)
    assert ("buy", False) in published
    assert ("hold", False) in published
    assert len(published) < 15
    declined = next(one for one in seen.decisions_by_strategy[id_] if not one.taken)
    assert "; declined: " in declined.reasoning
    await process.kill()


async def test_with_a_nearly_full_journal_a_strategy_closes_its_position_and_opens_none(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(scripted_factory(BUY, SELL, *[BUY, HOLD] * 10))
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100")
    await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position == 10
    )
    process.is_journal_nearly_full = True
    await scenario.publish_prices(*["102", "103"] * 10)
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    assert seen.describe_events(id_)[-2:] == ["signaled", "traded sell 10"]
    count = len(seen.decisions_by_strategy[id_])
    await scenario.publish_prices(*["104", "105"] * 10)
    seen = await read_strategies_log(scenario.server)
    assert seen.strategies[id_].status is StrategyStatus.STARTED
    assert len(seen.decisions_by_strategy[id_]) == count
    await process.kill()


async def test_with_a_nearly_full_journal_a_stop_loss_still_closes(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND, stop_loss=make_stop_loss("1"))
    await scenario.publish_prices("100", "100")
    await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position == 10
    )
    process.is_journal_nearly_full = True
    await scenario.publish_prices("90", "90")
    seen = await wait_for_strategies_log(
        scenario.server, "closed", lambda seen: seen.strategies[id_].position == 0
    )
    assert seen.describe_events(id_)[-3:] == ["triggered", "traded sell 10", "executed"]
    await process.kill()


async def test_a_stopped_strategy_does_nothing_and_warms_up_again_when_started(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("99", "98", "97")
    request = StopStrategy(user_id=USER, strategy_id=id_)
    await process.service.stop(request, make_context())
    await scenario.publish_prices("102", "105", "106")
    assert (await read_strategies_log(scenario.server)).describe_events(id_)[-1] == "stopped"
    await process.service.start(StartStrategy(user_id=USER, strategy_id=id_), make_context())
    await scenario.publish_prices("107", "108")
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_)[-1] == "started"
    assert seen.decisions_by_strategy[id_][-1].reasoning.startswith("warming up")
    await process.kill()


async def test_a_changed_rule_is_followed_from_then_on(scenario: RunnerScenario) -> None:
    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    change = UpdateStrategy(user_id=USER, strategy_id=id_, rule=Breakout(window=2))
    await process.service.update(change, make_context())
    await asyncio.sleep(1)
    await scenario.publish_prices("100", "99", "101")
    seen = await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    signal = seen.events_of_type(id_, StrategySignaled)[0]
    assert isinstance(signal, StrategySignaled)
    assert "broke above" in signal.reasoning
    await process.kill()


async def test_an_order_that_the_broker_rejects_is_an_error(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND, quantity="1000000")
    await scenario.publish_prices("500000", "500000")
    seen = await wait_for_strategies_log(
        scenario.server, "failed", lambda seen: "failed" in seen.describe_events(id_)
    )
    assert "more than the account may put into one order" in str(seen.strategies[id_].message)
    assert seen.strategies[id_].order is None
    await process.kill()


async def test_a_strategy_behind_an_order_that_cannot_be_filled_says_so_until_it_is(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "101", "102", size="0")
    seen = await wait_for_strategies_log(
        scenario.server, "waiting", lambda seen: "updated" in seen.describe_events(id_)
    )
    assert seen.strategies[id_].message == f"order {id_}-1 waits: no_offer"
    await scenario.publish_prices("103", "104", size="0")
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_).count("updated") == 1, "it is noted once"
    await scenario.publish_prices("104")
    seen = await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    assert seen.strategies[id_].message == "started by the user"
    await process.kill()


async def test_an_order_that_the_user_cancels_stops_the_strategy(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "100", size="4")
    seen = await wait_for_strategies_log(
        scenario.server, "a part", lambda seen: seen.strategies[id_].position
    )
    order = seen.strategies[id_].order
    assert order is not None
    cancel = CancelOrder(user_id=USER, order_id=order.order_id)
    await scenario.orders_process.service.cancel(cancel, make_context())
    await scenario.publish_prices("100", "100")
    seen = await wait_for_strategies_log(
        scenario.server, "stopped", lambda seen: "stopped" in seen.describe_events(id_)
    )
    assert seen.strategies[id_].position == seen.filled_qty_by_strategy[id_] > 0
    assert seen.is_settled()
    await process.kill()


async def test_an_order_waits_while_the_orders_service_is_down_and_is_placed_once(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    scenario.order_client.is_open = False
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "101", "102")
    seen = await read_strategies_log(scenario.server)
    assert (seen.describe_events(id_)[-1], seen.placed_orders_by_strategy[id_]) == (
        "signaled",
        [],
    )
    scenario.order_client.is_open = True
    await scenario.publish_prices(*["100"] * 10)
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert len(seen.placed_orders_by_strategy[id_]) == 1
    await process.kill()


async def test_orders_of_users_and_of_unknown_strategies_are_ignored(
    scenario: RunnerScenario,
) -> None:
    process = await scenario.start_process(make_buy_when_flat)
    stray = place_request("5", client_order_id="stray")
    await scenario.orders_process.place_order(stray)
    for unknown in ("nobody", "we.ird *>"):
        await scenario.orders_process.place_order(
            msgspec.structs.replace(stray, client_order_id=unknown, strategy_id=unknown)
        )
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100", "100", "100")
    seen = await wait_for_strategies_log(
        scenario.server, "bought", lambda seen: seen.strategies[id_].position
    )
    assert list(seen.strategies) == [id_]
    await wait_for_log(scenario.server, "all filled", lambda summary: not summary.open_orders())
    process.raise_task_errors()
    await process.kill()


async def test_a_strategy_that_made_all_its_trades_is_completed(scenario: RunnerScenario) -> None:
    process = await scenario.start_process(scripted_factory(*[BUY, SELL] * 20))
    id_ = await process.create_strategy(TREND, max_trades=2)
    await scenario.publish_prices(*["100", "101"] * 10)
    seen = await wait_for_strategies_log(scenario.server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert seen.describe_events(id_)[-1] == "completed"
    assert seen.strategies[id_].status is StrategyStatus.COMPLETED
    assert len(seen.placed_orders_by_strategy[id_]) == 2
    await process.kill()


async def test_an_unexpected_error_in_a_worker_fails_its_strategy(
    scenario: RunnerScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def place_order(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(scenario.order_client, "place_order", place_order)
    process = await scenario.start_process(make_buy_when_flat)
    id_ = await process.create_strategy(TREND)
    await scenario.publish_prices("100")
    seen = await wait_for_strategies_log(
        scenario.server, "failed", lambda seen: "failed" in seen.describe_events(id_)
    )
    failed = seen.events_by_strategy[id_][-1]
    assert isinstance(failed, StrategyFailed)
    assert (failed.error_code, failed.details) == ("internal", "ZeroDivisionError: a bug")
    process.raise_task_errors()
    await process.kill()


async def test_the_strategy_of_an_erased_user_trades_no_more(scenario: RunnerScenario) -> None:
    process = await scenario.start_process()
    id_ = await process.create_strategy(TREND)
    await append_erasure(MemoryEventLog(scenario.server), USER)
    await asyncio.sleep(5)  # of virtual time
    await scenario.publish_prices("100", "99", "98", "97", "102", "105", "106", "90", "80", "70")
    await asyncio.sleep(5)
    seen = await read_strategies_log(scenario.server)
    assert seen.describe_events(id_) == ["created", "started"]
    await process.kill()


def has_strategy_event(seen: StrategiesLogSummary, *, after: int) -> bool:
    return any(
        one.sequence > after and isinstance(one.event, StrategyEvent)
        for one in seen.recorded_events
    )


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize("first", [HOLD, BUY])
async def test_a_worker_that_knows_later_events_than_the_erasure_is_stopped(
    scenario: RunnerScenario, first: Action, is_removed: bool
) -> None:
    """Its own command was stored after the erasure, and removed before the runner read it, or not:
    a signal, or the exit from a position."""
    process = await scenario.start_process(scripted_factory(first, BUY, SELL, BUY, SELL))
    await process.create_strategy(TREND, stop_loss=make_stop_loss("5"))
    await asyncio.sleep(1)
    with held_pages(process.log, STRATEGIES_FILTER):
        await append_erasure(MemoryEventLog(scenario.server), USER)
        erased_at = (await process.log.bounds()).last
        await scenario.publish_prices("90")
        await wait_for_strategies_log(
            scenario.server,
            "the worker's command is stored",
            lambda seen: has_strategy_event(seen, after=erased_at),
        )
        await asyncio.sleep(1)
        if is_removed:
            scenario.server.remove_user(USER)
    await asyncio.sleep(5)  # of virtual time
    before = await read_events(process.log, pattern(owner=USER))
    await scenario.publish_prices("100", "99", "98", "97", "102", "105", "106", "90", "80", "70")
    await asyncio.sleep(5)
    assert await read_events(process.log, pattern(owner=USER)) == before
    await process.kill()
