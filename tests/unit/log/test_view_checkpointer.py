"""A user's checkpoint is saved again after enough events that the last one does not contain."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import (
    EVERYBODY,
    EventDraft,
    EventMetadata,
    EventSubject,
    RecordedEvent,
    history_store,
    new_id,
    view_checkpoints,
)
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import MIN_CHECKPOINT_EVENTS, ViewCheckpointer
from tapewire.views import AgentsView
from tests.harness import waiting
from tests.harness.publishers import order_placed
from tests.unit.log.test_history import SmallOrderHistory

pytestmark = pytest.mark.virtual_time

EVENT_TIME = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


async def append_events(log: MemoryEventLog, count: int) -> list[RecordedEvent]:
    """Append public events, and return them as a durable subscription delivers them."""
    before = (await log.bounds()).last
    for number in range(count):
        event = AgentStatusChanged(
            service="test",
            instance=str(number),
            state=AgentState.RUNNING,
            detail=None,
            timestamp=EVENT_TIME,
        )
        subject = EventSubject(EVERYBODY, AgentsView.domain, f"test-{number}")
        meta = EventMetadata(id=new_id(), correlation="c")
        await log.append([EventDraft(subject=subject, event=event, metadata=meta)])
    found: list[RecordedEvent] = []
    while len(found) < count:
        found += (await log.page("ev.>", after=before + len(found))).events
    return found


async def handle_all(projector: ViewCheckpointer, events: Sequence[RecordedEvent]) -> None:
    for recorded in events:
        await projector.handle(recorded)


async def save_due(projector: ViewCheckpointer) -> None:
    await waiting.wait_until(
        "the checkpoints are saved", lambda: not projector.users_due(), timeout_seconds=60
    )


async def test_events_that_a_checkpoint_contains_are_not_counted() -> None:
    server = MemoryServer()
    log, values = (
        MemoryEventLog(server),
        MemoryLatestValueStore(server, stream="VIEWS", prefix="view"),
    )
    projector = ViewCheckpointer(log, values, AgentsView)
    running = asyncio.create_task(projector.run())
    events = await append_events(log, 10 * MIN_CHECKPOINT_EVENTS)
    await handle_all(projector, events[: MIN_CHECKPOINT_EVENTS - 1])
    assert projector.users_due() == []
    await handle_all(projector, events[MIN_CHECKPOINT_EVENTS - 1 : MIN_CHECKPOINT_EVENTS])
    assert projector.users_due() == [EVERYBODY]
    await save_due(projector)

    await handle_all(projector, events[MIN_CHECKPOINT_EVENTS:])
    assert projector.users_due() == []
    events = await append_events(log, MIN_CHECKPOINT_EVENTS)
    await handle_all(projector, events[:-1])
    assert projector.users_due() == []
    await handle_all(projector, events[-1:])
    assert projector.users_due() == [EVERYBODY]
    running.cancel()
    await asyncio.wait({running})


async def test_events_of_a_recreated_log_are_counted_from_its_start() -> None:
    server = MemoryServer()
    log, values = (
        MemoryEventLog(server),
        MemoryLatestValueStore(server, stream="VIEWS", prefix="view"),
    )
    projector = ViewCheckpointer(log, values, AgentsView)
    running = asyncio.create_task(projector.run())
    await handle_all(projector, await append_events(log, 2 * MIN_CHECKPOINT_EVENTS))
    await save_due(projector)

    server.recreate()
    await asyncio.sleep(1)
    await handle_all(projector, await append_events(log, MIN_CHECKPOINT_EVENTS))
    assert projector.users_due() == [EVERYBODY]
    running.cancel()
    await asyncio.wait({running})


async def test_a_redelivered_event_does_not_reset_the_count() -> None:
    server = MemoryServer()
    log, values = MemoryEventLog(server), MemoryLatestValueStore(server)
    projector = ViewCheckpointer(log, values, AgentsView)
    events = await append_events(log, MIN_CHECKPOINT_EVENTS)
    await handle_all(projector, events[:-1])
    await handle_all(projector, events[:1])
    await handle_all(projector, events[-1:])
    assert projector.users_due() == [EVERYBODY]


async def test_a_user_without_events_gets_no_checkpoint() -> None:
    """The events of an erased user may have been counted before they were removed."""
    server = MemoryServer()
    log = MemoryEventLog(server)
    values = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    events = await append_events(log, 2 * MIN_CHECKPOINT_EVENTS)
    projector = ViewCheckpointer(MemoryEventLog(MemoryServer()), values, AgentsView)
    running = asyncio.create_task(projector.run())
    await handle_all(projector, events)
    assert projector.users_due()
    await save_due(projector)
    assert await values.get_all() == {}
    running.cancel()


async def test_a_long_history_holds_up_no_other_users_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Storing the history of a million orders takes minutes."""
    monkeypatch.setattr(history_store, "MAX_CHANGED_BLOCKS", 2)
    monkeypatch.setattr(view_checkpoints, "EVENTS_PER_STEP", 4)
    server = MemoryServer()
    log, values = MemoryEventLog(server), MemoryLatestValueStore(server, stream="VIEWS")
    checkpointer = ViewCheckpointer(log, values, None, SmallOrderHistory)
    for user, count in (("alice", 300), ("bob", MIN_CHECKPOINT_EVENTS)):
        for number in range(count):
            subject = EventSubject(user, "orders", f"o-{number}")
            metadata = EventMetadata(id=new_id(), correlation="c")
            event = order_placed(subject.entity)
            await log.append([EventDraft(subject=subject, event=event, metadata=metadata)])
    await handle_all(checkpointer, (await log.page("ev.>", after=0, limit=1000)).events)
    end = (await log.bounds()).last

    async def saved_sequence(user: str) -> int:
        found = await read_checkpoint(values, checkpoint_key(user, SmallOrderHistory.name))
        return 0 if found is None else found.as_of

    running = asyncio.create_task(checkpointer.run())
    await waiting.wait_until("one user's is saved", lambda: len(checkpointer.users_due()) == 1)
    assert await saved_sequence("bob") == end
    assert 0 < await saved_sequence("alice") < end
    await save_due(checkpointer)
    assert await saved_sequence("alice") == end
    running.cancel()
    await asyncio.wait({running})


async def test_a_user_is_looked_up_by_the_last_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks at all subjects of a user with a million orders for a wildcard."""
    server = MemoryServer()
    log, values = MemoryEventLog(server), MemoryLatestValueStore(server, stream="VIEWS")
    checkpointer = ViewCheckpointer(log, values, AgentsView)
    await handle_all(checkpointer, await append_events(log, MIN_CHECKPOINT_EVENTS))
    requested_filters: list[str] = []
    last_sequence = log.last_sequence

    async def record(filter_: str) -> int:
        requested_filters.append(filter_)
        return await last_sequence(filter_)

    monkeypatch.setattr(log, "last_sequence", record)
    running = asyncio.create_task(checkpointer.run())
    await save_due(checkpointer)
    assert requested_filters == [f"ev._all.agents.test-{MIN_CHECKPOINT_EVENTS - 1}"]
    running.cancel()
    await asyncio.wait({running})
