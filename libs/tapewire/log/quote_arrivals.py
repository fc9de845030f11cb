"""Judges the quotes that arrive: they are fresh, unless they may have waited on their way.

After this process, its connection or the message server stood still, quotes arrive that were sent
before. They are new to this process and old to the market. A probe therefore asks the message
server for an answer, again and again; what arrives long after the last probe that was answered
confirms nothing, and neither does what arrives within `SETTLING_SECONDS` after the next answer,
since producers' messages may have waited as well. Start at `QuoteArrivals.confirm`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tapewire.log.freshness import QuoteFreshness
from tapewire.log.ports import LogError

SETTLING_SECONDS = 0.5
"""How long messages that waited go on arriving after the message server answers again."""
PROBES_PER_LIMIT = 8
MAX_SILENCE_SHARE = 0.5
"""Share of the limit. What arrives so long after the last answered probe is not trusted."""


class QuoteArrivals:
    """Confirms arriving quotes to `freshness`.

    Args:
        probe: asks the message server over the connection that the quotes arrive on; raises
            LogError if it does not answer. None trusts everything.
    """

    def __init__(
        self,
        freshness: QuoteFreshness,
        probe: Callable[[], Awaitable[object]] | None,
        clock: Callable[[], float],
    ) -> None:
        self._freshness = freshness
        self._probe = probe
        self._clock = clock
        self._answered_probe_at = clock()

    def confirm(self, symbol: str) -> bool:
        """A quote of `symbol` arrived. Return whether the symbol was stale, and no longer is."""
        if self._probe is not None:
            self._distrust_after_silence()
        return self._freshness.confirm(symbol, self._clock())

    async def run(self) -> None:
        """Probe the message server until cancelled."""
        while self._probe is not None:
            sent_at = self._clock()
            try:
                await self._probe()
            except LogError:
                pass  # the connection logs its loss
            else:
                self._distrust_after_silence()  # what waited may arrive after the answer
                self._answered_probe_at = sent_at
            await asyncio.sleep(self._freshness.limit_seconds / PROBES_PER_LIMIT)

    def _distrust_after_silence(self) -> None:
        now = self._clock()
        if now - self._answered_probe_at > self._freshness.limit_seconds * MAX_SILENCE_SHARE:
            self._freshness.distrust_until(now + SETTLING_SECONDS)
