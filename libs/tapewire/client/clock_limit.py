"""Rejects timestamps that are ahead of the clock, where they enter.

Nothing in Tapewire is ordered by a timestamp, so a wrong one does no harm to prices. It is shown to
people, however, and a program whose timestamps are ahead has a wrong clock or a wrong unit.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from tapewire.client.errors import InvalidArgument
from tapewire.events import Event
from tapewire.runtime import Settings

MAX_CLOCK_AHEAD = "TAPEWIRE_MAX_CLOCK_AHEAD"

logger = structlog.get_logger("tapewire.client")


class ClockLimit:
    """Rejects times that are more than `max_ahead_seconds` after `clock`. `rejected_count` counts
    them."""

    def __init__(
        self,
        max_ahead_seconds: float = Settings().max_clock_ahead,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rejected_count = 0
        self._max_ahead_seconds = max_ahead_seconds
        self._clock = clock

    def check(self, event: Event) -> None:
        """Check the time of `event`, which an `at` of the caller states. Raises InvalidArgument."""
        dated: Any = next(
            (getattr(event, name) for name in ("strategy", "order") if hasattr(event, name)), event
        )
        at, symbol, now = dated.timestamp, getattr(dated, "symbol", None), self._clock()
        if at <= now + timedelta(seconds=self._max_ahead_seconds):
            return
        self.rejected_count += 1
        ahead_seconds = round((at - now).total_seconds(), 3)
        logger.warning(
            "client.timestamp_rejected",
            symbol=symbol,
            value=at.isoformat(),
            ahead_seconds=ahead_seconds,
            count=self.rejected_count,
        )
        about = "" if symbol is None else f" of {symbol}"
        raise InvalidArgument(
            "at",
            at.isoformat(),
            f"the time{about} is {ahead_seconds:.3f} s ahead of this machine's clock; "
            f"{MAX_CLOCK_AHEAD} allows {self._max_ahead_seconds:g} s",
        )
