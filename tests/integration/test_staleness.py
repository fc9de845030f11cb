"""No quote older than the limit looks live, whatever single part of the platform fails.

A real message server, a prices service that plays a recording, the positions service and an edge.
A stream of every kind with prices is read while a part is killed, suspended or restarted. How soon
a quote was called stale is read from the age in the event: the edge measures it by its own clock.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tapewire.events import Side, TradeExecuted
from tapewire.log.jetstream import NatsConnection, connect
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import get
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.harness.sse import Frame, SseStream, StreamEnded
from tests.harness.waiting import wait_until, wait_until_async

LIMIT = 2.0
"""TAPEWIRE_STALE_SECONDS of all services."""
MAX_DELAY = 0.5
"""A quote is called stale within this time."""
SLOW_MACHINE = 1.0
"""Allowed for what the test itself measures."""
SYMBOLS = {"IBM", "SPY"}
HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
STALE_EVENTS = {"price:stale", "PRICE_STALE"}
PRICE_EVENTS = {"price:update", "PRICE_UPDATE"}
STREAMS = ("/api/stream/prices", "/api/stream?topics=prices,positions", "/sse/prices")
HOLDINGS = "/api/stream/trading"


class StreamRecorder:
    """Reads a stream to its end and keeps what it says of prices."""

    def __init__(self, path: str, stream: SseStream) -> None:
        self.path = path
        self.events: list[Frame] = []
        self.keepalives = 0
        self._stream = stream
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._stream.read()
                self.keepalives += frame.comment == "prices"
                if frame.event in STALE_EVENTS | PRICE_EVENTS | {"position:update"}:
                    self.events.append(frame)
        except StreamEnded:
            pass

    def clear(self) -> None:
        self.events.clear()

    def stale_symbols(self) -> Counter[str]:
        """How often each symbol was called stale."""
        return Counter(one.data["symbol"] for one in self.events if one.event in STALE_EVENTS)

    def calls_stale(self, symbols: set[str]) -> bool:
        """Whether it called each of `symbols` stale."""
        return self.stale_symbols().keys() >= symbols

    def ages(self, *symbols: str) -> list[float]:
        """The ages that the stale quotes of `symbols`, or of all, had when they were announced."""
        return [
            one.data["age"]
            for one in self.events
            if one.event in STALE_EVENTS and (not symbols or one.data["symbol"] in symbols)
        ]

    def last_event(self, symbol: str) -> str | None:
        """The last event about a quote of `symbol`."""
        found = [one for one in self.events if one.data.get("symbol") == symbol]
        return found[-1].event if found else None

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._stream.close()


class Platform:
    """All parts, and a recorder on a stream of every kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = LocalNatsServer(folder, provisioned=True)
        self.server.start()
        recording = folder / "day.csv"
        rows = [f"{400 * n},{one},99,100,{100 + n},100,{100 + n},1" for n in range(2000)
                for one in sorted(SYMBOLS)]  # fmt: skip
        recording.write_text(HEADER + "\n".join(rows))
        self.settings = {
            "TAPEWIRE_NATS_URL": self.server.url,
            "TAPEWIRE_STALE_SECONDS": str(LIMIT),
            "TAPEWIRE_FEED": str(recording),
        }
        self.edge = EdgeProcess(self.settings, folder)
        self.positions = ManagedService("positions", self.settings, folder)
        self.prices = self.start_prices()
        self.edge.wait_ready()
        self.positions.wait_ready()
        self.recorders: list[StreamRecorder] = []

    def start_prices(self) -> ManagedService:
        self.prices = ManagedService("prices", self.settings, self.folder)
        self.prices.wait_ready()
        return self.prices

    async def connect(self) -> NatsConnection:
        return await connect(self.server.url, "test")

    async def start(self) -> None:
        connection = await self.connect()
        bought = TradeExecuted(
            trade_id="t-1",
            order_id="o-1",
            symbol="IBM",
            side=Side.BUY,
            qty=Decimal(10),
            price=Decimal(100),
            strategy_id=None,
            timestamp=datetime.now(UTC),
        )
        await EventLogDriver(connection, lambda _: None).append_event(
            "alice", "trades", "t-1", bought
        )
        await connection.close()
        await self.wait_live()
        cookie = await self.edge.sign_in("alice")
        for path in (*STREAMS, HOLDINGS):
            stream = await self.edge.connect(path, cookie)
            assert stream.status == 200
            self.recorders.append(StreamRecorder(path, stream))
        await wait_until(
            "every stream shows IBM",
            lambda: all(one.events for one in self.recorders),
            describe_last=lambda: [len(one.events) for one in self.recorders],
        )

    async def quotes(self) -> dict[str, dict[str, object]]:
        answer = await get(f"{self.edge.url}/api/prices")
        return {one["symbol"]: one for one in answer.json()["prices"]}

    async def wait_live(self) -> None:
        async def is_live() -> bool:
            quotes = await self.quotes()
            return all(one in quotes and not quotes[one]["stale"] for one in SYMBOLS)

        await wait_until_async("all quotes are fresh", is_live)

    async def wait_stale(self, *, since: float) -> None:
        """Every stream calls each of its symbols stale within the limit after `since`."""
        for recorder in self.recorders:
            await wait_until(
                f"{recorder.path} calls its quotes stale",
                partial(recorder.calls_stale, {"IBM"} if recorder.path == HOLDINGS else SYMBOLS),
                describe_last=recorder.stale_symbols,
            )
        seconds = asyncio.get_running_loop().time() - since
        assert seconds <= LIMIT + MAX_DELAY + SLOW_MACHINE
        for recorder in self.recorders:
            assert all(LIMIT <= age <= LIMIT + MAX_DELAY for age in recorder.ages()), recorder.path

    async def wait_shown_live(self) -> None:
        """Every stream of prices shows a quote of each symbol after it was stale."""

        def is_shown() -> bool:
            prices = [one for one in self.recorders if one.path != HOLDINGS]
            return all(
                recorder.last_event(symbol) in PRICE_EVENTS
                for recorder in prices
                for symbol in SYMBOLS
            )

        await wait_until("every stream shows quotes again", is_shown)

    def clear(self) -> None:
        for recorder in self.recorders:
            recorder.clear()

    async def close(self) -> None:
        for recorder in self.recorders:
            await recorder.close()
        for service in (self.edge, self.positions, self.prices):
            service.kill()
        self.server.close()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = Platform(tmp_path)
    await made.start()
    yield made
    await made.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def health(platform: Platform) -> tuple[str, int]:
    answer = await get(f"{platform.edge.url}/health/ready")
    return answer.json()["status"], answer.status_code


async def test_a_killed_feed_makes_every_quote_stale_once_and_the_next_one_ends_it(
    platform: Platform,
) -> None:
    assert await health(platform) == ("ok", 200)
    platform.clear()
    platform.prices.kill()
    await platform.wait_stale(since=now())
    quotes = await platform.quotes()
    assert {one["stale"] for one in quotes.values()} == {True}
    assert all(float(str(one["age"])) >= LIMIT for one in quotes.values())
    assert await health(platform) == ("degraded", 200)
    keepalives = [one.keepalives for one in platform.recorders]
    await asyncio.sleep(LIMIT)  # it is not said again, and the streams are not silent meanwhile
    for before, recorder in zip(keepalives, platform.recorders, strict=True):
        assert set(recorder.stale_symbols().values()) == {1}, recorder.path
        assert recorder.keepalives > before, recorder.path
    platform.start_prices()
    await platform.wait_shown_live()
    await platform.wait_live()
    assert (await health(platform))[0] == "ok"


@pytest.mark.slow
async def test_a_suspended_message_server_makes_quotes_stale_and_revives_no_old_one(
    platform: Platform,
) -> None:
    platform.clear()
    platform.server.freeze()
    began = now()
    await platform.wait_stale(since=began)
    await asyncio.sleep(2 * LIMIT)
    platform.clear()
    resumed_at = datetime.now(UTC)
    platform.server.thaw()
    await platform.wait_shown_live()
    for recorder in platform.recorders:
        for one in recorder.events:
            if one.event in PRICE_EVENTS:
                quoted_at = datetime.fromisoformat(one.data["timestamp"])
                assert quoted_at > resumed_at - timedelta(seconds=LIMIT), recorder.path


@pytest.mark.slow
async def test_a_suspended_edge_shows_no_old_quote_as_live_when_it_goes_on(
    platform: Platform,
) -> None:
    platform.clear()
    os.kill(platform.edge.pid, signal.SIGSTOP)
    await asyncio.sleep(3 * LIMIT)
    platform.clear()
    resumed_at = datetime.now(UTC)
    os.kill(platform.edge.pid, signal.SIGCONT)
    await platform.wait_live()
    await platform.wait_shown_live()
    first = platform.recorders[0]
    live = [one for one in first.events if one.event in PRICE_EVENTS and "symbol" in one.data]
    for one in live:
        quoted_at = datetime.fromisoformat(one.data["timestamp"])
        assert quoted_at > resumed_at - timedelta(seconds=LIMIT)


async def test_one_quote_of_a_producer_becomes_stale_by_itself_and_the_same_again_is_fresh(
    platform: Platform,
) -> None:
    platform.clear()
    connection = await platform.connect()
    driver, prices = QuoteDriver(connection), platform.recorders[0]
    try:
        quote = await driver.publish("FUND1")
        await wait_until("FUND1 is stale", lambda: prices.stale_symbols()["FUND1"] == 1)
        await platform.wait_live()  # the feed goes on; on a busy machine it may have been late
        assert all(LIMIT <= age <= LIMIT + MAX_DELAY for age in prices.ages("FUND1"))
        assert (await health(platform))[0] == "ok"
        await driver.publish("FUND1", timestamp=quote.timestamp)
        await wait_until("FUND1 is live", lambda: prices.last_event("FUND1") == "price:update")
        await wait_until("FUND1 is stale again", lambda: prices.stale_symbols()["FUND1"] == 2)
    finally:
        await connection.close()


@pytest.mark.slow
async def test_a_recording_that_has_ended_looks_stale_and_one_at_speed_20_does_not(
    platform: Platform,
) -> None:
    platform.prices.kill()
    await platform.wait_stale(since=now())
    recording = platform.folder / "short.csv"
    rows = [f"{1000 * n},{one},99,100,100,100,100,1" for n in range(100)
            for one in sorted(SYMBOLS)]  # fmt: skip
    recording.write_text(HEADER + "\n".join(rows))
    platform.settings |= {
        "TAPEWIRE_FEED": str(recording),
        "TAPEWIRE_FEED_END": "stop",
        "TAPEWIRE_SPEED": "20",
    }
    platform.start_prices()
    await platform.wait_live()
    platform.clear()
    await asyncio.sleep(3.5)  # of the five that it plays
    assert not any(one.stale_symbols() for one in platform.recorders)
    await platform.wait_stale(since=now() + 1.5)


async def test_quotes_that_a_restart_of_the_message_server_loses_are_known_and_stale(
    platform: Platform,
) -> None:
    connection = await platform.connect()
    quote = await QuoteDriver(connection).publish("FUND1", "12.5")

    async def is_kept() -> bool:
        answer = await connection.request(
            "$JS.API.DIRECT.GET.VIEWS.view._all.last-quotes.FUND1", b""
        )
        return (answer.headers or {}).get("Status") != "404"

    await wait_until_async("the quote is on disk", is_kept)
    await connection.close()
    platform.server.stop()
    platform.edge.kill()
    platform.server.start()
    platform.edge = EdgeProcess(platform.settings, platform.folder)
    platform.edge.wait_ready()

    async def is_known() -> bool:
        return "FUND1" in await platform.quotes()

    await wait_until_async("the quote is known", is_known)
    found = (await platform.quotes())["FUND1"]
    assert (found["price"], found["stale"]) == (12.5, True)
    assert float(str(found["age"])) >= LIMIT
    assert datetime.fromisoformat(str(found["timestamp"])) == quote.timestamp
    await platform.wait_live()
