"""Bars are exact against the ticks of a feed, whoever folds which part of its quotes.

The expected bars are calculated from the recording and the times of the quotes alone.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from tapewire.events import CODEC, PriceUpdated
from tapewire.feeds import FaultLog
from tapewire.log.jetstream.bar_streams import StoredQuote
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime.contracts.bars import INTERVAL_SECONDS
from tapewire_services.prices.bars.book import BarBook, decode_bars
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.domain import RandomWalk, RecordedTick
from tapewire_services.prices.domain.bars import PriceBar, SymbolBars, fold_quote, merge_bars
from tapewire_services.prices.feed import RecordingFile, ReplayFeed
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner
from tests.harness.publishers import make_quote
from tests.harness.waiting import wait_until
from tests.unit.prices.conftest import ManualClock, ScriptedDays

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RECORDED_TICKS = DATA / "us-equities-2013-10-07-open-ticks.csv.gz"
AT = datetime(2024, 5, 6, 13, 29, 50, tzinfo=UTC)
HISTORY = "e1"


async def publish_day(
    ticks: Sequence[RecordedTick], logger: Any, capture: LogCapture
) -> list[PriceUpdated]:
    """The quotes that the price service publishes of a day, in order."""
    clock = ManualClock()

    def now() -> datetime:
        return AT + timedelta(seconds=clock.now)

    feed = ReplayFeed(
        ScriptedDays(ticks), logger=logger, end="stop", clock=clock, sleep=clock.sleep
    )
    market = MemoryLatestValueStore(MemoryServer(), stream="MARKET", prefix="px")
    quotes: list[PriceUpdated] = []
    await market.subscribe(
        lambda _, value: quotes.append(CODEC.decode(value.data, PriceUpdated)), lambda _: None
    )
    publisher = PriceUpdatePublisher(market, logger=logger)
    runner = FeedRunner(feed, publisher, DayTrades(now), FaultLog(logger), logger=logger, now=now)
    running = asyncio.create_task(runner.run())
    await wait_until(
        "the day is played",
        lambda: "feed.ended" in [entry["event"] for entry in capture.entries],
        timeout_seconds=60,
    )
    running.cancel()
    await asyncio.wait({running})
    return quotes


def store(quotes: Sequence[PriceUpdated]) -> list[StoredQuote]:
    return [
        StoredQuote(number, quote.timestamp, CODEC.encode(quote))
        for number, quote in enumerate(quotes, start=1)
    ]


def calculate_bars(
    ticks: Sequence[RecordedTick], quotes: Sequence[PriceUpdated], seconds: int
) -> Any:
    """By symbol and start: open, high, low, close and volume of the trades, each at the time of the
    first quote that counts it; without any trade of the middles of the quotes."""
    bars: dict[tuple[str, int], list[Decimal]] = {}
    for symbol in {quote.symbol for quote in quotes}:
        own = [quote for quote in quotes if quote.symbol == symbol]
        traded, at = Decimal(0), 0
        for tick in ticks:
            if tick.symbol != symbol or tick.last is None or not tick.last_size:
                continue
            traded += tick.last_size
            while own[at].volume < traded:
                at += 1
            start = int(own[at].timestamp.timestamp()) // seconds * seconds
            bar = bars.setdefault(
                (symbol, start), [tick.last, tick.last, tick.last, tick.last, Decimal(0)]
            )
            bar[1:] = [max(bar[1], tick.last), min(bar[2], tick.last), tick.last,
                       bar[4] + tick.last_size]  # fmt: skip
        with_trades = set(bars)
        for quote in own:
            key = (symbol, int(quote.timestamp.timestamp()) // seconds * seconds)
            mid = (quote.bid + quote.ask) / 2
            if key not in with_trades:
                bar = bars.setdefault(key, [mid, mid, mid, mid, Decimal(0)])
                bar[1:4] = [max(bar[1], mid), min(bar[2], mid), mid]
    return bars


def build_bars(owners: Sequence[Sequence[StoredQuote]], rng: random.Random | None = None) -> Any:
    """The bars that successive owners build, each from what the one before has stored. With `rng`
    some of what each stores last is lost."""
    states: dict[str, bytes] = {}
    position: bytes | None = None
    messages: dict[tuple[str, str], list[bytes]] = {}
    book, all_quotes = BarBook(), [one for part in owners for one in part]
    for part in owners:
        book = BarBook()
        book.restore(states, position, HISTORY)
        after = book.position.sequence
        for quote in all_quotes[after : part[-1].sequence if part else after]:
            book.add_quote(quote)
        records, newest_position = book.collect_unsaved()
        is_interrupted = rng is not None and rng.random() < 0.5
        for record in records:
            if rng is not None and is_interrupted and rng.random() < 0.5:
                continue
            states[record.symbol] = record.state
            for interval, data, _ in record.closed:
                messages.setdefault((record.symbol, interval), []).append(data)
        if not is_interrupted:
            position = newest_position
    book = BarBook()
    book.restore(states, position, HISTORY)
    for quote in all_quotes[book.position.sequence :]:
        book.add_quote(quote)
    book_records, _ = book.collect_unsaved()
    for record in book_records:
        for interval, data, _ in record.closed:
            messages.setdefault((record.symbol, interval), []).append(data)
    return {
        interval: {
            (symbol, bar.start): [bar.open, bar.high, bar.low, bar.close, bar.volume]
            for symbol in {CODEC.decode(one.data, PriceUpdated).symbol for one in all_quotes}
            for bar in [
                *decode_bars(messages.get((symbol, interval), [])),
                book.recent_bars(symbol, interval)[-1],
            ]
        }
        for interval in INTERVAL_SECONDS
    }


def synthetic_day(seed: int, seconds: int) -> list[RecordedTick]:
    """Ticks of a random walk, with bursts: several trades of a symbol in a millisecond."""
    rng, ticks = random.Random(seed), list[RecordedTick]()
    for tick in RandomWalk(seed, ("IBM", "BRK.B")).read_day():
        if tick.ms > seconds * 1000:
            return ticks
        ticks.append(tick)
        if rng.random() < 0.2 and tick.last is not None:
            ticks += [
                RecordedTick(
                    ms=tick.ms,
                    symbol=tick.symbol,
                    last=tick.last + rng.choice((-1, 0, 1)),
                    last_size=Decimal(rng.choice((1, 100))),
                )
                for _ in range(rng.randint(1, 30))
            ]  # fmt: skip
    return ticks


class TestExactness:
    @pytest.fixture(params=["recorded", "synthetic"])
    def ticks(self, request: pytest.FixtureRequest) -> list[RecordedTick]:
        if request.param == "synthetic":
            return synthetic_day(3, 400)
        if not RECORDED_TICKS.is_file():
            pytest.skip(f"the recorded market data is not at {DATA}")
        return [
            one for one in RecordingFile(RECORDED_TICKS).read_day() if isinstance(one, RecordedTick)
        ]

    async def test_each_bar_is_what_the_ticks_say_whoever_folded_them(
        self, ticks: list[RecordedTick], logger: Any, capture: LogCapture
    ) -> None:
        quotes = await publish_day(ticks, logger, capture)
        stored = store(quotes)
        expected = {
            interval: calculate_bars(ticks, quotes, seconds)
            for interval, seconds in INTERVAL_SECONDS.items()
        }
        assert len(expected["1s"]) > 300
        assert build_bars([stored]) == expected
        rng = random.Random(7)
        cuts = [0, *sorted(rng.sample(range(1, len(stored)), 12)), len(stored)]
        owners = [stored[start:end] for start, end in pairwise(cuts)]
        assert build_bars(owners) == expected
        assert build_bars(owners, rng) == expected

    async def test_quotes_that_are_published_again_after_a_takeover_count_once(
        self, logger: Any, capture: LogCapture
    ) -> None:
        """The successor of a feed repeats up to a second, in batches of its own."""
        ticks = synthetic_day(5, 30)
        quotes = await publish_day(ticks, logger, capture)
        again = [CODEC.decode(CODEC.encode(quote), PriceUpdated) for quote in quotes[-60:]]
        traded = sum(tick.last_size or 0 for tick in ticks if tick.symbol == "IBM")
        bars = build_bars([store([*quotes, *again])])
        assert sum(bar[4] for (symbol, _), bar in bars["1s"].items() if symbol == "IBM") == traded
        assert bars == build_bars([store(quotes)])


def quote(seconds: float = 0, **fields: Any) -> PriceUpdated:
    exact = {
        name: Decimal(value) if isinstance(value, str) else value for name, value in fields.items()
    }
    return make_quote("IBM", timestamp=AT + timedelta(seconds=seconds), **exact)


def fold(*quotes: PriceUpdated, stored: float | None = None) -> tuple[PriceBar, list[PriceBar]]:
    """The newest and the closed bars of a second."""
    bars, closed = SymbolBars(), list[PriceBar]()
    for one in quotes:
        at = one.timestamp if stored is None else AT + timedelta(seconds=stored)
        bars, done = fold_quote(bars, one, at)
        closed += [bar for interval, bar in done if interval == "1s"]
    return bars.newest[0], closed


class TestTimes:
    def test_a_late_quote_counts_in_the_newest_bar(self) -> None:
        newest, closed = fold(
            quote(0, volume="0"), quote(1, volume="5", price="100"), quote(0, volume="8", price="9")
        )
        assert [newest.volume, newest.low, newest.close] == [8, 9, 9]
        assert len(closed) == 1

    def test_a_stamp_too_far_ahead_begins_no_bar_of_the_far_future(self) -> None:
        newest, _ = fold(quote(86_400, volume="0"), stored=0)
        assert newest.start == int(AT.timestamp()) + 5

    def test_a_clock_that_steps_back_loses_no_volume(self) -> None:
        newest, closed = fold(
            *(quote(-step, volume=str(10 * step), price="1") for step in range(50))
        )
        assert closed == []
        assert newest.volume == 490

    def test_equal_stamps_all_count_in_the_order_of_arrival(self) -> None:
        newest, _ = fold(*(quote(0, volume=str(n), price=str(100 + n)) for n in range(4)))
        assert [newest.open, newest.close, newest.volume] == [101, 103, 3]


class TestVolumes:
    def test_a_volume_that_starts_over_counts_from_zero(self) -> None:
        newest, _ = fold(quote(volume="0"), quote(volume="70"), quote(volume="30"))
        assert newest.volume == 100

    def test_the_first_volume_of_all_is_not_traded_now(self) -> None:
        newest, _ = fold(quote(volume="1000000"), quote(volume="1000010"))
        assert newest.volume == 10

    def test_a_new_day_of_a_feed_counts_what_it_lists(self) -> None:
        lots = ((Decimal(5), Decimal(3)),)
        newest, _ = fold(
            quote(volume="90", day=1, trades=((Decimal(7), Decimal(90)),)),
            quote(volume="3", day=2, trades=lots),
            quote(volume="90", day=1),
        )
        assert [newest.volume, newest.low] == [93, 5]

    def test_two_feeds_of_one_symbol_count_apart(self) -> None:
        newest, _ = fold(
            quote(volume="0", day=1), quote(volume="0"),
            quote(volume="5", day=1), quote(volume="7"), quote(volume="6", day=1),
        )  # fmt: skip
        assert newest.volume == 13

    def test_a_producer_that_states_no_volume_takes_none_away(self) -> None:
        newest, _ = fold(
            quote(volume="0"), quote(volume="50"), quote(volume="0"), quote(volume="60")
        )
        assert newest.volume == 60

    def test_the_volume_of_a_lost_quote_is_in_the_next_one(self) -> None:
        lots = ((Decimal(5), Decimal(3)), (Decimal(6), Decimal(4)))
        newest, _ = fold(quote(volume="0", day=1), quote(volume="100", day=1, trades=lots))
        assert [newest.volume, newest.open, newest.close] == [100, 5, 6]


class TestMids:
    def test_a_bar_without_a_trade_is_of_the_middles(self) -> None:
        newest, _ = fold(quote(bid="98", ask="100", price="50"), quote(bid="99", ask="100"))
        assert newest.source == "mid"
        assert [newest.open, newest.high, newest.volume] == [99, Decimal("99.5"), 0]

    def test_the_first_trade_replaces_the_middles(self) -> None:
        newest, _ = fold(
            quote(volume="0", bid="1", ask="3"),
            quote(volume="4", price="7"),
            quote(volume="4", bid="1", ask="3", price="7"),
        )
        assert newest.source == "trade"
        assert {newest.open, newest.high, newest.low, newest.close} == {Decimal(7)}

    def test_a_side_that_nobody_offers_is_not_a_price_of_zero(self) -> None:
        newest, _ = fold(quote(bid="0", bid_size="0", ask="100", price="99"))
        assert newest.low == 99

    def test_a_negative_price_is_data(self) -> None:
        newest, _ = fold(quote(bid="-3", ask="-1", price="-2"))
        assert newest.open == -2


prices = st.integers(-50, 50).map(Decimal)
bars = st.builds(
    lambda price, step, volume, source: PriceBar(
        0, price, price + step, price - step, price, volume, source
    ),
    prices,
    st.integers(0, 9).map(Decimal),
    st.integers(0, 9).map(Decimal),
    st.sampled_from(["trade", "mid"]),
)


@given(bars, bars, bars)
def test_merging_is_associative(one: PriceBar, two: PriceBar, three: PriceBar) -> None:
    assert merge_bars(merge_bars(one, two), three) == merge_bars(one, merge_bars(two, three))
