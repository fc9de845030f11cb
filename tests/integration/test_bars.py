"""Bars from outside: built by processes of the price service from what is published, asked for by
HTTP, and compared with what the recording and the published quotes say."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

import tapewire
from tapewire.events import CODEC, PriceUpdated
from tapewire.log.jetstream import JetStreamLatestValueStore, NatsConnection, connect
from tapewire.log.jetstream.bar_streams import BarStore
from tapewire.log.jetstream.streams import LEASES
from tapewire.log.ports import Conflict
from tapewire.runtime.contracts.bars import INTERVAL_SECONDS
from tapewire_services.prices.service import BARS_LEASE_NAME
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.sse import Frame, SseStream
from tests.harness.waiting import wait_until_async

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
SYMBOLS = ("IBM", "BRK.B")
WAIT_SECONDS = 90.0

pytestmark = pytest.mark.asyncio(loop_scope="module")

Trade = tuple[str, Decimal, Decimal]


def write_recording(path: Path, seconds: int, seed: int) -> list[Trade]:
    """Write a recording with bursts of trades, and return its trades."""
    rng, trades, rows = random.Random(seed), list[Trade](), list[str]()
    for ms in range(0, seconds * 1000, 40):
        symbol = rng.choice(SYMBOLS)
        cents = rng.randint(9900, 10_100)
        rows.append(f"{ms},{symbol},{cents / 100},100,{(cents + 2) / 100},100,,\n")
        for _ in range(rng.choice((0, 1, 7))):
            price, size = Decimal(cents + rng.randint(-5, 5)) / 100, Decimal(rng.randint(1, 500))
            trades.append((symbol, price, size))
            rows.append(f"{ms},{symbol},,,,,{price},{size}\n")
    path.write_text(HEADER + "".join(rows))
    return trades


def calculate_bars(
    trades: Iterable[Trade], quotes: list[PriceUpdated], symbol: str, seconds: int
) -> dict[int, list[Decimal]]:
    """By start: open, high, low, close and volume of the trades, each at the time of the first
    published quote that counts it."""
    bars: dict[int, list[Decimal]] = {}
    own = [quote for quote in quotes if quote.symbol == symbol]
    traded, at = Decimal(0), 0
    for of, price, size in trades:
        if of != symbol:
            continue
        traded += size
        while own[at].volume < traded:
            at += 1
        start = int(own[at].timestamp.timestamp()) // seconds * seconds
        bar = bars.setdefault(start, [price, price, price, price, Decimal(0)])
        bar[1:] = [max(bar[1], price), min(bar[2], price), price, bar[4] + size]
    return bars


class BarPlatform:
    """A message server, an edge, and processes of the price service that play a recording."""

    def __init__(self, folder: Path, *, seconds: int, speed: float) -> None:
        self._folder = folder
        self.trades = write_recording(folder / "day.csv", seconds, seed=5)
        self.server = LocalNatsServer(folder, provisioned=True)
        self.server.start()
        self._settings = {"TAPEWIRE_NATS_URL": self.server.url, "TAPEWIRE_AGENT_HEARTBEAT": "0"}
        self._feed = {
            "TAPEWIRE_FEED": str(folder / "day.csv"),
            "TAPEWIRE_FEED_END": "stop",
            "TAPEWIRE_SPEED": str(speed),
        }
        self.edge = EdgeProcess(self._settings, folder)
        self.prices: dict[str, ManagedService] = {}
        self.quotes: list[PriceUpdated] = []
        self.gaps: list[str] = []
        self.connection: NatsConnection

    async def follow_quotes(self) -> None:
        self.connection = await connect(self.server.url, "test")
        market = JetStreamLatestValueStore(
            self.connection, stream="MARKET", prefix="px", live_prefix="live.px"
        )
        await market.subscribe(
            lambda _, value: self.quotes.append(CODEC.decode(value.data, PriceUpdated)),
            self.gaps.append,
        )
        await asyncio.to_thread(self.edge.wait_ready)

    def start_prices(self, name: str) -> ManagedService:
        settings = {**self._settings, **self._feed, "TAPEWIRE_INSTANCE": name}
        self.prices[name] = ManagedService("prices", settings, self._folder)
        return self.prices[name]

    async def kill_owner(self) -> str:
        """Kill the process that builds the bars, and return its name."""
        leases = JetStreamLatestValueStore(self.connection, stream=LEASES, prefix="$KV.leases")
        name = ((await leases.get(BARS_LEASE_NAME)) or b"").decode()
        self.prices.pop(name).kill()
        return name

    def traded(self, symbol: str) -> Decimal:
        return sum((size for of, _, size in self.trades if of == symbol), Decimal(0))

    async def list_bars(self, symbol: str, interval: str, limit: int = 7) -> list[dict[str, Any]]:
        """All pages, the oldest bar first; none while nobody builds."""
        bars: list[dict[str, Any]] = []
        query: dict[str, Any] = {"symbol": symbol, "interval": interval, "limit": limit}
        async with httpx.AsyncClient(base_url=self.edge.url) as http:
            while True:
                answer = await http.get("/api/bars", params=query)
                if answer.status_code in (404, 503):
                    return []
                assert answer.status_code == 200, answer.text
                page = json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
                bars += page["bars"]
                if "next" not in page:
                    return bars[::-1]
                query["cursor"] = page["next"]

    async def wait_for_volume(self, symbol: str, volume: Decimal) -> None:
        seen: list[Any] = []

        async def is_reached() -> bool:
            seen[:] = [bar["volume"] for bar in await self.list_bars(symbol, "1d")]
            return sum(Decimal(one) for one in seen) >= volume

        await wait_until_async(
            f"the bars of {symbol} have {volume}",
            is_reached,
            describe_last=lambda: seen,
            timeout_seconds=WAIT_SECONDS,
        )

    async def wait_for_bar(self, symbol: str) -> None:
        async def is_there() -> bool:
            return bool(await self.list_bars(symbol, "1d"))

        await wait_until_async(f"{symbol} has a bar", is_there, timeout_seconds=WAIT_SECONDS)

    async def check_exactness(self) -> None:
        """Every bar with a trade is what the recording says, and no bar is missing."""
        for symbol in SYMBOLS:
            await self.wait_for_volume(symbol, self.traded(symbol))
            assert self.gaps == []
            for interval, seconds in INTERVAL_SECONDS.items():
                bars = await self.list_bars(symbol, interval)
                found = {
                    int(datetime.fromisoformat(bar["start"]).timestamp()): [
                        Decimal(bar[name]) for name in ("open", "high", "low", "close", "volume")
                    ]
                    for bar in bars
                    if bar["source"] == "trade"
                }
                assert found == calculate_bars(self.trades, self.quotes, symbol, seconds)
                starts = [bar["start"] for bar in bars]
                assert starts == sorted(set(starts))

    async def close(self) -> None:
        await self.connection.close()
        for service in (self.edge, *self.prices.values()):
            service.kill()
        self.server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BarPlatform]:
    """One process plays four seconds."""
    made = BarPlatform(tmp_path_factory.mktemp("bars"), seconds=8, speed=2)
    await made.follow_quotes()
    service = made.start_prices("one")
    await asyncio.to_thread(service.wait_ready)
    yield made
    await made.close()


async def test_every_bar_is_what_the_recording_says(platform: BarPlatform) -> None:
    await platform.check_exactness()


async def test_quotes_of_other_programs_have_bars_too(platform: BarPlatform) -> None:
    """One states volumes; the other none, and no last price that differs from its quotes."""
    async with tapewire.connect(platform.server.url, "my-feed") as client:
        for number in range(4):
            await client.price("TRADED", 10 + number, bid=9, ask=20, volume=1000 + number)
            await client.price("QUOTED", 5, bid=4 + number, ask=6 + number)
    await platform.wait_for_volume("TRADED", Decimal(3))
    [traded] = await platform.list_bars("TRADED", "1d")
    assert (traded["source"], traded["open"], traded["high"]) == ("trade", 11, 13)
    [quoted] = await platform.list_bars("QUOTED", "1d")
    assert (quoted["source"], quoted["low"], quoted["close"]) == ("mid", 5, 8)


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ("interval=1m", 422, "symbol"),
        ("symbol=IBM", 422, "interval"),
        ("symbol=IBM&interval=2m", 422, "interval"),
        ("symbol=IBM,AIG&interval=1m", 422, "symbol"),
        ("symbol=IBM&interval=1m&limit=0", 422, "limit"),
        ("symbol=IBM&interval=1m&limit=1001", 422, "limit"),
        ("symbol=IBM&interval=1m&limit=x", 422, "limit"),
        ("symbol=IBM&interval=1m&cursor=x", 422, "cursor"),
        ("symbol=IBM&interval=1m&since=2024-01-01", 422, "since"),
        ("symbol=NOBODY&interval=1m", 404, "symbol"),
    ],
)
async def test_what_cannot_be_listed_is_refused_with_its_path(
    platform: BarPlatform, query: str, status: int, path: str
) -> None:
    await platform.wait_for_volume("IBM", Decimal(1))
    async with httpx.AsyncClient(base_url=platform.edge.url) as http:
        answer = await http.get(f"/api/bars?{query}")
    assert (answer.status_code, answer.json()["path"]) == (status, path)


async def test_a_name_in_lower_case_means_the_symbol_in_upper_case(platform: BarPlatform) -> None:
    async with (
        tapewire.connect(platform.server.url, "my-feed") as client,
        httpx.AsyncClient(base_url=platform.edge.url) as http,
    ):
        await client.price("spot", 5)
        await client.price("SPOT", 7)
        for symbol, price in (("SPOT", 7), ("spot", 5)):
            await platform.wait_for_bar(symbol)
            answer = await http.get(f"/api/bars?symbol={symbol}&interval=1d")
            assert (answer.json()["symbol"], answer.json()["bars"][0]["close"]) == (symbol, price)
        await platform.wait_for_bar("IBM")
        answer = await http.get("/api/bars?symbol=ibm&interval=1d&limit=1")
        assert answer.json()["symbol"] == "IBM"


async def test_a_cursor_belongs_to_one_series(platform: BarPlatform) -> None:
    await platform.check_exactness()
    async with httpx.AsyncClient(base_url=platform.edge.url) as http:
        page = await http.get("/api/bars?symbol=IBM&interval=1s&limit=1")
        answer = await http.get(f"/api/bars?symbol=IBM&interval=1m&cursor={page.json()['next']}")
    assert (answer.status_code, answer.json()["path"]) == (422, "cursor")


async def test_who_lost_the_bars_cannot_store_any_more(platform: BarPlatform) -> None:
    """A process that was paused while another one took over overwrites nothing; the owner itself
    begins again at what was stored."""
    paused, other = BarStore(platform.connection), BarStore(platform.connection)
    _, position = await paused.claim()
    await other.claim()
    with pytest.raises(Conflict):
        await paused.store([], position or b"")
    await other.store([], position or b"")
    await platform.check_exactness()


class BarReader:
    """A stream of bars, and what a client knows after each of its events."""

    def __init__(self, stream: SseStream) -> None:
        self.stream = stream
        self.bars: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self.updates: list[dict[str, Any]] = []
        self.snapshot_count = 0

    async def read_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self._receive(await self.stream.read())

    def _receive(self, frame: Frame) -> None:
        if frame.event == "bar:snapshot":
            self.snapshot_count += 1
            series = (frame.data["symbol"], frame.data["interval"])
            self.bars[series] = {bar["start"]: bar for bar in frame.data["bars"]}
        elif frame.event == "bar:update":
            bar = dict(frame.data)
            self.updates.append(bar)
            series = (bar.pop("symbol"), bar.pop("interval"))
            assert series in self.bars, "an update came before the snapshot"
            self.bars[series][bar["start"]] = bar


async def publish_walk(client: tapewire.Client, symbol: str, seconds: float) -> Decimal:
    """Publish a trade of one share every 50 ms; the number of them."""
    await client.price(symbol, 10, volume=0)
    count = int(seconds / 0.05)
    for number in range(1, count + 1):
        await client.price(symbol, 10 + number % 7, volume=number)
        await asyncio.sleep(0.05)
    return Decimal(count)


class TestStream:
    async def test_a_stream_shows_each_bar_until_it_is_closed(self, platform: BarPlatform) -> None:
        """What a client has after a snapshot and updates is what the list says."""
        path = "/api/stream?topics=bars:LIVE:1s,bars:LIVE:1m"
        async with (
            tapewire.connect(platform.server.url, "walk") as client,
            await platform.edge.open_stream(path) as stream,
        ):
            reader = BarReader(stream)
            await reader.read_until(lambda: reader.snapshot_count == 2)
            assert reader.bars == {("LIVE", "1s"): {}, ("LIVE", "1m"): {}}
            count = await publish_walk(client, "LIVE", 4)

            def seconds() -> list[dict[str, Any]]:
                return list(reader.bars["LIVE", "1s"].values())

            await reader.read_until(
                lambda: (
                    sum(bar["volume"] for bar in seconds()) == count
                    and all(bar["closed"] for bar in seconds())
                )
            )
            assert len(seconds()) >= 3
            for interval in ("1s", "1m"):
                listed = await platform.list_bars("LIVE", interval)
                known = reader.bars["LIVE", interval].values()
                fields = ("start", "open", "high", "low", "close", "volume", "source")
                assert [[bar[name] for name in fields] for bar in known] == [
                    [bar[name] for name in fields] for bar in listed
                ]
            assert {bar["closed"] for bar in reader.updates} == {True, False}

    async def test_a_second_reader_begins_with_what_the_first_one_knows(
        self, platform: BarPlatform
    ) -> None:
        await platform.check_exactness()
        path = "/api/stream?topics=bars:BRK.B:1s"
        async with (
            await platform.edge.open_stream(path) as one,
            await platform.edge.open_stream(path) as other,
        ):
            readers = [BarReader(one), BarReader(other)]
            for reader in readers:
                await reader.read_until(lambda reader=reader: reader.snapshot_count == 1)  # type: ignore[misc]
            assert readers[0].bars == readers[1].bars
            assert len(readers[0].bars["BRK.B", "1s"]) >= 4

    @pytest.mark.parametrize(
        "topics",
        ["bars", "bars:", "bars:IBM", "bars:IBM:2m", "bars::1m", "bars:IBM:1m:x", "orders:1m"],
    )
    async def test_a_topic_of_bars_without_a_series_is_refused(
        self, platform: BarPlatform, topics: str
    ) -> None:
        async with httpx.AsyncClient(base_url=platform.edge.url) as http:
            answer = await http.get(f"/api/stream?topics={topics}")
        assert (answer.status_code, answer.json()["path"]) == (422, "topics")

    async def test_a_client_that_polls_gets_the_snapshot(self, platform: BarPlatform) -> None:
        """The first answer may have the opening alone; the series is followed until the next."""
        await platform.check_exactness()
        found: list[str] = []

        async def is_answered() -> bool:
            answer = await http.get("/api/stream?topics=bars:IBM:1d&wait=5")
            found[:] = [
                event["data"]["bars"][-1]["source"]
                for event in answer.json()["events"]
                if event["event"] == "bar:snapshot"
            ]
            return bool(found)

        async with httpx.AsyncClient(base_url=platform.edge.url, timeout=WAIT_SECONDS) as http:
            await wait_until_async("a poll has the snapshot", is_answered)
        assert found == ["trade"]

    async def test_an_open_stream_changes_its_series(self, platform: BarPlatform) -> None:
        cookie = await platform.edge.sign_in("alice")
        path = "/api/stream?topics=bars:IBM:1d"
        async with await platform.edge.open_stream(path, cookie) as stream:
            connected = next(frame for frame in stream.frames if frame.event == "connected")
            async with platform.edge.client(cookie) as http:
                answer = await http.patch(
                    f"/api/stream/{connected.data['clientId']}",
                    json={"topics": ["bars:BRK.B:1d"]},
                )
            assert answer.json()["topics"] == ["bars:BRK.B:1d"]
            updated = await stream.read_until("stream:updated")
            assert updated.data["topics"] == ["bars:BRK.B:1d"]
            snapshot = await stream.read_until(
                "the snapshot of the new series",
                lambda frame: frame.event == "bar:snapshot" and frame.data["symbol"] == "BRK.B",
            )
            assert snapshot.data["interval"] == "1d"


@pytest.mark.slow
async def test_bars_stay_exact_while_their_owners_are_killed(tmp_path: Path) -> None:
    """Two processes play and build; each owner is killed in the middle, the last one of all
    alone, and then the message server too is restarted after everything was stored."""
    platform = BarPlatform(tmp_path, seconds=60, speed=3)
    try:
        await platform.follow_quotes()
        for name in ("one", "two"):
            service = platform.start_prices(name)
            await asyncio.to_thread(service.wait_ready)
        for volume, again in (("0.15", "three"), ("0.4", None), ("0.6", "four")):
            for symbol in SYMBOLS:
                await platform.wait_for_volume(symbol, Decimal(volume) * platform.traded(symbol))
            await platform.kill_owner()
            if again is not None or not platform.prices:
                platform.start_prices(again or "last")
        await platform.check_exactness()
        expected = {symbol: await platform.list_bars(symbol, "1s") for symbol in SYMBOLS}
        for service in platform.prices.values():
            await asyncio.to_thread(service.stop)
        platform.prices.clear()
        platform.server.kill()
        platform.server.start()
        platform.start_prices("restarted")
        for symbol in SYMBOLS:
            await platform.wait_for_volume(symbol, platform.traded(symbol))
            bars = await platform.list_bars(symbol, "1s")
            assert bars[: len(expected[symbol])] == expected[symbol]
    finally:
        await platform.close()
