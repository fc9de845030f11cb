"""What `tapewire status` says beside the states of the services: journal, quotes, parked events."""

from collections.abc import Iterator
from datetime import UTC, datetime

from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_growth import (
    JournalGrowth,
    describe_days_left,
    measure_growth,
)
from tapewire.log.jetstream.journal_record import JournalExtent, read_extent
from tapewire.log.jetstream.stream_reads import last_stored_at
from tapewire.log.jetstream.streams import MARKET

_QUOTES = "px.>"


async def find_notes(connection: NatsConnection, stale_seconds: float) -> list[str]:
    """A line for each thing that an operator should know. A market without a quote for
    `stale_seconds` is silent.

    Raises:
        Unavailable, OutcomeUnknown: a stream cannot be read.
    """
    now = datetime.now(UTC)
    extent = await read_extent(connection)
    growth = None if extent is None else await measure_growth(connection, extent, now)
    quoted_at = await last_stored_at(connection, MARKET, _QUOTES)
    failed = await JetStreamFailedEventStore(connection).get_all()
    parked_count = sum(one.event.is_parked for one in failed)
    return [
        *_journal_notes(extent, growth),
        *_price_notes(quoted_at, now, stale_seconds),
        *(
            [f"parked events: {parked_count:,} (see `tapewire parked list`)"]
            if parked_count
            else []
        ),
    ]


def _journal_notes(extent: JournalExtent | None, growth: JournalGrowth | None) -> Iterator[str]:
    if extent is None:
        return
    if extent.max_bytes <= 0:
        yield f"journal: {extent.byte_count:,} bytes, without a limit (see `tapewire provision`)"
        return
    usage = extent.byte_count / extent.max_bytes
    yield f"journal: {usage:.1%} full, days left: {describe_days_left(growth)}"


def _price_notes(quoted_at: datetime | None, now: datetime, stale_seconds: float) -> Iterator[str]:
    if quoted_at is None:
        yield "prices: no quote yet"
    elif (seconds := (now - quoted_at).total_seconds()) > stale_seconds:
        yield f"prices: no quote for {seconds:,.0f} s (degraded)"
