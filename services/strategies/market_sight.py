"""Tells users that their strategies cannot see the market.

A strategy acts on quotes, so without them it does nothing, and its stop-loss does not protect. It
goes on by itself when quotes arrive again. `MarketSightMonitor` raises one alert for each strategy
and each loss of sight. It runs in the process that runs the strategies; a successor that finds the
same loss builds the same alert, which the log stores once. Start at `MarketSightMonitor.run`.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from tapewire.events import AlertLevel, AlertRaised, PriceUpdated
from tapewire.log import (
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    LogError,
    Unavailable,
)
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy

POLL_SECONDS = 0.25
DOMAIN = "alerts"
ALERT_PREFIX = "sight-"
"""The ids of these alerts begin with it."""

logger = structlog.get_logger("strategies")


class MarketSightMonitor:
    """Watches the quotes of all active strategies.

    Args:
        active_strategies: the active strategies; raises Unavailable before they are known.
        stale_seconds: a symbol whose quotes this process has never seen confirmed counts as lost
            after this time.
    """

    def __init__(
        self,
        log: EventLog,
        quote_cache: QuoteCache,
        active_strategies: Callable[[], Iterable[TrackedStrategy]],
        clock: Callable[[], datetime],
        stale_seconds: float,
    ) -> None:
        self._log = log
        self._quote_cache = quote_cache
        self._active_strategies = active_strategies
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._stale_since: dict[str, float] = {}
        """The symbols that are stale, and when that was noticed."""
        self._alerted_subjects: set[str] = set()
        """The subjects of the strategies whose users know of the loss."""

    async def run(self) -> None:
        """Raise alerts until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._check()
            except Unavailable:
                continue  # the strategies are not known yet, or the log is away
            except LogError as error:
                logger.warning("market_sight.alert_failed", error=str(error))

    async def _check(self) -> None:
        strategies = [*self._active_strategies()]
        lost = self._find_lost_symbols({one.strategy.symbol for one in strategies})
        blind = {str(one.subject): one for one in strategies if one.strategy.symbol in lost}
        self._alerted_subjects &= blind.keys()
        for key, tracked in blind.items():
            if key not in self._alerted_subjects:
                await self._raise_alert(tracked)
                self._alerted_subjects.add(key)

    def _find_lost_symbols(self, symbols: set[str]) -> set[str]:
        now = asyncio.get_running_loop().time()
        stale = {symbol for symbol in symbols if self._is_stale(symbol)}
        self._stale_since = {symbol: self._stale_since.get(symbol, now) for symbol in stale}
        return {
            symbol
            for symbol, since in self._stale_since.items()
            if self._quote_cache.quote_age(symbol) is not None or now >= since + self._stale_seconds
        }

    def _is_stale(self, symbol: str) -> bool:
        """Right after a split no quote is expected yet."""
        cache = self._quote_cache
        age = cache.quote_age(symbol) if cache.awaits_quote_after_split(symbol) else None
        return cache.is_stale(symbol) and (age is None or age > self._stale_seconds)

    async def _raise_alert(self, tracked: TrackedStrategy) -> None:
        alert = build_alert(
            tracked, self._quote_cache.quote(tracked.strategy.symbol), self._clock()
        )
        draft = EventDraft(
            subject=EventSubject(tracked.user, DOMAIN, alert.alert_id),
            event=alert,
            metadata=EventMetadata(id=alert.alert_id, correlation=alert.alert_id),
            expected_sequence=0,
        )
        try:
            await self._log.append([draft])
        except (AlreadyStored, Conflict):
            return  # an earlier process raised it
        logger.info(
            "market_sight.lost",
            strategy_id=tracked.strategy.strategy_id,
            user_id=tracked.user,
            symbol=tracked.strategy.symbol,
        )


def build_alert(tracked: TrackedStrategy, quote: PriceUpdated | None, at: datetime) -> AlertRaised:
    """The alert that the strategy cannot see the market since `quote`. Its id follows from both."""
    strategy = tracked.strategy
    since = "" if quote is None else f" since {quote.timestamp:%H:%M:%S} UTC"
    stamp = 0 if quote is None else round(quote.timestamp.timestamp() * 1000)
    return AlertRaised(
        alert_id=f"{ALERT_PREFIX}{strategy.strategy_id}-{stamp}",
        level=AlertLevel.WARNING,
        message=(
            f"The strategy {strategy.name} cannot see the market: no quote of {strategy.symbol}"
            f"{since}. It goes on by itself when quotes arrive again."
        ),
        symbol=strategy.symbol,
        rule_id=None,
        timestamp=at,
    )
