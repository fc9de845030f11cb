"""Around a seed: counts what the code under test gets into, sets its sizes, and takes its log.

`counting` wraps rare steps; `remembering` gives bounds the sizes that a plan wants; `logging_to` is
where log lines go. All is as before at the end of the block.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any
from unittest.mock import patch

import structlog

from services.edge.connection import Connection
from services.edge.cursor import Resume
from services.edge.follow import reading, tape
from services.edge.follow.beginning import Beginnings, NotYet
from services.edge.follow.reading import Reader
from services.edge.follow.snapshots import Snapshots
from services.edge.follow.tape import Tape
from tapewire.log import AlreadyStored, Conflict, LogError, Uncertain
from tapewire.log.memory import MemoryLog
from tests.sim.coverage import BEGAN_AGAIN, BEGAN_ANEW
from tests.sim.plan import Plan

Counts = Counter[str]


@contextlib.contextmanager
def logging_to(say: Callable[[str], None] | None) -> Iterator[None]:
    """Let all logging go to `say`, with the virtual time; or nowhere, which is far quicker."""
    before = structlog.get_config()

    def tell(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
        if say is not None:
            with contextlib.suppress(RuntimeError):
                now = asyncio.get_running_loop().time()
                said = " ".join(f"{key}={value!r}" for key, value in event.items())
                say(f"{now:9.3f} {level:8} {said}")
        raise structlog.DropEvent

    level = logging.CRITICAL if say is None else logging.DEBUG
    structlog.configure(
        processors=[tell],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


@contextlib.contextmanager
def remembering(plan: Plan) -> Iterator[None]:
    """Memories and pages of the sizes of `plan`."""
    with (
        patch.object(tape, "REMEMBERED_EVENTS", plan.remembered_events),
        patch.object(tape, "HELD_EVENTS", plan.held_events),
        patch.object(reading, "READ_EVENTS", plan.read_events),
    ):
        yield


@contextlib.contextmanager
def counting(counts: Counts) -> Iterator[None]:
    """Count in `counts` until the end of the block."""
    with contextlib.ExitStack() as patches:
        for owner, name, around in _WATCHED:
            patches.enter_context(patch.object(owner, name, around(counts, getattr(owner, name))))
        yield


_WATCHED: list[tuple[type, str, Callable[[Counts, Any], Any]]] = []


def _watched(owner: type, name: str) -> Callable[[Any], Any]:
    """Let the decorated function make what stands around a method."""

    def add(around: Any) -> Any:
        _WATCHED.append((owner, name, around))
        return around

    return add


@_watched(Connection, "behind")
def _falling_behind(counts: Counts, inner: Any) -> Any:
    def behind(connection: Connection) -> None:
        counts["connection: fell behind"] += 1
        inner(connection)

    return behind


@_watched(Tape, "since")
def _joining(counts: Counts, inner: Any) -> Any:
    def since(of: Tape, owners: Any, sequence: int) -> Any:
        found = inner(of, owners, sequence)
        counts[f"joined: with {'events from memory' if found else 'nothing missed'}"] += 1
        if sequence > of.head:
            counts["joined: ahead of the tape"] += 1
        return found

    return since


@_watched(Tape, "_restart")
def _restarting(counts: Counts, inner: Any) -> Any:
    def restart(of: Tape, bounds: Any) -> None:
        if of.epoch:
            counts[BEGAN_ANEW if of.epoch != bounds.epoch else BEGAN_AGAIN] += 1
        inner(of, bounds)

    return restart


@_watched(Tape, "_hear")
def _hearing(counts: Counts, inner: Any) -> Any:
    def hear(of: Tape, recorded: Any) -> None:
        if recorded.sequence > of.head + 1:
            counts["tape: heard of a gap"] += 1
        elif recorded.sequence <= of.head:
            counts["tape: heard late or again"] += 1
        inner(of, recorded)

    return hear


@_watched(Reader, "stretch")
def _reading(counts: Counts, inner: Any) -> Any:
    async def stretch(*asked: Any) -> Any:
        found = await inner(*asked)
        _reader, after, *_ = asked
        counts["read: a replica lagged" if found.horizon <= after else "read: pages"] += 1
        return found

    return stretch


@_watched(Snapshots, "take")
def _showing(counts: Counts, inner: Any) -> Any:
    async def take(*asked: Any) -> Any:
        counts["snapshots"] += 1
        return await inner(*asked)

    return take


@_watched(Beginnings, "decide")
def _beginning(counts: Counts, inner: Any) -> Any:
    async def decide(*asked: Any) -> Any:
        try:
            beginning = await inner(*asked)
        except (LogError, NotYet):
            counts["begin: not now"] += 1
            raise
        if isinstance(beginning, Resume):
            counts["begin: resumed"] += 1
        return beginning

    return decide


@_watched(MemoryLog, "append")
def _appending(counts: Counts, inner: Any) -> Any:
    async def append(*asked: Any) -> Any:
        try:
            return await inner(*asked)
        except (Conflict, AlreadyStored, Uncertain) as error:
            counts[f"append: {type(error).__name__}"] += 1
            raise

    return append
