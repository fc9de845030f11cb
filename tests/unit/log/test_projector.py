"""When a user's checkpoint is renewed: after so many events that the last one does not hold."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import EVERYBODY, Draft, Meta, Recorded, Subject, new_id
from tapewire.log.memory import MemoryLog, MemoryServer, MemoryValues
from tapewire.log.projector import CHECKPOINT_EVENTS, Projector
from tapewire.views import AgentsView
from tests import waiting
from tests.unit.orders import virtual

AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


async def append(log: MemoryLog, count: int) -> list[Recorded]:
    """Events of everybody's; as a reaction hands them out."""
    before = (await log.bounds()).last
    for number in range(count):
        event = AgentStatusChanged(
            service="test",
            instance=str(number),
            state=AgentState.RUNNING,
            detail=None,
            timestamp=AT,
        )
        subject = Subject(EVERYBODY, AgentsView.domain, f"test-{number}")
        meta = Meta(id=new_id(), correlation="c")
        await log.append([Draft(subject=subject, event=event, meta=meta)])
    found: list[Recorded] = []
    while len(found) < count:
        found += (await log.page("ev.>", after=before + len(found))).events
    return found


async def noted(projector: Projector, events: Sequence[Recorded]) -> None:
    for recorded in events:
        await projector.note(recorded)


async def saved(projector: Projector) -> None:
    await waiting.until("the checkpoints are saved", lambda: not projector.due(), seconds=60)


def test_what_a_checkpoint_holds_already_is_not_counted_again() -> None:
    async def story() -> None:
        server = MemoryServer()
        log, values = MemoryLog(server), MemoryValues(server, stream="VIEWS", prefix="view")
        projector = Projector(log, values, AgentsView)
        running = asyncio.create_task(projector.run())
        events = await append(log, 10 * CHECKPOINT_EVENTS)
        await noted(projector, events[: CHECKPOINT_EVENTS - 1])
        assert projector.due() == []
        await noted(projector, events[CHECKPOINT_EVENTS - 1 : CHECKPOINT_EVENTS])
        assert projector.due() == [EVERYBODY]
        await saved(projector)

        await noted(projector, events[CHECKPOINT_EVENTS:])
        assert projector.due() == []
        events = await append(log, CHECKPOINT_EVENTS)
        await noted(projector, events[:-1])
        assert projector.due() == []
        await noted(projector, events[-1:])
        assert projector.due() == [EVERYBODY]
        running.cancel()
        await asyncio.wait({running})

    virtual.run(story())


def test_a_log_made_anew_is_counted_from_its_beginning() -> None:
    async def story() -> None:
        server = MemoryServer()
        log, values = MemoryLog(server), MemoryValues(server, stream="VIEWS", prefix="view")
        projector = Projector(log, values, AgentsView)
        running = asyncio.create_task(projector.run())
        await noted(projector, await append(log, 2 * CHECKPOINT_EVENTS))
        await saved(projector)

        server.recreate()
        await asyncio.sleep(1)
        await noted(projector, await append(log, CHECKPOINT_EVENTS))
        assert projector.due() == [EVERYBODY]
        running.cancel()
        await asyncio.wait({running})

    virtual.run(story())


def test_an_event_that_is_handed_out_again_voids_nothing() -> None:
    async def story() -> None:
        server = MemoryServer()
        log, values = MemoryLog(server), MemoryValues(server)
        projector = Projector(log, values, AgentsView)
        events = await append(log, CHECKPOINT_EVENTS)
        await noted(projector, events[:-1])
        await noted(projector, events[:1])
        await noted(projector, events[-1:])
        assert projector.due() == [EVERYBODY]

    virtual.run(story())
