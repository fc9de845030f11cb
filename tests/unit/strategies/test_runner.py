"""Strategies at work, on the log in memory and in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec
import pytest

from services.strategies.maker import DECIDE_SECONDS, DecisionMaker, RuleMaker, Situation
from services.strategies.rules import Signal
from tapewire.events import (
    CODEC,
    Action,
    Breakout,
    MovingAverageCrossover,
    StopLossKind,
    Strategy,
    StrategyFailed,
    StrategySignaled,
    StrategyStatus,
)
from tapewire.log.memory import MemoryServer, MemoryValues
from tapewire.runtime.contracts.orders import CancelOrder
from tapewire.runtime.contracts.strategies import StartStrategy, StopStrategy, UpdateStrategy
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process, ask, context, in_log
from tests.unit.orders.spec import quote
from tests.unit.strategies.house import (
    Counter,
    Scripted,
    Worker,
    buys_when_flat,
    in_ledger,
    ledger,
    scripted,
)
from tests.unit.strategies.spec import USER, stop_loss

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD
TREND = MovingAverageCrossover(fast=2, slow=4)


class Day:
    """A market in IBM, the orders service, and the way to it."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.feed = Feed(server)
        self.orders = Process(server)
        self.counter = Counter(self.orders)

    async def open(self) -> None:
        await self.feed.show("100", "100")
        await self.orders.start()
        await asyncio.sleep(10)

    async def worker(self, hire: Callable[[Strategy], DecisionMaker] = RuleMaker) -> Worker:
        worker = await Worker(self.server, self.counter, hire=hire).start()
        await asyncio.sleep(1)  # until it has caught up, in virtual time
        return worker

    async def prices(self, *prices: str, size: str = "100000") -> None:
        """Quotes at these prices, half a second apart."""
        for price in prices:
            await self.feed.show(price, price, size)
            await asyncio.sleep(0.5)


Story = Callable[[Day], Awaitable[None]]


def play(story: Story) -> None:
    async def work() -> None:
        day = Day(MemoryServer())
        await day.open()
        await story(day)
        await day.orders.kill()

    virtual.run(work())


def test_a_rule_trades() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker()
        id_ = await worker.make(TREND)
        await day.prices("100", "99", "98", "97", "102", "105", "106", "90", "80", "70")
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        seen.check()
        assert seen.story(id_) == [
            "created",
            "started",
            "signaled",
            "traded buy 10",
            "signaled",
            "traded sell 10",
        ]
        first = seen.of(id_, StrategySignaled)[0]
        assert isinstance(first, StrategySignaled)
        assert first.reasoning == "the average of 2 prices, 99.5, rose above that of 4, 99"
        assert first.price == Decimal(102)
        assert seen.strategies[id_].trades == 2
        await worker.kill()

    play(story)


def test_what_an_event_caused_has_its_correlation() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND)
        await day.prices("100", "100")
        seen = await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        [decision] = [one for one in seen.decisions[id_] if one.taken]
        tags = [one.tag for one in seen.stored if one.meta.correlation == decision.decision_id]
        assert "strategy.signaled.v1" in tags
        assert tags[-1] == "strategy.traded.v1"
        await worker.kill()

    play(story)


@pytest.mark.parametrize("kind", StopLossKind)
def test_a_stop_loss_closes_the_position_once(kind: StopLossKind) -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND, stop=stop_loss("5", kind))
        await day.prices("100", "100", "110", "105", "96", "94", "50", "40", "200")
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        seen.check()
        assert seen.story(id_)[2:] == [
            "signaled", "traded buy 10", "triggered", "traded sell 10", "executed",
        ]  # fmt: skip
        order = seen.placed[id_][1]
        assert order.client_order_id == f"{id_}-2-sl"
        expected = "94" if kind is StopLossKind.FIXED else "96"
        assert str(seen.orders[order.order_id].filled_avg_price) == expected
        await worker.kill()

    play(story)


def test_a_stop_loss_that_is_touched_beside_an_order_waits_for_its_end() -> None:
    """The order that opens the position is filled in parts while the price falls through the
    stop-loss; closing a part at once would leave the rest of the order to open it again."""

    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND, stop=stop_loss("5"))
        await day.prices("100", "100", "90", size="3")
        await day.prices("100", "100", "100", "100", "100")
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        seen.check()
        assert "executed" in seen.story(id_)
        assert seen.story(id_).count("triggered") == 1
        assert seen.strategies[id_].position == 0
        await worker.kill()

    play(story)


class Broken:
    """Divides by zero when it sees a price of 99."""

    async def decide(self, situation: Situation) -> Signal:
        1 / (situation.quotes[-1].price - 99)
        return Signal(HOLD, Decimal(0), "fine")


def test_a_rule_that_raises_is_in_error_and_hurts_no_other() -> None:
    async def story(day: Day) -> None:
        hire = lambda of: Broken() if of.quantity == 13 else RuleMaker(of)  # noqa: E731
        worker = await day.worker(hire)
        bad = await worker.make(TREND, quantity="13")
        good = await worker.make(TREND)
        await day.prices("100", "99", "98", "97", "102", "105")
        seen = await in_ledger(day.server, "traded", lambda seen: seen.strategies[good].trades)
        failed = seen.events[bad][-1]
        assert isinstance(failed, StrategyFailed)
        assert failed.error_code == "rule_failed"
        assert failed.details.startswith("DivisionByZero")
        assert seen.story(bad) == ["created", "started", "failed"]
        worker.check()
        await worker.kill()

    play(story)


class Slow(Scripted):
    async def decide(self, situation: Situation) -> Signal:
        await asyncio.sleep(DECIDE_SECONDS * 2)
        return await super().decide(situation)


def test_a_decision_maker_that_is_too_slow_delays_no_stop_loss_and_fails_in_the_end() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(scripted(BUY))
        id_ = await worker.make(TREND, stop=stop_loss("5"))
        await day.prices("100", "100")
        await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        await worker.kill()
        worker = await day.worker(lambda _: Slow())
        await asyncio.sleep(1)
        await day.prices("100", "94")
        seen = await ledger(day.server)
        assert seen.story(id_)[-1] == "executed"
        for _ in range(20):
            await day.prices("94", "95")
        seen = await in_ledger(day.server, "failed", lambda seen: "failed" in seen.story(id_))
        failed = seen.events[id_][-1]
        assert isinstance(failed, StrategyFailed)
        assert failed.details == "no decision within 5 s, 3 times in a row"
        await worker.kill()

    play(story)


@pytest.mark.parametrize(
    "bad",
    [
        Signal(BUY, Decimal(2), "too sure"),
        Signal(BUY, Decimal("NaN"), "who knows"),
        Signal("up", Decimal(0), "no action"),  # type: ignore[arg-type]
        "buy!",
    ],
    ids=["too sure", "not a number", "no action", "no signal"],
)
def test_a_signal_that_is_none_is_an_error(bad: Signal) -> None:
    class Maker:
        async def decide(self, _: Situation) -> Signal:
            return bad

    async def story(day: Day) -> None:
        worker = await day.worker(lambda _: Maker())
        id_ = await worker.make(TREND)
        await day.prices("100")
        seen = await in_ledger(day.server, "failed", lambda seen: "failed" in seen.story(id_))
        failed = seen.events[id_][-1]
        assert isinstance(failed, StrategyFailed)
        assert failed.details.startswith("BadSignal")
        await worker.kill()

    play(story)


def test_a_decision_maker_is_told_everything_since_it_decided_last() -> None:
    async def story(day: Day) -> None:
        maker = Scripted()
        worker = await day.worker(lambda _: maker)
        await worker.make(TREND)
        await asyncio.sleep(1)
        await day.prices("101", "102", "103")
        heard = [quote.price for one in maker.situations for quote in one.quotes]
        assert heard == [Decimal(price) for price in ("100", "101", "102", "103")]
        await worker.kill()

    play(story)


def test_a_quote_that_comes_late_is_no_news_and_a_clock_that_is_behind_is_believed() -> None:
    async def story(day: Day) -> None:
        maker = Scripted()
        worker = await day.worker(lambda _: maker)
        await worker.make(TREND)
        await asyncio.sleep(1)
        for price, second in (("101", 100), ("102", 99), ("103", 100), ("104", 60), ("105", 61)):
            shown = quote(price, price, second=second)
            await MemoryValues(day.server).post("IBM", CODEC.encode(shown))
            await asyncio.sleep(0.5)
        heard = [str(one.price) for each in maker.situations for one in each.quotes]
        assert heard == ["100", "101", "104", "105"]
        await worker.kill()

    play(story)


@pytest.mark.parametrize("price", ["NaN", "-1", "0", "1e9", "0.000000001"])
def test_a_price_that_is_none_is_passed_over(price: str) -> None:
    async def story(day: Day) -> None:
        maker = Scripted()
        worker = await day.worker(lambda _: maker)
        await worker.make(TREND, stop=stop_loss())
        await asyncio.sleep(1)
        odd = msgspec.structs.replace(quote("1", "1", second=50), price=Decimal(price))
        data = CODEC.encode(odd)
        await MemoryValues(day.server).post("IBM", data)
        await asyncio.sleep(0.5)
        await MemoryValues(day.server).post("IBM", CODEC.encode(quote("101", "101", second=51)))
        await asyncio.sleep(0.5)
        heard = [str(one.price) for each in maker.situations for one in each.quotes]
        assert heard == ["100", "101"]
        worker.check()
        await worker.kill()

    play(story)


def test_declined_decisions_are_told_now_and_then() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(scripted(*[BUY] * 40))
        id_ = await worker.make(TREND)
        for _ in range(30):
            await day.prices("100", "101")
        seen = await ledger(day.server)
        told = [(one.action.value, one.taken) for one in seen.decisions[id_]]
        assert told[0] == ("buy", True)
        assert ("buy", False) in told
        assert ("hold", False) in told
        assert len(told) < 15
        declined = next(one for one in seen.decisions[id_] if not one.taken)
        assert "; declined: " in declined.reasoning
        await worker.kill()

    play(story)


def test_a_stopped_strategy_is_left_alone_and_warms_up_anew_when_started() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker()
        id_ = await worker.make(TREND)
        await day.prices("99", "98", "97")
        request = StopStrategy(user_id=USER, strategy_id=id_)
        await worker.service.stop(request, context())
        await day.prices("102", "105", "106")
        assert (await ledger(day.server)).story(id_)[-1] == "stopped"
        await worker.service.start(StartStrategy(user_id=USER, strategy_id=id_), context())
        await day.prices("107", "108")
        seen = await ledger(day.server)
        assert seen.story(id_)[-1] == "started"
        assert seen.decisions[id_][-1].reasoning.startswith("warming up")
        await worker.kill()

    play(story)


def test_a_changed_rule_is_followed_from_then_on() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker()
        id_ = await worker.make(TREND)
        change = UpdateStrategy(user_id=USER, strategy_id=id_, rule=Breakout(window=2))
        await worker.service.update(change, context())
        await asyncio.sleep(1)
        await day.prices("100", "99", "101")
        seen = await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        signal = seen.of(id_, StrategySignaled)[0]
        assert isinstance(signal, StrategySignaled)
        assert "broke above" in signal.reasoning
        await worker.kill()

    play(story)


def test_an_order_that_the_broker_rejects_is_an_error() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND, quantity="1000000")
        await day.prices("500000", "500000")
        seen = await in_ledger(day.server, "failed", lambda seen: "failed" in seen.story(id_))
        assert "more than the account may put into one order" in str(seen.strategies[id_].message)
        assert seen.strategies[id_].order is None
        await worker.kill()

    play(story)


def test_an_order_that_the_user_cancels_stops_the_strategy() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND)
        await day.prices("100", "100", size="4")
        seen = await in_ledger(day.server, "a part", lambda seen: seen.strategies[id_].position)
        order = seen.strategies[id_].order
        assert order is not None
        cancel = CancelOrder(user_id=USER, order_id=order.order_id)
        await day.orders.service.cancel(cancel, context())
        await day.prices("100", "100")
        seen = await in_ledger(day.server, "stopped", lambda seen: "stopped" in seen.story(id_))
        assert seen.strategies[id_].position == seen.filled[id_] > 0
        assert seen.settled()
        await worker.kill()

    play(story)


def test_while_orders_are_away_an_order_waits_and_is_placed_once() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        day.counter.open = False
        id_ = await worker.make(TREND)
        await day.prices("100", "101", "102")
        seen = await ledger(day.server)
        assert (seen.story(id_)[-1], seen.placed[id_]) == ("signaled", [])
        day.counter.open = True
        await day.prices(*["100"] * 10)
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        seen.check()
        assert len(seen.placed[id_]) == 1
        await worker.kill()

    play(story)


def test_the_orders_of_users_and_of_strategies_nobody_knows_concern_nobody() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        stray = ask("5", client="stray")
        await day.orders.place(stray)
        for unknown in ("nobody", "we.ird *>"):
            await day.orders.place(
                msgspec.structs.replace(stray, client_order_id=unknown, strategy_id=unknown)
            )
        id_ = await worker.make(TREND)
        await day.prices("100", "100", "100")
        seen = await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        assert list(seen.strategies) == [id_]
        await in_log(day.server, "all filled", lambda tally: not tally.open())
        worker.check()
        await worker.kill()

    play(story)


def test_its_trades_complete_it_and_it_is_worked_no_more() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(scripted(*[BUY, SELL] * 20))
        id_ = await worker.make(TREND, max_trades=2)
        await day.prices(*["100", "101"] * 10)
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        seen.check()
        assert seen.story(id_)[-1] == "completed"
        assert seen.strategies[id_].status is StrategyStatus.COMPLETED
        assert len(seen.placed[id_]) == 2
        await worker.kill()

    play(story)
