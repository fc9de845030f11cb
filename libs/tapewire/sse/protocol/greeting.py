"""What the first event of a stream, `connected`, says about the stream. Both spellings of its keys
are read."""

from typing import Any


def keepalive_seconds(data: Any) -> float:
    """The longest silence to expect on the stream, 0 if it is not stated."""
    return _seconds(data, "keepaliveMs", "keepalive_ms")


def prices_keepalive_seconds(data: Any) -> float:
    """The longest silence to expect while the stream shows prices, 0 if it is not stated."""
    return _seconds(data, "pricesKeepaliveMs", "prices_keepalive_ms")


def _seconds(data: Any, *names: str) -> float:
    if isinstance(data, dict):
        for name in names:
            found = data.get(name)
            if isinstance(found, int) and found > 0:
                return found / 1000
    return 0.0
