"""Reads the whole log once, a page ahead of what is inspected, and says what it found.

The checkpoints are read first, then where the log ends, so that on a running system every one of
them is true for something that is read. Start at `verify`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from tapewire.events import PositionEvent
from tapewire.log import EventLog, Page, Recorded, Unavailable, Values, pattern
from tapewire.log.checkpoints import Kept
from tapewire.log.port import LONG_PAGE_BYTES, LONG_PAGE_EVENTS
from tapewire.verify.checkpoints import Checkpoints
from tapewire.verify.findings import Difference, Findings
from tapewire.verify.inspector import Inspector, Scope

READS = 6
"""Times a replica that lags is asked before it is given up."""
LAG_SECONDS = 0.05
"""Before the second time; twice as long before each later."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was verified. Counts by domain, type or reason; `first` to `last` of log `epoch`."""

    epoch: str
    first: int
    last: int
    events: int
    entities: dict[str, int]
    views: int
    passed_over: dict[str, int]
    unknown: dict[str, int]
    pending: dict[str, int]
    differences: int
    seconds: float


async def verify(
    log: EventLog,
    values: Values,
    tell: Callable[[Difference], None],
    *,
    user: str | None = None,
    kept: Iterable[Kept] = (),
) -> Summary:
    """Check every event, entity and checkpoint, of `user` or of everybody; `tell` differences as
    they are found.

    Raises:
        Unavailable: the log cannot be read, or was made anew or trimmed meanwhile.
    """
    began = time.perf_counter()
    stored, frontier = await values.all(), await _frontier(log)
    bounds = await log.bounds()
    findings = Findings(tell)
    scope = Scope(bounds=bounds, frontier=frontier, user=user)
    checkpoints = Checkpoints(findings, stored, kept, bounds, user=user)
    inspector = Inspector(findings, checkpoints, scope)
    async for page in _pages(log, pattern(owner=user), bounds.first - 1, bounds.last):
        for recorded in page:
            inspector.take(recorded)
    now = await log.bounds()
    if now.epoch != bounds.epoch or now.first != bounds.first:
        raise Unavailable("the log was made anew, or trimmed, while it was read: try again")
    inspector.finish()
    await _once(log, inspector, findings)
    return Summary(
        epoch=bounds.epoch,
        first=bounds.first,
        last=bounds.last,
        events=inspector.events,
        entities=dict(sorted(findings.entities.items())),
        views=checkpoints.compared,
        passed_over=dict(checkpoints.passed_over),
        unknown=dict(inspector.unknown.most_common()),
        pending=dict(findings.pending),
        differences=findings.differences,
        seconds=time.perf_counter() - began,
    )


async def _once(log: EventLog, inspector: Inspector, findings: Findings) -> None:
    """What was said twice, or points at what nobody said."""
    for sequence, first in inspector.ids.repeated():
        findings.at(await _event(log, sequence), f"its id is that of the event at {first}")
    for sequence, first in inspector.once.repeated():
        findings.at(await _event(log, sequence), f"it happened already, at {first}")
    for sequence in inspector.ids.dangling():
        findings.at(await _event(log, sequence), "the event that caused it is not in the log")
    for sequence in inspector.once.dangling():
        findings.at(await _event(log, sequence), "it names a notification that never was")


async def _frontier(log: EventLog) -> int:
    """Where the trade stands that the last event of any position is for."""
    positions = pattern(domain="positions")
    last = await log.last(positions)
    if not last:
        return 0
    event = (await _event(log, last, positions)).event
    return event.trade_sequence if isinstance(event, PositionEvent) else 0


async def _event(log: EventLog, sequence: int, filter_: str = "ev.>") -> Recorded:
    page = await _page(log, filter_, sequence - 1, limit=1)
    return page.events[0]


async def _pages(
    log: EventLog, filter_: str, after: int, upto: int
) -> AsyncIterator[list[Recorded]]:
    """Everything of `filter_` in (after, upto]; the next page is asked for before one is given."""
    wanted = min(await log.last(filter_), upto)
    asked = asyncio.create_task(_page(log, filter_, after)) if after < wanted else None
    try:
        while asked is not None:
            page = await asked
            after, asked = page.events[-1].sequence, None
            if after < wanted:
                asked = asyncio.create_task(_page(log, filter_, after))
                await asyncio.sleep(0)  # so that the request leaves before the page is inspected
            yield [recorded for recorded in page.events if recorded.sequence <= upto]
    finally:
        if asked is not None:
            asked.cancel()


async def _page(log: EventLog, filter_: str, after: int, *, limit: int = LONG_PAGE_EVENTS) -> Page:
    """At least one event, from a replica that may lag. Raises Unavailable."""
    for attempt in range(READS):
        page = await log.page(filter_, after=after, limit=limit, max_bytes=LONG_PAGE_BYTES)
        if page.events:
            return page
        await asyncio.sleep(LAG_SECONDS * 2**attempt)
    raise Unavailable(f"{filter_} goes on after {after}, a replica does not")
