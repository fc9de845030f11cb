"""Every row of the real recordings can be parsed; skipped unless the data is available."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapewire.feeds import FaultLog
from tapewire_services.prices.domain import RecordedTick, TopOfBook, apply_tick, build_price_updated
from tapewire_services.prices.feed import RecordingFile, ReplayFeed
from tests.unit.prices.conftest import ManualClock

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SECONDS = DATA / "us-equities-2013-10-07-seconds.csv.gz"
TICKS = DATA / "us-equities-2013-10-07-open-ticks.csv.gz"
AT = datetime(2013, 10, 7, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not (SECONDS.is_file() and TICKS.is_file()),
    reason=f"the recorded market data is not at {DATA}",
)


def ticks(path: Path) -> Iterator[RecordedTick]:
    for item in RecordingFile(path).read_day():
        assert isinstance(item, RecordedTick), str(item)
        yield item


@pytest.mark.parametrize(
    ("path", "rows", "volumes"),
    [
        (
            SECONDS,
            74_154,
            {"AIG": 4_933_663, "BAC": 59_084_442, "IBM": 3_614_514, "SPY": 81_489_219},
        ),
        (TICKS, 36_557, {"AIG": 239_565, "BAC": 5_532_495, "IBM": 404_430}),
    ],
    ids=["seconds", "ticks"],
)
def test_every_row_is_read_and_volume_is_the_sum_of_all_trades(
    path: Path, rows: int, volumes: dict[str, int]
) -> None:
    books: dict[str, TopOfBook] = {}
    traded: dict[str, Decimal] = defaultdict(Decimal)
    count = 0
    for count, tick in enumerate(ticks(path), start=1):  # noqa: B007
        books[tick.symbol] = apply_tick(
            books.get(tick.symbol) or TopOfBook(symbol=tick.symbol), tick
        )
        traded[tick.symbol] += tick.last_size or 0
    assert count == rows
    assert {symbol: book.volume for symbol, book in books.items()} == traded == volumes


def test_the_day_ends_with_the_closing_quotes() -> None:
    books: dict[str, TopOfBook] = {}
    for tick in ticks(SECONDS):
        books[tick.symbol] = apply_tick(
            books.get(tick.symbol) or TopOfBook(symbol=tick.symbol), tick
        )
    ibm = build_price_updated(books["IBM"], AT)
    assert ibm is not None
    assert (ibm.bid, ibm.bid_size) == (Decimal("182.00"), Decimal(5900))
    assert (ibm.ask, ibm.ask_size) == (Decimal("182.01"), Decimal(5400))
    assert (ibm.price, ibm.change) == (Decimal("182.00"), Decimal("0.10"))
    assert ibm.change_percent == Decimal("0.0550")


@pytest.mark.parametrize("speed", [20, 1000, 1e6])
async def test_the_replay_takes_the_days_duration_divided_by_the_speed(
    speed: float, time: ManualClock, logger: Any, faults: FaultLog
) -> None:
    feed = ReplayFeed(
        RecordingFile(SECONDS),
        logger=logger,
        faults=faults,
        speed=speed,
        end="stop",
        clock=time,
        sleep=time.sleep,
    )
    played = 0
    async for beat in feed.stream_batches():
        played += len(beat.ticks)
    progress = feed.progress()
    assert (played, progress.rows) == (74_154, 74_154)
    assert faults.counts == {}
    assert progress.ms == 57_599_000
    assert time.now == pytest.approx((57_599_000 - 34_200_000) / 1000 / speed, abs=0.01)


async def test_bursts_of_the_opening_are_combined_into_batches(
    time: ManualClock, logger: Any
) -> None:
    feed = ReplayFeed(RecordingFile(TICKS), logger=logger, end="stop", clock=time, sleep=time.sleep)
    beats = [len(beat.ticks) async for beat in feed.stream_batches()]
    assert sum(beats) == 36_557
    assert max(beats) > 100
    assert len(beats) < 36_557 / 2
