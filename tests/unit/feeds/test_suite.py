"""The contract suite of feeds fails for feeds that break a promise, each in its own test."""

import asyncio
import importlib.util
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tapewire.feeds import FeedContext, FeedProgress, MarketDataFeed, TickBatch, with_heartbeats
from tapewire.testing import feeds
from tapewire.testing.feeds import LiveFeedContract
from tests.harness.page_files import write_page_files

pytestmark = pytest.mark.slow


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The feed and the market of docs/feeds.md."""
    folder = tmp_path_factory.mktemp("acme")
    write_page_files("feeds.md", folder)
    feed, market = (load_module(folder / f"{name}.py") for name in ("acme_feed", "acme_market"))
    return feed.AcmeFeed, market.AcmeMarket


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "DEADLINE_SECONDS", 1.5)


async def _repeat(batches: Any) -> AsyncGenerator[TickBatch, None]:
    async for batch in batches:
        yield batch
        yield batch


async def _skip(batches: Any) -> AsyncGenerator[TickBatch, None]:
    count = 0
    async for batch in batches:
        count += bool(batch.ticks)
        if count != 10:
            yield batch


async def _swap(batches: Any) -> AsyncGenerator[TickBatch, None]:
    delayed: TickBatch | None = None
    async for batch in batches:
        if delayed is not None:
            yield batch
            yield delayed
            delayed = None
        elif batch.ticks:
            delayed = batch


def repeats(feed: Any) -> Any:
    feed.stream_batches = lambda: with_heartbeats(
        _repeat(feed._read_connection()), silence_seconds=1.5
    )


def skips(feed: Any) -> Any:
    feed.stream_batches = lambda: with_heartbeats(
        _skip(feed._read_connection()), silence_seconds=1.5
    )


def swaps(feed: Any) -> Any:
    feed.stream_batches = lambda: with_heartbeats(
        _swap(feed._read_connection()), silence_seconds=1.5
    )


def sends_no_heartbeat(feed: Any) -> Any:
    feed.stream_batches = feed._read_connection


def vouches_for_a_lost_connection(feed: Any) -> Any:
    async def read() -> AsyncGenerator[TickBatch, None]:
        while True:
            try:
                async for batch in feed._read_connection():
                    yield batch
            except OSError:
                pass
            yield TickBatch()
            await asyncio.sleep(0.1)

    feed.stream_batches = lambda: with_heartbeats(read(), silence_seconds=1.5)


def reconnects_without_a_snapshot(feed: Any) -> Any:
    async def read() -> AsyncGenerator[TickBatch, None]:
        while True:
            try:
                async for batch in feed._read_connection():
                    yield batch
            except OSError:
                pass
            await asyncio.sleep(0.1)

    feed.stream_batches = lambda: with_heartbeats(read(), silence_seconds=0.5)


def forgets_what_it_missed(feed: Any) -> Any:
    async def read() -> AsyncGenerator[TickBatch, None]:
        batches = feed._read_connection()
        for _ in range(2):  # what the market says of its two symbols at the beginning
            await anext(batches)
            yield TickBatch()
        async for batch in batches:
            yield batch

    feed.stream_batches = lambda: with_heartbeats(read(), silence_seconds=1.5)


def ends_at_bad_data(feed: Any) -> Any:
    def parse(line: bytes) -> Any:
        ticks = type(feed)._parse(feed, line)
        if feed._context.faults.counts:
            raise ValueError(line)
        return ticks

    feed._parse = parse


def drops_bad_data_unseen(feed: Any) -> Any:
    feed._context.faults.record = lambda *_: None


def counts_good_data_as_bad(feed: Any) -> Any:
    feed._context.faults.record("other", "nothing")


def ignores_close(feed: Any) -> Any:
    async def close() -> None:
        pass

    feed.close = close


def cannot_close_unopened(feed: Any) -> Any:
    async def close() -> None:
        feed._writer.close()

    feed.close = close


def has_no_progress_unopened(feed: Any) -> Any:
    feed.progress = lambda: FeedProgress(name=f"acme {feed._writer.get_extra_info('peername')}")


def renames_itself(feed: Any) -> Any:
    feed.progress = lambda: FeedProgress(name=f"acme {feed._row_count}")


ORDER = "test_every_change_is_yielded_once_and_in_order"
AGAIN = "test_a_second_call_neither_skips_nor_repeats_a_change"
QUIET = "test_a_market_that_does_not_move_is_heard"
LOST = "test_a_market_that_cannot_be_heard_is_not_vouched_for"
FORGOTTEN = "test_what_was_known_before_a_lost_connection_is_forgotten"
NOW = "test_a_new_connection_says_what_the_market_is_now"
BAD_DATA = "test_bad_data_costs_itself_and_is_counted"
GOOD_DATA = "test_every_value_can_be_taken"
CLOSE = "test_close_ends_the_stream"
UNOPENED = "test_a_feed_that_never_streamed_can_be_closed"
PROGRESS = "test_progress_is_quick_and_never_raises"


@pytest.mark.parametrize(
    ("broken", "test", "message"),
    [
        (repeats, ORDER, "20 changes came more than once"),
        (skips, ORDER, "changes were skipped"),
        (swaps, ORDER, "the changes came in another order"),
        (forgets_what_it_missed, AGAIN, "the feed did not say what the market is now"),
        (forgets_what_it_missed, NOW, "the feed did not say what the market is now"),
        (sends_no_heartbeat, QUIET, "the feed yielded no batch for"),
        (vouches_for_a_lost_connection, LOST, "batches without a connection"),
        (reconnects_without_a_snapshot, FORGOTTEN, "must be a snapshot"),
        (ends_at_bad_data, BAD_DATA, "ValueError"),
        (drops_bad_data_unseen, BAD_DATA, "1 faults, counted: {}"),
        (counts_good_data_as_bad, GOOD_DATA, "good data was counted as bad: {'other': 1}"),
        (ignores_close, CLOSE, "the stream did not end"),
        (cannot_close_unopened, UNOPENED, "has no attribute 'close'"),
        (has_no_progress_unopened, PROGRESS, "has no attribute 'get_extra_info'"),
        (renames_itself, PROGRESS, "the name of the feed changes"),
    ],
)
def test_a_feed_that_breaks_a_promise_fails_the_test_of_it(
    example: Any, broken: Callable[[Any], Any], test: str, message: str
) -> None:
    feed_type, market_type = example

    class Suite(LiveFeedContract):
        def create_feed(self, context: FeedContext) -> MarketDataFeed:
            feed: MarketDataFeed = feed_type(context)
            broken(feed)
            return feed

        def open_market(self) -> Any:
            return market_type()

    with pytest.raises((AssertionError, AttributeError), match=re.escape(message)):
        getattr(Suite(), test)()
