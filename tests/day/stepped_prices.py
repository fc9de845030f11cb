"""A price service whose recording moves only on request, in place of the one that plays by a clock.

The day's runs need a market that stands still while the consequences of a quote settle.
`python -m tests.day.stepped_prices` is a service process under the name and the lease of
`tapewire_services.prices`. It folds and builds quotes with that service's own functions; a request
`step` names both ends of the interval to play. The same step therefore publishes the same bytes,
from any process and however often, so a step can be repeated after any fault.
"""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC, PriceUpdated
from tapewire.feeds import HEARTBEAT_SECONDS
from tapewire.log import LatestValueStore, Unavailable, encode_token
from tapewire.runtime import App, Endpoint, RequestContext, run
from tapewire_services.prices.domain import RecordedTick, TopOfBook, apply_tick, build_price_updated
from tapewire_services.prices.feed import RecordingFile, TickSource
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.service import LEASE_NAME, SERVICE

STEP = "step"
STORED_TIMEOUT_SECONDS = 2.0
"""Shorter than the requester's timeout: the requester receives the error and repeats the step."""
POLL_INTERVAL_SECONDS = 0.01


class StepRecording(msgspec.Struct, frozen=True, kw_only=True):
    """Play the recording from `after_ms` to `upto_ms`, in milliseconds since UTC midnight of `day`.

    Publishes one quote of every symbol that changed within the interval and has two sides: the
    market at the end, as of the symbol's last tick, following the quote at `after_ms`.
    """

    day: date
    after_ms: int
    upto_ms: int


class StepReply(msgspec.Struct, frozen=True, kw_only=True):
    """The quotes are stored. `published` has their timestamps by symbol."""

    published: dict[str, datetime]


class SteppedMarket:
    """Plays `source` step by step into `market`."""

    def __init__(
        self, source: TickSource, market: LatestValueStore, *, logger: FilteringBoundLogger
    ) -> None:
        self.publisher = PriceUpdatePublisher(market, logger=logger)
        self._source = source
        self._market = market
        self._step_lock = asyncio.Lock()
        self._last_step: StepRecording | None = None
        self._last_updates: list[PriceUpdated] = []
        self._rewind()

    async def run(self) -> None:
        """Confirm the published quotes until canceled: this market stands still, and is heard."""
        while True:
            await self.publisher.confirm_due()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def step(self, request: StepRecording, _context: RequestContext) -> StepReply:
        """Handle `step`. Raises LogError; the same request may then be sent again."""
        async with self._step_lock:
            if request != self._last_step:
                self._last_updates = await asyncio.to_thread(self._advance, request)
                self._last_step = request
            await self._publish_until_stored(self._last_updates)
        return StepReply(
            published={update.symbol: update.timestamp for update in self._last_updates}
        )

    def _advance(self, request: StepRecording) -> list[PriceUpdated]:
        if self._position_ms > request.after_ms:
            self._rewind()
        self._apply_until(request.after_ms)
        before = {symbol: self._build_update(request.day, symbol) for symbol in self._books}
        updates = [
            self._build_update(request.day, symbol, before.get(symbol))
            for symbol in self._apply_until(request.upto_ms)
        ]
        return [update for update in updates if update is not None]

    def _rewind(self) -> None:
        self._ticks = (item for item in self._source.read_day() if isinstance(item, RecordedTick))
        self._next_tick = next(self._ticks, None)
        self._position_ms = 0
        self._books: dict[str, TopOfBook] = {}
        self._last_tick_ms: dict[str, int] = {}

    def _apply_until(self, upto_ms: int) -> list[str]:
        """Fold all ticks up to `upto_ms` and return the symbols that had any."""
        changed: dict[str, None] = {}
        while (tick := self._next_tick) is not None and tick.ms <= upto_ms:
            book = self._books.get(tick.symbol) or TopOfBook(symbol=tick.symbol)
            self._books[tick.symbol] = apply_tick(book, tick)
            self._last_tick_ms[tick.symbol] = max(tick.ms, self._last_tick_ms.get(tick.symbol, 0))
            changed[tick.symbol] = None
            self._next_tick = next(self._ticks, None)
        self._position_ms = max(self._position_ms, upto_ms)
        return list(changed)

    def _build_update(
        self, day: date, symbol: str, previous: PriceUpdated | None = None
    ) -> PriceUpdated | None:
        at = datetime.combine(day, time(), UTC) + timedelta(milliseconds=self._last_tick_ms[symbol])
        follows = None if previous is None else previous.timestamp
        return build_price_updated(self._books[symbol], at, follows=follows)

    async def _publish_until_stored(self, updates: list[PriceUpdated]) -> None:
        await self.publisher.publish(updates)
        expected = {encode_token(update.symbol): CODEC.encode(update) for update in updates}
        try:
            async with asyncio.timeout(STORED_TIMEOUT_SECONDS):
                while not expected.items() <= (await self._market.get_all()).items():  # noqa: ASYNC110
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)
        except TimeoutError:
            raise Unavailable("the quotes of the step are not stored") from None


async def wiring(app: App) -> None:
    market = SteppedMarket(RecordingFile(Path(app.settings.feed)), app.quotes, logger=app.logger)
    app.connection.state_listeners.append(market.publisher.confirm_all_soon)
    app.run_leased(LEASE_NAME, market.run, {STEP: Endpoint(StepRecording, market.step)})


if __name__ == "__main__":
    run(SERVICE, wiring)
