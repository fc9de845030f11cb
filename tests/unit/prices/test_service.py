"""The price service: publishing and confirming quotes, and its status."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import Unavailable
from tapewire.log.freshness import CONFIRMATIONS_PER_LIMIT, DEFAULT_STALE_SECONDS
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestContext
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.domain import Tick
from tapewire_services.prices.feed import FeedError, FeedProgress, TickBatch
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner
from tapewire_services.prices.service import GetStatus, PricesService
from tests.harness.waiting import wait_until
from tests.unit.prices.conftest import ManualClock

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)
INTERVAL = DEFAULT_STALE_SECONDS / CONFIRMATIONS_PER_LIMIT
CONTEXT = RequestContext(correlation="c", command_id="k", traceparent=None)


class ScriptedFeed:
    """A feed that emits given batches, as a vendor's adapter would."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[TickBatch | FeedError | None] = asyncio.Queue()

    async def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        while (beat := await self._batches.get()) is not None:
            if isinstance(beat, FeedError):
                raise beat
            yield beat

    def emit(self, *ticks: Tick, is_day_start: bool = False, is_catch_up: bool = False) -> None:
        self._batches.put_nowait(TickBatch(ticks, is_day_start, is_catch_up))

    def end(self, error: FeedError | None = None) -> None:
        self._batches.put_nowait(error)

    def progress(self) -> FeedProgress:
        return FeedProgress(name="script", rows=3, malformed=1, day=1, ms=5, ended=False)

    async def close(self) -> None:
        pass


class Market(MemoryLatestValueStore):
    """MARKET as seen by one process. It records the published keys, and fails on request."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.down = False
        self.posted: list[str] = []

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        if self.down:
            raise Unavailable("no connection")
        self.posted.append(key)
        await super().put_unacknowledged(key, data)


class Bench:
    """A running service between a scripted feed and a market that the tests read."""

    def __init__(self, logger: Any) -> None:
        self.server = MemoryServer()
        self.clock = ManualClock()
        self.feed = ScriptedFeed()
        self.market = Market(self.server)
        self.publisher = PriceUpdatePublisher(self.market, logger=logger, clock=self.clock)
        trades = DayTrades(lambda: AT)
        self.runner = FeedRunner(self.feed, self.publisher, trades, logger=logger, now=lambda: AT)
        self.service = PricesService(self.feed, self.runner, self.publisher)
        self._task: asyncio.Task[None] | None = None

    @property
    def stored(self) -> dict[str, bytes]:
        return {key: stored[0] for key, stored in self.server.values.get("MARKET/px", {}).items()}

    def quote(self, key: str) -> PriceUpdated:
        return CODEC.decode(self.stored[key], PriceUpdated)

    async def shows(self, key: str, **wanted: Any) -> PriceUpdated:
        def holds() -> bool:
            if key not in self.stored:
                return False
            quote = self.quote(key)
            return all(getattr(quote, name) == value for name, value in wanted.items())

        await wait_until(f"{key} has {wanted}", holds, describe_last=lambda: self.stored.get(key))
        return self.quote(key)

    def lead(self) -> None:
        self._task = asyncio.create_task(self.runner.run())

    async def ended(self) -> None:
        assert self._task is not None
        await self._task

    async def stand_by(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, FeedError):
                await self._task


@pytest.fixture
async def bench(logger: Any) -> AsyncIterator[Bench]:
    running = Bench(logger)
    running.lead()
    yield running
    await running.stand_by()


def full(symbol: str, **more: int) -> Tick:
    values = {"bid": 10, "bid_size": 100, "ask": 12, "ask_size": 200, **more}
    return Tick(ms=0, symbol=symbol, **{name: Decimal(value) for name, value in values.items()})


def trade(symbol: str, price: int, size: int) -> Tick:
    return Tick(ms=0, symbol=symbol, last=Decimal(price), last_size=Decimal(size))


class TestPublishing:
    async def test_a_quote_is_stored_under_the_token_of_its_symbol(self, bench: Bench) -> None:
        bench.feed.emit(full("BRK.B", last=11, last_size=5), is_day_start=True)
        assert await bench.shows("BRK%2EB") == PriceUpdated(
            symbol="BRK.B",
            price=Decimal(11),
            bid=Decimal(10),
            ask=Decimal(12),
            bid_size=Decimal(100),
            ask_size=Decimal(200),
            volume=Decimal(5),
            change=Decimal(0),
            change_percent=Decimal("0.0000"),
            timestamp=AT,
            day=int(AT.timestamp()),
            trades=((Decimal(11), Decimal(5)),),
        )

    async def test_ticks_of_a_batch_are_one_quote_with_their_total_volume(
        self, bench: Bench
    ) -> None:
        bench.feed.emit(full("IBM"), *(trade("IBM", 11, 7) for _ in range(100)), is_day_start=True)
        await bench.shows("IBM", volume=700)
        assert bench.market.posted == ["IBM"]

    async def test_only_changed_quotes_are_published(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        bench.feed.emit(trade("SPY", 11, 1))
        await bench.shows("SPY", volume=1)
        assert bench.market.posted == ["IBM", "SPY", "SPY"]

    async def test_a_one_sided_market_is_not_published(self, bench: Bench) -> None:
        bench.feed.emit(Tick(ms=0, symbol="IBM", bid=Decimal(10)), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        assert bench.market.posted == ["SPY"]
        bench.feed.emit(Tick(ms=0, symbol="IBM", ask=Decimal(11)))
        await bench.shows("IBM", bid=10, ask=11)

    async def test_a_new_day_resets_volume_and_change(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 10, 50), is_day_start=True)
        bench.feed.emit(trade("IBM", 15, 50))
        await bench.shows("IBM", volume=100)
        bench.feed.emit(full("IBM"), trade("IBM", 16, 5), is_day_start=True)
        assert (await bench.shows("IBM", volume=5)).change == 5

    async def test_a_feed_that_fails_ends_the_service_with_its_own_error(
        self, bench: Bench
    ) -> None:
        bench.feed.end(FeedError("the feed is gone"))
        with pytest.raises(FeedError, match="the feed is gone"):
            await bench.ended()

    async def test_each_quote_follows_one_quote_whatever_the_clock_does(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`follows` names a quote by its timestamp, so no two quotes of a symbol share one."""
        stamps: list[tuple[datetime | None, datetime]] = []
        for number, seconds in enumerate((0, 0, 0, -0.5, 0, 60, -3600, -3600)):
            now = AT + timedelta(seconds=seconds)
            monkeypatch.setattr(bench.runner, "_now", lambda now=now: now)
            bench.feed.emit(full("IBM", last=10 + number), is_day_start=not number)
            quote = await bench.shows("IBM", price=Decimal(10 + number))
            stamps.append((quote.follows, quote.timestamp))
        times = [at for _, at in stamps]
        assert [before for before, _ in stamps] == [None, *times[:-1]]
        assert len(set(times)) == len(times)
        assert [at - AT for at in (times[0], *times[5:7])] == [
            timedelta(),
            timedelta(minutes=1),
            -timedelta(hours=1),
        ]


class TestConfirmation:
    """A message on MARKET says that its quote holds now, so only a feed that is heard sends one."""

    async def test_a_quiet_symbol_is_confirmed_by_the_same_bytes_while_the_feed_is_heard(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The timestamp stays that of the quote: readers must not take it for a new quote."""
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        before = bench.stored
        monkeypatch.setattr(bench.runner, "_now", lambda: datetime.now(UTC))
        bench.server.values.clear()
        bench.clock.now += INTERVAL
        bench.feed.emit()
        await wait_until("the quotes are confirmed", lambda: bench.stored == before)
        assert bench.market.posted == ["IBM", "SPY", "IBM", "SPY"]

    async def test_a_quote_is_confirmed_no_more_often_than_it_must(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        bench.clock.now += INTERVAL / 2
        bench.feed.emit(full("SPY"))
        await bench.shows("SPY")
        bench.clock.now += INTERVAL / 2
        bench.feed.emit()
        bench.feed.emit(trade("SPY", 11, 1))
        await bench.shows("SPY", volume=1)
        assert bench.market.posted == ["IBM", "SPY", "IBM", "SPY"]

    async def test_a_feed_that_is_not_heard_confirms_nothing(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        bench.server.values.clear()
        bench.clock.now += 100
        bench.publisher.confirm_all_soon()
        await asyncio.sleep(0.05)
        assert not bench.stored

    async def test_a_feed_that_has_ended_confirms_nothing(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), is_day_start=True)
        bench.feed.end()
        await bench.shows("IBM")
        bench.server.values.clear()
        bench.clock.now += 100
        bench.publisher.confirm_all_soon()
        await asyncio.sleep(0.05)
        assert not bench.stored

    async def test_all_quotes_are_confirmed_at_once_after_a_restart_of_the_server(
        self, bench: Bench
    ) -> None:
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        before = bench.stored
        bench.server.values.clear()
        bench.publisher.confirm_all_soon(False)
        bench.feed.emit(full("AIG"))
        await bench.shows("AIG")
        assert bench.stored.keys() == {"AIG"}, "a loss of the connection confirms nothing"
        bench.publisher.confirm_all_soon(True)
        bench.feed.emit()
        await wait_until("the quotes are confirmed", lambda: before.items() <= bench.stored.items())

    async def test_a_quote_that_could_not_be_published_is_confirmed_later(
        self, bench: Bench
    ) -> None:
        bench.market.down = True
        bench.feed.emit(full("IBM"), is_day_start=True)
        await wait_until("publishing the quote failed", lambda: bench.publisher.lost_count == 1)
        bench.market.down = False
        bench.clock.now += INTERVAL
        bench.feed.emit()
        await bench.shows("IBM")

    async def test_a_symbol_of_yesterday_is_not_confirmed_today(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        bench.feed.emit(full("SPY", last=11, last_size=5), is_day_start=True)
        await bench.shows("SPY", volume=5)
        bench.clock.now += INTERVAL
        bench.feed.emit()
        bench.feed.emit(full("AIG"))
        await bench.shows("AIG")
        assert bench.market.posted == ["IBM", "SPY", "SPY", "SPY", "AIG"]


class TestCatchUp:
    """Ticks that another process has already played."""

    async def test_catch_up_ticks_are_folded_and_published_with_the_next_batch(
        self, bench: Bench
    ) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 11, 40), is_day_start=True, is_catch_up=True)
        bench.feed.emit(full("SPY"), is_catch_up=True)
        bench.feed.emit(trade("IBM", 11, 2))
        await bench.shows("IBM", volume=42)
        await bench.shows("SPY")
        assert sorted(bench.market.posted) == ["IBM", "SPY"]

    async def test_catch_up_ticks_of_a_feed_that_ends_there_are_not_published(
        self, bench: Bench
    ) -> None:
        """They were published before, and nothing says that they still hold."""
        bench.feed.emit(full("IBM"), trade("IBM", 11, 40), is_day_start=True, is_catch_up=True)
        bench.feed.end()
        await wait_until("the ticks are folded", lambda: bench.runner.symbols() == ["IBM"])
        await asyncio.sleep(0.05)
        assert bench.market.posted == []


class TestLease:
    async def test_acquiring_the_lease_again_keeps_the_books_and_republishes(
        self, bench: Bench
    ) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 11, 40), is_day_start=True)
        await bench.shows("IBM", volume=40)
        await bench.stand_by()
        bench.server.values.clear()
        bench.lead()
        bench.clock.now += 100
        await asyncio.sleep(0.05)
        assert not bench.stored, "another process may have published later quotes"
        bench.feed.emit()
        await bench.shows("IBM", volume=40)
        bench.feed.emit(trade("IBM", 11, 2))
        await bench.shows("IBM", volume=42)

    async def test_losing_the_lease_while_publishing_loses_no_volume(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stuck = asyncio.Event()

        async def post(_key: str, _data: bytes) -> None:
            stuck.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            patched.setattr(bench.market, "put_unacknowledged", post)
            bench.feed.emit(full("IBM"), full("SPY"), trade("SPY", 11, 30), is_day_start=True)
            await stuck.wait()
            await bench.stand_by()
        bench.lead()
        bench.feed.emit(trade("SPY", 11, 3))
        await bench.shows("SPY", volume=33)


class TestStatus:
    async def test_status_has_the_feed_its_progress_and_symbols(self, bench: Bench) -> None:
        bench.feed.emit(full("SPY"), full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        answered = await bench.service.status(GetStatus(), CONTEXT)
        assert CODEC.encode(answered) == (
            b'{"playing":true,"symbols":["IBM","SPY"],"lost":0,"feed":{"name":"script",'
            b'"rows":3,"malformed":1,"day":1,"ms":5,"ended":false}}'
        )

    async def test_a_standby_reports_that_it_does_not_play(self, bench: Bench) -> None:
        await bench.stand_by()
        assert not (await bench.service.status(GetStatus(), CONTEXT)).playing
