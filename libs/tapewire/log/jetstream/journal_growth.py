"""How fast the journal grows, and how many days are left until it is full.

The rate is that of the last day, or of the time since the journal was created if that is shorter. A
service measures it once in a while (`GrowthMeter`), a command once (`measure_growth`).
"""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.journal_record import JournalExtent, read_extent
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import LogError

WINDOW = timedelta(days=1)
MIN_WINDOW = timedelta(seconds=10)
"""The rate of a journal that is younger is not known."""
MEASURE_INTERVAL_SECONDS = 60.0
YOUNG_INTERVAL_SECONDS = 2.0
"""The interval until the first measurement."""

logger = structlog.get_logger("tapewire.journal")


class JournalGrowth(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`days_left` is None without a limit, and while nothing is stored."""

    bytes_per_day: float
    days_left: float | None


async def measure_growth(
    connection: NatsConnection, extent: JournalExtent, now: datetime
) -> JournalGrowth | None:
    """The growth of the journal with this `extent`; None if it is too young.

    Raises:
        Unavailable: the journal cannot be read.
    """
    window = min(WINDOW, now - datetime.fromisoformat(extent.created))
    if window < MIN_WINDOW or not extent.event_count:
        return None
    before = await stream_reads.last_sequence_before(connection, EVENTS, now - window)
    return estimate_growth(extent, max(before, extent.bounds.first - 1), window)


def estimate_growth(extent: JournalExtent, before: int, window: timedelta) -> JournalGrowth:
    """The growth if the events after sequence `before` were stored within `window`, and are as
    large as the average event."""
    bytes_per_event = extent.byte_count / extent.event_count if extent.event_count else 0
    bytes_per_day = (extent.bounds.last - before) * bytes_per_event / (window / timedelta(days=1))
    days_left = None
    if extent.max_bytes > 0 and bytes_per_day:
        days_left = max(extent.max_bytes - extent.byte_count, 0) / bytes_per_day
    return JournalGrowth(bytes_per_day=bytes_per_day, days_left=days_left)


def describe_days_left(growth: JournalGrowth | None) -> str:
    """The days left in words."""
    if growth is None:
        return "not known yet"
    rate = f"it grows by {growth.bytes_per_day:,.0f} bytes a day"
    days = "no limit" if growth.days_left is None else f"{growth.days_left:,.1f}"
    return f"{days} ({rate})"


class GrowthMeter:
    """Measures the growth again and again. Run it with `run`."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self.growth: JournalGrowth | None = None
        """The last measurement; None if there is none."""

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            try:
                extent = await read_extent(self._connection)
                if extent is not None:
                    now = datetime.now(UTC)
                    self.growth = await measure_growth(self._connection, extent, now)
            except LogError as error:
                logger.info("journal.growth_unknown", error=str(error))
            is_young = self.growth is None
            await asyncio.sleep(YOUNG_INTERVAL_SECONDS if is_young else MEASURE_INTERVAL_SECONDS)
