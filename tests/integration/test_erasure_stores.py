"""An erasure removes a user from every stream and its files, and leaves everybody else's entries as
they were. It may be interrupted anywhere and run again.
"""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tapewire import archive
from tapewire.archive.files import MANIFEST_NAME, ArchiveWriter
from tapewire.events import CODEC, ERASURE_DOMAINS
from tapewire.log import EVERYBODY, Unavailable, pattern, view_checkpoints
from tapewire.log.checkpoint import checkpoint_key, read_checkpoint, write_checkpoint
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    user_erasure,
)
from tapewire.log.jetstream.erased_stores import UserStores
from tapewire.log.jetstream.erasure_receipt import ErasureReceipt, sign_receipt
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.log.jetstream.streams import MARKET, SESSIONS, TICKETS, VIEWS
from tapewire.log.jetstream.user_erasure import MAX_REPETITIONS, erase_user
from tapewire.log.work_progress import WorkProgress
from tapewire.runtime.agents.monitor import CHECKPOINT_NAME as AGENTS_CHECKPOINT
from tapewire.views import OrdersView
from tapewire_services.edge.auth.sessions import Session, SessionStore, jwt_session_key
from tapewire_services.edge.auth.tickets import TicketStore
from tests.harness.erasures import find_in_files
from tests.harness.nats_servers import LocalNatsServer, provision_streams
from tests.harness.provisioning import run_command
from tests.harness.publishers import EventLogDriver, orders_placed
from tests.harness.recorded_log import read_events
from tests.harness.verification import find_differences

GONE, STAYS = "gone-user", "stays-user"
MARKS = "strategies-marks.IBM"
EXPIRY = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalNatsServer]:
    started = LocalNatsServer(tmp_path, provisioned=True)
    started.start()
    yield started
    started.close()


@pytest.fixture
async def connection(
    server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[NatsConnection]:
    monkeypatch.setattr(user_erasure, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(user_erasure, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(user_erasure, "SETTLE_SECONDS", 0.05)
    made = await connect(server.url, "test")
    yield made
    await made.close()


class Entries:
    """What streams hold of two users: also entries that were replaced, used or revoked."""

    def __init__(self, connection: NatsConnection) -> None:
        self.log = JetStreamEventLog(connection)
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.valuations = JetStreamLatestValueStore(connection, stream=MARKET, prefix="mk")
        self.failed_events = JetStreamFailedEventStore(connection)
        bucket = JetStreamLatestValueStore(connection, stream=SESSIONS, prefix="$KV.sessions")
        self.sessions = SessionStore(bucket, lambda: datetime.now(UTC), lifetime_hours=12)
        bucket = JetStreamLatestValueStore(connection, stream=TICKETS, prefix="$KV.tickets")
        self.tickets = TicketStore(bucket, lambda: datetime.now(UTC), ttl_seconds=600)
        self._driver = EventLogDriver(connection)
        self.session_tokens: dict[str, str] = {}
        self.ticket_tokens: dict[str, str] = {}
        self.views_before: dict[str, Any] = {}

    async def write(self) -> None:
        """The first and the last event of the journal are of the user who is erased."""
        for number, user in enumerate((GONE, STAYS, GONE, STAYS, GONE)):
            await self._driver.append(user, *orders_placed(4, f"o{number}"))
            await self._driver.save_orders_checkpoint(user)
            await self.valuations.put(f"{user}.IBM", user.encode())
        for user in (GONE, STAYS):
            await self._write_sessions(user)
            await self._write_failed_event(user)
        marks = {f"ev.{user}.strategies.s": {"best": 1} for user in (GONE, STAYS)}
        for _ in range(2):
            await write_checkpoint(
                self.views, f"_all.{MARKS}", epoch="e", as_of=0, state=CODEC.encode(marks)
            )
        self.views_before = await self.stored_views()

    async def _write_sessions(self, user: str) -> None:
        self.session_tokens[user], session = await self.sessions.create(user, ["admin"])
        _, other = await self.sessions.create(user, [])
        await self.sessions.revoke(other)
        jwt = Session(key=jwt_session_key(user), user_id=user, roles=(), expires_at=EXPIRY)
        await self.sessions.revoke(jwt)
        self.ticket_tokens[user], _ = await self.tickets.issue(session)
        used, _ = await self.tickets.issue(session)
        assert await self.tickets.redeem(used) is not None

    async def _write_failed_event(self, user: str) -> None:
        failed = FailedEvent(
            subscription="audits",
            sequence=4,
            subject=f"ev.{user}.orders.o",
            tag="t",
            event_id="e",
            attempts=1,
            error=f"KeyError: {user}",
            failed_at=EXPIRY,
            next_attempt_at=EXPIRY,
        )
        revision = await self.failed_events.put(failed, 0)
        parked = msgspec.structs.replace(failed, attempts=10, next_attempt_at=None)
        await self.failed_events.put(parked, revision)

    async def stored_views(self) -> dict[str, Any]:
        """The checkpoints of the user who stays, by key."""
        return {
            key: data
            for key, data in (await self.views.get_all()).items()
            if key.startswith(f"{STAYS}.")
        }

    async def assert_only_others_are_left(self) -> None:
        assert await self.stored_views() == self.views_before
        view, _ = await view_checkpoints.load(self.log, self.views, OrdersView, STAYS)
        assert view.open_order_count == 8
        assert await self.valuations.get_all() == {f"{STAYS}.IBM": STAYS.encode()}
        [parked] = await self.failed_events.get_all()
        assert (parked.event.subject, parked.event.is_parked) == (f"ev.{STAYS}.orders.o", True)
        session = await self.sessions.find(self.session_tokens[STAYS])
        assert session is not None
        assert session.is_admin
        assert await self.sessions.find(self.session_tokens[GONE]) is None
        for user in (GONE, STAYS):
            assert await self.sessions.is_ended(jwt_session_key(user)), "a revoked JWT is accepted"
        assert await self.tickets.redeem(self.ticket_tokens[STAYS]) is not None
        assert await self.tickets.redeem(self.ticket_tokens[GONE]) is None
        marks = await read_checkpoint(self.views, f"_all.{MARKS}")
        assert marks is not None
        assert json.loads(bytes(marks.state)) == {f"ev.{STAYS}.strategies.s": {"best": 1}}


@pytest.fixture
async def entries(connection: NatsConnection) -> Entries:
    made = Entries(connection)
    await made.write()
    return made


async def test_nothing_of_the_user_is_left_in_any_stream_or_file(
    server: LocalNatsServer, connection: NatsConnection, entries: Entries
) -> None:
    receipt = await erase_user(connection, GONE)
    assert (receipt.events, receipt.first_sequence, receipt.last_sequence) == (12, 1, 20)
    removed = {"views": 1, "valuations": 1, "parked": 1, "sessions": 2, "tickets": 1, "states": 1}
    assert receipt.removed == removed
    await entries.assert_only_others_are_left()
    assert (await find_recorded_losses(connection))[1] == []
    await connection.close()
    server.stop()
    assert find_in_files(server.store_folder, STAYS)
    assert find_in_files(server.store_folder, GONE) == []


@pytest.mark.usefixtures("entries")
async def test_a_second_erasure_finds_nothing(connection: NatsConnection) -> None:
    receipt = await erase_user(connection, GONE)
    assert CODEC.decode(CODEC.encode(receipt), ErasureReceipt) == receipt
    again = await erase_user(connection, GONE)
    assert (again.events, again.removed, again.rewritten, again.rounds) == (0, {}, {}, 0)
    assert again.digest != receipt.digest
    unsigned = msgspec.structs.replace(receipt, digest="")
    assert hashlib.sha256(CODEC.encode(unsigned)).hexdigest() == receipt.digest


@pytest.mark.parametrize(
    "left", [20, 60, *(pytest.param(n, marks=pytest.mark.slow) for n in (8, 30, 45, 120))]
)
async def test_an_interrupted_erasure_is_completed_by_the_next(
    server: LocalNatsServer,
    connection: NatsConnection,
    entries: Entries,
    left: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = NatsConnection.request

    async def interrupted(self: NatsConnection, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left <= 0:
            raise Unavailable("interrupted")
        return await request(self, *arguments, **options)

    with monkeypatch.context() as patches:
        patches.setattr(NatsConnection, "request", interrupted)
        with pytest.raises(Unavailable, match="interrupted"):
            await erase_user(connection, GONE)
    await erase_user(connection, GONE)
    await entries.assert_only_others_are_left()
    assert (await find_recorded_losses(connection))[1] == []
    await connection.close()
    server.stop()
    assert find_in_files(server.store_folder, GONE) == []


async def test_only_a_backup_from_before_holds_the_user_and_can_be_erased_from_again(
    server: LocalNatsServer, connection: NatsConnection, entries: Entries, tmp_path: Path
) -> None:
    restored_stores = []
    for name in ("before", "after"):
        if name == "after":
            await erase_user(connection, GONE)
        options = (str(tmp_path / name), "--nats")
        code, output = run_command("journal", "backup", *options, server.url)
        assert code == 0, output
        (tmp_path / f"{name}-server").mkdir()
        other = LocalNatsServer(tmp_path / f"{name}-server")
        other.start()
        code, output = run_command("journal", "restore", *options, other.url)
        assert code == 0, output
        other.stop()
        restored_stores.append(bool(find_in_files(other.store_folder, GONE)))
        if name == "before":
            other.start()
            erase = ("journal", "erase", "--user", GONE, "--nats", other.url)
            code, output = run_command(*erase)
            assert (code, "stream MARKET is missing: run `tapewire provision`" in output) == (
                1,
                True,
            )
            provision_streams(other.url)
            code, output = run_command(*erase)
            assert code == 0, output
            other.stop()
        assert find_in_files(other.store_folder, GONE) == []
        assert find_in_files(other.store_folder, STAYS)
    assert restored_stores == [True, False]
    await entries.assert_only_others_are_left()


async def test_the_user_is_removed_from_archives_too(
    server: LocalNatsServer, entries: Entries, tmp_path: Path
) -> None:
    folders = [tmp_path / "archive", tmp_path / "second"]
    recorded = await read_events(entries.log)
    for folder in folders:
        writer = ArchiveWriter(folder)
        for first in (1, 11):  # two segments
            writer.add("e", first, first + 9, recorded[first - 1 : first + 9])
    receipt_file = tmp_path / "receipt.json"
    options = [f"--archive={folder}" for folder in folders]
    command = ("journal", "erase", "--user", GONE, "--nats", server.url, *options)
    code, output = run_command(*command, f"--receipt={receipt_file}")
    assert code == 0, output
    receipt = CODEC.decode(receipt_file.read_bytes(), ErasureReceipt)
    assert receipt.archives == dict.fromkeys(map(str, folders), 12)
    assert sign_receipt(receipt) == receipt
    for folder in folders:
        left = [one.subject for one in archive.read(folder)]
        assert left == [one.subject for one in recorded if one.event_subject.owner == STAYS]
        texts = [gzip.decompress(file.read_bytes()) for file in folder.glob("*.gz")]
        assert len(texts) == 2
        assert not any(GONE.encode() in text for text in texts)
    await entries.assert_only_others_are_left()

    (folders[1] / MANIFEST_NAME).write_text("{")
    code, output = run_command(*command)
    assert (code, "--archive: " in output) == (2, True), output


async def test_a_service_that_stores_events_faster_than_they_are_removed_reads_another_erasure(
    connection: NatsConnection, entries: Entries
) -> None:
    """What is stored during a pass of removals is left to the next round."""
    driver = EventLogDriver(connection)

    async def count_erasures() -> int:
        return len(await read_events(entries.log, pattern(owner=EVERYBODY, domain="orders")))

    async def store_until_another_round() -> None:
        number = 0
        while await count_erasures() <= MAX_REPETITIONS:
            number += 1
            await driver.append(GONE, *orders_placed(1, f"late-{number}"))

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(store_until_another_round())
        erasing = tasks.create_task(erase_user(connection, GONE))
    assert erasing.result().rounds == 2
    assert await entries.log.last_sequence(pattern(owner=GONE)) == 0


async def test_a_service_that_has_read_an_event_after_the_erasure_reads_another_erasure(
    connection: NatsConnection, entries: Entries
) -> None:
    """It goes on to store valuations, and the event that they result from is removed."""
    driver, is_removing = EventLogDriver(connection), asyncio.Event()

    async def read_erasures() -> int:
        erasures = await read_events(entries.log, pattern(owner=EVERYBODY, domain="trades"))
        return erasures[-1].sequence if erasures else 0

    async def store_events_then_valuations() -> None:
        number = 0
        while not is_removing.is_set():
            number += 1
            await driver.append(GONE, *orders_placed(1, f"late-{number}"))
        forgotten_at = await read_erasures()
        while await read_erasures() == forgotten_at:
            await entries.valuations.put(f"{GONE}.IBM", b"1")
            await asyncio.sleep(0.05)

    def on_progress(progress: WorkProgress) -> None:
        if progress.phase == "removing events":
            is_removing.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(store_events_then_valuations())
        erasing = tasks.create_task(erase_user(connection, GONE, on_progress=on_progress))
    assert erasing.result().rounds == 2
    assert (await entries.valuations.get_all()).keys() == {f"{STAYS}.IBM"}


async def test_the_checkpoint_of_agents_which_no_erasure_reaches_is_not_waited_for(
    server: LocalNatsServer, entries: Entries
) -> None:
    """It delayed each erasure by the whole waiting time, during which the user went on."""
    epoch = (await entries.log.bounds()).epoch
    key = f"{EVERYBODY}.{AGENTS_CHECKPOINT}"
    await write_checkpoint(entries.views, key, epoch=epoch, as_of=1, state=b"[]")
    command = ("journal", "erase", "--user", GONE, "--nats", server.url)
    code, output = await asyncio.to_thread(run_command, *command)
    assert code == 0, output
    assert "not up to date" not in output
    assert await entries.views.get(key) is not None


async def test_a_user_who_returns_is_known_by_new_events_only(
    connection: NatsConnection, entries: Entries
) -> None:
    await erase_user(connection, GONE)
    await EventLogDriver(connection).append(GONE, *orders_placed(2, "new"))
    view, _ = await view_checkpoints.load(entries.log, entries.views, OrdersView, GONE)
    assert view.open_order_count == 2
    _, summary = await find_differences(entries.log, entries.views)
    assert (summary.erasures, summary.events) == (1, 8 + 2 + len(ERASURE_DOMAINS))


async def test_a_checkpoint_that_holds_the_user_and_is_not_written_again_stops_the_erasure(
    server: LocalNatsServer, connection: NatsConnection, entries: Entries
) -> None:
    bounds = await entries.log.bounds()
    state = CODEC.encode([{"user": GONE}])
    key = checkpoint_key("_all", "book")
    await write_checkpoint(entries.views, key, epoch=bounds.epoch, as_of=9, state=state)
    options = ("journal", "erase", "--user", GONE, "--nats", server.url, "--wait", "1")
    code, output = run_command(*options)
    assert code == 1
    assert "the checkpoints book still hold the user: start the services" in output

    old = checkpoint_key("_all", "old-consumer")
    await write_checkpoint(entries.views, old, epoch="lost", as_of=9, state=state)
    last = (await entries.log.bounds()).last
    await write_checkpoint(entries.views, key, epoch=bounds.epoch, as_of=last + 1000, state=b"[]")
    code, output = run_command(*options)
    assert code == 0, output
    assert not await UserStores(connection, GONE).count()
    assert await entries.views.get(old) is None


@pytest.mark.parametrize(
    ("user", "message"), [("_all", "_all is no user"), ("", "empty text"), ("x" * 2000, "too many")]
)
def test_what_is_no_user_is_refused(user: str, message: str) -> None:
    code, output = run_command("journal", "erase", "--user", user, "--nats", "nats://127.0.0.1:9")
    assert code == 2
    assert message in output
