"""Guarantees that hold across all edge processes, tested through the balancer: limits, revocation,
tickets, the admin test event, counts, drain, and resuming at another process."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from http.cookies import SimpleCookie
from typing import Any

from tests.balancer.conftest import MAX_USER_CONNECTIONS
from tests.balancer.fleet import EdgeFleet, client_id_of
from tests.harness.publishers import EventLogDriver, orders_placed
from tests.harness.sse import Frame, SseStream, StreamEnded
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal, read_through
from tests.harness.waiting import wait_until

ORDERS_PATH = "/api/stream/orders"
PROPAGATION_TIMEOUT_SECONDS = 30.0
NOTICE_TIMEOUT_SECONDS = 20.0
"""Less than the half minute after which an edge checks by itself."""


async def open_on_every_edge(
    fleet: EdgeFleet, open_stream: Any, opened_streams: Any
) -> dict[int, SseStream]:
    """Open streams with `open_stream` until every process serves one of them. The exit stack
    `opened_streams` closes them."""
    streams: dict[int, SseStream] = {}
    while len(streams) < len(fleet.edges):
        stream = await opened_streams.enter_async_context(await open_stream())
        streams.setdefault(fleet.find_edge_of(client_id_of(stream)), stream)
    return streams


async def wait_for_answer(request: Any, expected: Any) -> None:
    """Repeat the request until its result is `expected`."""
    seen = None
    try:
        async with asyncio.timeout(PROPAGATION_TIMEOUT_SECONDS):
            while seen != expected:
                seen = await request()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(
            f"not within {PROPAGATION_TIMEOUT_SECONDS:g} s: {expected}; last: {seen}"
        ) from None


async def read_to_end(stream: SseStream) -> StreamEnded:
    """Read to the end of the stream and return the error that ends it."""
    try:
        while True:
            await stream.read(seconds=PROPAGATION_TIMEOUT_SECONDS)
    except StreamEnded as end:
        return end


class TestUserStreams:
    async def test_connection_limit_spans_processes_and_closes_the_oldest_stream(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        cookie = await fleet.sign_in(fresh("alice"))
        streams = []
        async with AsyncExitStack() as opened:
            for _ in range(MAX_USER_CONNECTIONS + len(fleet.edges)):
                stream = await opened.enter_async_context(
                    await fleet.open_stream(ORDERS_PATH, cookie)
                )
                await stream.read_until("order:update")
                streams.append(stream)
                if len(streams) > MAX_USER_CONNECTIONS:
                    oldest = streams[len(streams) - MAX_USER_CONNECTIONS - 1]
                    *_, last = await oldest.read_to_end(seconds=PROPAGATION_TIMEOUT_SECONDS)
                    assert last.event == "connection:limit"
                    assert last.data == {"reason": "limit", "limit": MAX_USER_CONNECTIONS}
            assert len({fleet.find_edge_of(client_id_of(stream)) for stream in streams}) > 1

    async def test_sign_out_ends_the_users_streams_on_every_process(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """Uses several users, because one user may not have a stream on each of four processes."""
        async with AsyncExitStack() as opened:
            users = [await fleet.sign_in(fresh("alice")) for _ in fleet.edges]
            cookies = iter(users * 50)
            streams = await open_on_every_edge(
                fleet, lambda: fleet.open_stream(ORDERS_PATH, next(cookies)), opened
            )
            for stream in streams.values():
                await stream.read_until("order:update")
            for cookie in users:
                async with fleet.client(cookie) as http:
                    assert (await http.delete("/api/session")).status_code == 204
            for stream in streams.values():
                *_, last = await stream.read_to_end(seconds=NOTICE_TIMEOUT_SECONDS)
                assert (last.event, last.data) == ("auth:expired", {"reason": "revoked"})
            for cookie in users:
                for _ in fleet.edges:
                    answer = await fleet.connect(ORDERS_PATH, cookie)
                    assert await read_refusal(answer) == (401, UNAUTHORIZED)

    async def test_ticket_opens_one_stream_on_any_process(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        alice = fresh("alice")
        cookie = await fleet.sign_in(alice)
        for _ in range(len(fleet.edges) + 1):
            async with fleet.client(cookie) as http:
                made = (await http.post("/api/stream/ticket")).json()["ticket"]
            path = f"{ORDERS_PATH}?ticket={made}"
            attempts = [fleet.connect(path) for _ in range(2 * len(fleet.edges))]
            answers = await asyncio.gather(*attempts)
            async with AsyncExitStack() as opened:
                for answer in answers:
                    await opened.enter_async_context(answer)
                statuses = sorted(answer.status for answer in answers)
                assert statuses == [200] + [401] * (len(answers) - 1)
                (entered,) = [answer for answer in answers if answer.status == 200]
                given = SimpleCookie(entered.header("set-cookie"))["session"].value
            for _ in fleet.edges:  # an EventSource reconnects with the same URL and the cookie
                async with await fleet.open_stream(path, given) as stream:
                    assert stream.frames[-1].data["userId"] == alice

    async def test_stream_resumes_on_any_process(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        alice = fresh("alice")
        cookie = await fleet.sign_in(alice)
        async with fleet.harness.journal() as journal, AsyncExitStack() as opened:
            await journal.append(alice, *orders_placed(3))
            stream = await opened.enter_async_context(await fleet.open_stream(ORDERS_PATH, cookie))
            last, served = (await stream.read_until("order:update")).id, set()
            for round_ in range(4 * len(fleet.edges)):
                wanted = [
                    await journal.append(alice, *orders_placed(1, f"r{round_}-{number}"))
                    for number in range(3)
                ]
                # The earlier streams stay open, so the next one goes to another process.
                stream = await opened.enter_async_context(
                    await fleet.open_stream(ORDERS_PATH, cookie, last_event_id=last)
                )
                assert await read_through(stream, wanted[-1]) == wanted
                served.add(fleet.find_edge_of(client_id_of(stream)))
                last = stream.last_id
            assert served == {*range(len(fleet.edges))}


class TestAdminAndCounts:
    async def test_admin_test_event_reaches_every_stream_on_every_process_once(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        root = await fleet.sign_in(fresh("root"), ["admin"])
        paths = iter(["/api/stream/prices", "/api/v2/stream"] * 50)
        async with AsyncExitStack() as opened, fleet.client(root) as http:
            streams = await open_on_every_edge(
                fleet, lambda: fleet.open_stream(next(paths)), opened
            )
            for number in range(3):
                sent = await http.post("/api/stream/test", json={"message": f"hello {number}"})
                assert sent.status_code == 202
            for stream in streams.values():
                frames = [await stream.read_until("test") for _ in range(3)]
                assert [frame.data["message"] for frame in frames] == [
                    f"hello {number}" for number in range(3)
                ]

    async def test_every_process_reports_the_counts_of_all_processes(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """Covers FEATURES T8, S6 and N2."""
        alice, bob = fresh("alice"), fresh("bob")
        root = await fleet.sign_in(fresh("root"), ["admin"])
        cookies = {user: await fleet.sign_in(user) for user in (alice, bob)}

        async def distinct_answers() -> Any:
            """The distinct answers of the processes. Each is asked directly, because the balancer
            would choose one."""
            found = set()
            for edge in fleet.edges:
                async with edge.client(root) as http:
                    health = (await http.get("/health/sse")).json()
                    found.add((health["total_connections"], users(health)))
                async with edge.client(cookies[alice]) as http:
                    status = (await http.get("/api/sse/status")).json()
                    found.add((status["total_connections"], (status["user_connections"], 1)))
            return found

        def users(health: Any) -> tuple[Any, Any]:
            counts = health["connections_per_user"]
            return counts.get(alice, 0), counts.get(bob, 0)

        async def nobody() -> Any:
            async with fleet.edges[0].client(root) as http:
                return (await http.get("/health/sse")).json()["total_connections"]

        await wait_for_answer(nobody, 0)
        async with AsyncExitStack() as opened:
            for user in (alice, alice, bob):
                await opened.enter_async_context(
                    await fleet.open_stream(ORDERS_PATH, cookies[user])
                )
            await opened.enter_async_context(await fleet.open_stream("/api/stream/prices"))
            await wait_for_answer(distinct_answers, {(4, (2, 1))})
            async with fleet.client(cookies[alice]) as http:
                for _ in fleet.edges:
                    status = (await http.get("/api/sse/status")).json()
                    assert (status["total_connections"], status["user_connections"]) == (4, 2)
            async with await fleet.open_stream("/api/stream/metrics", root) as metrics:

                def all_five(frame: Frame) -> bool:
                    per_user = frame.data["clientsPerUser"]
                    counts = {one["userId"]: one["clientCount"] for one in per_user}
                    return frame.data["totalClients"] == 5 and counts.get(alice) == 2

                await metrics.read_until(
                    "five are counted", all_five, seconds=PROPAGATION_TIMEOUT_SECONDS
                )


class TestEdgeShutdown:
    async def test_drained_streams_resume_on_another_process(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        users = [fresh("alice") for _ in fleet.edges]
        cookies = [await fleet.sign_in(user) for user in users]
        async with fleet.harness.journal() as journal, AsyncExitStack() as opened:
            turns = iter([*zip(users, cookies, strict=True)] * 50)
            owner = {}

            async def open_one() -> SseStream:
                user, cookie = next(turns)
                stream = await fleet.open_stream(ORDERS_PATH, cookie)
                await stream.read_until("order:update")
                owner[stream.frames[1].data["clientId"]] = (user, cookie)
                return stream

            streams = await open_on_every_edge(fleet, open_one, opened)
            stopping = fleet.edges[0]
            stopping.terminate()
            try:
                stream = streams[0]
                user, cookie = owner[client_id_of(stream)]
                frames = await stream.read_to_end(seconds=PROPAGATION_TIMEOUT_SECONDS)
                assert 200 <= (frames[-1].retry or 0) <= 2000
                wanted = await journal.append(user, *orders_placed(1, "later"))
                again = await opened.enter_async_context(
                    await fleet.open_stream(ORDERS_PATH, cookie, last_event_id=stream.last_id)
                )
                assert await read_through(again, wanted) == [wanted]
                assert fleet.find_edge_of(client_id_of(again)) != 0
                for number, other in streams.items():
                    if number != 0:
                        await read_through(
                            other, await self._wait_for_closing_frame(journal, owner, other, number)
                        )
                async with fleet.client(cookie) as http:
                    for _ in range(2 * len(fleet.edges)):
                        assert (await http.get("/api/session")).status_code == 200
                assert stopping.process.wait(PROPAGATION_TIMEOUT_SECONDS) == 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    stopping.kill()
                fleet.restart_edge(0)
                fleet.edges[0].wait_ready()

    async def _wait_for_closing_frame(
        self, journal: EventLogDriver, owner: Any, stream: SseStream, number: int
    ) -> int:
        user, _ = owner[client_id_of(stream)]
        return await journal.append(user, *orders_placed(1, f"there-{number}"))

    async def test_no_request_fails_while_a_process_stops(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        """nginx keeps connections to the stopping process, and passes a request that it cannot
        serve to another. Clients send requests without a pause, from before the stop until the
        process is gone."""
        cookie = await fleet.sign_in(fresh("alice"))
        stopping = fleet.edges[0]
        statuses = set()

        async def ask() -> None:
            async with fleet.client(cookie) as http:
                while stopping.process.poll() is None:
                    statuses.add(("request", (await http.get("/api/session")).status_code))
                    async with await fleet.connect("/api/stream/prices") as stream:
                        statuses.add(("stream", stream.status))

        try:
            asking = [asyncio.create_task(ask()) for _ in range(4)]
            await wait_until(
                "both kinds of requests are answered",
                lambda: len(statuses) == 2,
                describe_last=lambda: statuses,
            )
            stopping.terminate()
            await asyncio.wait_for(asyncio.gather(*asking), PROPAGATION_TIMEOUT_SECONDS)
            assert statuses == {("request", 200), ("stream", 200)}
        finally:
            stopping.kill()
            fleet.restart_edge(0)
            fleet.edges[0].wait_ready()

    async def test_streams_of_a_killed_process_resume_on_another(
        self, fleet: EdgeFleet, fresh: Callable[[str], str]
    ) -> None:
        alice = fresh("alice")
        cookie = await fleet.sign_in(alice)
        async with fleet.harness.journal() as journal:
            await journal.append(alice, *orders_placed(2))
            async with await fleet.open_stream(ORDERS_PATH, cookie) as stream:
                await stream.read_until("order:update")
                number = fleet.find_edge_of(client_id_of(stream))
                fleet.edges[number].kill()
                try:
                    assert not (await read_to_end(stream)).is_clean, (
                        "the stream did not end with an error"
                    )
                    wanted = await journal.append(alice, *orders_placed(1, "later"))
                    async with await fleet.open_stream(
                        ORDERS_PATH, cookie, last_event_id=stream.last_id
                    ) as again:
                        assert await read_through(again, wanted) == [wanted]
                        assert fleet.find_edge_of(client_id_of(again)) != number
                finally:
                    fleet.restart_edge(number)
                    fleet.edges[number].wait_ready()


async def test_pages_and_api_requests_pass_through_nginx(
    fleet: EdgeFleet, fresh: Callable[[str], str]
) -> None:
    cookie = await fleet.sign_in(fresh("alice"))
    async with fleet.client(cookie) as http:
        page = await http.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        refused = await http.post("/api/alerts/rules", json={"symbol": 7})
        assert refused.status_code == 422, refused.text
        assert (await http.get("/api/nowhere")).status_code == 404
