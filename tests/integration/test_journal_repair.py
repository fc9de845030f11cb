"""A journal in which a full server stored half of an atomic batch is repaired.

The streams have no limit of their own here, as in journals of earlier versions: the server's limit
is met first, and cuts the batch. Each test fills the server until it takes just the first event of
a decision. The server drops the rest as soon as it has room again and stores another event; when it
is restarted before, it stores the rest itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tapewire.events import NotificationsRead
from tapewire.log import (
    EventDraft,
    EventMetadata,
    EventSubject,
    LogError,
    new_id,
)
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.interrupted_decisions import DECISIONS, ORDER, USER, DecisionCase
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import ask, run_command
from tests.harness.waiting import wait_until_async

STORE_BYTES = 300_000
PADDING_BYTES = 20_000
LARGE_VIEW_BYTES = 50_000
ROOM_BYTES = 200
"""Less than an event takes. The server refuses a message once its store is beyond the limit, so it
takes one more."""


class FullServer:
    """A server with a small store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = LocalNatsServer(folder, max_store_bytes=STORE_BYTES)
        self._server.start()
        self.url = self._server.url
        code, output = self.command("provision")
        assert (code, "EVENTS has no limit instead of" in output) == (1, True), output

    def command(self, *command: str) -> tuple[int, str]:
        return run_command(*command, "--nats", self.url)

    async def connect(self) -> NatsConnection:
        return await connect(self.url, "test")

    async def interrupt(self, case: DecisionCase, *, is_final: bool = True) -> None:
        """Store the first event of the case's last decision, and no other one of it. With
        `is_final`, the server gets room again, and stores an event of somebody else."""
        connection = await self.connect()
        try:
            log = JetStreamEventLog(connection)
            await connection.request("view.test.large", b"x" * LARGE_VIEW_BYTES)
            await case.decide_earlier(log)
            await _fill(connection)
            with pytest.raises(LogError):
                await case.decide_last(log)
            if is_final:
                await ask(connection, "STREAM.PURGE.VIEWS")
                await _append_padding(log, 0)
        finally:
            await connection.close()

    def enlarge(self) -> None:
        """Restart the server with all the room that it needs, as an operator does."""
        self._server.kill()
        self._server.max_store_bytes = None
        self._server.start()
        code, output = self.command("provision")
        assert (code, "EVENTS: max_bytes -1 -> " in output) == (0, True), output

    def services(self, *names: str) -> tuple[EdgeProcess, list[ManagedService]]:
        settings = {"TAPEWIRE_NATS_URL": self.url}
        edge = EdgeProcess(settings, self._folder)
        return edge, [edge, *(ManagedService(name, settings, self._folder) for name in names)]

    def close(self) -> None:
        self._server.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FullServer]:
    made = await asyncio.to_thread(FullServer, tmp_path)
    yield made
    made.close()


async def _used_bytes(connection: NatsConnection) -> int:
    used: int = (await ask(connection, "INFO"))["storage"]
    return used


async def _fill(connection: NatsConnection) -> None:
    """Append events until just `ROOM_BYTES` are left in the server's store."""
    log = JetStreamEventLog(connection)
    before = await _used_bytes(connection)
    await _append_padding(log, 0)
    used = await _used_bytes(connection)
    empty = used - before
    while STORE_BYTES - used > ROOM_BYTES + PADDING_BYTES + 2 * empty:
        await _append_padding(log, PADDING_BYTES)
        used = await _used_bytes(connection)
    await _append_padding(log, STORE_BYTES - used - ROOM_BYTES - empty)


async def _append_padding(log: JetStreamEventLog, size: int) -> None:
    event = NotificationsRead(
        ids=None, timestamp=datetime(2026, 1, 5, 12, tzinfo=UTC), command_id="x" * size
    )
    metadata = EventMetadata(id=new_id(), correlation="c")
    subject = EventSubject("filler", "notifications", "all")
    await log.append([EventDraft(subject=subject, event=event, metadata=metadata)])


def verify(server: FullServer) -> tuple[int, Any]:
    """The exit code of `tapewire verify`, the differences that it found, and its summary."""
    code, output = server.command("verify", "--json")
    return code, [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "a fill and its trade",
        pytest.param("a trigger and its alert", marks=pytest.mark.slow),
        pytest.param("a signal and its decision", marks=pytest.mark.slow),
    ],
)
async def test_half_of_a_batch_is_named_and_repaired_once(server: FullServer, name: str) -> None:
    case = DECISIONS[name]
    await server.interrupt(case)
    await asyncio.to_thread(server.enlarge)
    code, [difference, summary] = await asyncio.to_thread(verify, server)
    assert (code, summary["differences"]) == (1, 1)
    subject = case.subject
    assert (difference["owner"], difference["domain"], difference["entity"]) == (
        subject.owner, subject.domain, subject.entity,
    )  # fmt: skip
    assert difference["missing"] == case.tags[1]
    assert difference["batch"] in difference["what"]

    code, output = await asyncio.to_thread(server.command, "journal", "repair", "--dry-run")
    where = f"{subject.owner} {subject.domain} {subject.entity} @{difference['sequence']}"
    head = f"{where}: batch {difference['batch']}: {case.tags[1]}"
    assert (code, output.splitlines()[0]) == (1, f"{head} is missing, and can be appended")
    code, output = await asyncio.to_thread(server.command, "journal", "repair")
    assert (code, output.startswith(f"{head} appended at ")) == (0, True), output
    code, output = await asyncio.to_thread(server.command, "journal", "repair")
    assert (code, output.startswith(f"{head} was appended before")) == (0, True), output
    code, [summary] = await asyncio.to_thread(verify, server)
    assert (code, sum(summary["repaired"].values())) == (0, 1)


async def test_a_repair_while_services_run_completes_what_the_user_sees(
    server: FullServer,
) -> None:
    """The order was filled without a trade: no position, and no line in the list of trades."""
    await server.interrupt(DECISIONS["a fill and its trade"])
    await asyncio.to_thread(server.enlarge)
    edge, services = server.services("orders", "positions")
    try:
        for service in services:
            await asyncio.to_thread(service.wait_ready)
        cookie = await edge.sign_in(USER)
        async with edge.client(cookie) as http:
            order = (await http.get(f"/api/orders/{ORDER}")).json()
            assert (order["status"], order["filledQty"]) == ("partially_filled", 4)
            assert (await http.get("/api/trades")).json()["trades"] == []
            assert (await http.get("/api/positions")).json()["positions"] == []
            code, output = await asyncio.to_thread(server.command, "journal", "repair")
            assert code == 0, output
            seen: Any = None

            async def completed() -> bool:
                nonlocal seen
                trades = (await http.get("/api/trades")).json()["trades"]
                positions = (await http.get("/api/positions")).json()["positions"]
                seen = trades, positions
                return len(trades) == len(positions) == 1

            await wait_until_async("trade and position", completed, describe_last=lambda: seen)
            [trade], [position] = seen
            assert (trade["orderId"], trade["qty"], trade["price"]) == (ORDER, 4, 100.25)
            assert (position["symbol"], position["quantity"]) == ("IBM", 4)
        code, [summary] = await asyncio.to_thread(verify, server)
        assert (code, summary["differences"]) == (0, 0)
    finally:
        for service in services:
            service.kill()


async def test_a_server_that_is_restarted_at_once_completes_the_batch_itself(
    server: FullServer,
) -> None:
    await server.interrupt(DECISIONS["a fill and its trade"], is_final=False)
    assert (await asyncio.to_thread(verify, server))[1][0]["missing"] == "trade.executed.v1"
    await asyncio.to_thread(server.enlarge)
    assert (await asyncio.to_thread(verify, server))[0] == 0
    code, output = await asyncio.to_thread(server.command, "journal", "repair")
    assert (code, output.splitlines()[0]) == (0, "nothing is missing")


@pytest.mark.slow
async def test_a_batch_that_is_repaired_before_the_restart_is_not_completed_twice(
    server: FullServer,
) -> None:
    await server.interrupt(DECISIONS["a fill and its trade"], is_final=False)
    connection = await server.connect()
    await ask(connection, "STREAM.PURGE.VIEWS")
    await connection.close()
    code, output = await asyncio.to_thread(server.command, "journal", "repair")
    assert (code, "trade.executed.v1 appended at" in output) == (0, True), output
    await asyncio.to_thread(server.enlarge)
    code, [summary] = await asyncio.to_thread(verify, server)
    assert (code, summary["entities"]["trades"]) == (0, 1)


async def test_an_event_that_was_removed_is_not_appended_again(server: FullServer) -> None:
    """Its effects are in the journal: a second trade would double the position."""
    connection = await server.connect()
    try:
        log = JetStreamEventLog(connection)
        case = DECISIONS["a fill and its trade"]
        await case.decide_earlier(log)
        await case.decide_last(log)
        last = (await log.bounds()).last
        await _append_padding(log, 0)
        await ask(connection, "STREAM.MSG.DELETE.EVENTS", {"seq": last})
    finally:
        await connection.close()
    code, output = await asyncio.to_thread(server.command, "journal", "repair")
    assert (code, output.splitlines()[0]) == (0, "nothing is missing")
    code, output = await asyncio.to_thread(server.command, "verify", "--json")
    assert (code, "its trade does not follow it" in output) == (1, True), output
    assert "stored in part" not in output


def test_a_journal_without_interrupted_batches_is_left_alone(server: FullServer) -> None:
    code, output = server.command("journal", "repair")
    assert (code, output.splitlines()[0]) == (0, "nothing is missing")


def test_a_repair_without_a_server_is_an_error() -> None:
    code, output = run_command(
        "journal", "repair", "--nats", "nats://127.0.0.1:9", TAPEWIRE_NATS_WAIT="1"
    )
    assert (code, "no NATS server answers" in output) == (3, True), output
