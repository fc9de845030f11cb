"""How long to wait before connecting again: pure.

A clean end waits what the server's `retry:` says: a draining server spreads its clients with it. A
failure waits a second, then twice as long each time, with jitter: a person is watching, and there
are few of them (the browser client, of which there are many, never undercuts `retry:`).
`Retry-After` is never undercut.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_RETRY_SECONDS = 3.0
"""Until the server says otherwise, in seconds like all here."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 600.0
"""A `retry:` outside these bounds is taken for the nearer one."""
FIRST_FAILURE_SECONDS, MAX_FAILURE_SECONDS = 1.0, 20.0
"""The first failure waits `FIRST`, or `retry:` if that is shorter; more double it up to `MOST`."""
JITTER_RATIO = 0.5
"""Up to this share is added, so that clients cut off together come back apart."""
MAX_RETRY_AFTER_SECONDS = 600.0


def delay_after_end(retry_seconds: float) -> float:
    """Seconds to wait after a clean end."""
    return min(max(retry_seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)


def delay_after_failure(
    failures: int, retry_seconds: float, retry_after_seconds: float, jitter: float
) -> float:
    """Seconds to wait after the `failures`-th failure in a row (from 1); `jitter` in [0, 1)."""
    doubled = min(delay_after_end(retry_seconds), FIRST_FAILURE_SECONDS) * 2.0 ** min(
        max(failures - 1, 0), 30
    )
    grown = max(min(doubled, MAX_FAILURE_SECONDS), retry_after_seconds)
    return grown * (1 + JITTER_RATIO * jitter)


def parse_retry_after(header: str | None, now: datetime) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3); 0 when it asks nothing."""
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
