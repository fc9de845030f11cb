"""Calls a feed as the price service does, for the contract suite of feeds."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import msgspec

from tapewire.feeds import FeedContext, MarketDataFeed, Tick, TickBatch, ValidTick, validate_tick
from tapewire.values import InvalidValue

RETRY_SECONDS = 0.1
"""How long after it has stopped a feed is called again."""
POLL_SECONDS = 0.01
HEAR_SECONDS = 10.0
"""How long a feed may take to connect."""

Quotes = Mapping[str, ValidTick]
"""By symbol: the market, in a tick without volumes."""


class FeedListener:
    """Consumes `feed` between `start` and `stop`, and calls it again when it stops.

    `ticks` are all that it has yielded, `batch_count` and `call_count` say how often. `quotes` is
    the market as it is known, which each call and each snapshot begin anew: `forget_count`.
    """

    def __init__(self, feed: MarketDataFeed, context: FeedContext, is_continuous: bool) -> None:
        self.feed = feed
        self.context = context
        self.ticks: list[ValidTick] = []
        self.quotes: dict[str, ValidTick] = {}
        self.call_count = self.forget_count = 0
        self._batch_times: list[float] = []
        self._is_continuous = is_continuous
        self._ends = False
        self._heard_before = 0
        self._task: asyncio.Task[None] | None = None
        self._last_error: Exception | None = None

    @property
    def batch_count(self) -> int:
        return len(self._batch_times)

    def start(self) -> None:
        """Begin to call the feed."""
        self.expect_batch()
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Close the feed's stream, as when another process takes over."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    def stop_at_end(self) -> None:
        """Do not call the feed again when its stream has ended."""
        self._ends = True

    def expect_batch(self) -> None:
        """Let `wait_until_heard` wait for the next batch."""
        self._heard_before = self.batch_count

    async def wait_until_heard(self) -> None:
        """Wait for the first batch since `start` or `expect_batch`."""
        await self._wait(
            lambda: self.batch_count > self._heard_before, HEAR_SECONDS, "the feed yielded no batch"
        )

    async def wait_for(self, tick: ValidTick, seconds: float) -> None:
        """Wait until `tick` has been yielded."""
        await self._wait(lambda: tick in self.ticks, seconds, f"the feed did not yield {tick}")

    async def wait_for_quotes(self, quotes: Quotes, seconds: float) -> None:
        """Wait until the market is known to have what `quotes` have."""
        await self._wait(
            lambda: all(_agrees(self.quotes.get(name), quote) for name, quote in quotes.items()),
            seconds,
            "the feed did not say what the market is now",
            lambda: f"{dict(quotes)} is expected, {self.quotes} is known",
        )

    async def wait_until_ended(self, seconds: float) -> None:
        """Wait until the stream has ended."""
        task = self._task
        await self._wait(lambda: task is None or task.done(), seconds, "the stream did not end")

    def longest_pause(self, began: float, ended: float) -> float:
        """The longest time between two batches from `began` to `ended`, by `time.monotonic`."""
        times = [at for at in self._batch_times if began < at < ended]
        return max(later - earlier for earlier, later in pairwise([began, *times, ended]))

    async def _listen(self) -> None:
        while True:
            self.call_count += 1
            if not self._is_continuous:
                self._forget()
            try:
                async with contextlib.aclosing(self.feed.stream_batches()) as batches:
                    async for batch in batches:
                        self._receive(batch)
            except Exception as error:
                self._last_error = error
            if self._ends or self.feed.progress().ended:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _receive(self, batch: TickBatch) -> None:
        assert isinstance(batch, TickBatch), f"the feed yielded {batch!r}, which is no TickBatch"
        self._batch_times.append(time.monotonic())
        if batch.is_snapshot:
            self._forget()
        for tick in batch.ticks:
            assert isinstance(tick, Tick), f"the feed yielded {tick!r}, which is no Tick"
            valid = self._validate(tick)
            if valid is not None:
                self.ticks.append(valid)
                self.quotes[valid.symbol] = _move(self.quotes.get(valid.symbol), valid)

    def _validate(self, tick: Tick) -> ValidTick | None:
        def count(error: InvalidValue) -> None:
            self.context.faults.record(error.reason, str(error))

        try:
            return _strip(validate_tick(tick, count))
        except InvalidValue as error:
            count(error)
            return None

    def _forget(self) -> None:
        self.forget_count += 1
        self.quotes.clear()

    async def _wait(
        self,
        condition: Callable[[], bool],
        seconds: float,
        failure: str,
        describe: Callable[[], str] = lambda: "",
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            error = f"; its last exception: {self._last_error!r}" if self._last_error else ""
            details = "; ".join(filter(None, (f"{failure} within {seconds:g} s", describe())))
            assert time.monotonic() < deadline, details + error
            await asyncio.sleep(POLL_SECONDS)


def validate_all(ticks: Sequence[Tick]) -> list[ValidTick]:
    """The expected `ticks` with valid values. Raises InvalidValue."""

    def fail(error: InvalidValue) -> None:
        raise error

    return [_strip(validate_tick(tick, fail)) for tick in ticks]


def find_quotes(ticks: Sequence[ValidTick]) -> Quotes:
    """The market after `ticks`."""
    quotes: dict[str, ValidTick] = {}
    for tick in ticks:
        quotes[tick.symbol] = _move(quotes.get(tick.symbol), tick)
    return quotes


def _agrees(known: ValidTick | None, quote: ValidTick) -> bool:
    return known is not None and _move(known, quote) == known


def _strip(tick: ValidTick) -> ValidTick:
    """A plain tick, without what subclasses add, so that ticks can be compared."""
    fields = {name: getattr(tick, name) for name in ValidTick.__struct_fields__}
    return ValidTick(**fields)


def _move(quote: ValidTick | None, tick: ValidTick) -> ValidTick:
    """The market of a symbol after `tick`."""
    changes = {
        name: value
        for name in ("bid", "bid_size", "ask", "ask_size", "last")
        if (value := getattr(tick, name)) is not None
    }
    return msgspec.structs.replace(quote or ValidTick(symbol=tick.symbol), **changes)
