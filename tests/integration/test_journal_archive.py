"""`tapewire journal archive` moves old events to files, and the state stays the same.

The journal of each test is written without services, with the checkpoints that services would have
written.
"""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tapewire import archive
from tapewire.archive import archiver as archiver_module
from tapewire.archive import baselines
from tapewire.archive.archiver import Archiver, ArchiveReport, DifferencesFound
from tapewire.archive.files import MANIFEST_NAME, ArchiveError
from tapewire.cli.verify import load_checkpoint_checks, load_subscription_filters
from tapewire.events import OrderEvent, PositionEvent
from tapewire.log import (
    CommandHandler,
    EventSubject,
    LogError,
    RecordedEvent,
    pattern,
    view_checkpoints,
)
from tapewire.log.checkpoint import checkpoint_key, shared_checkpoint_key, write_checkpoint
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, connect
from tapewire.log.jetstream.durable_subscription import ensure_consumer
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_admin import find_recorded_losses
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.work_progress import OnProgress, ignore_progress
from tapewire.verify.checkpoints import VIEW_TYPES
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection
from tapewire_services.orders.domain.commands import CancelOrderCommand
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.positions.domain.position import PositionKey
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tests.harness.consumer_checkpoints import write_consumer_checkpoints
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer, provision_streams
from tests.harness.provisioning import ask, run_command
from tests.harness.recorded_log import read_events
from tests.harness.synthetic_log import SyntheticLog, append_synthetic_log
from tests.harness.waiting import wait_until_async

EVENT_COUNT = 1000
USERS = 4
REPORTS_BETWEEN_KILLS = 3


class ArchivedJournal:
    """A journal of some 1,000 events, and the folder that it is archived to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "archive"
        self.server = LocalNatsServer(folder)
        self.server.start()
        provision_streams(self.server.url)

    async def open(self) -> None:
        self.connection = await connect(self.server.url, "test")
        self.log = JetStreamEventLog(self.connection)
        self.store = JetStreamLatestValueStore(self.connection, stream=VIEWS, prefix="view")
        generated = SyntheticLog(users=USERS, seed=7)
        await append_synthetic_log(self.log, generated, EVENT_COUNT)
        self.users = generated.users
        await write_consumer_checkpoints(self.log, self.store)
        self.original = await read_events(self.log)
        self.horizon = len(self.original) * 9 // 10
        self.epoch = (await self.log.bounds()).epoch

    async def archive(
        self,
        before: datetime | int | None = None,
        *,
        min_age_seconds: float = 0.0,
        on_progress: OnProgress = ignore_progress,
    ) -> ArchiveReport:
        """Archive the first nine tenths, as the command does."""
        return await Archiver(
            self.connection,
            self.folder,
            checkpoint_checks=load_checkpoint_checks(),
            subscription_filters=load_subscription_filters(),
            min_age_seconds=min_age_seconds,
            on_progress=on_progress,
            on_difference=lambda _: None,
        ).run(self.horizon if before is None else before)

    async def run(self, *command: str) -> tuple[int, str]:
        return await asyncio.to_thread(run_command, *command, "--nats", self.server.url)

    async def views(self) -> dict[tuple[str, str], bytes]:
        """The state of every view of every user, as a client gets it."""
        found = {}
        for name, view_type in VIEW_TYPES.items():
            for user in (*self.users, "_all"):
                view, _ = await view_checkpoints.load(self.log, self.store, view_type, user)
                state = json.loads(view.encode())
                if isinstance(state, dict):
                    state.pop("stored", None)  # the sequences at which blocks were stored
                found[user, name] = json.dumps(state).encode()
        return found

    async def close(self) -> None:
        await self.connection.close()
        self.server.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[ArchivedJournal]:
    made = ArchivedJournal(tmp_path)
    try:
        await made.open()
        yield made
    finally:
        await made.close()


def contents(events: list[RecordedEvent]) -> list[tuple[object, ...]]:
    return [(e.sequence, e.subject, e.tag, e.data, e.metadata, e.time) for e in events]


def open_state(events: list[RecordedEvent]) -> dict[str, Any]:
    """What services fold from scratch: open orders, active strategies, rules and positions."""
    orders, strategies, rules = OpenOrders(), ActiveStrategies(), ArmedRulesProjection()
    positions = {}
    for recorded in events:
        orders.apply(recorded)
        strategies.apply(recorded)
        rules.apply(recorded)
        if isinstance(recorded.event, PositionEvent):
            positions[recorded.subject] = recorded.data
    return {
        "orders": sorted(str(one) for one in orders.orders()),
        "strategies": sorted(str(one) for one in strategies.get_all()),
        "rules": sorted(str(one) for one in rules.get_all()),
        "positions": positions,
    }


async def kept_events(journal: ArchivedJournal) -> list[int]:
    events = await read_events(journal.log)
    return [recorded.sequence for recorded in events if recorded.sequence < journal.horizon]


class TestSameState:
    async def test_the_archive_and_the_journal_are_together_what_the_journal_was(
        self, journal: ArchivedJournal
    ) -> None:
        before = await journal.views()
        code, output = await journal.run(
            *("journal", "archive", "--before", str(journal.horizon)),
            *("--to", str(journal.folder), "--min-age", "0", "--json"),
        )
        assert code == 0, output
        report = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
        assert report["removed"] + report["retained"] == journal.horizon - 1
        left = await read_events(journal.log)
        assert len(left) < len(journal.original) / 3
        complete = [recorded for recorded in left if recorded.sequence >= journal.horizon]
        archived = list(archive.read(journal.folder))
        assert contents([*archived, *complete]) == contents(journal.original)
        assert await journal.views() == before
        for command in (
            ("verify", "--archive", str(journal.folder)),
            ("verify", "--archive", str(journal.folder), "--user", journal.users[0]),
            ("verify",),
            ("journal", "status"),
        ):
            code, output = await journal.run(*command)
            assert code == 0, output
            assert "nothing differs" in output or "nothing is missing" in output

    async def test_what_is_left_has_every_open_entity(self, journal: ArchivedJournal) -> None:
        """A service without a checkpoint folds the same state."""
        await journal.archive()
        assert open_state(await read_events(journal.log)) == open_state(journal.original)

    async def test_commands_go_on_with_entities_from_before(self, journal: ArchivedJournal) -> None:
        order, sequence = next(
            (event.order, recorded)
            for recorded in journal.original
            if isinstance(event := recorded.event, OrderEvent)
            and event.order.order_id in str(open_state(journal.original)["orders"])
            and recorded.sequence < journal.horizon
        )
        await journal.archive()
        user = sequence.event_subject.owner
        cancel = CancelOrderCommand(id="cancel", at=datetime.now(UTC), user=user, reason="c")
        canceled = await CommandHandler(journal.log, ORDER_DECIDER).handle(
            EventSubject(user, "orders", order.order_id), cancel, correlation="c"
        )
        assert not canceled.state.order.status.is_open  # type: ignore[union-attr]
        for recorded in journal.original:
            if isinstance(recorded.event, PositionEvent):
                last = recorded
        key = PositionKey(last.event_subject.owner, last.event_subject.entity)
        assert (await PositionRepository(journal.log).load_position(key)).sequence == last.sequence

    async def test_a_second_run_continues_the_archive(self, journal: ArchivedJournal) -> None:
        first = await journal.archive(journal.horizon // 2)
        second = await journal.archive()
        assert (first.horizon, second.horizon) == (journal.horizon // 2, journal.horizon)
        assert second.archived == journal.horizon - journal.horizon // 2
        repeated = await journal.archive()
        assert (repeated.archived, repeated.removed) == (0, 0)
        assert len(list(archive.read(journal.folder))) == journal.horizon - 1
        assert (await journal.run("verify", "--archive", str(journal.folder)))[0] == 0


class TestBackup:
    async def test_an_archived_journal_is_restored_after_everything_was_lost(
        self, journal: ArchivedJournal, tmp_path: Path
    ) -> None:
        """It is guarded as before, has the same views, and belongs to the same archive."""
        await journal.archive(journal.horizon // 2)
        before, stored = await journal.views(), contents(await read_events(journal.log))
        backup = str(tmp_path / "backup")
        code, output = await journal.run("journal", "backup", backup)
        assert code == 0, output
        journal.server.kill()
        shutil.rmtree(tmp_path / "store")
        journal.server.start()
        code, output = await journal.run("journal", "restore", backup)
        assert code == 0, output
        assert contents(await read_events(journal.log)) == stored
        assert (await journal.log.bounds()).first == journal.horizon // 2
        assert await journal.views() == before
        for command in (("journal", "status"), ("verify", "--archive", str(journal.folder))):
            code, output = await journal.run(*command)
            assert code == 0, output
        assert (await journal.archive(journal.horizon // 2)).archived == 0


class ProcessKilled(Exception):
    """The process was killed."""


class TestInterrupted:
    async def test_a_run_that_is_killed_at_any_report_of_progress_can_be_repeated(
        self, journal: ArchivedJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archiver_module, "SEGMENT_EVENTS", 400)
        monkeypatch.setattr(archiver_module, "REMOVALS_PER_STEP", 300)
        monkeypatch.setattr(baselines, "MAX_VIEWS", 7)
        before, runs = await journal.views(), 0
        while True:
            reports = 0

            def kill_later(_: object, limit: int = runs) -> None:
                nonlocal reports
                reports += 1
                if reports > limit:
                    raise ProcessKilled

            try:
                await journal.archive(on_progress=kill_later)
                break
            except ProcessKilled:
                runs += REPORTS_BETWEEN_KILLS
                assert (await find_recorded_losses(journal.connection))[1] == []
        assert runs > 3 * REPORTS_BETWEEN_KILLS
        assert await journal.views() == before
        await self._assert_complete(journal)

    @pytest.mark.parametrize(
        "step", ["record_removal", "mark_complete_from", "purge_before", "remove_events"]
    )
    async def test_a_run_that_is_killed_after_a_step_can_be_repeated(
        self, journal: ArchivedJournal, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        real = getattr(archiver_module, step)

        async def do_and_die(*arguments: Any, **named: Any) -> None:
            await real(*arguments, **named)
            raise ProcessKilled

        with monkeypatch.context() as patch:
            patch.setattr(archiver_module, step, do_and_die)
            with pytest.raises(ProcessKilled):
                await journal.archive()
        assert (await find_recorded_losses(journal.connection))[1] == []
        await journal.archive()
        await self._assert_complete(journal)

    async def test_a_process_that_is_killed_at_any_moment_can_be_run_again(
        self, journal: ArchivedJournal
    ) -> None:
        """Each process is killed a little later than the one before."""
        arguments = ("--before", str(journal.horizon), "--to", str(journal.folder))
        kills, seconds = 0, 0.5
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tapewire.cli", "journal", "archive", *arguments),
                *("--min-age", "0", "--nats", journal.server.url),
                stderr=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
            if process.returncode is not None:
                break
            process.kill()
            await process.wait()
            kills, seconds = kills + 1, seconds * 1.6
        assert (process.returncode, kills > 0) == (0, True)
        await self._assert_complete(journal)

    async def _assert_complete(self, journal: ArchivedJournal) -> None:
        left = await read_events(journal.log)
        assert open_state(left) == open_state(journal.original)
        assert len(left) < len(journal.original) / 3
        assert len(list(archive.read(journal.folder))) == journal.horizon - 1
        for command in (("verify", "--archive", str(journal.folder)), ("journal", "status")):
            code, output = await journal.run(*command)
            assert code == 0, output


class TestNothingIsRemoved:
    """When it must not be."""

    async def assert_untouched(self, journal: ArchivedJournal) -> None:
        assert len(await read_events(journal.log)) == len(journal.original)
        assert (await journal.log.bounds()).first == 1

    async def test_with_a_checkpoint_that_is_wrong(self, journal: ArchivedJournal) -> None:
        await write_checkpoint(
            journal.store,
            checkpoint_key(journal.users[0], "orders"),
            epoch=journal.epoch,
            as_of=len(journal.original),
            state=b"[]",
        )
        with pytest.raises(DifferencesFound):
            await journal.archive()
        await self.assert_untouched(journal)
        code, output = await journal.run(
            "journal", "archive", "--before", "900", "--to", str(journal.folder), "--min-age", "0"
        )
        assert (code, "nothing was removed" in output) == (1, True), output

    async def test_that_a_durable_subscription_still_has_to_handle(
        self, journal: ArchivedJournal
    ) -> None:
        await ensure_consumer(journal.connection, "slow", pattern(domain="orders"))
        report = await journal.archive()
        assert report.held_back_by == "the durable subscription slow"
        first = next(e for e in journal.original if e.event_subject.domain == "orders")
        assert report.horizon == first.sequence

    @pytest.mark.parametrize("name", ["notifications-of-orders", "of-another-program"])
    async def test_that_a_subscription_still_has_to_handle(
        self, journal: ArchivedJournal, name: str
    ) -> None:
        await write_checkpoint(
            journal.store, shared_checkpoint_key(name), epoch=journal.epoch, as_of=9, state=b"null"
        )
        report = await journal.archive()
        assert report.held_back_by == f"the subscription {name}"
        assert 10 <= report.horizon <= 20

    async def test_that_is_parked(self, journal: ArchivedJournal) -> None:
        trade = next(e for e in journal.original if e.event_subject.domain == "trades")
        failed = FailedEvent(
            subscription="reporting",
            sequence=trade.sequence,
            subject=trade.subject,
            tag=trade.tag,
            event_id=trade.metadata.id,
            attempts=10,
            error="error",
            failed_at=datetime.now(UTC),
            next_attempt_at=None,
        )
        await JetStreamFailedEventStore(journal.connection).put(failed, 0)
        await journal.archive()
        assert trade.sequence in await kept_events(journal)

    async def test_that_is_younger_than_the_minimum(self, journal: ArchivedJournal) -> None:
        report = await journal.archive(min_age_seconds=3600)
        assert (report.horizon, report.removed) == (1, 0)
        assert "3600 s" in str(report.held_back_by)
        await self.assert_untouched(journal)

    async def test_into_the_archive_of_another_journal(self, journal: ArchivedJournal) -> None:
        await journal.archive(journal.horizon // 2)
        path = journal.folder / MANIFEST_NAME
        path.write_text(path.read_text().replace(journal.epoch, "eanother"))
        before = len(await read_events(journal.log))
        with pytest.raises(ArchiveError, match="another journal"):
            await journal.archive()
        assert len(await read_events(journal.log)) == before
        code, output = await journal.run("verify", "--archive", str(journal.folder))
        assert (code, "another journal" in output) == (2, True), output

    async def test_that_another_folder_should_continue(
        self, journal: ArchivedJournal, tmp_path: Path
    ) -> None:
        await journal.archive(200)
        elsewhere, journal.folder = journal.folder, tmp_path / "second"
        await journal.archive(journal.horizon // 2)
        journal.folder = elsewhere
        with pytest.raises(ArchiveError, match="archived elsewhere"):
            await journal.archive()

    async def test_after_an_archived_file_was_damaged(self, journal: ArchivedJournal) -> None:
        await journal.archive(journal.horizon // 2)
        segment = next(journal.folder.glob("events-*"))
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
        before = len(await read_events(journal.log))
        with pytest.raises(ArchiveError, match="damaged"):
            await journal.archive()
        assert len(await read_events(journal.log)) == before

    @pytest.mark.parametrize("before", ["0", "-5", "yesterday", "2026-13-01"])
    def test_for_a_time_that_is_none(self, before: str, tmp_path: Path) -> None:
        code, output = run_command("journal", "archive", "--before", before, "--to", str(tmp_path))
        assert (code, "neither a sequence" in output) == (2, True), output


class TestGuard:
    async def test_events_that_are_kept_are_guarded(self, journal: ArchivedJournal) -> None:
        await journal.archive()
        assert (await find_recorded_losses(journal.connection))[1] == []
        retained = await kept_events(journal)
        await ask(journal.connection, "STREAM.MSG.DELETE.EVENTS", {"seq": retained[3]})
        [loss] = (await find_recorded_losses(journal.connection))[1]
        assert loss.startswith("1 events are missing")
        with pytest.raises(LogError, match="lost events"):
            await journal.archive()

    async def test_a_purge_beyond_the_archive_is_a_loss(self, journal: ArchivedJournal) -> None:
        await journal.archive()
        await ask(journal.connection, "STREAM.PURGE.EVENTS", {"seq": journal.horizon + 7})
        losses = (await find_recorded_losses(journal.connection))[1]
        assert f"begins at {journal.horizon + 7} instead of {journal.horizon}" in losses[0]


class TestClients:
    async def test_ids_from_before_are_reset_and_later_ones_resume(
        self, journal: ArchivedJournal, tmp_path: Path
    ) -> None:
        settings = {"TAPEWIRE_NATS_URL": journal.server.url}
        edge = EdgeProcess(settings, tmp_path)
        orders = ManagedService("orders", settings, tmp_path)
        try:
            await asyncio.to_thread(edge.wait_ready)
            await asyncio.to_thread(orders.wait_ready)
            user = journal.users[0]
            cookie = await edge.sign_in(user)

            async def is_archived() -> bool:
                # A service that still reads the journal holds the horizon back.
                return (await journal.archive()).held_back_by is None

            await wait_until_async("everything is archived", is_archived)
            path = "/api/stream/orders"
            old, later = (
                f"{journal.epoch}-{n}" for n in (journal.horizon - 100, journal.horizon - 1)
            )
            async with await edge.open_stream(path, cookie, last_event_id=old) as stream:
                reset = await stream.read_until("stream:reset")
                assert reset.data["reason"] == "trimmed"
                assert (await stream.read_until("order:update")).data["snapshot"] is True
            async with await edge.open_stream(path, cookie, last_event_id=later) as stream:
                await stream.read_until("order:update")
                assert "stream:reset" not in [frame.event for frame in stream.frames]
            finished = next(
                event.order.order_id
                for recorded in journal.original
                if recorded.event_subject.owner == user
                and isinstance(event := recorded.event, OrderEvent)
                and not event.order.status.is_open
            )
            async with edge.client(cookie) as http:
                answer = await http.get(f"/api/orders/{finished}")
                assert answer.status_code == 404
                assert "archived" in answer.json()["message"]
                listed, cursor = set[str](), None
                while True:
                    query = {"limit": "200"} if cursor is None else {"cursor": cursor}
                    page = (await http.get("/api/orders", params=query)).raise_for_status().json()
                    listed |= {order["orderId"] for order in page["orders"]}
                    cursor = page.get("next")
                    if cursor is None:
                        break
                assert finished in listed
        finally:
            edge.kill()
            orders.kill()


async def test_views_are_rebuilt_from_an_archived_journal_and_its_archive(
    journal: ArchivedJournal,
) -> None:
    before = await journal.views()
    await journal.archive()
    bounds = await journal.log.bounds()
    for name, view_type in VIEW_TYPES.items():
        for user in journal.users:
            await view_checkpoints.save(journal.store, user, name, view_type(), bounds)
    assert await journal.views() != before
    code, output = await journal.run("journal", "rebuild")
    assert (code, "name their folder by --archive" in output) == (2, True), output
    code, output = await journal.run("journal", "rebuild", "--archive", str(journal.folder))
    assert code == 0, output
    assert await journal.views() == before
