"""Verifies the log that a test wrote, as `tapewire verify` does.

Suites use this instead of repeating the rules of a domain. `find_differences` reads a log,
`find_recorded_differences` checks events that a trial has recorded.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

from tapewire.cli.verify import load_checkpoint_checks
from tapewire.events import Event, Side, TradeExecuted
from tapewire.log import EventDraft, EventLog, LatestValueStore, RecordedEvent, Unavailable
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.verify import VerificationDifference, VerificationSummary, verify
from tests.harness import virtual_time

TRADE_WITHOUT_FILL = "no fill comes right before the trade"
"""The difference of a trade that no order caused, such as one that a test appends by itself."""
RETRY_SECONDS = 0.2


async def find_differences(
    log: EventLog, checkpoint_store: LatestValueStore, *, ignored: Collection[str] = ()
) -> tuple[list[str], VerificationSummary]:
    """Verify every event and checkpoint.

    Returns the differences, each on one line, except those whose text is `ignored`; and the
    summary.

    Raises:
        Unavailable: The log cannot be read.
    """
    found: list[VerificationDifference] = []
    summary = await verify(
        log, checkpoint_store, found.append, checkpoint_checks=load_checkpoint_checks()
    )
    return [str(difference) for difference in found if difference.what not in ignored], summary


def find_recorded_differences(events: Sequence[RecordedEvent]) -> list[str]:
    """Verify the events of a whole log, from sequence 1 on, without checkpoints.

    Returns the differences, each on one line. Not for use within an event loop.
    """

    async def find() -> list[str]:
        server = server_with_events(events)
        differences, _ = await find_differences(
            MemoryEventLog(server), MemoryLatestValueStore(server, prefix="view")
        )
        return differences

    return virtual_time.run(find())


def server_with_events(events: Sequence[RecordedEvent]) -> MemoryServer:
    """A server whose journal holds `events`, with the bytes that were recorded. Call it within an
    event loop."""
    server = MemoryServer()
    for one in events:
        draft = EventDraft(subject=one.event_subject, event=one.event, metadata=one.metadata)
        server.journal.store([draft], [one.data], at=0.0, time=one.time)
    return server


async def assert_verified(
    server: MemoryServer, *, ignored: Collection[str] = (), allow_pending: bool = False
) -> None:
    """Assert that the log in memory has no differences, and unless `allow_pending` that no service
    is behind it. Waits while the server is away."""
    log = MemoryEventLog(server)
    store = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    while True:
        try:
            differences, summary = await find_differences(log, store, ignored=ignored)
            break
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
    assert not differences, "\n".join(differences)
    assert allow_pending or not summary.pending, summary.pending


def net_cash(events: Iterable[Event]) -> Fraction:
    """The dollars received less those paid by all trades among `events`, before fees, exact."""
    return sum(
        (
            Fraction(one.qty) * Fraction(one.price) * (-1 if one.side is Side.BUY else 1)
            for one in events
            if isinstance(one, TradeExecuted)
        ),
        Fraction(0),
    )
