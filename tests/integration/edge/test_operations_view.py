"""What an operator sees over HTTP, and why a user saw an event or did not (U5, B7, O4).

The edges are real. Each test puts one thing in the way of an event, and asks for the reason.
"""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tapewire.log import EVERYBODY
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream import journal_admin
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.erasures import append_erasure
from tests.harness.golden_events import golden_event
from tests.harness.publishers import EventLogDriver, hidden_event, order_placed
from tests.harness.waiting import wait_until, wait_until_async

OVERVIEWS = ["/services", "/connections", "/journal"]
EXPLAIN = "/explain?user=alice&event=1"
TOPICS = "/api/stream?topics="
ORDERS = "/api/stream/orders"


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """A second process next to `edge`."""
    return harness.shared_edge(SSE_FLUSH_MS=5)


@pytest.fixture
async def operator(edge: EdgeProcess, fresh: Callable[[str], str]) -> AsyncIterator[Any]:
    """Return a client of an admin."""
    async with edge.client(await edge.sign_in(fresh("operator"), ["admin"])) as client:
        yield client


async def explain(operator: httpx.AsyncClient, user: str, event: object) -> Any:
    params = {"user": user, "event": str(event)}
    answer = await operator.get("/api/operations/explain", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(explanation: Any) -> list[str]:
    return [one["code"] for one in explanation["reasons"]]


async def overview(operator: httpx.AsyncClient, path: str) -> Any:
    answer = await operator.get(f"/api/operations{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", [*OVERVIEWS, EXPLAIN])
async def test_only_admins_see_the_operations(
    edge: EdgeProcess, cookie: str, operator: httpx.AsyncClient, path: str
) -> None:
    for session, status in ((None, 401), (cookie, 403)):
        async with edge.client(session) as http:
            answer = await http.get(f"/api/operations{path}")
        assert answer.status_code == status
    assert (await operator.get(f"/api/operations{path}")).status_code == 200


class TestDelivery:
    async def test_an_event_was_sent_on_connections_of_all_processes(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
    ) -> None:
        async with (
            await edge.open_stream(ORDERS, cookie) as here,
            await other.open_stream(f"{TOPICS}alerts,orders", cookie) as there,
            await other.open_stream("/api/sse/notifications", cookie),
        ):
            for stream in (here, there):
                await stream.read_until("order:update")
            sequence = await journal.append(alice, order_placed("seen"), correlation="c-seen")
            for stream in (here, there):
                await stream.read_until("the order", lambda f: f.id and f.sequence == sequence)
            found = await explain(operator, alice, sequence)
        assert codes(found) == ["sent"]
        assert found["storage"] == "stored"
        event = found["event"]
        assert event["id"] == found["id"] == f"{await journal.epoch()}-{sequence}"
        assert (event["type"], event["owner"]) == ("order.placed.v1", alice)
        assert (event["domain"], event["entity"]) == ("orders", "seen")
        assert event["correlationId"] == "c-seen"
        deliveries = {one["stream"]: one["delivery"] for one in found["connections"]}
        assert deliveries == {"orders": "sent", "topics": "sent", "notifications": "not_shown"}
        assert len({one["instance"] for one in found["connections"]}) == 2
        [topics] = [one for one in found["connections"] if one["stream"] == "topics"]
        assert topics["topics"] == ["alerts", "orders"]
        assert (topics["position"], topics["isLive"], topics["behind"]) == (event["id"], True, 0)
        names = {one["stream"]: one["event"] for one in found["streams"]}
        assert names["orders"] == names["trading"] == names["topics"] == "order:update"
        assert names["all-strategies"] == "ORDER_PLACED"
        assert found["topics"] == ["orders"]

    async def test_connections_that_show_something_else_are_the_reason(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}alerts,items", cookie) as stream:
            await stream.read_until("checkpoint")
            sequence = await journal.append(alice, order_placed("unseen"))
            found = await explain(operator, alice, sequence)
        assert codes(found) == ["not_shown"]
        [connection] = found["connections"]
        assert (connection["delivery"], connection["topics"]) == ("not_shown", ["alerts", "items"])

    async def test_an_event_before_a_connection_started_or_changed_is_in_its_snapshot(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
    ) -> None:
        early = await journal.append(alice, order_placed("early"))
        await edge.wait_until_followed(early)
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            assert codes(await explain(operator, alice, early)) == ["before_start"]
        async with await edge.open_stream(f"{TOPICS}alerts", cookie) as stream:
            await stream.read_until("checkpoint")
            between = await journal.append(alice, order_placed("between"))
            await edge.wait_until_followed(between)
            client_id = stream.frames[1].data["clientId"]
            async with edge.client(cookie) as http:
                body = {"topics": ["orders"]}
                assert (await http.patch(f"/api/stream/{client_id}", json=body)).is_success
            assert codes(await explain(operator, alice, between)) == ["before_start"]

    async def test_a_client_that_does_not_read_is_named_with_what_waits_for_it(
        self, isolated_harness: Harness
    ) -> None:
        edge = isolated_harness.start_edge(SSE_OUTBOX_EVENTS=50, SSE_GZIP="off")
        cookie, admin = await edge.sign_in("alice"), await edge.sign_in("root", ["admin"])
        stream = await edge.connect(ORDERS, cookie, receive_buffer=4096)
        async with stream, isolated_harness.journal() as journal, edge.client(admin) as operator:
            await stream.read_until("order:update")
            stream.pause()
            found: Any = None

            async def is_behind() -> bool:
                nonlocal found
                big = [order_placed(f"{number}", reason="x" * 30_000) for number in range(20)]
                last = await journal.append("alice", *big)
                found = await explain(operator, "alice", last)
                return bool(codes(found)[0] in ("behind", "queued"))

            await wait_until_async("the reader is behind", is_behind)
            [slowest] = (await overview(operator, "/connections"))["slowest"]
            [connection] = found["connections"]
            assert slowest["clientId"] == connection["clientId"]
            assert slowest["outboxBytes"] > 0 or slowest["behind"] > 0


class TestReasons:
    @pytest.mark.parametrize(
        ("domain", "name", "code"),
        [
            ("orders", "order.accepted", "no_connection"),
            ("rules", "rule.armed", "no_connection"),
            ("keys", None, "shown_nowhere"),
            ("executions", "execution.unmatched", "shown_nowhere"),
        ],
    )
    async def test_nobody_who_could_see_it_is_connected(
        self,
        alice: str,
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
        domain: str,
        name: str | None,
        code: str,
    ) -> None:
        event = hidden_event() if name is None else golden_event(name)
        sequence = await journal.append_event(alice, domain, "1", event)
        assert codes(await explain(operator, alice, sequence)) == [code]

    async def test_an_event_of_another_user_is_nothing_to_this_one(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        fresh: Callable[[str], str],
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
    ) -> None:
        bob = fresh("bob")
        async with await edge.open_stream(ORDERS, cookie):
            sequence = await journal.append(bob, order_placed("bobs"))
            found = await explain(operator, alice, sequence)
        assert codes(found) == ["other_user"]
        assert bob in found["reasons"][0]["message"]

    async def test_an_event_for_everybody_is_sent_to_who_shows_it(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        operator: httpx.AsyncClient,
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}items", cookie) as stream:
            await stream.read_until("checkpoint")
            event = golden_event("item.analysed")
            sequence = await journal.append_event(EVERYBODY, "items", "everybody", event)
            await stream.read_until("the item", lambda f: f.id and f.sequence == sequence)
            found = await explain(operator, alice, sequence)
        assert codes(found) == ["sent"]
        assert found["topics"] == ["items"]

    async def test_an_event_of_a_newer_program_cannot_be_read(
        self, alice: str, journal: EventLogDriver, operator: httpx.AsyncClient
    ) -> None:
        subject = f"ev.{alice}.orders.future"
        await journal.connection.request(subject, b"{}", {"Tw-Type": "order.teleported.v1"})
        sequence = await journal.log.last_sequence(subject)
        found = await explain(operator, alice, sequence)
        assert codes(found) == ["unreadable"]
        assert "order.teleported.v1" in found["reasons"][0]["message"]

    async def test_an_id_of_nothing_says_so(
        self, alice: str, journal: EventLogDriver, operator: httpx.AsyncClient
    ) -> None:
        last = await journal.append(alice, order_placed("last"))
        epoch = await journal.epoch()
        for event, code in (
            (last + 1_000_000, "not_stored"),
            (f"{epoch}-{last + 1_000_000}", "not_stored"),
            ("0", "not_stored"),
            (f"eother-{last}", "other_journal"),
        ):
            found = await explain(operator, alice, event)
            assert (codes(found), found["storage"], found["event"]) == ([code], code, None)

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("user=alice", "event"),
            ("event=1", "user"),
            ("user=&event=1", "user"),
            (f"user={'x' * 129}&event=1", "user"),
            ("user=alice&event=nonsense", "event"),
            ("user=alice&event=-1", "event"),
            ("user=alice&event=1767623400000-abc", "event"),
            ("user=alice&event=1&more=2", "more"),
        ],
    )
    async def test_a_bad_question_is_422_with_its_path(
        self, operator: httpx.AsyncClient, query: str, path: str
    ) -> None:
        answer = await operator.get(f"/api/operations/explain?{query}")
        assert (answer.status_code, answer.json()["path"]) == (422, path)

    async def test_a_parked_event_is_named_with_its_error(
        self, alice: str, journal: EventLogDriver, operator: httpx.AsyncClient
    ) -> None:
        sequence = await journal.append(alice, order_placed("parked"))
        [recorded] = await journal.read_user(alice, after=sequence - 1)
        failed = FailedEvent(
            subscription="orders-view",
            sequence=sequence,
            subject=recorded.subject,
            tag=recorded.tag,
            event_id=recorded.metadata.id,
            attempts=10,
            error="ValueError: poisoned",
            failed_at=datetime.now(UTC),
            next_attempt_at=None,
        )
        store = JetStreamFailedEventStore(journal.connection)
        revision = await store.put(failed, 0)
        try:
            found = await explain(operator, alice, sequence)
            assert codes(found) == ["no_connection", "parked"]
            assert "poisoned" in found["reasons"][1]["message"]
            [parked] = found["parked"]
            assert (parked["subscription"], parked["attempts"]) == ("orders-view", 10)
            listed = await overview(operator, "/journal")
            assert [one["sequence"] for one in listed["parked"]] == [sequence]
            assert listed["hasMoreParked"] is False
        finally:
            await store.remove(failed, revision)
        assert codes(await explain(operator, alice, sequence)) == ["no_connection"]

    async def test_archived_and_erased_events_are_told_apart(
        self, isolated_harness: Harness
    ) -> None:
        edge = isolated_harness.start_edge()
        async with (
            isolated_harness.journal() as journal,
            edge.client(await edge.sign_in("root", ["admin"])) as operator,
        ):
            archived = await journal.append("alice", order_placed("archived"))
            await journal.append("alice", order_placed("stays"))
            await journal.purge_through(archived)
            erased = await journal.append("erin", order_placed("erased"))
            await journal.append("alice", order_placed("later"))
            await append_erasure(journal.log, "erin")
            await journal_admin.record_removal(journal.connection, first=archived + 1, removed=1)
            request = json.dumps({"seq": erased}).encode()
            await journal.connection.request("$JS.API.STREAM.MSG.DELETE.EVENTS", request)
            assert codes(await explain(operator, "alice", archived)) == ["archived"]
            assert codes(await explain(operator, "erin", erased)) == ["erased"]
            assert codes(await explain(operator, "alice", erased)) == ["removed"]


class TestProcessesAndServices:
    async def test_a_process_that_does_not_answer_is_named(self, isolated_harness: Harness) -> None:
        one, frozen = isolated_harness.start_edge(), isolated_harness.start_edge()
        async with one.client(await one.sign_in("root", ["admin"])) as operator:

            async def knows_both() -> bool:
                return len((await overview(operator, "/connections"))["processes"]) == 2

            await wait_until_async("they know each other", knows_both)
            frozen.freeze()
            try:
                found = await overview(operator, "/connections")
                assert len(found["processes"]) == len(found["unanswered"]) == 1
                async with isolated_harness.journal() as journal:
                    sequence = await journal.append("alice", order_placed("o"))
                assert (
                    found["unanswered"][0]
                    in (await explain(operator, "alice", sequence))["unanswered"]
                )
            finally:
                frozen.thaw()

    async def test_services_say_how_far_they_are(self, orders_harness: Harness) -> None:
        """Those that do not run are named."""
        edge = orders_harness.shared_edge()
        async with edge.client(await edge.sign_in("root", ["admin"])) as operator:
            found: Any = None

            async def is_even() -> bool:
                nonlocal found
                found = await overview(operator, "/services")
                lags = [one for one in found["lags"] if one["service"] == "orders"]
                return bool(lags) and not any(one["behind"] for one in lags)

            await wait_until_async("orders is even", is_even, describe_last=lambda: found)
        assert {"positions", "strategies", "alerts"} <= set(found["unanswered"])
        assert {one["state"] for one in found["instances"] if one["service"] == "orders"} <= {
            "running",
            "degraded",
        }

    async def test_connections_are_counted_by_stream_user_end_and_reset(
        self, isolated_harness: Harness
    ) -> None:
        here, there = (isolated_harness.start_edge() for _ in range(2))
        cookie = await here.sign_in("alice")
        async with await there.open_stream(ORDERS, cookie, last_event_id="nonsense") as stream:
            await stream.read_until("stream:reset")
        await wait_until("it is closed", lambda: there.find_log_lines("stream.closed"))
        found: Any = None
        async with (
            here.client(await here.sign_in("root", ["admin"])) as operator,
            await here.open_stream(ORDERS, cookie),
            await there.open_stream(ORDERS, cookie),
            await there.open_stream("/api/stream/prices"),
        ):

            async def is_counted() -> bool:
                nonlocal found
                found = await overview(operator, "/connections")
                return bool(found["totalClients"] == 3 and len(found["processes"]) == 2)

            await wait_until_async("all are counted", is_counted, describe_last=lambda: found)
        assert found["byStream"] == {"orders": 2, "prices": 1}
        assert found["byUser"] == [{"userId": "alice", "clientCount": 2}]
        assert found["unanswered"] == []
        assert sum(one["connections"] for one in found["processes"]) == 3
        assert sum(one["resets"].get("malformed", 0) for one in found["processes"]) == 1
        assert sum(one["closed"]["gone"] for one in found["processes"]) == 1

    async def test_the_journal_is_described(
        self, operator: httpx.AsyncClient, alice: str, journal: EventLogDriver
    ) -> None:
        sequence = await journal.append(alice, order_placed("counted"))
        found: Any = None

        async def is_described() -> bool:
            nonlocal found
            found = await overview(operator, "/journal")
            last = found["lastId"]
            return last is not None and int(last.rpartition("-")[2]) >= sequence

        await wait_until_async("the journal is described", is_described)
        assert found["firstId"] == f"{await journal.epoch()}-1"
        assert found["eventCount"] >= 1
        assert found["byteCount"] > 0
