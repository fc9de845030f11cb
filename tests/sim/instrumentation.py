"""Instruments the code under test for one seed: counts rare steps, sets sizes, redirects logs.

`count_rare_events` wraps rare steps, `patch_size_limits` sets the sizes of a plan, and
`redirect_logging` takes the log lines. Each restores everything at the end of its block.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any
from unittest.mock import patch

import structlog

from tapewire.log import AlreadyStored, Conflict, LogError, OutcomeUnknown
from tapewire.log.memory import MemoryEventLog
from tapewire_services.edge.delivery import replay
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import ResumeStart
from tapewire_services.edge.delivery.replay import ReplayReader
from tapewire_services.edge.delivery.resume_policy import ResumePolicy
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.ingest import log_tail, tail_buffer
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tests.sim.coverage import LOG_RECREATED, LOG_TAIL_RESTARTED
from tests.sim.plan import SimulationPlan

Counts = Counter[str]


@contextlib.contextmanager
def redirect_logging(write_line: Callable[[str], None] | None) -> Iterator[None]:
    """Pass all log lines to `write_line`, with the virtual time. None drops them, which is fast."""
    before = structlog.get_config()

    def write_event(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
        if write_line is not None:
            with contextlib.suppress(RuntimeError):
                now = asyncio.get_running_loop().time()
                fields = " ".join(f"{key}={value!r}" for key, value in event.items())
                write_line(f"{now:9.3f} {level:8} {fields}")
        raise structlog.DropEvent

    level = logging.CRITICAL if write_line is None else logging.DEBUG
    structlog.configure(
        processors=[write_event],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


@contextlib.contextmanager
def patch_size_limits(plan: SimulationPlan) -> Iterator[None]:
    """Use the buffer and page sizes of `plan` during the block."""
    with (
        patch.object(tail_buffer, "MAX_BUFFERED_EVENTS", plan.remembered_events),
        patch.object(log_tail, "MAX_HELD_EVENTS", plan.held_events),
        patch.object(replay, "REPLAY_PAGE_EVENTS", plan.read_events),
    ):
        yield


@contextlib.contextmanager
def count_rare_events(counts: Counts) -> Iterator[None]:
    """Count rare steps in `counts` during the block."""
    with contextlib.ExitStack() as patches:
        for owner, name, around in _INSTRUMENTED:
            patches.enter_context(patch.object(owner, name, around(counts, getattr(owner, name))))
        yield


_INSTRUMENTED: list[tuple[type, str, Callable[[Counts, Any], Any]]] = []


def _instrument(owner: type, name: str) -> Callable[[Any], Any]:
    """Register the decorated function, which wraps a method of `owner`."""

    def add(around: Any) -> Any:
        _INSTRUMENTED.append((owner, name, around))
        return around

    return add


@_instrument(Connection, "fall_behind")
def _count_fall_behind(counts: Counts, original: Any) -> Callable[[Connection], None]:
    def behind(connection: Connection) -> None:
        counts["connection: fell behind"] += 1
        original(connection)

    return behind


@_instrument(LogTail, "events_after")
def _count_joins(counts: Counts, original: Any) -> Callable[[LogTail, Any, int], bool]:
    def since(of: LogTail, owners: Any, sequence: int) -> Any:
        found = original(of, owners, sequence)
        counts[f"joined: with {'events from memory' if found else 'nothing missed'}"] += 1
        if sequence > of.last_sequence:
            counts["joined: ahead of the log tail"] += 1
        return found

    return since


@_instrument(LogTail, "_reset")
def _count_log_tail_restarts(counts: Counts, original: Any) -> Callable[[LogTail, Any], None]:
    def restart(of: LogTail, bounds: Any) -> None:
        if of.epoch:
            counts[LOG_RECREATED if of.epoch != bounds.epoch else LOG_TAIL_RESTARTED] += 1
        original(of, bounds)

    return restart


@_instrument(LogTail, "_receive")
def _count_gaps(counts: Counts, original: Any) -> Callable[[LogTail, Any], None]:
    def receive(log_tail: LogTail, recorded: Any) -> None:
        if recorded.sequence > log_tail.last_sequence + 1:
            counts["log tail: gap"] += 1
        elif recorded.sequence <= log_tail.last_sequence:
            counts["log tail: late or repeated event"] += 1
        original(log_tail, recorded)

    return receive


@_instrument(ReplayReader, "read_page")
def _count_page_reads(counts: Counts, original: Any) -> Any:
    async def read_page(*arguments: Any) -> Any:
        found = await original(*arguments)
        _reader, after, *_ = arguments
        counts["read: a replica lagged" if found.horizon <= after else "read: pages"] += 1
        return found

    return read_page


@_instrument(SnapshotReader, "read_snapshot")
def _count_snapshots(counts: Counts, original: Any) -> Any:
    async def take_snapshot(*arguments: Any) -> Any:
        counts["snapshots"] += 1
        return await original(*arguments)

    return take_snapshot


@_instrument(ResumePolicy, "decide")
def _count_resume_decisions(counts: Counts, original: Any) -> Any:
    async def decide(*arguments: Any) -> Any:
        try:
            decision = await original(*arguments)
        except (LogError, NotReady):
            counts["resume: not ready"] += 1
            raise
        if isinstance(decision, ResumeStart):
            counts["resume: resumed"] += 1
        return decision

    return decide


@_instrument(MemoryEventLog, "append")
def _count_append_failures(counts: Counts, original: Any) -> Any:
    async def append(*arguments: Any) -> Any:
        try:
            return await original(*arguments)
        except (Conflict, AlreadyStored, OutcomeUnknown) as error:
            counts[f"append: {type(error).__name__}"] += 1
            raise

    return append
