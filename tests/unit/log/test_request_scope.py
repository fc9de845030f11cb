"""A request whose deadline has passed stores nothing, wherever it waited (W9)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from tapewire.events import AgentStatusChanged, Event
from tapewire.log import (
    CommandHandler,
    Conflict,
    DeadlineExceeded,
    Decider,
    EventDraft,
    EventLog,
    NewEvent,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire.log.request_scope import RequestScope, check_deadline
from tests.harness.event_factories import make_draft, make_event, make_subject, notes_of
from tests.harness.recorded_log import read_events

pytestmark = pytest.mark.virtual_time

SUBJECT = make_subject("alice/orders/1")
SECONDS = 2.0


class Note(msgspec.Struct, frozen=True):
    id: str


def decide(state: tuple[str, ...], command: Note) -> Sequence[NewEvent]:
    return [] if command.id in state else [NewEvent(SUBJECT, make_event(command.id))]


def evolve(state: tuple[str, ...], event: Event) -> tuple[str, ...]:
    assert isinstance(event, AgentStatusChanged)
    return (*state, event.detail or "")


DECIDER: Decider[tuple[str, ...], Note] = Decider(initial_state=(), decide=decide, evolve=evolve)


class SlowLog:
    """A log whose appends take long, before or after they are stored, or always conflict."""

    def __init__(self, log: EventLog, *, before: float = 0, after: float = 0) -> None:
        self._log = log
        self._before = before
        self._after = after
        self.conflicts = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        await asyncio.sleep(self._before)
        if self.conflicts:
            await asyncio.sleep(0.5)
            raise Conflict("somebody was faster")
        last = await self._log.append(drafts)
        await asyncio.sleep(self._after)
        return last


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(MemoryServer())


async def handle(log: Any) -> Any:
    return await CommandHandler(log, DECIDER).handle(SUBJECT, Note("a"), correlation="c")


async def append_pair(log: Any) -> int:
    """Append two events, which the group commit combines with those of others."""
    made: int = await log.append([make_draft(note="a"), make_draft("alice/trades/1", note="a")])
    return made


async def expire(scope: RequestScope, work: Callable[[], Any]) -> None:
    with scope.enter(), pytest.raises(DeadlineExceeded):
        await work()


async def test_a_request_that_waited_too_long_is_not_decided(log: MemoryEventLog) -> None:
    scope = RequestScope(SECONDS)
    await asyncio.sleep(SECONDS + 1)
    await expire(scope, lambda: handle(log))
    assert not scope.may_have_stored
    assert await read_events(log) == []


async def test_an_append_that_is_sent_too_late_is_not_sent(log: MemoryEventLog) -> None:
    scope = RequestScope(SECONDS)
    await expire(scope, lambda: handle(SlowLog(log, before=SECONDS + 1)))
    assert not scope.may_have_stored
    assert await read_events(log) == []


async def test_conflicts_are_not_retried_after_the_deadline(log: MemoryEventLog) -> None:
    slow = SlowLog(log)
    slow.conflicts = True
    scope = RequestScope(SECONDS)
    await expire(scope, lambda: handle(slow))
    assert asyncio.get_running_loop().time() < SECONDS + 1
    assert not scope.may_have_stored


async def test_a_group_commit_leaves_out_who_waited_too_long(log: MemoryEventLog) -> None:
    group = GroupCommitLog(SlowLog(log, after=SECONDS + 1))
    first = asyncio.create_task(group.append([make_draft(note="1"), make_draft("b/trades/1")]))
    await asyncio.sleep(0)
    scopes = [RequestScope(SECONDS), RequestScope(4 * SECONDS)]

    async def append(scope: RequestScope) -> int:
        with scope.enter():
            return await append_pair(group)

    late, timely = await asyncio.gather(*(append(each) for each in scopes), return_exceptions=True)
    await first
    assert isinstance(late, DeadlineExceeded)
    assert isinstance(timely, int)
    assert [scope.may_have_stored for scope in scopes] == [False, True]
    assert notes_of(await read_events(log)) == ["1", "", "a", "a"]


async def test_a_group_commit_is_not_bound_to_the_deadline_of_its_first_request(
    log: MemoryEventLog,
) -> None:
    group = GroupCommitLog(SlowLog(log, after=SECONDS + 1))

    async def append_within(seconds: float) -> int:
        with RequestScope(seconds).enter():
            return await append_pair(group)

    first = asyncio.create_task(append_within(SECONDS))
    await asyncio.sleep(0)
    assert await append_within(10 * SECONDS) == 4
    assert await first == 2


async def test_a_wall_clock_that_passes_the_deadline_counts(log: MemoryEventLog) -> None:
    """A machine that was suspended: the loop's clock stood still."""
    clock = [1000.0]
    scope = RequestScope(SECONDS, wall_clock=lambda: clock[0])
    clock[0] += 45
    await expire(scope, lambda: handle(log))


async def test_a_wall_clock_that_is_set_back_does_not_extend_the_deadline(
    log: MemoryEventLog,
) -> None:
    clock = [1000.0]
    scope = RequestScope(SECONDS, wall_clock=lambda: clock[0])
    clock[0] -= 3600
    await asyncio.sleep(SECONDS + 1)
    await expire(scope, lambda: handle(log))


async def test_a_stored_event_is_remembered_when_the_answer_comes_late(
    log: MemoryEventLog,
) -> None:
    scope = RequestScope(SECONDS)
    with scope.enter():
        await handle(SlowLog(log, after=SECONDS + 1))
    assert scope.may_have_stored


@pytest.mark.parametrize(
    ("error", "may_have_stored"),
    [(Unavailable("away"), False), (Conflict("moved"), False), (OutcomeUnknown("lost"), True)],
)
async def test_what_an_error_says_about_storing_is_remembered(
    error: Exception, may_have_stored: bool
) -> None:
    scope = RequestScope(SECONDS)
    with scope.enter(), pytest.raises(type(error)), scope.guard():
        raise error
    assert scope.may_have_stored is may_have_stored


async def test_without_a_deadline_nothing_expires(log: MemoryEventLog) -> None:
    check_deadline()
    with RequestScope(None).enter():
        await asyncio.sleep(3000)
        await handle(log)
    assert notes_of(await read_events(log)) == ["a"]
