"""How long to wait before the next try.

After a clean end, the delay is exactly the server's `retry:`, by which a draining server spreads
its clients. After a failure it is at least that, doubles with each failure, and has jitter. It is
never below `Retry-After`.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_RETRY_SECONDS = 3.0
"""The reconnection time until the server sends `retry:`."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 600.0
"""A `retry:` is limited to these bounds, which avoids busy loops and clients that never return."""
MAX_GROWN_SECONDS = 20.0
"""Failures double the delay up to this; with jitter at most 30 s pass between two tries."""
JITTER_RATIO = 0.5
"""Up to this share of the delay is added, to spread clients that were cut off together."""
MAX_RETRY_AFTER_SECONDS = 600.0


def delay_after_end(retry_seconds: float) -> float:
    """Return the seconds to wait after a clean end."""
    return min(max(retry_seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)


def delay_after_failure(
    failures: int, retry_seconds: float, retry_after_seconds: float, random: float
) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row, from 1.

    Args:
        retry_after_seconds: What the server asks for, 0 for nothing.
        random: A number in [0, 1).
    """
    base = delay_after_end(retry_seconds)
    doubled = base * 2.0 ** min(max(failures - 1, 0), 30)
    grown = max(base, min(doubled, MAX_GROWN_SECONDS), retry_after_seconds)
    return grown * (1 + JITTER_RATIO * random)


def parse_retry_after(header: str | None, now: datetime) -> float:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), 0 for none."""
    if header is None:
        return 0.0
    text = header.strip()
    try:
        wait = float(text) if text.isdecimal() else _seconds_until(text, now)
    except (TypeError, ValueError):
        return 0.0
    return min(max(wait, 0.0), MAX_RETRY_AFTER_SECONDS)


def _seconds_until(date: str, now: datetime) -> float:
    when = parsedate_to_datetime(date)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now.timestamp()
