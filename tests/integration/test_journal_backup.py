"""`tapewire journal backup` and `restore`, against real servers and services.

A restored journal is the one of the backup: events, times, checkpoints, failed events and the
positions of durable subscriptions. Whatever is interrupted can be run again, and nothing that is
damaged is restored.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tapewire.cli.nats_config.declarations import service_accesses
from tapewire.events import NotificationsRead
from tapewire.log import EventDraft, EventMetadata, EventSubject, RecordedEvent, new_id
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tapewire.log.jetstream.backup import EventsRemoved, back_up, create_folder
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_admin import record_removal
from tapewire.log.jetstream.journal_record import read_journal
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.work_progress import WorkProgress
from tests.harness import fork_server
from tests.harness.journal_platform import JournalPlatform
from tests.harness.nats_cluster import run_nats_cluster
from tests.harness.provisioning import ask, run_command, wait_held, wait_ready
from tests.harness.publishers import EventLogDriver, QuoteDriver, orders_placed
from tests.harness.secured_nats import SecuredNats
from tests.harness.waiting import wait_until, wait_until_async

ORDERS = "/api/stream/orders"
EVENTS_FOLDER = "store/jetstream/$G/streams/EVENTS"
EVENT_COUNT = 10
"""Events of the journal that a platform begins with."""
FILES = ["EVENTS.snapshot", "VIEWS.values", "PARKED.values"]


@pytest.fixture
def empty_platform(tmp_path: Path) -> Iterator[JournalPlatform]:
    made = JournalPlatform(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def platform(empty_platform: JournalPlatform) -> JournalPlatform:
    await empty_platform.append(EVENT_COUNT)
    return empty_platform


class Backups:
    """Runs the two commands on a platform."""

    def __init__(self, platform: JournalPlatform) -> None:
        self._platform = platform
        self.folder = platform.folder / "backup"

    async def back_up(self) -> str:
        code, output = await asyncio.to_thread(
            self._platform.run, "journal", "backup", str(self.folder)
        )
        assert code == 0, output
        return output

    async def restore(self, *options: str, code: int = 0) -> str:
        found, output = await asyncio.to_thread(
            self._platform.run, "journal", "restore", str(self.folder), *options
        )
        assert found == code, output
        return output


@pytest.fixture
def backups(platform: JournalPlatform) -> Backups:
    return Backups(platform)


@contextlib.asynccontextmanager
async def connected(platform: JournalPlatform) -> AsyncIterator[NatsConnection]:
    connection = await platform.connect()
    try:
        yield connection
    finally:
        await connection.close()


async def read_events(
    platform: JournalPlatform, last: int | None = None
) -> list[tuple[int, str, bytes, datetime, str]]:
    """Everything that is stored of each event, up to the sequence `last`."""
    async with connected(platform) as connection:
        events = await EventLogDriver(connection).read()
    return [
        (one.sequence, one.subject, one.data, one.time, one.metadata.id)
        for one in events
        if last is None or one.sequence <= last
    ]


class OrderFlow:
    """Places orders of alice over HTTP, one after another, until it is stopped."""

    def __init__(self, platform: JournalPlatform, cookie: str) -> None:
        self._platform = platform
        self._cookie = cookie
        self.accepted: list[str] = []
        self._last_answer = ""
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        order = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 1, "qty": 1}
        async with self._platform.edge.client(self._cookie) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await http.post("/api/orders", json=order)
                    self._last_answer = answer.text
                    if answer.status_code == 201:
                        self.accepted.append(answer.json()["orderId"])
                        continue
                await asyncio.sleep(0.05)

    async def wait_more(self, count: int = 20) -> None:
        """Wait until `count` more orders were accepted."""
        before = len(self.accepted)
        await wait_until(
            f"{count} more orders are accepted",
            lambda: len(self.accepted) >= before + count,
            describe_last=lambda: (len(self.accepted), self._last_answer),
        )

    async def stop(self) -> list[str]:
        self._task.cancel()
        await asyncio.wait([self._task])
        return self.accepted


async def test_a_journal_that_is_lost_under_load_is_restored(
    empty_platform: JournalPlatform,
) -> None:
    """Orders flow during the backup, the loss and the restore."""
    platform, backups = empty_platform, Backups(empty_platform)
    await platform.start_services()
    async with connected(platform) as connection:
        await QuoteDriver(connection).publish("IBM")
    cookie = await platform.edge.sign_in("alice")
    flow = OrderFlow(platform, cookie)
    await flow.wait_more()
    before = [*flow.accepted]
    await backups.back_up()
    last = json.loads((backups.folder / "manifest.json").read_text())["last"]
    await flow.wait_more()
    epoch = await platform.epoch()
    async with connected(platform) as connection:
        lost_id = f"{epoch}-{(await JetStreamEventLog(connection).bounds()).last}"
    lost = flow.accepted[-1]
    await platform.api("STREAM.DELETE.EVENTS")
    await wait_held(platform.edge.url, "the journal is gone")
    output = await backups.restore()
    assert await platform.epoch() in output
    await wait_ready(platform.edge.url)
    await wait_ready(platform.orders_url)
    await flow.wait_more()
    accepted = await flow.stop()

    async with await platform.edge.open_stream(ORDERS, cookie, last_event_id=lost_id) as stream:
        reset = await stream.read_until("stream:reset")
        assert reset.data["reason"] == "epoch"
        snapshot = await stream.read()
        streamed = {order["orderId"] for order in snapshot.data["orders"]}
        assert streamed == {*await platform.list_orders("alice")}
        assert streamed >= {*before, *accepted[-20:]}
        assert lost not in streamed
    kept_id = f"{epoch}-{last - 1}"
    async with await platform.edge.open_stream(ORDERS, cookie, last_event_id=kept_id) as stream:
        resumed = await stream.read_until("order:update")
        assert resumed.sequence == last
        assert "stream:reset" not in [frame.event for frame in stream.frames]
    code, output = await asyncio.to_thread(platform.run, "verify")
    assert (code, "nothing differs" in output) == (0, True), output


async def lose_stream(platform: JournalPlatform) -> None:
    await platform.api("STREAM.DELETE.EVENTS")


async def lose_store(platform: JournalPlatform) -> None:
    await asyncio.to_thread(platform.lose_store)


async def lose_store_and_provision(platform: JournalPlatform) -> None:
    await asyncio.to_thread(platform.lose_store)
    await asyncio.to_thread(platform.provision)


async def lose_and_accept(platform: JournalPlatform) -> None:
    await platform.api("STREAM.DELETE.EVENTS")
    await asyncio.to_thread(platform.run, "journal", "accept-loss")
    await platform.append(3, "later")


async def trim(platform: JournalPlatform) -> None:
    await platform.api("STREAM.PURGE.EVENTS", {"seq": 8})


async def go_on(platform: JournalPlatform) -> None:
    await platform.append(5, "later")


@pytest.mark.parametrize(
    ("lose", "options"),
    [
        pytest.param(lose_stream, [], id="the stream is gone", marks=pytest.mark.slow),
        pytest.param(lose_store, [], id="the disk is gone"),
        pytest.param(
            lose_store_and_provision,
            [],
            id="the disk is gone, and was provisioned",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lose_and_accept, ["--replace"], id="the loss was accepted", marks=pytest.mark.slow
        ),
        pytest.param(trim, ["--replace"], id="events were purged", marks=pytest.mark.slow),
        pytest.param(go_on, ["--replace"], id="nothing is missing", marks=pytest.mark.slow),
    ],
)
async def test_the_restored_journal_is_the_one_of_the_backup(
    platform: JournalPlatform,
    backups: Backups,
    lose: Callable[[JournalPlatform], Awaitable[None]],
    options: list[str],
) -> None:
    """Sequences, times and ids included; processes that saw more go on with it."""
    await platform.append(EVENT_COUNT, "more")
    await platform.api("STREAM.MSG.DELETE.EVENTS", {"seq": 15})
    await asyncio.to_thread(platform.run, "journal", "accept-loss")
    await platform.start_services()
    await backups.back_up()
    last = json.loads((backups.folder / "manifest.json").read_text())["last"]
    expected = await read_events(platform, last)
    await lose(platform)
    if options:
        assert "--replace" in await backups.restore(code=2)
    await backups.restore(*options)
    assert await read_events(platform, last) == expected
    assert "nothing to do" in await backups.restore()
    await wait_ready(platform.edge.url)
    await wait_ready(platform.orders_url)
    await platform.edge.wait_until_followed(await platform.append(1, "next"))
    assert (await asyncio.to_thread(platform.run, "journal", "status"))[0] == 0
    assert (await asyncio.to_thread(platform.run, "provision")) == (0, "nothing to do\n")


async def test_a_process_that_was_suspended_during_the_restore_goes_on(
    platform: JournalPlatform, backups: Backups
) -> None:
    """It never held, and has seen events that are gone."""
    await platform.start_services()
    await backups.back_up()
    await platform.edge.wait_until_followed(await platform.append(30, "lost"))
    platform.edge.freeze()
    await asyncio.to_thread(platform.lose_store)
    await backups.restore()
    platform.edge.thaw()
    last = await platform.append(1, "next")
    await platform.edge.wait_until_followed(last)
    await wait_ready(platform.edge.url)
    await wait_ready(platform.orders_url)
    assert not platform.edge.find_log_lines("service.held")


@pytest.mark.slow
async def test_services_hold_while_a_backup_is_restored(
    platform: JournalPlatform, backups: Backups
) -> None:
    """No event of a journal that is replaced is acknowledged meanwhile."""
    await platform.start_services()
    await backups.back_up()
    restoring = asyncio.create_task(backups.restore("--replace"))
    await wait_held(platform.edge.url, "a backup is being restored")
    await restoring
    await wait_ready(platform.edge.url)


async def test_an_empty_journal_is_restored(empty_platform: JournalPlatform) -> None:
    backups = Backups(empty_platform)
    await backups.back_up()
    await empty_platform.api("STREAM.DELETE.EVENTS")
    await backups.restore()
    assert await empty_platform.append(1) == 1
    assert (await asyncio.to_thread(empty_platform.run, "journal", "status"))[0] == 0


async def test_only_the_administrator_of_nats_may_do_either(tmp_path: Path) -> None:
    """With the accounts and permissions of `tapewire nats-config`."""
    server = SecuredNats(tmp_path / "nats", service_accesses())
    await server.start()
    try:
        await server.provision()
        folder = tmp_path / "backup"

        async def run(user: str, *command: str) -> tuple[int, str]:
            env = {
                "TAPEWIRE_NATS_USER": user,
                "TAPEWIRE_NATS_PASSWORD_FILE": str(server.password_file(user)),
            }
            return await asyncio.to_thread(
                run_command, "journal", *command, "--nats", server.url, **env
            )

        code, output = await run("operator", "backup", str(folder))
        assert (code, "sign in as one that may" in output) == (2, True), output
        assert (await run("admin", "backup", str(folder)))[0] == 0
        code, output = await run("operator", "restore", str(folder), "--replace")
        assert (code, "sign in as one that may" in output) == (2, True), output
        assert (await run("admin", "restore", str(folder), "--replace"))[0] == 0
    finally:
        server.close()


async def test_a_trimmed_journal_is_restored_with_what_it_is_folded_from(
    platform: JournalPlatform, backups: Backups
) -> None:
    async with connected(platform) as connection:
        driver = EventLogDriver(connection)
        await driver.save_orders_checkpoint("alice")
        await driver.purge_through(EVENT_COUNT)
    await platform.append(3, "later")
    await backups.back_up()
    await asyncio.to_thread(platform.lose_store)
    await backups.restore()
    await platform.start_services()
    cookie = await platform.edge.sign_in("alice")
    async with await platform.edge.open_stream(ORDERS, cookie) as stream:
        snapshot = await stream.read_until("order:update")
        assert len(snapshot.data["orders"]) == EVENT_COUNT + 3


async def test_what_was_removed_on_purpose_is_known_after_the_loss_of_everything(
    platform: JournalPlatform, backups: Backups
) -> None:
    """An erasure, for example: `verify` takes the journal as complete."""
    async with connected(platform) as connection:
        await record_removal(connection, first=3, removed=1, is_erasure=True)
        await platform.api("STREAM.PURGE.EVENTS", {"seq": 3})
        await platform.api("STREAM.MSG.DELETE.EVENTS", {"seq": 6})
        before = (await read_journal(connection)).record
    assert before is not None
    await backups.back_up()
    await asyncio.to_thread(platform.lose_store)
    await backups.restore()
    async with connected(platform) as connection:
        record = (await read_journal(connection)).record
    assert record is not None
    assert (record.first, record.removed, record.erased_first) == (3, 1, before.erased_first)
    assert before.erased_first > 1
    assert (await asyncio.to_thread(platform.run, "journal", "status"))[0] == 0


@pytest.mark.slow
async def test_lists_in_blocks_are_restored(platform: JournalPlatform, backups: Backups) -> None:
    await platform.append(590, "more")
    await platform.store_orders_history("alice")
    await platform.start_services()
    before = await platform.list_orders("alice")
    await backups.back_up()
    platform.stop_services()
    await asyncio.to_thread(platform.lose_store)
    await backups.restore()
    await platform.start_services()
    assert await platform.list_orders("alice") == before


async def test_durable_subscriptions_continue_where_they_were(
    platform: JournalPlatform, backups: Backups
) -> None:
    handled: list[int] = []

    async def handle(recorded: RecordedEvent) -> None:
        handled.append(recorded.sequence)

    async def read_through(sequence: int) -> None:
        async with connected(platform) as connection:
            log = JetStreamEventLog(connection)
            subscription = await log.subscribe_durable("copies", "ev.>", handle)
            await wait_until(f"event {sequence} is handled", lambda: sequence in handled)
            # The last acknowledgement has arrived when the server knows of no pending one.
            await wait_until_async("all is acknowledged", lambda: is_acknowledged(connection))
            await subscription.close()

    async def is_acknowledged(connection: NatsConnection) -> bool:
        info = await ask(connection, "CONSUMER.INFO.EVENTS.copies")
        return bool(info["num_ack_pending"] == 0 and info["num_pending"] == 0)

    await read_through(EVENT_COUNT)
    await backups.back_up()
    await read_through(await platform.append(3, "lost"))
    handled.clear()
    await platform.api("STREAM.DELETE.EVENTS")
    await backups.restore()
    await read_through(await platform.append(1, "next"))
    assert handled == [EVENT_COUNT + 1]


def failed_event(sequence: int) -> FailedEvent:
    return FailedEvent(
        subscription="copies",
        sequence=sequence,
        subject="ev.alice.orders.o-1",
        tag="order.placed.v1",
        event_id=f"e-{sequence}",
        attempts=10,
        error="KeyError",
        failed_at=datetime.now(UTC),
        next_attempt_at=None,
    )


async def failed_sequences(platform: JournalPlatform) -> list[int]:
    async with connected(platform) as connection:
        found = await JetStreamFailedEventStore(connection).get_all()
    return [one.event.sequence for one in found]


async def test_failed_events_belong_to_the_backup(
    platform: JournalPlatform, backups: Backups
) -> None:
    """Those of events that came later are gone with the events."""
    async with connected(platform) as connection:
        store = JetStreamFailedEventStore(connection)
        await store.put(failed_event(2), 0)
        revision = await store.put(failed_event(3), 0)
        await store.put(failed_event(EVENT_COUNT + 5), 0)
        await backups.back_up()
        await store.remove(failed_event(3), revision)
    await platform.api("STREAM.DELETE.EVENTS")
    await backups.restore()
    assert await failed_sequences(platform) == [2, 3]


async def test_an_event_that_fails_or_is_handled_during_the_backup_is_tried_again(
    platform: JournalPlatform, backups: Backups
) -> None:
    """Its effects may come after the end of the copy."""

    async def change_failed_events() -> None:
        async with connected(platform) as connection:
            store = JetStreamFailedEventStore(connection)
            await store.put(failed_event(4), 0)
            (handled, *_) = await store.get_all()
            await store.remove(handled.event, handled.revision)

    def change_once(progress: WorkProgress) -> None:
        if progress.phase == "EVENTS":
            run_in_thread(change_failed_events())

    async with connected(platform) as connection:
        await JetStreamFailedEventStore(connection).put(failed_event(2), 0)
        await back_up(connection, create_folder(backups.folder), change_once)
    assert await failed_sequences(platform) == [4]
    await platform.api("STREAM.DELETE.EVENTS")
    await backups.restore()
    assert await failed_sequences(platform) == [2, 4]


async def test_half_of_an_atomic_batch_is_not_restored(
    platform: JournalPlatform, backups: Backups
) -> None:
    """A snapshot can begin while the server stores the events of a batch. Here the last one of
    three is lost, as when the power goes."""
    async with connected(platform) as connection:
        await JetStreamEventLog(connection).append(
            [
                EventDraft(
                    subject=EventSubject("alice", "orders", placed.order.order_id),
                    event=placed,
                    metadata=EventMetadata(id=new_id(), correlation="c-test"),
                )
                for placed in orders_placed(3, "half")
            ]
        )
    platform.server.kill()
    (block,) = (platform.folder / EVENTS_FOLDER / "msgs").glob("*.blk")
    os.truncate(block, block.stat().st_size - 1)
    platform.server.start()
    epoch = await platform.epoch()
    await backups.back_up()
    assert len(await read_events(platform)) == EVENT_COUNT + 2
    await platform.api("STREAM.DELETE.EVENTS")
    assert "left out: the last 2 events" in await backups.restore()
    assert [event[0] for event in await read_events(platform)] == [*range(1, EVENT_COUNT + 1)]
    assert "half" not in (await asyncio.to_thread(platform.run, "verify"))[1]
    async with connected(platform) as connection:
        bounds = await JetStreamEventLog(connection).bounds()
        assert bounds.includes(epoch, EVENT_COUNT)
        assert not bounds.includes(epoch, EVENT_COUNT + 1)
    await platform.start_services()
    await wait_ready(platform.edge.url)


async def test_events_that_are_removed_meanwhile_fail_the_backup(
    platform: JournalPlatform, backups: Backups
) -> None:
    def purge(progress: WorkProgress) -> None:
        if progress.phase == "VIEWS":
            run_in_thread(platform.api("STREAM.PURGE.EVENTS", {"seq": 5}))

    async with connected(platform) as connection:
        with pytest.raises(EventsRemoved):
            await back_up(connection, create_folder(backups.folder), purge)
    assert "no manifest.json" in await backups.restore(code=2)


def run_in_thread(work: Awaitable[Any]) -> None:
    """Run `work` to its end while the event loop of the test waits."""

    async def run() -> None:
        await work

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(run())).result()


class TestInterruptions:
    """The command is killed, and run again."""

    @pytest.fixture(autouse=True)
    async def _fill(self, platform: JournalPlatform) -> None:
        """Events of 30 MB that hardly can be compressed."""
        async with connected(platform) as connection:
            driver = EventLogDriver(connection)
            for _ in range(60):
                event = NotificationsRead(
                    ids=(secrets.token_hex(256 << 10),),
                    timestamp=datetime.now(UTC),
                    command_id="fill",
                )
                await driver.append("filler", event, domain="notifications")

    async def test_a_backup_that_was_killed_is_none_and_can_be_made_again(
        self, platform: JournalPlatform, backups: Backups
    ) -> None:
        await self._kill_at("EVENTS", platform, "backup", str(backups.folder))
        assert "an interrupted backup" in await backups.restore(code=2)
        expected = await read_events(platform)
        await backups.back_up()
        await platform.api("STREAM.DELETE.EVENTS")
        await backups.restore()
        assert await read_events(platform) == expected

    @pytest.mark.parametrize("phase", [pytest.param("waiting", marks=pytest.mark.slow), "EVENTS"])
    async def test_services_hold_after_a_restore_that_was_killed_until_it_is_run_again(
        self, platform: JournalPlatform, backups: Backups, phase: str
    ) -> None:
        await platform.start_services()
        await backups.back_up()
        last = json.loads((backups.folder / "manifest.json").read_text())["last"]
        expected = await read_events(platform, last)
        await platform.append(5, "later")
        await self._kill_at(phase, platform, "restore", str(backups.folder), "--replace")
        await wait_held(platform.edge.url, "a backup is being restored")
        provisioned = await asyncio.to_thread(platform.provision)
        await wait_held(platform.orders_url, "a backup is being restored")
        assert "EVENTS: created" not in provisioned
        await backups.restore()
        assert await read_events(platform, last) == expected
        await wait_ready(platform.edge.url)
        await wait_ready(platform.orders_url)

    async def _kill_at(self, phase: str, platform: JournalPlatform, *command: str) -> None:
        """Kill a command when it prints the first line of that phase."""
        output = platform.folder / "killed.txt"
        plain = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
        with output.open("wb") as file:
            process = fork_server.start(
                fork_server.CLI,
                plain,
                file.fileno(),
                arguments=["journal", *command, "--nats", platform.server.url],
            )
        await wait_until(
            f"the command is in the phase {phase}",
            lambda: phase in output.read_text() or process.poll() is not None,
        )
        assert process.poll() is None, output.read_text()
        process.kill()
        process.wait()


def change_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def replace_in_manifest(old: str, new: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return change


class TestDamagedBackups:
    """Nothing is changed on the server, and the message names the file."""

    @pytest.fixture
    async def intact(self, backups: Backups) -> None:
        await backups.back_up()

    @pytest.mark.usefixtures("intact")
    async def test_a_changed_a_cut_or_a_missing_file_is_noticed(
        self, platform: JournalPlatform, backups: Backups
    ) -> None:
        damages: dict[str, Callable[[Path], None]] = {
            "was changed": change_byte,
            "bytes instead of": cut,
            "cannot be read": Path.unlink,
        }
        before = await read_events(platform)
        for name in FILES:
            content = (backups.folder / name).read_bytes()
            for words, damage in damages.items():
                damage(backups.folder / name)
                output = await backups.restore("--replace", code=2)
                assert name in output
                assert words in output
                (backups.folder / name).write_bytes(content)
        assert await read_events(platform) == before
        assert (await asyncio.to_thread(platform.run, "journal", "status"))[0] == 0

    @pytest.mark.usefixtures("intact")
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            pytest.param(replace_in_manifest('"format": 1', '"format": 2'), "format 2", id="newer"),
            pytest.param(replace_in_manifest('"last"', '"least"'), "last", id="field missing"),
            pytest.param(replace_in_manifest("{", "["), "damaged", id="no JSON"),
            pytest.param(
                replace_in_manifest("EVENTS.snapshot", "../EVENTS"),
                "no backup has",
                id="other file",
            ),
            pytest.param(Path.unlink, "there is no manifest.json", id="no manifest"),
        ],
    )
    async def test_a_manifest_that_cannot_be_used_is_refused(
        self, backups: Backups, damage: Callable[[Path], None], words: str
    ) -> None:
        damage(backups.folder / "manifest.json")
        assert words in await backups.restore("--replace", code=2)


class TestFolders:
    def test_a_folder_with_a_backup_or_other_files_is_refused(
        self, empty_platform: JournalPlatform, tmp_path: Path
    ) -> None:
        def back_up(folder: Path) -> tuple[int, str]:
            return empty_platform.run("journal", "backup", str(folder))

        assert back_up(tmp_path / "backup")[0] == 0
        code, output = back_up(tmp_path / "backup")
        assert (code, "holds a backup already" in output) == (2, True), output
        other = tmp_path / "other"
        other.mkdir()
        (other / "notes.txt").write_text("mine")
        code, output = back_up(other)
        assert (code, "notes.txt" in output) == (2, True), output
        assert back_up(other / "notes.txt")[0] == 2
        assert back_up(other / "notes.txt" / "below")[0] == 2

    def test_without_a_server_the_exit_code_says_so(self, tmp_path: Path) -> None:
        code, output = run_command(
            "journal",
            "backup",
            str(tmp_path / "b"),
            "--nats",
            "nats://127.0.0.1:1",
            TAPEWIRE_NATS_WAIT="0.1",
        )
        assert code == 3, output

    async def test_files_are_readable_by_their_owner_alone(self, backups: Backups) -> None:
        await backups.back_up()
        modes = {path.stat().st_mode & 0o77 for path in backups.folder.rglob("*")}
        assert modes | {backups.folder.stat().st_mode & 0o77} == {0}


@pytest.fixture
def cluster_url(tmp_path: Path) -> Iterator[str]:
    with run_nats_cluster(tmp_path) as cluster:
        yield cluster.url


@pytest.mark.slow
async def test_a_backup_of_one_server_is_restored_to_three(
    platform: JournalPlatform, backups: Backups, cluster_url: str
) -> None:
    """With as many copies as the settings state."""
    expected = await read_events(platform)
    await backups.back_up()
    env = {"TAPEWIRE_REPLICAS": "3", "TAPEWIRE_NATS_WAIT": "60"}
    command = ("journal", "restore", str(backups.folder), "--nats", cluster_url)
    code, output = await asyncio.to_thread(run_command, *command, **env)
    assert code == 0, output
    connection = await connect(cluster_url, "test")
    try:
        info = await ask(connection, f"STREAM.INFO.{EVENTS}")
        assert info["config"]["num_replicas"] == 3
        found = await EventLogDriver(connection).read()
        assert [one.time for one in found] == [event[3] for event in expected]
    finally:
        await connection.close()
    again = backups.folder.with_name("again")
    code, output = await asyncio.to_thread(
        run_command, "journal", "backup", str(again), "--nats", cluster_url, **env
    )
    assert code == 0, output
    await asyncio.to_thread(shutil.rmtree, backups.folder)
    again.rename(backups.folder)
    await backups.restore("--replace")
    assert await read_events(platform) == expected
