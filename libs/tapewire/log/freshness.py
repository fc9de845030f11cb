"""Whether the quote of a symbol is fresh: the one rule for screens, orders, strategies and alerts.

A message on ``px.{symbol}`` says that its quote holds now. A symbol whose last such message arrived
`TAPEWIRE_STALE_SECONDS` ago or earlier is stale, and so is a symbol whose quote was only read from
a store, which confirms nothing. A feed confirms a quote that does not change by publishing the same
bytes again, `CONFIRMATIONS_PER_LIMIT` times within the limit, as long as it hears its market; a
feed that is dead, frozen or cut off confirms nothing.

Only arrivals count, on the monotonic clock of the process that judges. Timestamps of producers and
of servers play no part, because their clocks may be wrong. Messages that waited somewhere arrive
late, however: after the process or its message server stood still, `distrust_until` keeps what
arrives from counting as a confirmation.

    freshness = QuoteFreshness(settings.stale_seconds)
    freshness.confirm("IBM", clock())       # for each message on px.IBM
    freshness.is_stale("IBM", clock())      # before an order executes, for a screen
    for symbol in freshness.expire(clock()):  # at `next_expiry`: once for each loss of sight
        ...

Every method that takes `now` wants seconds of one monotonic clock, which may not go back. Pure.
Start at `QuoteFreshness.confirm`. `QuoteCache.freshness` has one that is kept current.
"""

DEFAULT_STALE_SECONDS = 4.0
CONFIRMATIONS_PER_LIMIT = 3
"""How often a feed confirms each of its quotes within the limit: one message may be lost."""


class QuoteFreshness:
    """When the quote of each symbol was last confirmed to this process.

    Args:
        limit_seconds: A quote that was confirmed this long ago is stale.
        started_at: When the process began to listen. A market is not silent before it could have
            been heard for `limit_seconds`.
    """

    def __init__(
        self, limit_seconds: float = DEFAULT_STALE_SECONDS, started_at: float = float("-inf")
    ) -> None:
        self.limit_seconds = limit_seconds
        self._confirmed_at: dict[str, float] = {}
        """The fresh symbols, the one that was confirmed longest ago first."""
        self._stale: dict[str, float | None] = {}
        """The other known symbols, and when each was last confirmed; None: never."""
        self._last_confirmed_at = started_at
        self._distrusted_until = float("-inf")

    def confirm(self, symbol: str, now: float) -> bool:
        """A message on ``px.{symbol}`` arrived. Return whether the symbol was stale or unknown
        until now, and no longer is."""
        if now < self._distrusted_until:
            self.add(symbol)
            return False
        self._last_confirmed_at = now
        before = self._confirmed_at.pop(symbol, None)
        self._confirmed_at[symbol] = now
        if before is None:
            self._stale.pop(symbol, None)
            return True
        return now >= before + self.limit_seconds

    def add(self, symbol: str) -> None:
        """The symbol has a quote that was not confirmed to this process, such as a stored
        one. It is stale until it is confirmed. A symbol that is known already stays as it is."""
        if symbol not in self._confirmed_at:
            self._stale.setdefault(symbol, None)

    def is_stale(self, symbol: str, now: float) -> bool:
        """Whether the quote of `symbol` may not be relied on. True for an unknown symbol. It is
        right at any time, whether or not `expire` was called."""
        confirmed_at = self._confirmed_at.get(symbol)
        return confirmed_at is None or now >= confirmed_at + self.limit_seconds

    def age(self, symbol: str, now: float) -> float | None:
        """Seconds since the quote of `symbol` was confirmed; None if it never was."""
        confirmed_at = self._confirmed_at.get(symbol, self._stale.get(symbol))
        return None if confirmed_at is None else max(0.0, now - confirmed_at)

    def expire(self, now: float) -> list[str]:
        """The symbols that have become stale since the last call, each once for every loss of
        sight, in the order in which that happened."""
        expired: list[str] = []
        for symbol, confirmed_at in self._confirmed_at.items():
            if now < confirmed_at + self.limit_seconds:
                break
            expired.append(symbol)
        for symbol in expired:
            self._stale[symbol] = self._confirmed_at.pop(symbol)
        return expired

    def next_expiry(self) -> float | None:
        """The earliest moment at which `expire` may return something; None while nothing is
        fresh. A later confirmation only moves it back."""
        confirmed_at = next(iter(self._confirmed_at.values()), None)
        return None if confirmed_at is None else confirmed_at + self.limit_seconds

    def is_silent(self, now: float) -> bool:
        """Whether symbols are known and nothing confirms any of them: the whole market is
        silent."""
        is_known = bool(self._stale or self._confirmed_at)
        return is_known and now >= self._last_confirmed_at + self.limit_seconds

    def seconds_silent(self, now: float) -> float:
        """Seconds since any symbol was confirmed, or since the start."""
        return now - self._last_confirmed_at

    def distrust_until(self, moment: float) -> None:
        """Let nothing that arrives before `moment` confirm a quote. The process, its connection or
        the message server stood still, and what arrives now may be as old as that."""
        self._distrusted_until = max(self._distrusted_until, moment)
