"""What a runner hands on beyond the log: whoever takes over goes on as if nothing had happened."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from services.strategies import marks as marks_module
from services.strategies.maker import RuleMaker
from services.strategies.marks import Mark, Marks, Place
from services.strategies.progress import Working
from services.strategies.roster import Member
from services.strategies.rules import Memory, rule
from services.strategies.runner import run_strategies
from services.strategies.stoploss import Guard
from tapewire.events import (
    CODEC,
    Action,
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    PriceUpdated,
    Rule,
    StopLossTriggered,
    Strategy,
    StrategySignaled,
)
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryServer, MemoryValues
from tapewire.runtime.contracts.strategies import UpdateStrategy
from tests.unit.orders import virtual
from tests.unit.orders.house import context
from tests.unit.orders.spec import quote
from tests.unit.strategies.house import (
    Worker,
    buys_when_flat,
    in_ledger,
    ledger,
    scripted,
)
from tests.unit.strategies.spec import USER, Given, at, create, start, stop_loss
from tests.unit.strategies.test_runner import TREND, Day, play

KEPT_SECONDS = 3.0
"""By then marks are kept."""
PRICES = ("100", "99", "98", "97", "102")
"""The last one makes TREND buy."""


async def traded_after(day: Day, *, lose: int) -> list[str]:
    """A crossover whose runner is killed before the price that it would act on, with as many
    quotes missed meanwhile."""
    worker = await day.worker()
    id_ = await worker.make(TREND)
    await day.prices(*PRICES[:-1])
    await asyncio.sleep(KEPT_SECONDS)
    await worker.kill()
    await day.feed.show(PRICES[-1], PRICES[-1], "100000", lose=lose)
    worker = await day.worker()
    await asyncio.sleep(KEPT_SECONDS)
    seen = await ledger(day.server)
    seen.check()
    await worker.kill()
    return [
        one.reasoning if isinstance(one, StrategySignaled) else type(one).__name__
        for one in seen.events[id_]
    ]


def test_a_rule_goes_on_from_the_prices_that_the_runner_before_had_seen() -> None:
    """A takeover made every rule warm up again, although no price had come meanwhile: which trades
    a day ended with depended on when a process happened to die."""

    async def story(day: Day) -> None:
        assert await traded_after(day, lose=0) == [
            "StrategyCreated",
            "StrategyStarted",
            "the average of 2 prices, 99.5, rose above that of 4, 99",
            "StrategyTraded",
        ]

    play(story)


def test_a_rule_warms_up_again_where_a_price_was_missed() -> None:
    async def story(day: Day) -> None:
        assert await traded_after(day, lose=1) == ["StrategyCreated", "StrategyStarted"]

    play(story)


def last_traded(price: str, ask: str, second: float) -> PriceUpdated:
    """A quote whose last trade was elsewhere; it follows that of the second before."""
    now = quote(str(Decimal(ask) - 1), ask, second=second)
    before = quote(second=second - 1).timestamp
    return msgspec.structs.replace(now, price=Decimal(price), follows=before)


def test_a_quote_that_was_acted_on_by_a_runner_that_died_is_acted_on_no_more() -> None:
    """The next runner took the same quote for the first one of the position that it had led to, and
    closed that at once; and told that the very decision which had been taken was declined."""

    async def story(day: Day) -> None:
        market = MemoryValues(day.server)
        worker = await day.worker(scripted(Action.HOLD, Action.BUY))
        id_ = await worker.make(TREND, stop=stop_loss("10"))
        await asyncio.sleep(KEPT_SECONDS)
        await market.post("IBM", CODEC.encode(last_traded("80", "100", 2)))
        seen = await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        await worker.kill()
        worker = await day.worker(scripted(Action.BUY))
        await asyncio.sleep(KEPT_SECONDS)
        await market.post("IBM", CODEC.encode(last_traded("95", "100", 3)))
        await asyncio.sleep(KEPT_SECONDS)
        seen = await ledger(day.server)
        assert seen.story(id_) == ["created", "started", "signaled", "traded buy 10"]
        assert [one.taken for one in seen.decisions[id_] if one.action is Action.BUY] == [True]
        await worker.kill()

    play(story)


def test_a_stop_loss_goes_before_a_signal_at_the_same_price() -> None:
    """Both began an order, and it was luck which of them was first."""

    async def story(day: Day) -> None:
        worker = await day.worker(scripted(Action.BUY, Action.SELL))
        id_ = await worker.make(TREND, stop=stop_loss("10"))
        await in_ledger(day.server, "bought", lambda seen: seen.strategies[id_].position)
        await day.prices("80")
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        assert seen.story(id_)[-3:] == ["triggered", "traded sell 10", "executed"]
        assert len(seen.of(id_, StopLossTriggered)) == 1
        sell = seen.decisions[id_][-1]
        assert (sell.action, sell.taken) == (Action.SELL, False)
        assert sell.reasoning.endswith("; declined: the stop-loss at 90 was reached")
        await worker.kill()

    play(story)


def test_a_memory_that_cannot_be_read_is_none_and_harms_nobody() -> None:
    class Amnesiac(RuleMaker):
        def recall(self, memory: bytes) -> None:
            raise ValueError(f"{memory!r} is of another program")

    async def story(day: Day) -> None:
        worker = await day.worker()
        id_ = await worker.make(TREND)
        await day.prices(*PRICES)
        await asyncio.sleep(KEPT_SECONDS)
        await worker.kill()
        worker = await day.worker(Amnesiac)
        await day.prices("103")
        assert (await ledger(day.server)).story(id_)[-1] == "traded buy 10"
        await worker.kill()

    play(story)


RULES: list[Rule] = [
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
def test_a_rule_that_was_handed_on_says_what_it_would_have_said(
    parameters: Rule, prices: list[Decimal], data: st.DataObject
) -> None:
    point = data.draw(st.integers(0, len(prices)))
    straight, first, second = rule(parameters), rule(parameters), rule(parameters)
    for price in prices[:point]:
        straight.step(price)
        first.step(price)
    second.recall(CODEC.decode(CODEC.encode(first.memory()), Memory))
    for price in prices[point:]:
        assert second.step(price) == straight.step(price)


def marked() -> tuple[str, str, Mark]:
    story = Given([create(), start()])
    strategy: Strategy = story.strategy
    member = Member(user=USER, strategy=strategy, sequence=2, since=2, begun=2, correlation="c")
    guard = Guard(2, None, Decimal(7))
    place = Place(at(1), member, guard, None, '{"prices":[1.50]}')
    return "IBM", str(member.subject), Mark(guard, place)


def test_marks_come_back_as_they_were_saved_and_not_in_another_log() -> None:
    async def work() -> None:
        values = MemoryValues(MemoryServer(), stream="VIEWS", prefix="view")
        symbol, subject, mark = marked()
        marks = Marks(values, "e1")
        assert not marks.keeps([(symbol, subject, mark)])
        await marks.save([(symbol, subject, mark)])
        assert marks.keeps([(symbol, subject, mark)])
        assert await Marks(values, "e1").load(["IBM", "SPY"]) == {subject: mark}
        assert await Marks(values, "e2").load(["IBM"]) == {}

    virtual.run(work())


def test_of_marks_that_are_too_many_the_guards_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks_module, "MOST_BYTES", 10)

    async def work() -> None:
        values = MemoryValues(MemoryServer(), stream="VIEWS", prefix="view")
        symbol, subject, mark = marked()
        await Marks(values, "e1").save([(symbol, subject, mark)])
        assert await Marks(values, "e1").load([symbol]) == {subject: Mark(mark.guard)}

    virtual.run(work())


def test_buying_when_flat_is_still_once_after_many_takeovers() -> None:
    async def story(day: Day) -> None:
        worker = await day.worker(buys_when_flat)
        id_ = await worker.make(TREND)
        for price in ("100", "101", "102"):
            await day.prices(price)
            await worker.kill()
            worker = await day.worker(buys_when_flat)
        seen = await in_ledger(day.server, "settled", lambda seen: seen.settled())
        assert len(seen.placed[id_]) == 1
        await worker.kill()

    play(story)


def test_a_runner_says_how_far_it_is_and_keeps_what_it_says_is_dealt_with() -> None:
    async def story(day: Day) -> None:
        begun: list[Working] = []
        worker = await Worker(day.server, day.counter).start(runner=False)
        work = run_strategies(worker.desk, worker.views, worker.board, begun.append)
        worker.tasks.append(asyncio.create_task(work))
        await asyncio.sleep(0)
        [runner] = begun
        with pytest.raises(Unavailable, match="still reading"):
            await runner.progress()
        id_ = await worker.make(TREND)
        await asyncio.sleep(1)
        await day.feed.show("99", "99")
        await asyncio.sleep(0.1)
        told = await runner.progress()
        shown = worker.board.quote("IBM")
        assert shown is not None
        assert (told.busy, told.quotes) == (0, {"IBM": shown.timestamp})
        assert told.taken == {"ev.*.strategies.>": 2, "ev.*.orders.>": 0}
        epoch = (await worker.log.bounds()).epoch
        [mark] = (await Marks(worker.views, epoch).load(["IBM"])).values()
        assert mark.place is not None
        assert (mark.place.quoted_at, mark.place.memory) == (
            shown.timestamp,
            '{"prices":[100,99],"above":null}',
        )
        day.counter.open = False
        request = UpdateStrategy(user_id=USER, strategy_id=id_, rule=Breakout(window=2))
        await worker.service.update(request, context())
        for price in ("100", "100", "120"):
            await asyncio.sleep(1)
            await day.feed.show(price, price)
        await asyncio.sleep(1)
        assert (await runner.progress()).busy == 1, "an order that cannot be placed yet"
        await worker.kill()

    play(story)
