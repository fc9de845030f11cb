"""A durable subscription waits while the journal must not be used, and counts no failure."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapewire.log import RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect, journal_guard
from tapewire.log.jetstream.journal_guard import JournalGuard
from tests.harness.event_factories import make_draft, notes_of
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import ask
from tests.harness.waiting import wait_until


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[NatsConnection]:
    server = LocalNatsServer(tmp_path, provisioned=True)
    server.start()
    opened = await connect(server.url, "test")
    yield opened
    await opened.close()
    server.close()


@pytest.mark.parametrize("in_order", [False, True], ids=["any order", "in order"])
async def test_events_that_arrive_during_a_hold_are_handled_once_afterwards(
    connection: NatsConnection, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    monkeypatch.setattr(journal_guard, "VERIFICATION_TIMEOUT_SECONDS", 0.1)
    guard, handled = JournalGuard(connection, "test"), list[RecordedEvent]()

    async def handle(recorded: RecordedEvent) -> None:
        handled.append(recorded)

    await guard.check()
    subscription = await JetStreamEventLog(connection, guard).subscribe_durable(
        "watcher", "ev.alice.>", handle, in_order=in_order
    )
    try:
        guard.suspend()
        log = JetStreamEventLog(connection)
        for note in ("a", "b", "c"):
            await log.append([make_draft(f"alice/orders/{note}", note)])
        await asyncio.sleep(1.0)  # ten times what a wait for the guard takes
        assert handled == []
        await guard.check()
        await wait_until("all are handled", lambda: len(handled) >= 3)
    finally:
        await subscription.close()
    assert notes_of(handled) == ["a", "b", "c"]
    assert [recorded.delivery_count for recorded in handled] == [1, 1, 1]
    assert (await ask(connection, "STREAM.INFO.PARKED"))["state"]["messages"] == 0
