"""What `tapewire status` says beside the states of the services.

That is how full the journal is, whether quotes arrive, what the feed could not take, and how many
events are parked.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.log.feed_state import FeedState, read_feed_state
from tapewire.log.jetstream import JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_growth import (
    JournalGrowth,
    describe_days_left,
    measure_growth,
)
from tapewire.log.jetstream.journal_record import JournalExtent, read_extent
from tapewire.log.jetstream.stream_reads import last_stored_at
from tapewire.log.jetstream.streams import MARKET, VIEWS

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
    views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
    feed_state = await read_feed_state(views)
    parked_count = sum(one.event.is_parked for one in failed)
    return [
        *_journal_notes(extent, growth),
        *_price_notes(quoted_at, now, stale_seconds),
        *_feed_notes(feed_state),
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


def _feed_notes(state: FeedState | None) -> Iterator[str]:
    if state is not None and state.malformed:
        total = sum(state.malformed.values())
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(state.malformed.items()))
        yield f"feed: {total:,} faults in {escape_unprintable(state.feed)} ({reasons})"
