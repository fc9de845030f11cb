"""Notices when a stream that shows prices falls silent: its prices may then be too old.

The server sends something on such a stream every `pricesKeepaliveMs` (in `connected`), and it says
itself which quotes are stale. A server that stands still says nothing, so silence counts as well.
Times are seconds of a monotonic clock.
"""

import math
from typing import Any

from tapewire.sse.protocol.greeting import prices_keepalive_seconds

SILENT_PRICE_INTERVALS = 3
"""A stream that is silent for this many of its intervals may show prices that are too old."""


class PriceSilence:
    """What has arrived on a stream, as far as the age of its prices goes."""

    def __init__(self) -> None:
        self._interval_seconds = 0.0
        self._shows_prices = False
        self._last_arrival = -math.inf

    def receive_event(self, event_type: str, data: Any, now: float) -> None:
        """Note an event."""
        name = event_type.lower()
        if name == "connected":
            self._interval_seconds = prices_keepalive_seconds(data)
            self._shows_prices = False
        elif name.startswith(("price:", "price_")):
            self._shows_prices = True
        self._last_arrival = now

    def receive_bytes(self, now: float) -> None:
        """Note that anything has arrived, such as a comment."""
        self._last_arrival = now

    def forget(self) -> None:
        """Forget the stream: it is not open any more."""
        self._shows_prices = False

    @property
    def silent_from(self) -> float:
        """The time from which on the stream counts as silent, unless something arrives before."""
        if not self._shows_prices or self._interval_seconds <= 0:
            return math.inf
        return self._last_arrival + self._interval_seconds * SILENT_PRICE_INTERVALS
