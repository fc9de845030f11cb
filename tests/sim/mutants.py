"""Broken variants of the edge: each loses, repeats or misplaces events in its own way. The last one
is of the decider of orders.

The simulation must detect every one of them within a few seeds; otherwise it proves nothing. A
mutant changes as little of the real code as possible.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import msgspec

from tapewire.events import OrderFilled, TradeExecuted
from tapewire.log import EVERYBODY, Bounds, Page, RecordedEvent, view_checkpoints
from tapewire_services.edge.delivery import cursor, replay
from tapewire_services.edge.delivery.catch_up import StreamSession
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import ResumeStart
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.log_replay import LogReplay
from tapewire_services.edge.delivery.replay import ReplayPage, ReplayReader
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.topics import Interest
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tapewire_services.orders.domain import executions

MUTANTS: "dict[str, tuple[Any, str, Any]]" = {}
"""The replaced methods of each mutant, by its name."""


def mutant(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the replacement of the method `name` of `owner`."""

    def add(broken: Callable[..., Any]) -> Callable[..., Any]:
        MUTANTS[broken.__name__.strip("_")] = (owner, name, broken)
        return broken

    return add


@contextlib.contextmanager
def apply_mutant(name: str) -> Iterator[None]:
    """Run the block with the mutant in place of the real code."""
    owner, method, replacement = MUTANTS[name]
    with patch.object(owner, method, replacement):
        yield


_original_cursor_at = cursor.resume_or_reset
_original_fall_behind = Connection.fall_behind
_original_read_page = ReplayReader.read_page
_original_take_snapshot = SnapshotReader.read_snapshot
_original_publish = Hub.publish
_original_trade_of_fill = executions.trade_of_fill


@mutant(LogTail, "_receive")
def log_tail_ignores_gaps(log_tail: LogTail, recorded: RecordedEvent) -> None:
    if recorded.sequence > log_tail.last_sequence:
        log_tail._accept(recorded)


@mutant(LogTail, "_receive")
def log_tail_forwards_late_events(log_tail: LogTail, recorded: RecordedEvent) -> None:
    if recorded.sequence == log_tail.last_sequence + 1:
        log_tail._accept(recorded)
    else:
        log_tail._dispatch(recorded)
        log_tail.request_check()


@mutant(LogTail, "_repair")
async def log_tail_never_reads_missing_events(log_tail: LogTail) -> None:
    log_tail._repaired_gap_count = log_tail._gap_count


@mutant(LogTail, "_on_gap")
def log_tail_ignores_gap_notices(log_tail: LogTail, _: str) -> None:
    log_tail.request_check = lambda: None  # type: ignore[method-assign]


@mutant(Hub, "deliver")
def hub_drops_on_overflow(hub: Hub, connection: Connection, recorded: RecordedEvent) -> bool:
    frame = hub.encode_frame(connection, recorded)
    if frame is not None:
        connection.outbox.put(frame)
        connection.sent(recorded.sequence)
    connection.advance(recorded.sequence)
    return frame is not None


@mutant(Hub, "publish")
def hub_publishes_events_already_sent_at_join(hub: Hub, recorded: RecordedEvent) -> None:
    for connection in hub.connections():
        if connection.is_live and connection.info.owner == recorded.event_subject.owner:
            hub.deliver(connection, recorded)


@mutant(Hub, "publish")
def hub_publishes_to_all_users(hub: Hub, recorded: RecordedEvent) -> None:
    for connection in hub.connections():
        if connection.is_live and recorded.sequence > connection.position:
            hub.deliver(connection, recorded)


@mutant(LogTail, "events_after")
def join_skips_recent_events(*_: Any) -> list[RecordedEvent]:
    return []


@mutant(LogTail, "covers")
def join_assumes_all_events_are_in_memory(*_: Any) -> bool:
    return True


@mutant(LogReplay, "_write_page")
async def follower_skips_one_event(follower: LogReplay, replay_page: ReplayPage) -> None:
    for recorded in replay_page.events:
        made = follower._shared.hub.encode_frame(follower._connection, recorded)
        await follower._writer.write(made or b"")
        follower._connection.advance(recorded.sequence + 1)
    follower._connection.advance(max(follower._connection.position, replay_page.horizon))


@mutant(replay, "_complete_up_to")
def reader_mistakes_lagging_replica_for_end(_: Page, __: int, upto: int, ___: int) -> int:
    return upto


@mutant(ReplayReader, "read_page")
async def reader_returns_events_beyond_horizon(
    reader: ReplayReader, after: int, upto: int, lasts: Any
) -> ReplayPage:
    full_page = await _original_read_page(reader, after, upto, lasts)
    pages = [
        await reader._log.page(one, after=after, limit=replay.REPLAY_PAGE_EVENTS)
        for one in reader._filters
    ]
    events = sorted(
        (event for page in pages for event in page.events if event.sequence <= upto),
        key=lambda event: event.sequence,
    )
    end = events[-1].sequence if events else full_page.horizon
    return ReplayPage(
        events, max(end, full_page.horizon), full_page.epoch, full_page.first_sequence
    )


@mutant(LogReplay, "_read_page")
async def follower_reads_on_in_trimmed_log(
    follower: LogReplay, upto: int, lasts: Any
) -> ReplayPage:
    position = follower._connection.position
    page = await follower.reader.read_page(position, upto, lasts)
    if page.horizon <= position:
        raise NotReady(f"a replica lags behind {position}")
    return page


@mutant(StreamSession, "_render_reset")
async def follower_resets_without_reset_event(*_: Any) -> bytes:
    return b""


@mutant(Connection, "fall_behind")
def falling_behind_discards_outbox(connection: Connection) -> None:
    connection.outbox._frames.clear()
    _original_fall_behind(connection)


@mutant(cursor, "resume_or_reset")
def cursor_resumes_one_event_early(sequence: int, requested: str, bounds: Bounds) -> Any:
    beginning = _original_cursor_at(sequence, requested, bounds)
    return (
        ResumeStart(beginning.after_sequence - 1)
        if isinstance(beginning, ResumeStart)
        else beginning
    )


@mutant(cursor, "resume_or_reset")
def cursor_resumes_one_event_late(sequence: int, requested: str, bounds: Bounds) -> Any:
    beginning = _original_cursor_at(sequence, requested, bounds)
    return (
        ResumeStart(beginning.after_sequence + 1)
        if isinstance(beginning, ResumeStart)
        else beginning
    )


@mutant(cursor, "decide_start")
def cursor_ignores_epoch(requested: str | None, bounds: Bounds) -> Any:
    if not requested:
        return cursor.FreshStart()
    try:
        position = cursor.parse_cursor(requested, epoch=bounds.epoch)
    except cursor.MalformedCursor:
        return cursor.ResetStart(cursor.ResetReason.MALFORMED, requested)
    assert isinstance(position, cursor.Cursor)
    return cursor.resume_or_reset(position.sequence, requested, bounds)


@mutant(cursor, "decide_start")
def cursor_resets_resumable_streams(requested: str | None, _: Bounds) -> Any:
    if not requested:
        return cursor.FreshStart()
    return cursor.ResetStart(cursor.ResetReason.AHEAD, requested)


@mutant(view_checkpoints, "_replay")
async def snapshot_is_stale_checkpoint(*_: Any, **__: Any) -> None:
    return


@mutant(SnapshotReader, "read_snapshot")
async def snapshot_has_wrong_id(
    snapshots: SnapshotReader, connection: Connection, interest: Interest
) -> tuple[list[tuple[str, Any]], Bounds]:
    before = snapshots._log_tail.bounds
    frame, _ = await _original_take_snapshot(snapshots, connection, interest)
    return frame, before


@mutant(Hub, "publish")
def hub_drops_public_events(hub: Hub, recorded: RecordedEvent) -> None:
    if recorded.event_subject.owner != EVERYBODY:
        _original_publish(hub, recorded)


@mutant(executions, "trade_of_fill")
def decider_stores_another_trade(filled: OrderFilled) -> TradeExecuted:
    trade = _original_trade_of_fill(filled)
    return msgspec.structs.replace(trade, qty=trade.qty + 1)
