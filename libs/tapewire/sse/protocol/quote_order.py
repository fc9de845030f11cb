"""Keeps quotes from going back in time when a stream continues on another connection.

Quotes have no ids. Two servers are rarely at the same quote, so the first quotes of a new
connection may be older than the last delivered ones. Their timestamps decide, but only where they
differ by as little as two servers do: a clock that is wrong by more holds no quote back. Within one
connection the order of arrival is right whatever the timestamps say.
"""

import math
from datetime import datetime
from typing import Any

REORDER_WINDOW_SECONDS = 5.0
"""How long after a change of connections older quotes are dropped, and how much older they are."""
QUOTE_EVENT_TYPES = frozenset({"price:update", "PRICE_UPDATE"})

Quote = dict[str, Any]


class QuoteOrderFilter:
    """Compares the quotes of a new connection with those that were delivered before it."""

    def __init__(self) -> None:
        self._last_delivered: dict[str, Quote] = {}
        self._newer_than_stream: dict[str, Quote] = {}
        """Of the delivered quotes, those that the current connection has not reached."""
        self._window_end = -math.inf

    def change_connection(self, now: float) -> None:
        """Events come from another connection from `now` on, in seconds of a monotonic clock."""
        self._newer_than_stream = dict(self._last_delivered)
        self._window_end = now + REORDER_WINDOW_SECONDS

    def filter(self, event_type: str, data: Any, now: float) -> Any:
        """Return the data to deliver, None for nothing.

        In a list, an older quote is replaced by the delivered one, but it is as stale as the server
        says.
        """
        if event_type not in QUOTE_EVENT_TYPES or not isinstance(data, dict):
            return data
        if self._newer_than_stream and now >= self._window_end:
            self._newer_than_stream.clear()
        quotes = data.get("prices")
        if not isinstance(quotes, list):
            return data if self._deliver(data) is data else None
        return {**data, "prices": [self._deliver(quote) for quote in quotes]}

    def _deliver(self, quote: Any) -> Any:
        """Return `quote`, or the newer one of its symbol that was delivered before."""
        if not isinstance(quote, dict) or not isinstance(symbol := quote.get("symbol"), str):
            return quote
        delivered = self._newer_than_stream.get(symbol)
        if delivered is not None and 0 < _lead_seconds(delivered, quote) <= REORDER_WINDOW_SECONDS:
            freshness = {name: quote[name] for name in ("age", "stale") if name in quote}
            return {**delivered, **freshness}
        self._newer_than_stream.pop(symbol, None)
        self._last_delivered[symbol] = quote
        return quote


def _lead_seconds(delivered: Quote, quote: Quote) -> float:
    """By how much `delivered` is newer; 0 when the timestamps cannot be compared."""
    try:
        later = datetime.fromisoformat(delivered["timestamp"])
        return (later - datetime.fromisoformat(quote["timestamp"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return 0.0
