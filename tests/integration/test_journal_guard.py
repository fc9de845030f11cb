"""A journal that lost events is noticed before anybody trades on it.

Services hold, on the processes that run and on those that start, until `tapewire journal
accept-loss`. A journal that was merely restarted is used as before; clients resume by their ids.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tapewire.log.jetstream import JetStreamEventLog
from tapewire.log.jetstream.journal_admin import begin_epoch
from tapewire.log.jetstream.journal_guard import JournalGuard
from tests.harness.journal_platform import JournalPlatform
from tests.harness.nats_servers import provision_streams
from tests.harness.provisioning import run_command, wait_held, wait_ready
from tests.harness.publishers import EventLogDriver, orders_placed
from tests.harness.waiting import wait_until

ORDERS = "/api/stream/orders"
EVENTS_FOLDER = "store/jetstream/$G/streams/EVENTS"

Damage = Callable[["JournalPlatform"], Awaitable[None]]


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[JournalPlatform]:
    made = JournalPlatform(tmp_path)
    await made.append(10)
    yield made
    made.close()


async def purge(platform: JournalPlatform) -> None:
    await platform.api("STREAM.PURGE.EVENTS", {"seq": 5})


async def delete_one(platform: JournalPlatform) -> None:
    await platform.api("STREAM.MSG.DELETE.EVENTS", {"seq": 5})


async def purge_all(platform: JournalPlatform) -> None:
    await platform.api("STREAM.PURGE.EVENTS", {})


async def purge_subject(platform: JournalPlatform) -> None:
    await platform.api("STREAM.PURGE.EVENTS", {"filter": "ev.alice.orders.o-3"})


async def recreate(platform: JournalPlatform) -> None:
    config = (await platform.api("STREAM.INFO.EVENTS"))["config"]
    await platform.api("STREAM.DELETE.EVENTS")
    await platform.api("STREAM.CREATE.EVENTS", config)


async def delete(platform: JournalPlatform) -> None:
    await platform.api("STREAM.DELETE.EVENTS")


DAMAGES: list[Any] = [
    pytest.param(purge, "begins at 5 instead of 1", id="trimmed"),
    pytest.param(purge_all, "begins at", id="emptied"),
    pytest.param(delete_one, "events are missing between", id="one event deleted"),
    pytest.param(purge_subject, "events are missing between", id="one entity purged"),
    pytest.param(recreate, "the journal is another one", id="another stream"),
    pytest.param(delete, "the journal is gone", id="no stream"),
]


class TestDamage:
    @pytest.mark.parametrize(("damage", "reason"), DAMAGES)
    async def test_services_that_run_hold_until_the_loss_is_accepted(
        self, platform: JournalPlatform, damage: Damage, reason: str
    ) -> None:
        await platform.start_services()
        cookie = await platform.edge.sign_in("alice")
        await damage(platform)
        await wait_held(platform.edge.url, reason)
        await wait_held(platform.orders_url, reason)
        async with platform.edge.client(cookie) as http:
            order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 1}
            answer = await http.post("/api/orders", json=order)
            assert answer.status_code == 503
            assert reason in answer.json()["message"]
            assert reason in (await http.get("/api/positions")).json()["message"]
        for command in (["status"], ["journal", "status"]):
            code, output = await self._run(platform, *command)
            assert (code, reason in output) == (1, True), output
        code, output = await self._run(platform, "journal", "accept-loss")
        assert (code, reason in output) == (0, True), output
        await wait_ready(platform.edge.url)
        await wait_ready(platform.orders_url)
        assert (await self._run(platform, "journal", "status"))[0] == 0
        assert await self._run(platform, "journal", "accept-loss") == (
            0,
            "nothing is missing: there is no loss to accept\n",
        )

    @pytest.mark.parametrize(("damage", "reason"), DAMAGES)
    async def test_services_that_start_hold(
        self, platform: JournalPlatform, damage: Damage, reason: str
    ) -> None:
        """Provisioning does not hide the damage."""
        await damage(platform)
        await asyncio.to_thread(platform.provision)
        await platform.start_services()
        await wait_held(platform.edge.url, reason)
        await wait_held(platform.orders_url, reason)

    async def test_verify_reports_removed_events(self, platform: JournalPlatform) -> None:
        await purge(platform)
        code, output = await self._run(platform, "verify")
        assert (code, "begins at 5 instead of 1" in output) == (1, True), output

    async def test_a_client_is_reset_after_an_accepted_loss(
        self, platform: JournalPlatform
    ) -> None:
        await platform.start_services()
        cookie = await platform.edge.sign_in("alice")
        old = f"{await platform.epoch()}-8"
        await purge(platform)
        await wait_held(platform.edge.url, "begins at 5")
        await self._run(platform, "journal", "accept-loss")
        await wait_ready(platform.edge.url)
        async with await platform.edge.open_stream(ORDERS, cookie, last_event_id=old) as stream:
            reset = await stream.read_until("stream:reset")
            assert reset.data["reason"] == "epoch"
            assert await platform.epoch() != old.partition("-")[0]

    async def _run(self, platform: JournalPlatform, *command: str) -> tuple[int, str]:
        return await asyncio.to_thread(run_command, *command, "--nats", platform.server.url)


class TestSetBack:
    """The volume of the server is put back as it was earlier, records and all."""

    async def test_a_process_that_saw_more_holds_and_tells_the_others(
        self, platform: JournalPlatform
    ) -> None:
        copy = platform.copy_store()
        provision_streams(platform.server.url)
        await platform.start_services()
        await platform.edge.wait_until_followed(await platform.append(5, "lost"))
        await asyncio.to_thread(platform.restore_store, copy)
        await wait_held(platform.edge.url, "was seen by this process")
        provision_streams(platform.server.url)
        await wait_held(platform.orders_url, "was seen by this process")

    async def test_a_journal_that_grew_again_is_noticed_by_its_event_ids(
        self, platform: JournalPlatform
    ) -> None:
        copy = platform.copy_store()
        provision_streams(platform.server.url)
        await platform.start_services()
        await platform.edge.wait_until_followed(await platform.append(5, "lost"))
        platform.stop_orders()
        platform.edge.freeze()
        await asyncio.to_thread(platform.restore_store, copy)
        provision_streams(platform.server.url)
        await platform.append(60, "other")
        platform.edge.thaw()
        await wait_held(platform.edge.url, "another event at")

    @pytest.mark.parametrize("events_after", [0, 20], ids=["shorter", "grown beyond the id"])
    async def test_without_a_survivor_an_id_of_a_lost_event_leads_to_a_reset(
        self, platform: JournalPlatform, events_after: int
    ) -> None:
        copy = platform.copy_store()
        await asyncio.to_thread(platform.provision)
        await platform.start_services()
        cookie = await platform.edge.sign_in("alice")
        last = await platform.append(5, "lost")
        lost, earlier = f"{await platform.epoch()}-{last}", f"{await platform.epoch()}-9"
        platform.stop_services()
        await asyncio.to_thread(platform.restore_store, copy)
        await asyncio.to_thread(platform.provision)
        await platform.start_services()
        if events_after:
            await platform.append(events_after, "new")
        cookie = await platform.edge.sign_in("alice")
        async with await platform.edge.open_stream(ORDERS, cookie, last_event_id=lost) as stream:
            reset = await stream.read_until("stream:reset")
            assert reset.data["reason"] == "epoch"
        # The id of an event that is still there belongs to an epoch that was lost with the volume.
        async with await platform.edge.open_stream(ORDERS, cookie, last_event_id=earlier) as stream:
            assert (await stream.read_until("stream:reset")).data["reason"] == "epoch"


class TestUntouched:
    async def test_a_restart_of_everything_resumes_clients_by_their_ids(
        self, platform: JournalPlatform
    ) -> None:
        ids = [f"{await platform.epoch()}-6"]
        for number in range(3):
            platform.server.kill()
            platform.server.start()
            changed = await asyncio.to_thread(platform.provision)
            assert "EVENTS: epoch" in changed
            await platform.append(1, f"after-{number}")
            ids.append(f"{await platform.epoch()}-{10 + number}")
        await platform.start_services()
        cookie = await platform.edge.sign_in("alice")
        for last_id in ids:
            async with await platform.edge.open_stream(
                ORDERS, cookie, last_event_id=last_id
            ) as stream:
                event = await stream.read_until("order:update")
                assert int(str(event.id).rpartition("-")[2]) == int(last_id.rpartition("-")[2]) + 1
                assert "stream:reset" not in [frame.event for frame in stream.frames]

    async def test_a_restart_of_everything_leaves_lists_and_their_cursors_as_they_were(
        self, platform: JournalPlatform
    ) -> None:
        """Also where a list is stored in blocks, and its checkpoint has an earlier epoch."""
        await platform.append(590, "more")
        await platform.store_orders_history("alice")
        await platform.start_services()
        before = await platform.list_orders("alice")
        assert len(before) == 600
        first_page, cursor = await platform.read_orders_page("alice", None)
        assert cursor is not None
        platform.stop_services()
        platform.server.kill()
        platform.server.start()
        assert "EVENTS: epoch" in await asyncio.to_thread(platform.provision)
        await platform.start_services()
        assert await platform.list_orders("alice") == before
        second_page, _ = await platform.read_orders_page("alice", cursor)
        assert [*first_page, *second_page] == before[: len(first_page) + len(second_page)]

    async def test_blocks_of_a_list_are_read_when_their_epoch_was_forgotten(
        self, platform: JournalPlatform
    ) -> None:
        """Full blocks stay as they are, while the list goes on over more restarts than the journal
        remembers."""
        await platform.append(590, "more")
        for prefix in ("later", "latest"):
            await platform.store_orders_history("alice")
            connection = await platform.connect()
            for _ in range(20):
                assert await begin_epoch(connection)
            await connection.close()
            await platform.append(300, prefix)
        await platform.start_services()
        assert len(await platform.list_orders("alice")) == 1200

    async def test_a_restarted_server_is_used_as_before_by_processes_that_survived(
        self, platform: JournalPlatform
    ) -> None:
        await platform.start_services()
        before = await platform.epoch()
        await platform.edge.wait_until_followed(await platform.append(5, "more"))
        platform.server.kill()
        platform.server.start()
        provision_streams(platform.server.url)
        last = await platform.append(1, "after")
        await platform.edge.wait_until_followed(last)
        await wait_ready(platform.orders_url)
        assert await platform.epoch() == before
        assert not platform.edge.find_log_lines("service.held")

    async def test_events_that_are_stored_during_a_check_are_no_loss(
        self, platform: JournalPlatform
    ) -> None:
        """A process saw an event that was stored after the end of the journal had been read."""
        connection = await platform.connect()
        guard = JournalGuard(connection, "test")
        assert await guard.check() is None
        driver = EventLogDriver(connection)
        driver.log = JetStreamEventLog(connection, guard)
        appending = asyncio.create_task(driver.append("alice", *orders_placed(500, "busy")))
        while not appending.done():
            assert await guard.check() is None
        await appending
        await connection.close()

    async def test_a_journal_from_before_the_record_keeps_its_ids(
        self, platform: JournalPlatform
    ) -> None:
        await platform.api("STREAM.DELETE.KV_journal")
        before = await platform.epoch()
        changed = await asyncio.to_thread(platform.provision)
        assert "KV_journal: created" in changed
        assert await platform.epoch() == before
        await platform.start_services()
        await wait_ready(platform.edge.url)

    async def test_the_high_water_mark_follows_the_journal(self, platform: JournalPlatform) -> None:
        await platform.start_services()
        last = await platform.append(5, "more")
        mark: dict[str, Any] = {}

        def reached() -> bool:
            command = ("journal", "status", "--json", "--nats", platform.server.url)
            mark.update(json.loads(run_command(*command)[1])["mark"] or {})
            return bool(mark.get("sequence", 0) >= last)

        await wait_until("the mark is at an event as new", reached, describe_last=lambda: mark)
