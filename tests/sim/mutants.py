"""Broken copies of the edge: each loses, repeats or misplaces something in its own way.

The simulation must catch every one of them within a few seeds; otherwise it proves nothing. The
broken code differs from the real one in as little as the story of the mutant needs.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from services.edge import cursor
from services.edge.connection import Connection
from services.edge.cursor import Resume
from services.edge.follow import reading
from services.edge.follow.beginning import NotYet
from services.edge.follow.reading import Reader, Stretch
from services.edge.follow.snapshots import Snapshots
from services.edge.follow.stream import _Follower
from services.edge.follow.tape import Tape
from services.edge.hub import Hub
from tapewire.log import EVERYBODY, Bounds, Page, Recorded, views

MUTANTS: "dict[str, tuple[Any, str, Any]]" = {}
"""By name: what is replaced by what."""


def mutant(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the decorated function stand for the method `name` of `owner`."""

    def add(broken: Callable[..., Any]) -> Callable[..., Any]:
        MUTANTS[broken.__name__.strip("_")] = (owner, name, broken)
        return broken

    return add


@contextlib.contextmanager
def broken(name: str) -> Iterator[None]:
    """The mutant instead of the real one."""
    owner, method, replacement = MUTANTS[name]
    with patch.object(owner, method, replacement):
        yield


_cursor_at = cursor.at
_behind = Connection.behind
_stretch = Reader.stretch
_take = Snapshots.take
_publish = Hub.publish


@mutant(Tape, "_hear")
def tape_ignores_gaps(tape: Tape, recorded: Recorded) -> None:
    if recorded.sequence > tape.head:
        tape._accept(recorded)


@mutant(Tape, "_hear")
def tape_passes_on_what_comes_late(tape: Tape, recorded: Recorded) -> None:
    if recorded.sequence == tape.head + 1:
        tape._accept(recorded)
    else:
        tape._on_event(recorded)
        tape.look()


@mutant(Tape, "_mend")
async def tape_never_asks_what_is_missing(tape: Tape) -> None:
    tape._gaps_mended = tape._gaps


@mutant(Tape, "_on_gap")
def tape_does_not_listen_to_gaps(tape: Tape, _: str) -> None:
    tape.look = lambda: None  # type: ignore[method-assign]


@mutant(Hub, "deliver")
def hub_drops_on_overflow(hub: Hub, connection: Connection, recorded: Recorded) -> None:
    made = hub.encode(connection, recorded)
    if made is not None:
        connection.outbox.put(made)
        connection.told = recorded.sequence
    connection.position = recorded.sequence


@mutant(Hub, "publish")
def hub_publishes_what_was_joined_with(hub: Hub, recorded: Recorded) -> None:
    for connection in hub.connections():
        if connection.live and connection.opening.owner == recorded.place.owner:
            hub.deliver(connection, recorded)


@mutant(Hub, "publish")
def hub_publishes_to_everybody(hub: Hub, recorded: Recorded) -> None:
    for connection in hub.connections():
        if connection.live and recorded.sequence > connection.position:
            hub.deliver(connection, recorded)


@mutant(Tape, "since")
def join_forgets_what_is_remembered(*_: Any) -> list[Recorded]:
    return []


@mutant(Tape, "covers")
def join_believes_that_all_is_remembered(*_: Any) -> bool:
    return True


@mutant(_Follower, "_write_stretch")
async def follower_skips_one_position(follower: _Follower, stretch: Stretch) -> None:
    for recorded in stretch.events:
        made = follower._shared.hub.encode(follower._connection, recorded)
        await follower._write(made or b"")
        follower._connection.position = recorded.sequence + 1
    follower._connection.position = max(follower._connection.position, stretch.horizon)


@mutant(reading, "_complete")
def reader_takes_a_lagging_replica_for_the_end(_: Page, __: int, upto: int, ___: int) -> int:
    return upto


@mutant(Reader, "stretch")
async def reader_passes_on_what_is_beyond_the_horizon(
    reader: Reader, after: int, upto: int, lasts: Any
) -> Stretch:
    stretch = await _stretch(reader, after, upto, lasts)
    pages = [
        await reader._log.page(one, after=after, limit=reading.READ_EVENTS)
        for one in reader._filters
    ]
    events = sorted(
        (event for page in pages for event in page.events if event.sequence <= upto),
        key=lambda event: event.sequence,
    )
    end = events[-1].sequence if events else stretch.horizon
    return Stretch(events, max(end, stretch.horizon), stretch.epoch, stretch.first)


@mutant(_Follower, "_stretch")
async def follower_reads_on_in_a_log_that_was_trimmed(
    follower: _Follower, upto: int, lasts: Any
) -> Stretch:
    position = follower._connection.position
    stretch = await follower._reader.stretch(position, upto, lasts)
    if stretch.horizon <= position:
        raise NotYet(f"a replica lags behind {position}")
    return stretch


@mutant(_Follower, "_reset")
async def follower_resets_without_a_word(*_: Any) -> bytes:
    return b""


@mutant(Connection, "behind")
def falling_behind_loses_the_outbox(connection: Connection) -> None:
    connection.outbox._frames.clear()
    _behind(connection)


@mutant(cursor, "at")
def cursor_resumes_one_early(sequence: int, requested: str, bounds: Bounds) -> Any:
    beginning = _cursor_at(sequence, requested, bounds)
    return Resume(beginning.after - 1) if isinstance(beginning, Resume) else beginning


@mutant(cursor, "at")
def cursor_resumes_one_late(sequence: int, requested: str, bounds: Bounds) -> Any:
    beginning = _cursor_at(sequence, requested, bounds)
    return Resume(beginning.after + 1) if isinstance(beginning, Resume) else beginning


@mutant(cursor, "decide")
def cursor_does_not_look_at_the_epoch(requested: str | None, bounds: Bounds) -> Any:
    if not requested:
        return cursor.Fresh()
    try:
        place = cursor.parse(requested, epoch=bounds.epoch)
    except cursor.Malformed:
        return cursor.Reset(cursor.ResetReason.MALFORMED, requested)
    assert isinstance(place, cursor.Cursor)
    return cursor.at(place.sequence, requested, bounds)


@mutant(cursor, "decide")
def cursor_resets_what_could_be_resumed(requested: str | None, _: Bounds) -> Any:
    if not requested:
        return cursor.Fresh()
    return cursor.Reset(cursor.ResetReason.AHEAD, requested)


@mutant(views, "_replay")
async def snapshot_is_an_old_checkpoint(*_: Any) -> None:
    return


@mutant(Snapshots, "take")
async def snapshot_has_another_id(snapshots: Snapshots, connection: Connection) -> Any:
    before = snapshots._tape.bounds
    told, _ = await _take(snapshots, connection)
    return told, before


@mutant(Hub, "publish")
def hub_keeps_to_itself_what_is_for_everybody(hub: Hub, recorded: Recorded) -> None:
    if recorded.place.owner != EVERYBODY:
        _publish(hub, recorded)
