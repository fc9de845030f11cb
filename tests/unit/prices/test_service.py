"""The price service: publishing and confirming quotes, and its status."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from structlog.testing import LogCapture

from tapewire.events import CODEC, PriceUpdated
from tapewire.feeds import FaultLog, FeedError, FeedProgress, Tick, TickBatch
from tapewire.log import Unavailable
from tapewire.log.freshness import CONFIRMATIONS_PER_LIMIT, DEFAULT_STALE_SECONDS
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestContext
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner
from tapewire_services.prices.service import GetStatus, PricesService
from tests.harness.foreign_values import ArrayScalar
from tests.harness.waiting import wait_until
from tests.unit.prices.conftest import ManualClock

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)
INTERVAL = DEFAULT_STALE_SECONDS / CONFIRMATIONS_PER_LIMIT
CONTEXT = RequestContext(correlation="c", command_id="k", traceparent=None)


class ScriptedFeed:
    """A feed that emits given batches, as a vendor's adapter would."""

    def __init__(self) -> None:
        self.call_count = 0
        self._batches: asyncio.Queue[Any] = asyncio.Queue()
        self._has_ended = False

    async def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        self.call_count += 1
        while (batch := await self._batches.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def emit(self, *ticks: Tick, **kind: bool) -> None:
        self.emit_anything(TickBatch(ticks, **kind))

    def emit_anything(self, item: object) -> None:
        """Yield `item`, raise it if it is an exception, return if it is None."""
        self._batches.put_nowait(item)

    def end(self) -> None:
        self._has_ended = True
        self.emit_anything(None)

    def progress(self) -> FeedProgress:
        return FeedProgress(name="script", rows=3, day=1, ms=5, ended=self._has_ended)

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

    def __init__(self, logger: Any, *, is_continuous: bool = True) -> None:
        self.server = MemoryServer()
        self.clock = ManualClock()
        self.feed = ScriptedFeed()
        self.market = Market(self.server)
        self.publisher = PriceUpdatePublisher(self.market, logger=logger, clock=self.clock)
        trades = DayTrades(lambda: AT)
        self.faults = FaultLog(logger)
        self.runner = FeedRunner(
            self.feed,
            self.publisher,
            trades,
            self.faults,
            logger=logger,
            is_continuous=is_continuous,
            now=lambda: AT,
        )
        self.service = PricesService(self.runner, self.publisher, self.faults)
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


@pytest.fixture
async def live(logger: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """With a feed that begins anew whenever it is called, as that of a live market does."""
    monkeypatch.setattr("tapewire.log.backoff.INITIAL_DELAY_SECONDS", 0.01)
    running = Bench(logger, is_continuous=False)
    running.lead()
    yield running
    await running.stand_by()


def full(symbol: str, **more: int) -> Tick:
    values = {"bid": 10, "bid_size": 100, "ask": 12, "ask_size": 200, **more}
    return Tick(symbol=symbol, **{name: Decimal(value) for name, value in values.items()})


def trade(symbol: str, price: int, size: int) -> Tick:
    return Tick(symbol=symbol, last=Decimal(price), last_size=Decimal(size))


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
        bench.feed.emit(Tick(symbol="IBM", bid=Decimal(10)), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        assert bench.market.posted == ["SPY"]
        bench.feed.emit(Tick(symbol="IBM", ask=Decimal(11)))
        await bench.shows("IBM", bid=10, ask=11)

    async def test_a_new_day_resets_volume_and_change(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 10, 50), is_day_start=True)
        bench.feed.emit(trade("IBM", 15, 50))
        await bench.shows("IBM", volume=100)
        bench.feed.emit(full("IBM"), trade("IBM", 16, 5), is_day_start=True)
        assert (await bench.shows("IBM", volume=5)).change == 5

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

    async def test_a_day_that_began_elsewhere_leaves_symbols_of_yesterday_out(
        self, bench: Bench
    ) -> None:
        """The regression: the service ended, because their quotes were to be published anew."""
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        await bench.stand_by()
        bench.server.values.clear()
        bench.lead()
        bench.feed.emit(full("SPY"), is_day_start=True, is_catch_up=True)
        bench.feed.emit(full("AIG"))
        await bench.shows("AIG")
        assert bench.stored.keys() == {"AIG", "SPY"}
        assert bench.runner.find_problem() is None

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


class TestFailures:
    """A feed that stops is called again; what was known of its market no longer holds."""

    @pytest.mark.parametrize(
        ("failure", "described"),
        [
            (FeedError("the key has expired"), "FeedError: the key has expired"),
            (ConnectionResetError("by peer"), "ConnectionResetError: by peer"),
            (KeyError("bid"), "KeyError: 'bid'"),
            (None, "FeedError: its stream has ended, although the feed has not"),
            ({"bid": 1}, "FeedError: it has yielded {'bid': 1}, which is no TickBatch"),
            (TickBatch(7), "TypeError: 'int' object is not iterable"),  # type: ignore[arg-type]
        ],
    )
    async def test_a_feed_that_stops_is_called_again_and_the_status_says_why(
        self, live: Bench, failure: object, described: str
    ) -> None:
        live.feed.emit(full("IBM"), full("SPY"))
        await live.shows("SPY")
        live.feed.emit_anything(failure)
        await wait_until("it is called again", lambda: live.feed.call_count == 2)
        problem = "the feed has failed, and was started again: " + described
        assert live.runner.find_problem() == problem
        live.feed.emit(full("IBM", bid=11))
        await live.shows("IBM", bid=11)

    async def test_quotes_of_before_are_neither_confirmed_nor_completed_from_memory(
        self, live: Bench
    ) -> None:
        live.feed.emit(full("IBM"), full("SPY"), trade("SPY", 11, 5))
        await live.shows("SPY")
        live.feed.emit_anything(OSError("gone"))
        await wait_until("it is called again", lambda: live.feed.call_count == 2)
        live.server.values.clear()
        live.clock.now += 100
        live.publisher.confirm_all_soon()
        live.feed.emit(Tick(symbol="IBM", bid=11))
        live.feed.emit(full("AIG"))
        await live.shows("AIG")
        assert live.stored.keys() == {"AIG"}
        live.feed.emit(Tick(symbol="IBM", ask=13), full("SPY"))
        assert (await live.shows("SPY", price=11)).volume == 5, "the volume of the day is kept"
        assert (await live.shows("IBM", bid=11)).ask == 13

    async def test_another_takeover_begins_without_knowledge_of_the_market(
        self, live: Bench
    ) -> None:
        live.feed.emit(full("IBM"), full("SPY"))
        await live.shows("SPY")
        await live.stand_by()
        live.server.values.clear()
        live.lead()
        live.feed.emit(full("SPY", bid=11))
        await live.shows("SPY", bid=11)
        assert live.stored.keys() == {"SPY"}

    async def test_a_feed_that_fails_again_and_again_is_reported_once(
        self, live: Bench, capture: LogCapture
    ) -> None:
        """Every change of the health is an event in the journal."""
        problems = set()
        for number in range(5):
            live.feed.emit_anything(OSError(f"attempt {number}"))
            live.feed.emit(full("IBM", bid=number))
            await live.shows("IBM", bid=number)
            problems.add(live.runner.find_problem())
        assert problems == {"the feed has failed, and was started again: OSError: attempt 0"}
        failures = [entry for entry in capture.entries if entry["event"] == "feed.failed"]
        assert [entry["error"] for entry in failures] == [f"OSError: attempt {n}" for n in range(5)]

    async def test_a_feed_that_plays_on_has_recovered(
        self, live: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tapewire_services.prices.runner.STEADY_SECONDS", 0.0)
        live.feed.emit_anything(OSError("gone"))
        live.feed.emit(full("IBM"))
        await live.shows("IBM")
        assert live.runner.find_problem() is None

    @pytest.mark.parametrize(
        "ticks",
        [
            (),
            (Tick(symbol="IBM", bid=11),),
            (trade("IBM", 11, 5),),
            (Tick(symbol="", bid=1, ask=2),),
        ],
        ids=["none", "one side", "trades", "faults"],
    )
    async def test_a_feed_that_is_heard_and_gives_no_quote_is_reported(
        self, live: Bench, ticks: tuple[Tick, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live.runner, "_stale_seconds", 0.1)

        def is_reported() -> bool:
            live.feed.emit(*ticks)  # so that the feed is heard
            problem = live.runner.find_problem() or ""
            return problem.startswith(f"no quote yet since {AT:%Y-%m-%dT%H:%M:%SZ}: ")

        await wait_until(
            "no quote is reported", is_reported, describe_last=live.runner.find_problem
        )
        monkeypatch.setattr(live.runner, "_stale_seconds", 60.0)
        live.feed.emit(full("IBM"))
        await live.shows("IBM")
        assert live.runner.find_problem() is None

    async def test_a_feed_that_cannot_say_how_far_it_is_goes_on(
        self, live: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        live.feed.emit(full("IBM"))
        await live.shows("IBM")
        monkeypatch.setattr(live.feed, "progress", lambda: 1 / 0)
        status = await live.service.status(GetStatus(), CONTEXT)
        assert (status.feed.name, status.feed.malformed_by_reason) == (
            "script",
            {"progress_failed": 1},
        )


class TestSnapshot:
    """What a feed says after it has connected anew, without being called anew."""

    async def test_only_what_a_snapshot_has_is_known_after_it(self, live: Bench) -> None:
        live.feed.emit(full("IBM"), full("SPY"))
        await live.shows("SPY")
        live.feed.emit(Tick(symbol="IBM", bid=11), full("AIG"), is_snapshot=True)
        await live.shows("AIG")
        live.server.values.clear()
        live.clock.now += 100
        live.feed.emit()
        await live.shows("AIG")
        assert live.stored.keys() == {"AIG"}, "IBM has one side, SPY none"

    async def test_the_last_trade_of_a_snapshot_is_not_a_new_one(self, live: Bench) -> None:
        live.feed.emit(full("IBM", last=11, last_size=5))
        await live.shows("IBM", volume=5)
        live.feed.emit(full("IBM", last=12, last_size=9), is_snapshot=True)
        quote = await live.shows("IBM", price=12)
        assert (int(quote.volume), quote.trades) == (5, None)

    async def test_the_volumes_of_a_process_are_told_from_those_of_others(
        self, live: Bench
    ) -> None:
        """Without the number of a day, bars would take the volume of a new process for trades."""
        live.feed.emit(full("IBM", last=11, last_size=5), is_snapshot=True)
        assert (await live.shows("IBM")).day == int(AT.timestamp())

    async def test_the_volume_that_the_vendor_states_counts(self, live: Bench) -> None:
        live.feed.emit(full("IBM", volume=1000, day_open=8), is_snapshot=True)
        quote = await live.shows("IBM", volume=1000)
        assert [quote.price, quote.change] == [11, 3]
        live.feed.emit(Tick(symbol="IBM", last="11.5", last_size=20, volume=1020))
        assert (await live.shows("IBM", volume=1020)).change == Decimal("3.5")
        live.feed.emit(trade("IBM", 12, 30))
        await live.shows("IBM", volume=1050)


class TestBorder:
    """What a feed yields is checked; what cannot be taken is counted and costs what it must."""

    async def test_numbers_may_be_of_any_type(self, live: Bench) -> None:
        ask: Any = ArrayScalar(182.4499969482422, "f", 4)
        live.feed.emit(Tick(symbol="IBM", bid=0.1 + 0.2, bid_size="5", ask=ask, ask_size=7))
        quote = await live.shows("IBM")
        assert [quote.bid, quote.bid_size, quote.ask] == [Decimal("0.3"), 5, Decimal("182.45")]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (Tick(symbol="IBM", bid="n/a", bid_size=1), "not_a_number"),
            (Tick(symbol="IBM", bid=math.nan, bid_size=1), "not_finite"),
            (Tick(symbol="IBM", bid=1, bid_size=-1), "too_low"),
            (Tick(symbol="IBM", bid=10**12, bid_size=1), "too_high"),
            (Tick(symbol="IBM", bid=[10], bid_size=1), "not_a_number"),  # type: ignore[arg-type]
        ],
    )
    async def test_a_side_with_a_fault_is_no_offer_and_the_rest_of_the_tick_counts(
        self, live: Bench, bad: Tick, reason: str
    ) -> None:
        live.feed.emit(full("IBM"))
        live.feed.emit(msgspec.structs.replace(bad, last=11, last_size=3))
        quote = await live.shows("IBM", volume=3)
        assert [quote.bid, quote.bid_size, quote.ask] == [0, 0, 12]
        assert live.faults.counts == {reason: 1}

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (Tick(symbol="I,BM", bid=1), "not_a_symbol"),
            (Tick(symbol="", bid=1), "not_a_symbol"),
            (Tick(symbol=None, bid=1), "not_a_symbol"),  # type: ignore[arg-type]
            (Tick(symbol=["IBM"], bid=1), "not_a_symbol"),  # type: ignore[arg-type]
            ({"symbol": "IBM"}, "not_a_tick"),
            (None, "not_a_tick"),
            (Tick(symbol="IBM", last_size=5), "size_without_price"),
            (Tick(symbol="IBM", volume=-1), "too_low"),
        ],
    )
    async def test_what_is_no_tick_is_counted_and_those_around_it_are_taken(
        self, live: Bench, bad: Any, reason: str
    ) -> None:
        live.feed.emit(full("IBM"), bad, full("SPY"))
        await live.shows("SPY")
        await live.shows("IBM", bid=10, ask=12, volume=0)
        assert live.faults.counts == {reason: 1}
        assert live.runner.find_problem() is None

    async def test_the_number_of_symbols_is_limited(
        self, live: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tapewire_services.prices.runner.MAX_SYMBOLS", 2)
        live.feed.emit(full("S0"), full("S1"), full("S2"), full("S3"), full("S0", bid=11))
        await live.shows("S0", bid=11)
        assert live.stored.keys() == {"S0", "S1"}
        assert live.faults.counts == {"too_many_symbols": 2}


class TestStatus:
    async def test_status_has_the_feed_its_progress_and_symbols(self, bench: Bench) -> None:
        bench.feed.emit(full("SPY"), full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        bench.faults.record("not_json", "x")
        answered = await bench.service.status(GetStatus(), CONTEXT)
        assert CODEC.encode(answered) == (
            b'{"playing":true,"symbols":["IBM","SPY"],"lost":0,"feed":{"name":"script",'
            b'"rows":3,"malformed":1,"day":1,"ms":5,"ended":false,"malformedByReason":{"not_json":1}}}'
        )

    async def test_a_standby_reports_that_it_does_not_play(self, bench: Bench) -> None:
        await bench.stand_by()
        assert not (await bench.service.status(GetStatus(), CONTEXT)).playing
