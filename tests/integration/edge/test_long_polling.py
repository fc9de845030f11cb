"""Long-polling: every stream as JSON documents, with the same ids and events (W5).

`poll` asks once. A client that repeats it with the last id knows what a stream would have told it.
"""

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import (
    EventLogDriver,
    QuoteDriver,
    hidden_event,
    order_placed,
    order_rejected,
    orders_placed,
)
from tests.harness.sse import Frame
from tests.harness.stream_assertions import UNAUTHORIZED
from tests.harness.waiting import wait_until
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument
from tests.integration.edge.stream_cases import (
    DOMAINS,
    UNIQUE_STREAM_CASES,
    StreamCase,
    open_stream,
)
from tests.integration.edge.user_scenario import UserScenario

ORDERS = "/api/stream/orders"
PRICES = "/api/stream/prices"
JSON = {"Accept": "application/json"}
LONG_SECONDS = 30


async def request(
    edge: EdgeProcess,
    path: str,
    cookie: str | None = None,
    last_event_id: str | None = None,
    **more: str,
) -> Any:
    headers = {**JSON, **more}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with edge.client(cookie) as http:
        return await http.get(path, headers=headers)


async def poll(edge: EdgeProcess, path: str, cookie: str | None = None, *how: str) -> Any:
    answer = await request(edge, path, cookie, *how)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def names(document: Any) -> list[str]:
    return [one["event"] for one in document["events"]]


def as_frames(document: Any) -> list[Frame]:
    return [
        Frame(raw=b"", event=one["event"], data=one["data"], id=one["id"])
        for one in document["events"]
    ]


def _new_ids(frames: list[Frame]) -> list[str]:
    """The ids of events, without those of a snapshot."""
    return [
        frame.id
        for frame in frames
        if frame.id is not None
        and frame.event not in ("checkpoint", "initial_state", "notification:unread")
        and not frame.data.get("snapshot")
    ]


class TestAnswers:
    async def test_without_an_id_the_answer_is_the_snapshot(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        last = await journal.append(alice, order_placed("there"))
        await edge.wait_until_followed(last)
        document = await poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie)
        assert names(document) == ["connected", "order:update"]
        snapshot = document["events"][-1]
        assert [order["orderId"] for order in snapshot["data"]["orders"]] == ["there"]
        assert document["lastEventId"] == snapshot["id"] == f"{await journal.epoch()}-{last}"
        assert document["retry"] == 0

    async def test_an_event_after_the_id_answers_a_waiting_poll(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        first = await poll(edge, ORDERS, cookie)
        opened = len(edge.find_log_lines("stream.opened"))
        waiting = asyncio.create_task(
            poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie, first["lastEventId"])
        )
        await wait_until(
            "the poll waits", lambda: len(edge.find_log_lines("stream.opened")) > opened
        )
        started = time.monotonic()
        last = await journal.append(alice, order_placed("news"))
        document = await waiting
        assert time.monotonic() - started < LONG_SECONDS / 2
        assert [one["data"]["orderId"] for one in document["events"]] == ["news"]
        assert document["lastEventId"] == document["events"][0]["id"]
        assert document["lastEventId"].endswith(f"-{last}")

    @pytest.mark.parametrize("wait", ["0", "0.3"])
    async def test_a_poll_without_news_is_empty_after_its_time(
        self, edge: EdgeProcess, cookie: str, wait: str
    ) -> None:
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        started = time.monotonic()
        document = await poll(edge, f"{ORDERS}?wait={wait}", cookie, id_)
        assert document == {"events": [], "lastEventId": id_, "retry": 0}
        assert time.monotonic() - started >= float(wait)

    async def test_a_poll_that_does_not_wait_has_the_events_that_are_there(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        last = await journal.append(alice, *orders_placed(3))
        await edge.wait_until_followed(last)
        document = await poll(edge, f"{ORDERS}?wait=0", cookie, id_)
        assert [one["data"]["orderId"] for one in document["events"]] == ["o-0", "o-1", "o-2"]

    async def test_the_id_moves_on_over_events_that_the_stream_does_not_show(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        last = await journal.append_event(alice, "notifications", "n", hidden_event())
        await edge.wait_until_followed(last)
        document = await poll(edge, f"{ORDERS}?wait=0", cookie, id_)
        assert document["events"] == []
        assert document["lastEventId"].endswith(f"-{last}")

    async def test_wait_alone_asks_for_a_document(self, edge: EdgeProcess, cookie: str) -> None:
        async with edge.client(cookie) as http:
            answer = await http.get(f"{ORDERS}?wait=0", headers={"Accept": "*/*"})
        assert names(answer.json()) == ["connected", "order:update"]

    async def test_a_client_that_names_event_streams_gets_one(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async with await edge.open_stream(f"{ORDERS}?wait=5", cookie) as stream:
            assert stream.header("content-type") == "text/event-stream"

    async def test_a_long_absence_is_read_in_pieces(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        """More than one answer may hold, of which the log tail has only the newest."""
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        appended = [
            await journal.append(alice, order_rejected(f"big-{number}", reason="x" * 8000))
            for number in range(120)
        ]
        await edge.wait_until_followed(appended[-1])
        seen: list[int] = []
        sizes: list[int] = []
        while not seen or seen[-1] < appended[-1]:
            answer = await request(edge, f"{ORDERS}?wait=0", cookie, id_)
            sizes.append(len(answer.content))
            document = answer.json()
            seen += [int(one["id"].rpartition("-")[2]) for one in document["events"]]
            id_ = document["lastEventId"]
        assert seen == appended
        assert max(sizes) < 2_000_000


class TestEveryStream:
    @pytest.fixture
    async def scenario(self, journal: EventLogDriver, fresh: Callable[[str], str]) -> UserScenario:
        made = UserScenario(journal, fresh("polly"))
        await made.create_strategy_and_configuration()
        for domain in DOMAINS:
            await made.append_event(domain, 0)
        return made

    @pytest.mark.parametrize("row", UNIQUE_STREAM_CASES, ids=repr)
    async def test_polls_give_the_state_and_the_ids_of_the_stream(
        self, edge: EdgeProcess, scenario: UserScenario, row: StreamCase
    ) -> None:
        """Polls and a stream are read side by side, over events that come between the polls."""
        cookie = await edge.sign_in(scenario.user)
        path = row.path_for(scenario)
        events = await scenario.visible_events()
        await edge.wait_until_followed(events[-1].sequence)
        async with await open_stream(edge, path, cookie) as stream:
            document = await poll(edge, path, cookie)
            polled = as_frames(document)
            last = 0
            for number in (2, 4, 6):
                last = await scenario.append_event(row.domain, number)
                await edge.wait_until_followed(last)
                joint = "&" if "?" in path else "?"
                while int(document["lastEventId"].rpartition("-")[2]) < last:
                    document = await poll(
                        edge, f"{path}{joint}wait=5", cookie, document["lastEventId"]
                    )
                    polled += as_frames(document)
            streamed = [*stream.frames]
            while streamed[-1].id is None or streamed[-1].sequence < last:
                streamed.append(await stream.read())
        assert _new_ids(polled) == _new_ids(streamed)
        assert row.from_frames(polled) == row.from_frames(streamed)

    async def test_a_poll_and_a_stream_continue_one_another(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        document = await poll(edge, ORDERS, cookie)
        first = await journal.append(alice, order_placed("by-stream"))
        async with await edge.open_stream(
            ORDERS, cookie, last_event_id=document["lastEventId"]
        ) as stream:
            frame = await stream.read_until("order:update")
            assert frame.sequence == first
        await journal.append(alice, order_placed("by-poll"))
        document = await poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie, str(frame.id))
        assert [one["data"]["orderId"] for one in document["events"]] == ["by-poll"]

    @pytest.mark.parametrize("path", [ORDERS, PRICES, "/api/v2/stream", "/api/stream/metrics"])
    async def test_answers_are_as_documented(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver, path: str
    ) -> None:
        async with edge.client() as http:
            described = OpenApiDocument((await http.get(OPENAPI_PATH)).json())
        document = await poll(edge, f"{path}?wait=1", cookie)
        await journal.append(alice, order_placed("documented"))
        more = await poll(edge, f"{path}?wait=1", cookie, document["lastEventId"])
        for answer in (document, more):
            described.assert_poll_documented(path, answer)
        with pytest.raises(AssertionError):
            described.assert_poll_documented(path, {**more, "other": 1})


class TestValues:
    async def test_each_poll_of_prices_has_the_newest(
        self, edge: EdgeProcess, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        symbol = fresh("POLL").upper()
        for ask in (100, 101, 102):
            await market.publish(symbol, ask)
        path = f"{PRICES}?symbols={symbol}&wait=5"
        document, prices = await poll(edge, path), None
        async with asyncio.timeout(60):
            while prices != [102]:  # the edge receives quotes a moment later
                document = await poll(edge, path, None, document["lastEventId"])
                prices = [one["price"] for one in document["events"][0]["data"]["prices"]]
        assert names(document) == ["price:update"]
        assert document["retry"] == 1000

    async def test_a_client_that_asks_for_fewer_values_is_asked_to_poll_as_rarely(
        self, edge: EdgeProcess
    ) -> None:
        assert (await poll(edge, f"{PRICES}?maxRate=0.2"))["retry"] == 5000


class TestResets:
    @pytest.mark.parametrize("id_", ["nonsense", "zz9-7"])
    async def test_an_id_that_cannot_be_honoured_is_answered_by_a_reset_and_a_snapshot(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver, id_: str
    ) -> None:
        last = await journal.append(alice, order_placed("there"))
        await edge.wait_until_followed(last)
        document = await poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie, id_)
        assert names(document) == ["stream:reset", "order:update"]
        assert document["events"][0]["data"]["requestedId"] == id_
        assert document["lastEventId"].endswith(f"-{last}")

    async def test_the_end_of_a_replay_is_in_the_answer_and_then_204(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        last = await journal.append(alice, *orders_placed(2))
        until = f"{await journal.epoch()}-{last}"
        document = await poll(edge, f"{ORDERS}?until={until}", cookie, id_)
        assert names(document) == ["order:update", "order:update", "replay:complete"]
        again = await request(edge, f"{ORDERS}?until={until}", cookie, document["lastEventId"])
        assert again.status_code == 204


class TestRejections:
    @pytest.mark.parametrize("wait", ["-1", "31", "1e1", "nan", "", "5s", "٣"])
    async def test_a_wait_that_is_out_of_range_is_422_with_its_path(
        self, edge: EdgeProcess, cookie: str, wait: str
    ) -> None:
        async with edge.client(cookie) as http:
            answer = await http.get(ORDERS, params={"wait": wait}, headers=JSON)
        assert (answer.status_code, answer.json()["path"]) == (422, "wait")
        assert answer.json()["value"] == wait

    async def test_a_poll_without_a_session_is_401(self, edge: EdgeProcess) -> None:
        answer = await request(edge, ORDERS)
        assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)

    @pytest.mark.parametrize("method", ["HEAD", "POST"])
    async def test_other_methods_are_rejected_as_on_streams(
        self, edge: EdgeProcess, cookie: str, method: str
    ) -> None:
        async with edge.client(cookie) as http:
            answer = await http.request(method, ORDERS, headers=JSON)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, OPTIONS"

    async def test_a_revoked_session_ends_a_waiting_poll(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        opened = len(edge.find_log_lines("stream.opened"))
        waiting = asyncio.create_task(poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie, id_))
        await wait_until(
            "the poll waits", lambda: len(edge.find_log_lines("stream.opened")) > opened
        )
        async with edge.client(cookie) as http:
            assert (await http.delete("/api/session")).status_code == 204
        assert names(await waiting) == ["auth:expired"]


class TestOutages:
    async def test_a_poll_that_cannot_read_its_snapshot_is_503_and_not_half_of_it(
        self, isolated_harness: Harness
    ) -> None:
        """Without a session, because sessions cannot be read either. Regression: the client took
        the answer for everything, and what came later for old."""
        edge = isolated_harness.start_edge()
        path = "/api/stream?topics=items,prices:IBM&wait=1"
        id_ = (await poll(edge, path))["lastEventId"]
        isolated_harness.broker.freeze()
        try:
            refused = await request(edge, path)
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["retry-after"]) >= 1
            assert (await poll(edge, path, None, id_))["lastEventId"] == id_
            values = await poll(edge, "/api/stream?topics=prices:IBM&wait=1")
            assert names(values)[0] == "connected"
        finally:
            isolated_harness.broker.thaw()
        assert (await poll(edge, path))["lastEventId"] == id_


class TestLimits:
    _addresses = itertools.count(1)

    @pytest.fixture
    def strict(self, harness: Harness) -> EdgeProcess:
        return harness.shared_edge(
            SSE_CONNECT_RATE=5, SSE_MAX_CONNECTIONS=2, TAPEWIRE_TRUSTED_PROXIES="127.0.0.1"
        )

    @pytest.fixture
    def address(self) -> dict[str, str]:
        return {"X-Forwarded-For": f"198.51.102.{next(self._addresses)}"}

    async def test_polling_on_is_no_new_attempt(
        self, strict: EdgeProcess, address: dict[str, str]
    ) -> None:
        """Neither of public streams, whose clients have no session, nor of a user's."""
        cookie = await strict.sign_in("alice")
        for path, session in ((PRICES, None), (ORDERS, cookie)):
            id_ = (await request(strict, path, session, **address)).json()["lastEventId"]
            for _ in range(20):
                answer = await request(strict, f"{path}?wait=0", session, id_, **address)
                assert answer.status_code == 200
                id_ = answer.json()["lastEventId"]

    async def test_polls_without_an_id_are_attempts(
        self, strict: EdgeProcess, address: dict[str, str]
    ) -> None:
        statuses = [(await request(strict, PRICES, **address)).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]

    async def test_a_waiting_poll_is_a_connection_of_its_user(
        self, harness: Harness, alice: str
    ) -> None:
        edge = harness.shared_edge(SSE_MAX_CONNECTIONS_PER_USER=1)
        cookie = await edge.sign_in(alice)
        id_ = (await poll(edge, ORDERS, cookie))["lastEventId"]
        opened = len(edge.find_log_lines("stream.opened"))
        waiting = asyncio.create_task(poll(edge, f"{ORDERS}?wait={LONG_SECONDS}", cookie, id_))
        await wait_until(
            "the poll waits", lambda: len(edge.find_log_lines("stream.opened")) > opened
        )
        async with await edge.open_stream(ORDERS, cookie):
            assert names(await waiting) == ["connection:limit"]


class TestHeaders:
    async def test_an_answer_is_compressed_for_a_client_that_accepts_it(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async with await edge.connect(
            ORDERS, cookie, headers={**JSON, "Accept-Encoding": "gzip"}
        ) as answer:
            assert answer.status == 200
        async with (
            edge.client(cookie) as http,
            http.stream("GET", ORDERS, headers={**JSON, "Accept-Encoding": "gzip"}) as answer_,
        ):
            raw = b"".join([chunk async for chunk in answer_.aiter_raw()])
        assert answer_.headers["content-encoding"] == "gzip"
        assert names(json.loads(gzip.decompress(raw))) == ["connected", "order:update"]
        assert {"Accept", "Accept-Encoding"} <= {*answer_.headers["vary"].split(", ")}
        assert answer_.headers["cache-control"] == "no-store"

    async def test_the_correlation_id_is_returned_and_logged(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        answer = await request(edge, ORDERS, cookie, **{"X-Correlation-ID": "poll-7"})
        assert answer.headers["x-correlation-id"] == "poll-7"
        [line] = edge.find_log_lines("stream.closed", correlation_id="poll-7")
        assert line["reason"] == "polled"

    async def test_a_ticket_opens_a_poll_and_sets_the_cookie(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async with edge.client(cookie) as http:
            ticket = (await http.post("/api/stream/ticket")).json()["ticket"]
        answer = await request(edge, f"{ORDERS}?ticket={ticket}")
        assert names(answer.json()) == ["connected", "order:update"]
        assert answer.headers["set-cookie"].startswith("session=")


class TestMetrics:
    async def test_a_plain_get_is_the_document_of_totals(self, edge: EdgeProcess) -> None:
        document = await poll(edge, "/api/stream/metrics")
        assert "totalClients" in document

    async def test_with_wait_it_is_a_poll_of_the_stream(self, edge: EdgeProcess) -> None:
        document = await poll(edge, "/api/stream/metrics?wait=5")
        assert names(document) == ["connected", "metrics"]
        assert document["events"][1]["data"]["totalClients"] >= 1
