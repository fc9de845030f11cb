"""Samples the equity of users at an interval, in the one process that applies trades.

Users with open positions are sampled, and those whose positions have changed since their last
sample; nothing is stored where equity and cash are the same as in the last sample. All samples of a
round belong to one interval by the wall clock, and a curve gets at most one for each, whichever
process stores it. The users of a round are spread over a part of the interval.

What a user's closed positions gained is read once, and again after one was opened; from there on,
memory follows the open positions. Where a process dies before a user's last position was sampled as
closed, the next sample of that user is the one after the next trade. Start at `EquitySampler.run`.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal

import structlog

from tapewire.events import Position, UserErased
from tapewire.log import Bounds, EventLog, LatestValueStore, LogError, view_checkpoints
from tapewire.log.quote_cache import QuoteCache
from tapewire.views import PositionsView
from tapewire.views.account import AccountTerms, AccountValue, value_account
from tapewire.views.positions import sum_exact
from tapewire_services.positions.domain.equity_curve import EquitySample
from tapewire_services.positions.domain.position import PositionKey
from tapewire_services.positions.equity_store import EquityStore

USERS_PER_BATCH = 50
"""Users whose samples are stored together."""
SPREAD_PART = 0.5
"""The part of the interval over which the batches of a round are spread."""
MIN_WAIT_SECONDS = 0.01

logger = structlog.get_logger("positions.equity")


class _Holdings:
    """The open positions of a user. `closed_pnl` is what all others gained, None while that is not
    known; `version` counts changes."""

    __slots__ = ("by_symbol", "closed_pnl", "version")

    def __init__(self) -> None:
        self.by_symbol: dict[str, Position] = {}
        self.closed_pnl: Decimal | None = None
        self.version = 0

    @property
    def realized_pnl(self) -> Decimal:
        gained = [position.realized_pnl for position in self.by_symbol.values()]
        return sum_exact([*gained, self.closed_pnl or Decimal(0)])

    @property
    def fees(self) -> Decimal | None:
        return None

    def open_positions(self) -> Collection[Position]:
        return self.by_symbol.values()

    def update(self, position: Position) -> None:
        """Replace the position in a symbol."""
        self.version += 1
        symbol = position.symbol
        was_open = self.by_symbol.pop(symbol, None) is not None
        if position.quantity:
            self.by_symbol[symbol] = position
            self.closed_pnl = self.closed_pnl if was_open else None
        elif was_open and self.closed_pnl is not None:
            self.closed_pnl = sum_exact([self.closed_pnl, position.realized_pnl])
        else:
            self.closed_pnl = None


class EquitySampler:
    """Samples the accounts of one incarnation of the log. `now` is the wall time."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        quote_cache: QuoteCache,
        terms: AccountTerms,
        *,
        interval_seconds: float,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._quote_cache = quote_cache
        self._terms = terms
        self._interval_seconds = interval_seconds
        self._now = now
        self._curves = EquityStore(checkpoint_store)
        self._by_user: dict[str, _Holdings] = {}

    def update_position(self, key: PositionKey, position: Position) -> None:
        """Follow the position as it is after a trade."""
        self._by_user.setdefault(key.user, _Holdings()).update(position)

    def forget_user(self, erasure: UserErased) -> None:
        """Store nothing more of the erased user."""
        for user in [user for user in self._by_user if erasure.concerns(user)]:
            del self._by_user[user]
            self._curves.forget_head(user)

    async def run(self) -> None:
        """Sample at every interval until cancelled."""
        while True:
            rest = self._interval_seconds - self._now().timestamp() % self._interval_seconds
            await asyncio.sleep(max(rest, MIN_WAIT_SECONDS))
            try:
                await self._sample_all()
            except LogError as error:
                logger.warning("equity.sample_failed", error=str(error))

    async def _sample_all(self) -> None:
        bounds = await self._log.bounds()
        users = sorted(self._by_user)
        starts = range(0, len(users), USERS_PER_BATCH)
        pause = self._interval_seconds * SPREAD_PART / max(len(starts), 1)
        for start in starts:
            if start:
                await asyncio.sleep(pause)
            await self._sample_users(users[start : start + USERS_PER_BATCH], bounds)

    async def _sample_users(self, users: Collection[str], bounds: Bounds) -> None:
        present = {user: self._by_user[user] for user in users if user in self._by_user}
        versions = {user: holdings.version for user, holdings in present.items()}
        last = await self._curves.last_samples(present, bounds)
        samples = {}
        for user in present:
            sample = await self._sample(user, last.get(user))
            if sample is not None:
                samples[user] = sample
        # A user may have been erased meanwhile.
        kept = {
            user: one for user, one in samples.items() if self._by_user.get(user) is present[user]
        }
        if kept:
            await self._curves.add_samples(kept, bounds)
        for user, version in versions.items():
            self._drop_if_settled(user, version)

    def _drop_if_settled(self, user: str, version: int) -> None:
        """A user without positions is sampled again after the next trade; one who was erased
        leaves no head of the curve."""
        holdings = self._by_user.get(user)
        if holdings is None or (holdings.version == version and not holdings.by_symbol):
            self._by_user.pop(user, None)
            self._curves.forget_head(user)

    async def _sample(self, user: str, last: EquitySample | None) -> EquitySample | None:
        """The next sample of `user`; None if there is one of this interval, or nothing changed."""
        holdings = self._by_user.get(user)
        time = int(self._now().timestamp())
        if holdings is None or (last is not None and self._slot(last.time) >= self._slot(time)):
            return None
        value = await self._value(user, holdings)
        sample = EquitySample(time, value.equity, value.cash, value.is_stale)
        return None if last is not None and sample.is_same(last) else sample

    def _slot(self, time: int) -> int:
        """The number of the interval that contains `time`."""
        return int(time // self._interval_seconds)

    async def _value(self, user: str, holdings: _Holdings) -> AccountValue:
        if holdings.closed_pnl is not None:
            return value_account(holdings, self._terms, self._price, self._quote_cache.is_stale)
        version = holdings.version
        view, _ = await view_checkpoints.load(
            self._log, self._checkpoint_store, PositionsView, user
        )
        held = {position.symbol: position for position in view.open_positions()}
        if version == holdings.version and held.keys() == holdings.by_symbol.keys():
            gained = [position.realized_pnl.copy_negate() for position in held.values()]
            holdings.closed_pnl = sum_exact([view.realized_pnl, *gained])
        return value_account(view, self._terms, self._price, self._quote_cache.is_stale)

    def _price(self, symbol: str) -> Decimal | None:
        quote = self._quote_cache.quote(symbol)
        return None if quote is None else quote.price
