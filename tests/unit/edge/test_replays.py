"""Replays: the recent events that a new notification stream starts with (C11), and the limit of
concurrent reads of the log when many clients reconnect at once (B5)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tapewire.log import (
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    Page,
    new_id,
    pattern,
)
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime import Settings
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_info import ConnectionInfo, StreamContent
from tapewire_services.edge.delivery.outbox import FlushClock, Outbox
from tapewire_services.edge.delivery.replay import ReplayReader
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.engine import Engine
from tests.harness.erasures import append_erasure
from tests.harness.golden_events import golden_event
from tests.harness.simulated_edge import no_bars

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
AT_ONCE = 3
CROWD = 20


class Clock:
    """A clock whose time the test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class CountingEventLog(MemoryEventLog):
    """A slow log that counts its concurrent reads."""

    reading = most = 0

    async def page(self, *arguments: Any, **how: Any) -> Page:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0.1)
        self.reading -= 1
        return await super().page(*arguments, **how)


def engine_of(server: MemoryServer, log: EventLog, clock: Clock) -> Engine:
    return Engine(
        instance="edge",
        log=log,
        views=MemoryLatestValueStore(server, stream="VIEWS", prefix="view"),
        quotes=MemoryLatestValueStore(server),
        user_valuations=lambda user: MemoryLatestValueStore(server, prefix=f"mk.{user}"),
        declared_values=MemoryLatestValueStore(server, prefix="val"),
        get_newest_bars=no_bars,
        settings=msgspec.structs.replace(Settings(), replays_at_once=AT_ONCE),
        now=clock,
        seed=1,
    )


def connection(name: str, owner: str = "alice") -> Connection:
    route = next(one for one in STREAM_ROUTES if one.name == name)
    info = ConnectionInfo(
        client_id=f"{owner}-{name}-1",
        route=route,
        owner=owner,
        correlation="c",
        content=StreamContent(topics=route.topics, values=ValueSubscription(None, 10.0)),
    )
    outbox = Outbox(FlushClock(0.02), max_frames=256, max_bytes=1 << 18)
    return Connection(info, outbox, 0.0, lambda: None)


async def alert(log: EventLog, number: int) -> None:
    draft = EventDraft(
        subject=EventSubject("alice", "alerts", f"{number}"),
        event=golden_event("alert.raised", alertId=f"a{number}"),
        metadata=EventMetadata(id=new_id(), correlation="c"),
    )
    await log.append([draft])


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_notification_stream_starts_with_the_events_of_the_last_five_minutes(
    remembers: bool,
) -> None:
    """The edge has the events in the buffer of its log tail, or reads them from the log."""
    clock = Clock()
    server = MemoryServer(clock)
    log = MemoryEventLog(server)
    engine = engine_of(server, log, clock)
    tail_task = asyncio.create_task(engine.log_tail.run())
    await engine.log_tail.ready.wait()
    for number, ago in enumerate((301, 300.001, 299.999, 200, 0)):
        clock.at = NOW - timedelta(seconds=ago)
        await alert(log, number)
    await asyncio.sleep(60)
    if not remembers:
        tail_task.cancel()
        engine = engine_of(server, log, clock)
        tail_task = asyncio.create_task(engine.log_tail.run())
        await engine.log_tail.ready.wait()
    clock.at = NOW
    assert engine.log_tail.covers(0) is remembers
    alerts, snapshots = connection("alerts"), engine.stream_service.parts.snapshots
    snapshot, bounds = await snapshots.read_snapshot(alerts, alerts.interest)
    tail_task.cancel()
    assert [(name, getattr(one, "alert_id", None)) for name, one in snapshot] == [
        ("alert:new", "a2"), ("alert:new", "a3"), ("alert:new", "a4"), ("checkpoint", None),
    ]  # fmt: skip
    assert bounds.last == 5


async def test_a_stream_of_an_erased_user_starts_without_what_the_edge_remembers() -> None:
    """The events are in the buffer of its log tail, also one that was stored after the erasure."""
    clock = Clock()
    server = MemoryServer(clock)
    log = MemoryEventLog(server)
    engine = engine_of(server, log, clock)
    tail_task = asyncio.create_task(engine.log_tail.run())
    await engine.log_tail.ready.wait()
    await alert(log, 1)
    await append_erasure(log, "alice")
    await alert(log, 2)
    await append_erasure(log, "alice")
    await asyncio.sleep(60)
    assert engine.log_tail.covers(0)
    alerts, snapshots = connection("alerts"), engine.stream_service.parts.snapshots
    server.remove_user("alice")
    snapshot, _ = await snapshots.read_snapshot(alerts, alerts.interest)
    tail_task.cancel()
    assert [name for name, _ in snapshot] == ["checkpoint"]


async def test_the_streams_of_an_erased_user_end() -> None:
    """A gateway, or a bearer token, has let the user in: no session can be revoked."""
    clock = Clock()
    server = MemoryServer(clock)
    log = MemoryEventLog(server)
    engine = engine_of(server, log, clock)
    tail_task = asyncio.create_task(engine.log_tail.run())
    await engine.log_tail.ready.wait()
    made = [connection(name, owner) for name in ("alerts", "trading") for owner in ("alice", "bob")]
    for one in made:
        engine.hub.add(one)
    await append_erasure(log, "alice")
    await asyncio.sleep(1)
    tail_task.cancel()
    revoked = CloseReason.REVOKED
    assert [one.close_reason for one in made] == [revoked, None, revoked, None]
    for one in made:
        if one.info.owner == "alice":
            assert b'"reason":"revoked"' in await one.outbox.next_chunk()


async def test_concurrent_reads_of_the_log_are_limited_and_all_complete() -> None:
    clock = Clock()
    server = MemoryServer(clock)
    for number in range(10):
        await alert(MemoryEventLog(server), number)
    log = CountingEventLog(server)
    engine = engine_of(server, log, clock)
    tail_task = asyncio.create_task(engine.log_tail.run())
    await engine.log_tail.ready.wait()
    reader = ReplayReader(log, [pattern(owner="alice")], engine.stream_service.parts.replay_slots)
    alerts, snapshots = connection("alerts"), engine.stream_service.parts.snapshots
    pages, read = await asyncio.gather(
        asyncio.gather(*(reader.read_page(0, 10, [10]) for _ in range(CROWD))),
        asyncio.gather(*(snapshots.read_snapshot(alerts, alerts.interest) for _ in range(CROWD))),
    )
    tail_task.cancel()
    assert [len(page.events) for page in pages] == [10] * CROWD
    assert [len(messages) for messages, _ in read] == [11] * CROWD
    assert log.most == AT_ONCE
