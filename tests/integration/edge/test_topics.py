"""`/api/stream?topics=` has a topic for everything that a page shows (U1)."""

from collections.abc import Callable
from typing import Any

import pytest

from tapewire.events import Event
from tapewire.log import EVERYBODY
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed
from tests.harness.sse import SseStream, has_price
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.integration.edge.test_stream_changes import change, read_through_change

TOPICS = "/api/stream?topics="

EVENTS = [
    # topic, domain, event, the name of its SSE event, and fields of its payload
    ("orders", "orders", "order.accepted", "order:update", {"status"}),
    ("orders", "trades", "trade.executed", "trade:new", {"tradeId"}),
    ("positions", "positions", "position.opened", "position:update", {"positions"}),
    ("ai-decisions", "decisions", "decision.made", "ai:decision", {"reasoning"}),
    ("strategies", "strategies", "strategy.created", "strategy:update", {"change"}),
    ("strategies", "strategies", "strategy.deleted", "strategy:update", {"change"}),
    ("alerts", "alerts", "alert.raised", "alert:new", {"level"}),
    ("alert-rules", "rules", "rule.created", "rule:update", {"ruleId", "armed", "windowSeconds"}),
    ("alert-rules", "rules", "rule.triggered", "rule:update", {"alertId"}),
    ("alert-rules", "rules", "rule.deleted", "rule:update", {"ruleId"}),
    ("notifications", "notifications", "notification.created", "notification", {"is_read"}),
    ("notifications", "notifications", "notification.read", "notification:read", {"ids"}),
    ("configurations", "configurations", "configuration.changed", "configuration:update", {"id"}),
    ("items", "items", "item.analysed", "new_item", {"score"}),
    ("items", "items", "item.retracted", "item:retracted", {"reason"}),
]
SNAPSHOTS = {
    "orders": "order:update",
    "positions": "position:update",
    "notifications": "notification:unread",
}
"""Topics that begin with their current state, and the event that has it."""
CHANGES = {
    "rule.created": "created",
    "rule.triggered": "triggered",
    "rule.deleted": "deleted",
    "strategy.created": "created",
    "strategy.deleted": "deleted",
    "configuration.changed": "changed",
}


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """A second process next to `edge`."""
    return harness.shared_edge(SSE_FLUSH_MS=5)


async def read_event(stream: SseStream, sequence: int) -> Any:
    return await stream.read_until(
        f"the event {sequence}", lambda frame: frame.id and frame.sequence >= sequence
    )


def _event(name: str) -> Event:
    return golden_event(name)


class TestTopics:
    async def test_each_topic_is_added_with_its_snapshot_shown_and_removed(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """On one connection, whose ids stay increasing. While the topic is not shown, nothing of
        it arrives, and the client's position moves on all the same."""
        async with await edge.open_stream(f"{TOPICS}account", cookie) as stream:
            for number, (topic, domain, name, sse_name, fields) in enumerate(EVENTS):
                owner = EVERYBODY if domain == "items" else alice
                before = await journal.append_event(owner, domain, f"b{number}", _event(name))
                await edge.wait_until_followed(before)
                await change(edge, cookie, stream, topics=["account", topic])
                initial = await read_through_change(stream)
                names = [one.event for one in initial]
                assert SNAPSHOTS.get(topic, sse_name) in names, (topic, names)
                assert all(one.id is None for one in initial[:-1])
                last = await journal.append_event(owner, domain, f"l{number}", _event(name))
                frame = await read_event(stream, last)
                assert (frame.sequence, frame.event) == (last, sse_name)
                assert fields <= frame.data.keys()
                assert frame.data.get("change") == CHANGES.get(name)
                await change(edge, cookie, stream, topics=["account"])
                await read_through_change(stream)
                await journal.append_event(owner, domain, f"u{number}", _event(name))
            await change(edge, cookie, stream, topics=["alerts"])
            await read_through_change(stream)
            delivered = [one for one in stream.frames if one.id and one.event != "stream:updated"]
            assert [one.event for one in delivered] == [one[3] for one in EVENTS]
            ids = stream.sequences
            assert ids == sorted(set(ids))

    async def test_notifications_and_items_have_the_payloads_of_their_own_streams(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """One client type serves both."""
        paths = {
            "notifications": "/api/sse/notifications",
            "items": "/api/v2/stream",
        }
        for topic, path in paths.items():
            for domain, name in [(one[1], one[2]) for one in EVENTS if one[0] == topic]:
                owner = EVERYBODY if domain == "items" else alice
                async with (
                    await edge.open_stream(f"{TOPICS}{topic}", cookie) as shared,
                    await edge.open_stream(path, cookie) as own,
                ):
                    last = await journal.append_event(owner, domain, "same", _event(name))
                    frames = [await read_event(stream, last) for stream in (shared, own)]
                    assert frames[0].raw == frames[1].raw

    async def test_values_of_one_connection_have_names_of_their_own(
        self, edge: EdgeProcess, cookie: str, journal: EventLogDriver
    ) -> None:
        """The counts of connections and the metrics of items are both `metrics` elsewhere."""
        item = await journal.append_event(EVERYBODY, "items", "m", golden_event("item.analysed"))
        await edge.wait_until_followed(item)
        async with await edge.open_stream(f"{TOPICS}connections,item-metrics", cookie) as stream:
            counts = await stream.read_until("metrics")
            assert counts.data["totalClients"] >= 1
            metrics = await stream.read_until("item:metrics")
            assert metrics.data["total"] >= 1
            assert counts.id is metrics.id is None

    async def test_a_busy_topic_hides_no_recent_event_of_another(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        await journal.append_event(
            alice, "alerts", "a", golden_event("alert.raised", alertId="early")
        )
        for number in range(120):
            decision = golden_event("decision.made", decisionId=f"d{number}")
            last = await journal.append_event(alice, "decisions", f"{number}", decision)
        await edge.wait_until_followed(last)
        async with await edge.open_stream(f"{TOPICS}alerts,ai-decisions", cookie) as stream:
            await stream.read_until("checkpoint")
            recent = stream.frames[2:-1]
        assert recent[0].data["alertId"] == "early"
        assert [one.data["decisionId"] for one in recent[1:]] == [
            f"d{number}" for number in range(20, 120)
        ]

    async def test_more_symbols_than_a_hundred_fit_on_one_stream(
        self, edge: EdgeProcess, cookie: str, fresh: Callable[[str], str]
    ) -> None:
        wanted = [f"prices:{fresh('MANY').upper()}" for _ in range(500)]
        wanted.append(f"bars:{'X' * 64}:1m")
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            answer = await change(edge, cookie, stream, topics=["orders", *wanted])
            assert len(answer["symbols"]) == 500

    async def test_symbols_in_the_query_narrow_prices_that_name_none(
        self, edge: EdgeProcess, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        wanted, other = fresh("SHOWN").upper(), fresh("HIDDEN").upper()
        for symbol in (wanted, other):
            await market.publish(symbol, 70)
        await edge.wait_for_quotes(wanted, other)
        async with await edge.open_stream(f"{TOPICS}prices&symbols={wanted}") as stream:
            first = await stream.read_until("price:update")
            assert [one["symbol"] for one in first.data["prices"]] == [wanted]
        async with await edge.open_stream(f"{TOPICS}prices:{other}&symbols={wanted}") as stream:
            first = await stream.read_until("price:update")
            assert [one["symbol"] for one in first.data["prices"]] == [other]


class TestResuming:
    @pytest.mark.parametrize("topic", ["notifications", "alert-rules", "items", "configurations"])
    async def test_a_client_resumes_with_the_changed_topics_where_it_was(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver, topic: str
    ) -> None:
        """By a stream and by long-polling: all that it missed, once."""
        [domain, name] = next(one[1:3] for one in EVENTS if one[0] == topic)
        owner = EVERYBODY if domain == "items" else alice
        async with await edge.open_stream(f"{TOPICS}prices:NONE", cookie) as stream:
            await journal.append_event(owner, domain, "1", _event(name))
            await change(edge, cookie, stream, topics=["orders", topic])
            updated = (await read_through_change(stream))[-1]
            assert updated.id is not None
        missed = [
            await journal.append_event(owner, domain, f"{number}", _event(name))
            for number in range(3)
        ]
        missed.append(await journal.append(alice, order_placed("missed")))
        path = f"{TOPICS}{topic},orders"
        async with await edge.open_stream(path, cookie, last_event_id=updated.id) as stream:
            await read_event(stream, missed[-1])
            assert stream.sequences == missed
        async with edge.client(cookie) as http:
            headers = {"Accept": "application/json", "Last-Event-ID": updated.id}
            document = (await http.get(path, headers=headers)).json()
        ids = [int(one["id"].rpartition("-")[2]) for one in document["events"]]
        assert ids == missed
        assert document["lastEventId"].endswith(f"-{missed[-1]}")

    async def test_a_connection_lost_before_the_change_was_confirmed_misses_nothing(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """The id that the client has is of the old topics: what is resumed with the new ones has
        every event of both after it."""
        first = await journal.append(alice, order_placed("first"))
        await edge.wait_until_followed(first)
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            known = await stream.read_until("order:update")
            assert known.id is not None
        missed = await journal.append_event(alice, "rules", "r", golden_event("rule.armed"))
        path = f"{TOPICS}orders,alert-rules"
        async with await edge.open_stream(path, cookie, last_event_id=known.id) as stream:
            assert (await stream.read_until("rule:update")).sequence == missed


def _status(instance: str, state: str) -> Event:
    return golden_event("agent.status", service="strategies", instance=instance, state=state)


class TestServices:
    """The topic `agents` begins with the present state of each process."""

    async def _append(
        self, edge: EdgeProcess, journal: EventLogDriver, instance: str, *states: str
    ) -> None:
        for state in states:
            last = await journal.append_event(
                EVERYBODY, "agents", instance, _status(instance, state)
            )
        await edge.wait_until_followed(last)

    async def test_with_a_session_as_a_snapshot_with_an_id_that_live_events_follow(
        self,
        edge: EdgeProcess,
        cookie: str,
        journal: EventLogDriver,
        fresh: Callable[[str], str],
    ) -> None:
        old, new = fresh("old"), fresh("new")
        await self._append(edge, journal, old, "starting", "degraded")
        async with await edge.open_stream(f"{TOPICS}agents", cookie) as stream:
            await stream.read_until("checkpoint")
            statuses = [one.data for one in stream.frames if one.event == "agent:status"]
            assert [one["state"] for one in statuses if one["instance"] == old] == ["degraded"]
            assert all(one.id is None for one in stream.frames if one.event == "agent:status")
            position = stream.sequences[-1]
            await self._append(edge, journal, new, "running")
            live = await stream.read_until(
                "the new process", lambda one: one.data.get("instance") == new
            )
            assert live.sequence > position
        # A stream that resumes is sent what it does not have.
        resumed = await edge.open_stream(f"{TOPICS}agents", cookie, last_event_id=stream.last_id)
        async with resumed as stream:
            await self._append(edge, journal, new, "stopped")
            frame = await stream.read_until("agent:status")
            assert (frame.data["instance"], frame.data["state"]) == (new, "stopped")

    async def test_without_a_session_in_public(
        self, edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str]
    ) -> None:
        """Also on a stream that begins with events, and after the process changes again."""
        service = fresh("svc")
        event = golden_event("agent.status", service=service, instance="host-7", state="degraded")
        await edge.wait_until_followed(
            await journal.append_event(EVERYBODY, "agents", service, event)
        )
        for topics in ("agents", "agents,items", "connections,agents"):
            async with await edge.open_stream(f"{TOPICS}{topics}") as stream:
                frame = await stream.read_until(
                    "the process", lambda one: one.data.get("service") == service
                )
                assert frame.data["state"] == "degraded"
                assert frame.data.keys() == {"service", "instance", "state", "timestamp"}
                assert (frame.id, frame.data["instance"] == "host-7") == (None, False)

    async def test_when_the_topic_is_added(
        self,
        edge: EdgeProcess,
        cookie: str,
        journal: EventLogDriver,
        fresh: Callable[[str], str],
    ) -> None:
        instance = fresh("added")
        await self._append(edge, journal, instance, "running")
        async with await edge.open_stream(f"{TOPICS}account", cookie) as stream:
            await change(edge, cookie, stream, topics=["account", "agents"])
            statuses = [
                one for one in await read_through_change(stream) if one.event == "agent:status"
            ]
            assert instance in [one.data["instance"] for one in statuses]

    @pytest.mark.parametrize("is_signed_in", [True, False])
    async def test_of_a_long_poll(
        self,
        edge: EdgeProcess,
        cookie: str,
        journal: EventLogDriver,
        fresh: Callable[[str], str],
        is_signed_in: bool,
    ) -> None:
        service = fresh("polled")
        event = golden_event("agent.status", service=service, instance="a", state="running")
        await edge.wait_until_followed(
            await journal.append_event(EVERYBODY, "agents", service, event)
        )
        async with edge.client(cookie if is_signed_in else None) as http:
            answer = await http.get(
                f"{TOPICS}agents&wait=5", headers={"Accept": "application/json"}
            )
        events = answer.json()["events"]
        assert service in [one["data"].get("service") for one in events]
        assert is_signed_in or {one["id"] for one in events} == {None}


class TestAccess:
    async def test_public_topics_need_no_session(
        self,
        edge: EdgeProcess,
        journal: EventLogDriver,
        market: QuoteDriver,
        fresh: Callable[[str], str],
    ) -> None:
        symbol = fresh("OPEN").upper()
        await market.publish(symbol, 70)
        await edge.wait_for_quotes(symbol)
        topics = f"prices:{symbol},bars:{symbol}:1m,items,item-metrics,connections,agents"
        async with await edge.open_stream(f"{TOPICS}{topics}") as stream:
            first = await stream.read_until("price:update")
            assert has_price(first, 70, symbol) or first.data["prices"][0]["price"] == 70
            await stream.read_until("checkpoint")
            item = await journal.append_event(
                EVERYBODY, "items", "open", golden_event("item.analysed")
            )
            assert (await read_event(stream, item)).event == "new_item"
            await journal.append_event(EVERYBODY, "agents", "a", golden_event("agent.status"))
            status = await stream.read_until("agent:status")
            assert status.id is None
            assert status.data.keys() == {"service", "instance", "state", "timestamp"}

    @pytest.mark.parametrize(
        ("topics", "private"),
        [
            ("orders", None),
            ("notifications,alert-rules", None),
            ("orders,prices", ["orders"]),
            (
                "items,notifications,item-metrics,configurations",
                ["notifications", "configurations"],
            ),
            ("agents,alert-rules", ["alert-rules"]),
        ],
    )
    async def test_a_private_topic_without_a_session_is_refused_by_name(
        self, edge: EdgeProcess, topics: str, private: list[str] | None
    ) -> None:
        status, body = await read_refusal(await edge.connect(f"{TOPICS}{topics}"))
        named = {} if private is None else {"path": "topics", "value": private}
        assert (status, body) == (401, {**UNAUTHORIZED, **named})

    async def test_nothing_private_arrives_on_a_public_stream_of_a_user(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}items", cookie) as stream:
            await stream.read_until("checkpoint")
            for topic, domain, name, *_ in EVENTS:
                if topic != "items":
                    await journal.append_event(alice, domain, "x", _event(name))
            last = await journal.append_event(
                EVERYBODY, "items", "x", golden_event("item.analysed")
            )
            assert (await stream.read_numbered()).sequence == last

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_counts_that_show_users_end_with_the_session_of_the_admin(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        fresh: Callable[[str], str],
        is_remote: bool,
    ) -> None:
        """As if the stream had been opened with them."""
        user = fresh("admin")
        cookie = await edge.sign_in(user, ["admin"])
        async with await edge.open_stream(f"{TOPICS}prices:NONE", cookie) as stream:
            target = other if is_remote else edge
            await change(target, cookie, stream, topics=["prices:NONE", "connections"])
            counts = await stream.read_until("metrics")
            assert user in {one["userId"] for one in counts.data["clientsPerUser"]}
            async with edge.client(cookie) as http:
                assert (await http.delete("/api/session")).status_code == 204
            await stream.read_until("auth:expired")

    async def test_counts_show_no_users_to_others(self, edge: EdgeProcess, cookie: str) -> None:
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            await change(edge, cookie, stream, topics=["orders", "connections"])
            assert "clientsPerUser" not in (await stream.read_until("metrics")).data
