"""A stepped recording: what a step publishes follows from the step alone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import CommandRejected, Unavailable
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.prices import StepRecording, StepReply
from tapewire_services.prices.domain import Tick
from tapewire_services.prices.service import GetStatus
from tapewire_services.prices.stepper import RecordingStepper
from tests.unit.prices.conftest import ScriptedDays

DAY = date(2024, 5, 6)
CONTEXT = RequestContext(correlation="c", command_id="k", traceparent=None)


def tick(ms: int, symbol: str, bid: str, size: int = 100) -> Tick:
    ask = Decimal(bid) + 1
    return Tick(
        ms=ms,
        symbol=symbol,
        bid=Decimal(bid),
        bid_size=Decimal(size),
        ask=ask,
        ask_size=Decimal(size),
        last=ask,
        last_size=Decimal(10),
    )


TICKS = (
    tick(100, "IBM", "180"),
    tick(150, "SPY", "160"),
    tick(200, "IBM", "181"),
    tick(300, "IBM", "182"),
    tick(300, "SPY", "161"),
    tick(400, "IBM", "183"),
)


def at(ms: int) -> datetime:
    return datetime(2024, 5, 6, tzinfo=UTC) + timedelta(milliseconds=ms)


class StepperHarness:
    """A server, and processes of the service that come and go."""

    def __init__(self, logger: Any, ticks: Sequence[Tick] = TICKS) -> None:
        self.server = MemoryServer()
        self.market = MemoryLatestValueStore(self.server)
        self._logger, self._ticks = logger, ticks

    def process(self, *symbols: str) -> RecordingStepper:
        return RecordingStepper(
            ScriptedDays(self._ticks), self.market, logger=self._logger, symbols=symbols
        )

    async def stored(self) -> dict[str, bytes]:
        return await self.market.get_all()

    async def quote(self, symbol: str) -> PriceUpdated:
        return CODEC.decode((await self.stored())[symbol], PriceUpdated)


@pytest.fixture
def house(logger: Any) -> StepperHarness:
    return StepperHarness(logger)


async def step(stepper: RecordingStepper, after: int, upto: int) -> StepReply:
    return await stepper.step(StepRecording(day=DAY, after_ms=after, upto_ms=upto), CONTEXT)


async def test_a_step_publishes_the_market_at_its_end(house: StepperHarness) -> None:
    told = await step(house.process(), 0, 250)
    assert told.published == {"IBM": at(200), "SPY": at(150)}
    assert not told.ended
    quote = await house.quote("IBM")
    assert (quote.bid, quote.volume, quote.timestamp) == (181, 20, at(200))
    assert quote.follows is None


async def test_the_next_step_publishes_what_changed_in_it_and_what_that_follows(
    house: StepperHarness,
) -> None:
    stepper = house.process()
    await step(stepper, 0, 250)
    told = await step(stepper, 250, 400)
    assert told.published == {"IBM": at(400), "SPY": at(300)}
    assert (await house.quote("IBM")).follows == at(200)
    assert (await house.quote("SPY")).follows == at(150)


async def test_a_symbol_that_did_not_change_is_not_published_again(house: StepperHarness) -> None:
    stepper = house.process()
    await step(stepper, 0, 300)
    before = (await house.stored())["SPY"]
    assert (await step(stepper, 300, 400)).published == {"IBM": at(400)}
    assert (await house.stored())["SPY"] == before


async def test_the_same_step_publishes_the_same_bytes_by_whichever_process(
    house: StepperHarness,
) -> None:
    """A process that was killed after it had published, and before it could say so: the step is
    asked again, of another one, and nobody must take what comes then for a new offer."""
    first = house.process()
    await step(first, 0, 150)
    await step(first, 150, 350)
    stored = await house.stored()
    again = await step(first, 150, 350)
    assert await house.stored() == stored
    assert await step(house.process(), 150, 350) == again
    assert await house.stored() == stored


async def test_a_step_that_is_asked_again_reads_nothing_again(house: StepperHarness) -> None:
    """Each try read the recording from its beginning, and so none was answered in time."""
    days = ScriptedDays(TICKS)
    stepper = RecordingStepper(days, house.market, logger=house._logger)
    first = await step(stepper, 0, 250)
    second = await step(stepper, 250, 400)
    assert await step(stepper, 250, 400) == second
    assert days.days_started == 1
    assert await step(stepper, 0, 250) == first
    assert days.days_started == 2


async def test_time_may_go_back(house: StepperHarness) -> None:
    stepper = house.process()
    await step(stepper, 0, 400)
    await step(stepper, 0, 150)
    assert (await house.quote("IBM")).bid == 180


async def test_only_wanted_symbols_are_published(house: StepperHarness) -> None:
    assert set((await step(house.process("SPY"), 0, 400)).published) == {"SPY"}


async def test_the_end_of_the_recording_is_told(house: StepperHarness) -> None:
    stepper = house.process()
    assert (await step(stepper, 0, 500)).ended
    assert (await step(stepper, 500, 600)) == StepReply(upto_ms=600, published={}, ended=True)
    feed = (await stepper.status(GetStatus(), CONTEXT)).feed
    assert (feed.rows, feed.ms, feed.ended) == (6, 600, True)


async def test_a_market_that_cannot_take_a_quote_refuses_the_step_which_may_be_asked_again(
    house: StepperHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = house.process()
    with monkeypatch.context() as patched:

        async def put(*_: object, **__: object) -> None:
            raise Unavailable("no connection")

        patched.setattr(house.market, "put", put)
        with pytest.raises(Unavailable):
            await step(stepper, 0, 250)
    assert (await step(stepper, 0, 250)).published == {"IBM": at(200), "SPY": at(150)}


@pytest.mark.parametrize(
    ("after", "upto", "path"),
    [(-1, 5, "afterMs"), (86_400_001, 86_400_002, "afterMs"), (5, 4, "uptoMs"),
     (0, 86_400_001, "uptoMs")],
)  # fmt: skip
async def test_a_step_that_is_none_is_refused_with_its_field(
    house: StepperHarness, after: int, upto: int, path: str
) -> None:
    with pytest.raises(CommandRejected, match=path) as refused:
        await step(house.process(), after, upto)
    assert (refused.value.code, refused.value.path) == ("invalid", path)


async def test_who_leads_again_does_not_bring_back_the_quotes_of_its_first_time(
    house: StepperHarness,
) -> None:
    """A process that had lost its lease for a while posted, on taking over, the quotes that it had
    published before: orders were filled at prices of hours ago."""
    first, second = house.process(), house.process()
    await step(first, 0, 150)
    await step(second, 150, 350)
    stored = await house.stored()
    assert await first._publisher._repair_stored() is None
    assert await house.stored() == stored
    house.server.values.clear()
    assert await second._publisher._repair_stored() is None
    assert await house.stored() == stored, "what was lost is mended"
