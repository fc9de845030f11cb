"""What every market data feed must do, as tests for pytest.

A feed's author gives the suite a market that it can move:

    class TestAcmeFeed(LiveFeedContract):
        def create_feed(self, context): return AcmeFeed(context)

        def open_market(self): return AcmeMarket()   # an async context manager

`FeedContract` is for all feeds, `LiveFeedContract` for those with a connection that can be lost.
The tests use a `FeedListener`, which calls the feed as the price service does. They take some
seconds, and need no plug-in of pytest. Start at `FeedMarket`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import structlog

from tapewire.feeds import (
    HEARTBEAT_SECONDS,
    FaultLog,
    FeedContext,
    FeedProgress,
    MarketDataFeed,
    Tick,
    ValidTick,
)
from tapewire.testing.feed_listener import FeedListener, find_quotes, validate_all

DEADLINE_SECONDS = 10.0
"""How long a feed may take for something."""
QUIET_SECONDS = 1.5
"""How long the tests watch a market that does not move, or cannot be heard."""
MAX_PAUSE_SECONDS = HEARTBEAT_SECONDS + 0.5
"""The longest pause between two batches; half a second is for a busy machine."""
MOVE_COUNT = 20


class FeedMarket(Protocol):
    """A market that a test moves, and that the feed of the test hears."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings with which the feed finds this market."""

    async def move(self, count: int) -> Sequence[Tick]:
        """Let the market change `count` times, and return the changes in order, as ticks that the
        feed must yield. No two of them, of all calls, are equal. A `last` that one of them has
        must also be in what the market says to a new connection."""


class LiveFeedMarket(FeedMarket, Protocol):
    """A market whose connection can be lost."""

    async def disconnect(self) -> None:
        """Close the connection of the feed, and accept none."""

    async def reconnect(self) -> None:
        """Accept connections again."""

    async def send_bad_data(self) -> None:
        """Send something that the feed cannot take, as the vendor's worst day would."""


class FeedContract:
    """The promises of `tapewire.feeds.MarketDataFeed`. Override both methods.

    `is_continuous`: a second call of `stream_batches` continues where the first one stopped, as
    that of a recording does. Set it to False for a feed that begins each call with what the market
    is then.
    """

    is_continuous = False

    def create_feed(self, context: FeedContext) -> MarketDataFeed:
        """Return the feed, as the factory of its entry point does."""
        raise NotImplementedError

    def open_market(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager of a new `FeedMarket`."""
        raise NotImplementedError

    def test_every_change_is_yielded_once_and_in_order(self) -> None:
        async def check(market: FeedMarket, listener: FeedListener) -> None:
            await listener.wait_until_heard()
            expected = validate_all(await market.move(MOVE_COUNT))
            await listener.wait_for(expected[-1], DEADLINE_SECONDS)
            await asyncio.sleep(2 * HEARTBEAT_SECONDS)
            _assert_once_and_in_order(expected, listener.ticks)

        self._run(check)

    def test_a_second_call_neither_skips_nor_repeats_a_change(self) -> None:
        async def check(market: FeedMarket, listener: FeedListener) -> None:
            await listener.wait_until_heard()
            first = validate_all(await market.move(MOVE_COUNT))
            await listener.wait_for(first[MOVE_COUNT // 2], DEADLINE_SECONDS)
            await listener.stop()
            second = validate_all(await market.move(MOVE_COUNT))
            listener.start()
            if self.is_continuous:
                await listener.wait_for(second[-1], DEADLINE_SECONDS)
                _assert_once_and_in_order([*first, *second], listener.ticks)
            else:
                await listener.wait_for_quotes(find_quotes([*first, *second]), DEADLINE_SECONDS)

        self._run(check)

    def test_a_market_that_does_not_move_is_heard(self) -> None:
        async def check(market: FeedMarket, listener: FeedListener) -> None:
            await listener.wait_until_heard()
            await market.move(1)
            began = time.monotonic()
            await asyncio.sleep(QUIET_SECONDS)
            pause = listener.longest_pause(began, time.monotonic())
            assert pause < MAX_PAUSE_SECONDS, (
                f"the feed yielded no batch for {pause:.2f} s; an empty one is due every "
                f"{HEARTBEAT_SECONDS} s"
            )

        self._run(check)

    def test_close_ends_the_stream(self) -> None:
        async def check(_market: FeedMarket, listener: FeedListener) -> None:
            await listener.wait_until_heard()
            listener.stop_at_end()
            await listener.feed.close()
            await listener.wait_until_ended(DEADLINE_SECONDS)
            await listener.feed.close()

        self._run(check)

    def test_a_feed_that_never_streamed_can_be_closed(self) -> None:
        async def check(_market: FeedMarket, listener: FeedListener) -> None:
            await listener.stop()
            await self.create_feed(listener.context).close()

        self._run(check)

    def test_progress_is_quick_and_never_raises(self) -> None:
        async def check(market: FeedMarket, listener: FeedListener) -> None:
            fresh = self.create_feed(listener.context)
            names = {_check_progress(fresh).name}
            await fresh.close()
            names.add(_check_progress(fresh).name)
            await listener.wait_until_heard()
            await market.move(1)
            began = time.process_time()
            names |= {_check_progress(listener.feed).name for _ in range(1000)}
            spent = time.process_time() - began
            assert spent < 1, f"1,000 calls of progress took {spent:.1f} s of processor time"
            assert len(names) == 1, f"the name of the feed changes: {sorted(names)}"

        self._run(check)

    def test_every_value_can_be_taken(self) -> None:
        async def check(market: FeedMarket, listener: FeedListener) -> None:
            await listener.wait_until_heard()
            expected = validate_all(await market.move(MOVE_COUNT))
            await listener.wait_for(expected[-1], DEADLINE_SECONDS)
            assert not listener.context.faults.counts, (
                f"good data was counted as bad: {dict(listener.context.faults.counts)}"
            )

        self._run(check)

    def _run(self, check: Callable[[Any, FeedListener], Awaitable[None]]) -> None:
        async def run() -> None:
            async with self.open_market() as market, self._listen(market) as listener:
                await check(market, listener)

        asyncio.run(run())

    @asynccontextmanager
    async def _listen(self, market: FeedMarket) -> AsyncGenerator[FeedListener, None]:
        logger = structlog.get_logger("feed")
        context = FeedContext(
            logger=logger, symbols=(), environment=market.environment, faults=FaultLog(logger)
        )
        listener = FeedListener(self.create_feed(context), context, self.is_continuous)
        listener.start()
        try:
            yield listener
        finally:
            await listener.stop()
            await listener.feed.close()


class LiveFeedContract(FeedContract):
    """The promises of a feed whose connection can be lost. `open_market` returns a
    `LiveFeedMarket`."""

    def test_a_market_that_cannot_be_heard_is_not_vouched_for(self) -> None:
        async def check(market: LiveFeedMarket, listener: FeedListener) -> None:
            await self._move_and_hear(market, listener)
            await market.disconnect()
            await asyncio.sleep(MAX_PAUSE_SECONDS)
            heard = listener.batch_count
            await asyncio.sleep(QUIET_SECONDS)
            assert listener.batch_count == heard, (
                f"the feed yielded {listener.batch_count - heard} batches without a connection: "
                "each says that all quotes hold"
            )

        self._run(check)

    def test_a_new_connection_says_what_the_market_is_now(self) -> None:
        async def check(market: LiveFeedMarket, listener: FeedListener) -> None:
            before = await self._move_and_hear(market, listener)
            await market.disconnect()
            await asyncio.sleep(MAX_PAUSE_SECONDS)
            unheard = validate_all(await market.move(MOVE_COUNT))
            assert find_quotes([*before, *unheard]) != find_quotes(before)
            listener.expect_batch()
            await market.reconnect()
            await listener.wait_for_quotes(find_quotes([*before, *unheard]), DEADLINE_SECONDS)
            await self._move_and_hear(market, listener)

        self._run(check)

    def test_what_was_known_before_a_lost_connection_is_forgotten(self) -> None:
        """A batch confirms every quote that is known, also one that has changed meanwhile."""

        async def check(market: LiveFeedMarket, listener: FeedListener) -> None:
            await self._move_and_hear(market, listener)
            await market.disconnect()
            await asyncio.sleep(MAX_PAUSE_SECONDS)
            forgotten = listener.forget_count
            listener.expect_batch()
            await market.reconnect()
            await self._move_and_hear(market, listener)
            assert listener.forget_count > forgotten, (
                "the first batch of a new connection must be a snapshot (is_snapshot=True), unless "
                "stream_batches ends with the old one"
            )

        self._run(check)

    def test_bad_data_costs_itself_and_is_counted(self) -> None:
        async def check(market: LiveFeedMarket, listener: FeedListener) -> None:
            await self._move_and_hear(market, listener)
            calls = listener.call_count
            for number in range(1, 4):
                await market.send_bad_data()
                await self._move_and_hear(market, listener)
                counts = listener.context.faults.counts
                assert counts.total() >= number, f"{number} faults, counted: {dict(counts)}"
            assert listener.call_count == calls, "bad data has ended the stream"

        self._run(check)

    async def _move_and_hear(
        self, market: FeedMarket, listener: FeedListener
    ) -> Sequence[ValidTick]:
        await listener.wait_until_heard()
        ticks = validate_all(await market.move(MOVE_COUNT))
        await listener.wait_for(ticks[-1], DEADLINE_SECONDS)
        return ticks


def _check_progress(feed: MarketDataFeed) -> FeedProgress:
    progress = feed.progress()
    assert isinstance(progress, FeedProgress), f"progress returned {progress!r}"
    assert progress.name, "the feed has no name"
    return progress


def _assert_once_and_in_order(expected: Sequence[ValidTick], ticks: Sequence[ValidTick]) -> None:
    found = [tick for tick in ticks if tick in expected]
    missing = [tick for tick in expected if tick not in found]
    assert not missing, f"{len(missing)} of {len(expected)} changes were skipped: {missing[0]}"
    repeated = [tick for tick in expected if found.count(tick) > 1]
    assert not repeated, f"{len(repeated)} changes came more than once: {repeated[0]}"
    assert found == list(expected), "the changes came in another order"
