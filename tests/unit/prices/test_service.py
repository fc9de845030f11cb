"""The price service: publishing quotes, keeping them stored, and its status."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import LogCapture

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime import RequestContext
from tapewire_services.prices import publisher
from tapewire_services.prices.domain import Tick
from tapewire_services.prices.feed import FeedError, FeedProgress, TickBatch
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner
from tapewire_services.prices.service import GetStatus, PricesService
from tests.harness.waiting import wait_until

AT = datetime(2024, 5, 6, 13, 30, tzinfo=UTC)
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

    async def get_all(self) -> dict[str, bytes]:
        if self.down:
            raise Unavailable("no connection")
        return await super().get_all()


class Bench:
    """A running service between a scripted feed and a market that the tests read."""

    def __init__(self, logger: Any) -> None:
        self.server = MemoryServer()
        self.feed = ScriptedFeed()
        self.market = Market(self.server)
        self.publisher = PriceUpdatePublisher(
            self.market, logger=logger, repair_interval_seconds=3600
        )
        self.runner = FeedRunner(self.feed, self.publisher, logger=logger, now=lambda: AT)
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

    async def test_the_last_quotes_are_kept_when_the_feed_ends(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), is_day_start=True)
        bench.feed.end()
        await bench.shows("IBM")
        bench.server.values.clear()
        bench.publisher.request_repair()
        await bench.shows("IBM")

    async def test_a_feed_that_fails_ends_the_service_with_its_own_error(
        self, bench: Bench
    ) -> None:
        bench.feed.end(FeedError("the feed is gone"))
        with pytest.raises(FeedError, match="the feed is gone"):
            await bench.ended()


class TestRepair:
    """MARKET is in memory and quotes are not acknowledged; lost quotes are published again."""

    async def test_all_quotes_are_published_again_if_market_is_empty(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        before = bench.stored
        bench.server.values.clear()
        bench.publisher.request_repair(True)
        await wait_until("the quotes are restored", lambda: bench.stored == before)

    async def test_a_quote_published_again_has_the_same_bytes(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The timestamp stays that of the quote: readers must not take it for a new quote."""
        bench.feed.emit(full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        before = bench.stored
        monkeypatch.setattr(bench.runner, "_now", lambda: datetime.now(UTC))
        bench.server.values.clear()
        bench.publisher.request_repair()
        await wait_until("the quote is restored", lambda: bench.stored)
        assert bench.stored == before

    async def test_stored_quotes_are_not_published_again(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), full("SPY"), is_day_start=True)
        await bench.shows("SPY")
        del bench.server.values["MARKET/px"]["IBM"]
        bench.publisher.request_repair()
        await bench.shows("IBM")
        assert bench.market.posted == ["IBM", "SPY", "IBM"]

    async def test_a_lost_quote_is_repaired_periodically(self, logger: Any) -> None:
        bench = Bench(logger)
        bench.publisher._repair_interval_seconds = 0.01
        bench.market.down = True
        bench.lead()
        bench.feed.emit(full("IBM"), is_day_start=True)
        await wait_until("publishing the quote failed", lambda: bench.publisher.lost_count == 1)
        bench.market.down = False
        bench.publisher.request_repair()
        await bench.shows("IBM")
        bench.server.values.clear()
        await bench.shows("IBM")
        await bench.stand_by()

    async def test_an_unreadable_market_is_logged_once_and_retried(
        self, bench: Bench, capture: LogCapture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publisher, "READ_RETRY_SECONDS", 0.001)
        tries = 0
        market_all = bench.market.get_all

        async def counting() -> dict[str, bytes]:
            nonlocal tries
            tries += 1
            return await market_all()

        monkeypatch.setattr(bench.market, "get_all", counting)
        bench.feed.emit(full("IBM"), is_day_start=True)
        await bench.shows("IBM")
        bench.market.down = True
        bench.server.values.clear()
        bench.publisher.request_repair()
        await wait_until(
            "the market was read several times", lambda: tries > 5, describe_last=lambda: tries
        )
        bench.market.down = False
        await bench.shows("IBM")
        events = [entry["event"] for entry in capture.entries]
        assert events.count("quotes.unreadable") == 1
        await wait_until(
            "the log has quotes.readable_again",
            lambda: capture.entries[-1]["event"] == "quotes.readable_again",
        )

    async def test_losing_the_connection_does_not_request_a_repair(self, bench: Bench) -> None:
        await wait_until(
            "the first check is complete", lambda: not bench.publisher._repair_requested.is_set()
        )
        bench.publisher.request_repair(False)
        assert not bench.publisher._repair_requested.is_set()

    async def test_a_later_quote_of_another_process_is_not_replaced(self, bench: Bench) -> None:
        """The regression: a process that acquired its lease again published its old quotes again,
        and orders were filled at prices of hours ago."""
        bench.feed.emit(full("IBM"), is_day_start=True)
        quote = await bench.shows("IBM")
        later = structs.replace(quote, price=Decimal(13), timestamp=AT + timedelta(minutes=1))
        await bench.market.put("IBM", CODEC.encode(later))
        assert await bench.publisher._repair_stored() is None
        assert bench.quote("IBM") == later


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

    async def test_catch_up_ticks_are_published_when_the_feed_ends(self, bench: Bench) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 11, 40), is_day_start=True, is_catch_up=True)
        bench.feed.end()
        await bench.shows("IBM", volume=40)


class TestLease:
    async def test_acquiring_the_lease_again_keeps_the_books_and_republishes(
        self, bench: Bench
    ) -> None:
        bench.feed.emit(full("IBM"), trade("IBM", 11, 40), is_day_start=True)
        await bench.shows("IBM", volume=40)
        await bench.stand_by()
        bench.server.values.clear()
        bench.lead()
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
