"""The contract suite of feeds: against the recorded feed, the random walk, and the example of the
documentation, which hears its market over a socket."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tapewire.feeds import FeedContext, Tick
from tapewire.testing.feeds import FeedContract
from tapewire_services.prices.domain import RandomWalk
from tapewire_services.prices.feed import ReplayFeed, create_replay_feed
from tests.harness.page_files import write_page_files

HEADER = "ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
ROOT = Path(__file__).parents[3]


class PlayedMarket:
    """A market that moves by itself, by the times of `ticks`."""

    def __init__(self, ticks: Iterator[Tick], environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._ticks = ticks

    async def move(self, count: int) -> list[Tick]:
        return [next(self._ticks) for _ in range(count)]


class TestRecordedFeed(FeedContract):
    is_continuous = True

    def create_feed(self, context: FeedContext) -> ReplayFeed:
        return create_replay_feed(context)

    @asynccontextmanager
    async def open_market(self) -> AsyncIterator[PlayedMarket]:
        with TemporaryDirectory() as folder:
            recording = Path(folder, "day.csv")
            rows = [f"{20 * n},IBM,{99 + n / 100},100,{102 + n / 100},100,,\n" for n in range(60)]
            recording.write_text(HEADER + "".join(rows) + "80000000,IBM,1,1,2,1,,\n")
            ticks = (
                Tick(symbol="IBM", bid=99 + n / 100, bid_size=100, ask=102 + n / 100, ask_size=100)
                for n in range(60)
            )
            yield PlayedMarket(ticks, {"TAPEWIRE_FEED": str(recording)})


class TestRandomWalk(FeedContract):
    is_continuous = True

    def create_feed(self, context: FeedContext) -> ReplayFeed:
        return create_replay_feed(context)

    @asynccontextmanager
    async def open_market(self) -> AsyncIterator[PlayedMarket]:
        environment = {"TAPEWIRE_FEED_SEED": "7", "TAPEWIRE_SPEED": "20"}
        yield PlayedMarket(RandomWalk(7).read_day(), environment)


def test_the_example_of_the_documentation_passes_the_suite_that_it_shows(tmp_path: Path) -> None:
    write_page_files("feeds.md", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme_feed.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "libs")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout
