"""When a quote counts, for windows and intervals that are measured in time.

A producer's clock may be wrong, and so may the message server's and this machine's: any of them may
be set forward or back at any time. Time is therefore measured by the monotonic clock of the process
that receives the quote. It is told as a date, so that it can be saved and continued elsewhere: the
date at which this process started, and the seconds since. Start at `steady_time`.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tapewire.events import PriceUpdated

ArrivalTime = Callable[[PriceUpdated], datetime]
"""The time (UTC) at which a quote that arrives now counts. It never goes back. A test that plays a
day in minutes gives the time of the day."""


def steady_time() -> ArrivalTime:
    """Arrival times by the monotonic clock, from the present date on."""
    began, date = time.monotonic(), datetime.now(UTC)
    return lambda _: date + timedelta(seconds=time.monotonic() - began)
