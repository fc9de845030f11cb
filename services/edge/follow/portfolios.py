"""What connected users hold, and what it is worth: for the positions streams.

A user's positions are folded from the tape while somebody watches them, beginning with the view at
a place of the log; the positions service values them in MARKET, and a lane takes those values to
the readers. `Portfolios` is also the scene that dialects ask.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial

import msgspec
import structlog

from services.edge.dialects.trading import (
    PositionsTold,
    PositionView,
    position_view,
    valued_view,
)
from services.edge.flag import Flag
from services.edge.follow.beginning import NotYet
from services.edge.follow.board import Board
from services.edge.follow.tape import Tape
from services.edge.frames import RETRY_MS, frame
from services.edge.lanes import Outbox, Wants
from services.edge.newest import Lane
from tapewire.events import CODEC, PositionValued
from tapewire.log import EventLog, LogError, Recorded, Subscription, Values
from tapewire.log.patience import Patience
from tapewire.log.views import fold, load
from tapewire.views import PositionsView
from tapewire.views.positions import total, worth

KNOWN_SECONDS = 0.5

logger = structlog.get_logger("edge.portfolios")


class Portfolio:
    """One user's. `view` is None while it is being read."""

    def __init__(self) -> None:
        self.view: PositionsView | None = None
        self.known = Flag()
        self.values: dict[str, PositionValued] = {}
        self.lanes: dict[float, Lane] = {}
        self.readers = 0
        self.reading: asyncio.Task[None] | None = None
        self.subscription: Subscription | None = None

    def changed(self, symbol: str) -> None:
        """The position in `symbol` is worth something else."""
        for lane in self.lanes.values():
            lane.changed(symbol)


class Portfolios:
    """All users' that are watched here. Tell it of every event by `take`, before the hub."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: Values,
        valuations: Callable[[str], Values],
        tape: Tape,
        board: Board,
        now: Callable[[], datetime],
        window_seconds: float,
        chance: random.Random,
        retry_ms: int = RETRY_MS,
    ) -> None:
        self._log = log
        self._views = views
        self._valuations = valuations
        self._tape = tape
        self._board = board
        self._now = now
        self._window = window_seconds
        self._chance = chance
        self._retry_ms = retry_ms
        self._of: dict[str, Portfolio] = {}

    def price(self, symbol: str) -> Decimal | None:
        """See `Scene`."""
        quote = self._board.price(symbol)
        return None if quote is None else quote.price

    def total_value(self, owner: str) -> Decimal | None:
        """See `Scene`. A position without a price counts as what was paid for it."""
        portfolio = self._of.get(owner)
        if portfolio is None or portfolio.view is None:
            return None
        amounts = []
        for position in portfolio.view.positions():
            price = self.price(position.symbol)
            held = position.cost_basis if price is None else worth(position, price).value
            amounts.append(held)
        return total(amounts)

    def enter(self, owner: str) -> None:
        """Somebody watches `owner`'s positions, until `leave`."""
        portfolio = self._of.setdefault(owner, Portfolio())
        portfolio.readers += 1
        if portfolio.reading is None:
            portfolio.reading = asyncio.create_task(self._read(owner, portfolio))

    def leave(self, owner: str) -> None:
        """One watcher less; with the last one it is forgotten."""
        portfolio = self._of[owner]
        portfolio.readers -= 1
        if portfolio.readers:
            return
        del self._of[owner]
        if portfolio.reading is not None:
            portfolio.reading.cancel()

    async def known(self, owner: str) -> None:
        """Return when it is known what `owner` holds. Raises NotYet when that takes long."""
        try:
            async with asyncio.timeout(KNOWN_SECONDS):
                await self._of[owner].known.wait()
        except TimeoutError:
            raise NotYet(f"the positions of {owner} cannot be read yet") from None

    def join(self, owner: str, outbox: Outbox, rate: float) -> Lane:
        """Let `outbox` have what the positions of `owner` are worth: now, and when it changes."""
        portfolio = self._of[owner]
        lane = portfolio.lanes.get(rate)
        if lane is None:
            make = partial(self._newest, owner, portfolio)
            lane = portfolio.lanes[rate] = Lane(Wants(None, rate), make, self._window)
        lane.members.add(outbox)
        return lane

    def part(self, owner: str, outbox: Outbox, lane: Lane) -> None:
        """Let `outbox` have no more of `lane`."""
        outbox.forget(lane)
        lane.members.discard(outbox)
        if not lane.members:
            lane.close()
            self._of[owner].lanes.pop(lane.wants.rate, None)

    def take(self, recorded: Recorded) -> None:
        """The tape's next event."""
        portfolio = self._of.get(recorded.place.owner)
        if portfolio is None or recorded.place.domain != PositionsView.domain:
            return
        if portfolio.view is not None:
            fold(portfolio.view, recorded)

    def restart(self) -> None:
        """The log was made anew: what was folded is void."""
        for owner, portfolio in self._of.items():
            portfolio.view = None
            portfolio.known.clear()
            if portfolio.reading is not None:
                portfolio.reading.cancel()
            portfolio.reading = asyncio.create_task(self._read(owner, portfolio))

    async def _read(self, owner: str, portfolio: Portfolio) -> None:
        """Follow the values of `owner`, and know the positions, until cancelled."""
        patience = Patience(self._chance)
        look = Flag()
        subscription: Subscription | None = None
        values = self._valuations(owner)
        hear = partial(self._hear, portfolio)
        try:
            while True:
                look.clear()
                try:
                    if subscription is None:
                        subscription = await values.live(hear, lambda _: look.set())
                    for key, data in (await values.all()).items():
                        self._hear(portfolio, key, data)
                    if portfolio.view is None:
                        await self._begin(owner, portfolio)
                except LogError as error:
                    logger.info("cannot read positions now", error=str(error))
                    await patience.wait()
                else:
                    patience.reset()
                    await look.wait()
        finally:
            if subscription is not None:
                await subscription.close()

    async def _begin(self, owner: str, portfolio: Portfolio) -> None:
        """The view at the head of the tape. Raises LogError."""
        while True:
            bounds = self._tape.bounds
            view, _ = await load(self._log, self._views, PositionsView, owner, bounds=bounds)
            if self._tape.epoch == bounds.epoch and self._tape.covers(bounds.last):
                break
        # In one step with what follows: the tape tells of everything later by `take`.
        for recorded in self._tape.since((owner,), bounds.last):
            if recorded.place.domain == PositionsView.domain:
                fold(view, recorded)
        portfolio.view = view
        portfolio.known.set()

    def _hear(self, portfolio: Portfolio, _key: str, data: bytes) -> None:
        try:
            valued = CODEC.decode(data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("a valuation cannot be read", error=str(error))
            return
        known = portfolio.values.get(valued.symbol)
        if known is not None and known.timestamp >= valued.timestamp:
            return
        portfolio.values[valued.symbol] = valued
        portfolio.changed(valued.symbol)

    def _newest(self, owner: str, portfolio: Portfolio, symbols: Iterable[str]) -> bytes:
        """One frame of all that changed."""
        told = PositionsTold(
            positions=[self._valued(portfolio, symbol) for symbol in sorted(symbols)],
            total_value=self.total_value(owner),
            timestamp=self._now(),
        )
        return frame("position:update", told, retry_ms=self._retry_ms)

    def _valued(self, portfolio: Portfolio, symbol: str) -> PositionView:
        """What is held is the tape's to say, which may be ahead of the valuation."""
        valued = portfolio.values[symbol]
        position = portfolio.view.position(symbol) if portfolio.view is not None else None
        if position is None:
            return valued_view(valued)
        return position_view(position, valued.current_price)
