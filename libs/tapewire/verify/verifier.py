"""Reads the log once and reports what the inspector finds.

It reads the checkpoints first and the end of the log afterwards, so on a running system every
checkpoint covers only events that are read. The next page is requested while the current one is
inspected. Start at `verify`.
"""

import time
from collections.abc import Callable, Iterable

import msgspec

from tapewire.events import ERASURE_DOMAINS, PositionEvent
from tapewire.log import (
    EVERYBODY,
    Bounds,
    LatestValueStore,
    RecordedEvent,
    Unavailable,
    pattern,
)
from tapewire.log.checkpoint_checks import CheckpointCheck
from tapewire.log.page_reader import LogReader, read_page, read_pages
from tapewire.log.work_progress import OnProgress, WorkProgress, ignore_progress
from tapewire.verify.checkpoints import CheckpointVerifier
from tapewire.verify.erasures import ErasedUsers, RecordedRemovals
from tapewire.verify.findings import Findings, VerificationDifference
from tapewire.verify.inspector import LogInspector, VerificationScope

NO_REMOVALS = RecordedRemovals()


class VerificationSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was verified: counts by domain, type or reason, for the events `first` to `last` of the
    log named `epoch`. `missing` counts the events that are not in the log, on purpose or not, and
    `erasures` the erasures of users."""

    epoch: str
    first: int
    last: int
    events: int
    entities: dict[str, int]
    views: int
    passed_over: dict[str, int]
    unknown: dict[str, int]
    pending: dict[str, int]
    missing: int
    erasures: int
    repaired: dict[str, int]
    differences: int
    seconds: float


async def verify(
    log: LogReader,
    values: LatestValueStore,
    on_difference: Callable[[VerificationDifference], None],
    *,
    user: str | None = None,
    checkpoint_checks: Iterable[CheckpointCheck] = (),
    removals: RecordedRemovals = NO_REMOVALS,
    on_progress: OnProgress = ignore_progress,
) -> VerificationSummary:
    """Verify every event, entity and checkpoint, of `user` or of all users. `on_difference`
    receives the differences as they are found. The `removals` are no differences. `on_progress` is
    called after each page of the log.

    Raises:
        Unavailable: the log cannot be read, or was recreated or trimmed meanwhile.
    """
    started_at = time.perf_counter()
    stored = await values.get_all()
    last_trade = await _last_position_trade_sequence(log)
    found_bounds = await log.bounds()
    bounds = _extend_bounds(found_bounds, removals)
    erased_users = ErasedUsers(await _read_erasures(log))
    findings = Findings(on_difference)
    scope = VerificationScope(
        bounds=bounds,
        last_position_trade_sequence=last_trade,
        user=user,
        removed_count=removals.count + found_bounds.first - bounds.first,
        erased_users=erased_users,
    )
    checkpoints = CheckpointVerifier(
        findings, stored, checkpoint_checks, bounds, user=user, erased_users=erased_users
    )
    inspector = LogInspector(findings, checkpoints, scope)
    async for page in read_pages(
        log, pattern(owner=user), after=bounds.first - 1, up_to=bounds.last
    ):
        for recorded in page:
            inspector.apply(recorded)
        if page:
            read = page[-1].sequence - bounds.first + 1
            on_progress(WorkProgress("verifying", read, bounds.last - bounds.first + 1, "events"))
    now = await log.bounds()
    if now.epoch != bounds.epoch or now.first != found_bounds.first:
        raise Unavailable("the log was recreated or trimmed while it was read: try again")
    inspector.finish()
    await _check_uniqueness(log, inspector, findings)
    return VerificationSummary(
        epoch=bounds.epoch,
        first=bounds.first,
        last=bounds.last,
        events=inspector.event_count,
        entities=dict(sorted(findings.entity_counts.items())),
        views=checkpoints.compared_count,
        passed_over=dict(checkpoints.skip_counts),
        unknown=dict(inspector.unknown_type_counts.most_common()),
        pending=dict(findings.pending_counts),
        missing=inspector.missing_count,
        erasures=len(erased_users),
        repaired=dict(findings.repaired_counts),
        differences=findings.difference_count,
        seconds=time.perf_counter() - started_at,
    )


def _extend_bounds(bounds: Bounds, removals: RecordedRemovals) -> Bounds:
    """The bounds of a log that begins with 1 if all that is missing before its first event is that
    of erased users."""
    if bounds.first > removals.erased_first:
        return bounds
    return msgspec.structs.replace(bounds, first=1)


async def _read_erasures(log: LogReader) -> list[RecordedEvent]:
    """The first event of each erasure."""
    filter_ = pattern(owner=EVERYBODY, domain=ERASURE_DOMAINS[0])
    found: list[RecordedEvent] = []
    last = await log.last_sequence(filter_)
    async for page in read_pages(log, filter_, after=0, up_to=last):
        found += page
    return found


async def _check_uniqueness(log: LogReader, inspector: LogInspector, findings: Findings) -> None:
    """Report facts that occur twice, and references to facts that do not exist."""
    for sequence, first in inspector.event_ids.duplicate_definitions():
        findings.report_event(
            await _read_event(log, sequence), f"its id is that of the event at {first}"
        )
    for sequence, first in inspector.unique_facts.duplicate_definitions():
        findings.report_event(await _read_event(log, sequence), f"it happened already, at {first}")
    for sequence in inspector.event_ids.dangling_references():
        findings.report_event(
            await _read_event(log, sequence), "the event that caused it is not in the log"
        )
    for sequence in inspector.unique_facts.dangling_references():
        findings.report_event(await _read_event(log, sequence), "it names an unknown notification")


async def _last_position_trade_sequence(log: LogReader) -> int:
    """The sequence of the trade that the last position event is for."""
    positions = pattern(domain="positions")
    last = await log.last_sequence(positions)
    if not last:
        return 0
    event = (await _read_event(log, last, positions)).event
    return event.trade_sequence if isinstance(event, PositionEvent) else 0


async def _read_event(log: LogReader, sequence: int, filter_: str = "ev.>") -> RecordedEvent:
    page = await read_page(log, filter_, sequence - 1, limit=1)
    return page.events[0]
