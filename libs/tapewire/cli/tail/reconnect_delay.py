"""How long to wait before a reconnect. Pure functions.

After a clean end, the wait is the server's `retry:`; a draining server spreads its clients with it.
After a failure, the wait is one second, doubled with each further failure, with jitter. It may be
shorter than `retry:`, because a person is watching and there are few such clients; the browser
client, which runs in many tabs, always honours `retry:`. `Retry-After` is always honoured.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_RETRY_SECONDS = 3.0
"""The reconnection time until the server sends `retry:`."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 600.0
"""A `retry:` outside these bounds is clamped to them."""
FIRST_FAILURE_SECONDS, MAX_FAILURE_SECONDS = 1.0, 20.0
"""The wait after the first failure, unless `retry:` is shorter, and the longest wait."""
JITTER_RATIO = 0.5
"""Up to this share of the wait is added, to spread clients that were cut off together."""
MAX_RETRY_AFTER_SECONDS = 600.0


def delay_after_end(retry_seconds: float) -> float:
    """Return the seconds to wait after a clean end."""
    return min(max(retry_seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)


def delay_after_failure(
    failures: int, retry_seconds: float, retry_after_seconds: float, jitter: float
) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row, from 1.

    `jitter` is a number in [0, 1).
    """
    doubled = min(delay_after_end(retry_seconds), FIRST_FAILURE_SECONDS) * 2.0 ** min(
        max(failures - 1, 0), 30
    )
    grown = max(min(doubled, MAX_FAILURE_SECONDS), retry_after_seconds)
    return grown * (1 + JITTER_RATIO * jitter)


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
