"""Operator features across all edge processes: limits, presence, metrics, test events and health.

Covers C13, T8, T9, N2, S6 and the metrics.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.sse import Frame
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import WAIT_TIMEOUT_SECONDS, wait_until
from tests.integration.edge.stream_cases import open_stream

pytestmark = pytest.mark.slow

ORDERS = "/api/stream/orders"
WARNED = "connection.limit_exceeded"


@pytest.fixture
def two(isolated_harness: Harness) -> list[EdgeProcess]:
    """Return two isolated edge processes that exchange presence."""
    return [isolated_harness.start_edge(SSE_MAX_CONNECTIONS_PER_USER=3) for _ in range(2)]


async def total(edge: EdgeProcess, cookie: str) -> Any:
    async with edge.client(cookie) as http:
        return (await http.get("/api/sse/status")).json()


async def test_exceeding_the_limit_closes_the_oldest_connection_on_any_process(
    two: list[EdgeProcess],
) -> None:
    one, other = two
    cookie = await one.sign_in("alice")
    streams = [
        await edge.open_stream(ORDERS, cookie, headers={"X-Correlation-ID": f"tab-{number}"})
        for number, edge in enumerate((one, other, one))
    ]
    for stream in streams:
        await stream.read_until("order:update")
    stranger = await other.open_stream(ORDERS, await one.sign_in("bob"))

    streams.append(await other.open_stream(ORDERS, cookie))

    oldest = streams[0]
    *_, farewell = await oldest.read_to_end()
    assert (farewell.event, farewell.data) == ("connection:limit", {"reason": "limit", "limit": 3})
    client = oldest.frames[1].data["clientId"]
    for expected in (
        {"event": WARNED, "level": "warning"},
        {"event": "stream.closed", "reason": "limit"},
    ):
        await wait_until(
            f"it is logged: {expected}",
            partial(one.find_log_lines, client_id=client, correlation_id="tab-0", **expected),
            describe_last=lambda: one.log_lines()[-5:],
        )
    streams.append(await one.open_stream(ORDERS, cookie))
    *_, farewell = await streams[1].read_to_end()
    assert farewell.event == "connection:limit"
    client = streams[1].frames[1].data["clientId"]
    assert {line["correlation_id"] for line in other.find_log_lines(WARNED, client_id=client)} == {
        "tab-1"
    }
    for stream in [*streams, stranger]:
        await stream.close()


async def test_every_process_counts_the_connections_of_all_processes(
    two: list[EdgeProcess],
) -> None:
    one, other = two
    alice, bob = await one.sign_in("alice"), await one.sign_in("bob")
    streams = [
        await one.open_stream(ORDERS, alice),
        await other.open_stream(ORDERS, alice),
        await other.open_stream(ORDERS, bob),
        await other.open_stream("/api/stream/prices"),
    ]
    wanted = {
        "status": "ok", "user_connections": 2, "total_connections": 4, "active_users": 2,
    }  # fmt: skip
    for edge in two:
        seen: dict[str, Any] = {}

        async def known(edge: EdgeProcess = edge, seen: Any = seen) -> None:
            while seen != wanted:
                seen.update(await total(edge, alice))
                await asyncio.sleep(0.05)

        try:
            await asyncio.wait_for(known(), WAIT_TIMEOUT_SECONDS)
        except TimeoutError:
            pytest.fail(f"last seen: {seen}, not {wanted}")
    other.kill()
    seen = {}

    async def forgotten() -> None:
        while seen.get("total_connections") != 1:
            seen.update(await total(one, alice))
            await asyncio.sleep(0.2)

    await asyncio.wait_for(forgotten(), 2 * WAIT_TIMEOUT_SECONDS)
    for stream in streams:
        await stream.close()


async def test_metrics_are_sent_on_change_and_name_users_only_for_admins(
    two: list[EdgeProcess],
) -> None:
    one, other = two
    root, alice = await one.sign_in("root", ["admin"]), await one.sign_in("alice")
    path = "/api/stream/metrics"
    async with await one.open_stream(path) as public, await other.open_stream(path, root) as admin:
        opened = await other.open_stream(ORDERS, alice)

        def has_alice(frame: Frame) -> bool:
            users = {one["userId"]: one["clientCount"] for one in frame.data["clientsPerUser"]}
            return users.get("alice") == 1

        metrics_frame = await admin.read_until("alice is counted", has_alice)
        assert metrics_frame.event == "metrics"
        assert metrics_frame.data["totalClients"] >= 2
        counted = await public.read_until(
            "three are counted", lambda f: f.data["totalClients"] == 3
        )
        assert set(counted.data) == {"timestamp", "totalClients", "totalUsers"}
        await opened.close()
        await public.read_until("two are left", lambda f: f.data["totalClients"] == 2)


async def test_a_test_event_reaches_every_connection_on_every_process(
    two: list[EdgeProcess],
) -> None:
    one, other = two
    root, alice = await one.sign_in("root", ["admin"]), await one.sign_in("alice")
    streams = [
        await one.open_stream(ORDERS, alice),
        await other.open_stream("/api/stream/prices"),
        await other.open_stream("/api/v2/stream"),
        await one.open_stream("/api/sse/notifications", alice),
        await open_stream(other, "/sse/strategies", alice),
    ]
    async with one.client(alice) as http:
        assert (await http.post("/api/stream/test")).status_code == 403
    async with one.client() as http:
        assert (await http.post("/api/stream/test")).status_code == 401
    async with one.client(root) as http:
        refused = await http.post("/api/stream/test", json={"message": 7})
        assert (refused.status_code, refused.json()["path"]) == (422, "message")
        sent = await http.post("/api/stream/test", json={"message": "hello"})
        assert sent.status_code == 202
    for number, stream in enumerate(streams):
        frame = await stream.read_until("test")
        by = frame.data["sentBy" if number < 2 else "sent_by"]
        assert (frame.data["message"], by, frame.id) == ("hello", "root", None)
        assert frame.data["timestamp"]
        await stream.close()


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html, */*;q=0.1"])
async def test_a_plain_get_of_the_metrics_is_a_document_that_ends(
    edge: EdgeProcess, fresh: Callable[[str], str], accept: str | None
) -> None:
    user = fresh("alice")
    cookie, root = await edge.sign_in(user), await edge.sign_in(fresh("root"), ["admin"])
    headers = {} if accept is None else {"Accept": accept}
    path = "/api/stream/metrics"
    async with await edge.open_stream(ORDERS, cookie), edge.client() as http:
        if accept is None:
            del http.headers["Accept"]

        async def document(credentials: dict[str, str]) -> Any:
            async with http.stream("GET", path, headers={**headers, **credentials}) as answer:
                assert answer.headers["content-type"] == "application/json"
                return json.loads(await answer.aread())

        for credentials in ({}, {"Cookie": f"session={cookie}"}, {"Cookie": "session=rubbish"}):
            counts = await document(credentials)
            assert set(counts) == {"timestamp", "totalClients", "totalUsers"}
            assert counts["totalClients"] >= 1
        counts = await document({"Cookie": f"session={root}"})
        assert {"userId": user, "clientCount": 1} in counts["clientsPerUser"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, Text/Event-Stream"])
async def test_the_metrics_are_a_stream_for_clients_that_accept_streams(
    edge: EdgeProcess, accept: str
) -> None:
    async with edge.client() as http:
        headers = {"Accept": accept}
        async with http.stream("GET", "/api/stream/metrics", headers=headers) as answer:
            assert answer.headers["content-type"] == "text/event-stream"


async def test_the_prices_of_strategies_need_a_session(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    """As all strategy streams (S3); the trading stream of prices stays public."""
    path = "/sse/prices?symbols=NONE"
    assert await read_refusal(await edge.connect(path)) == (401, UNAUTHORIZED)
    assert await read_refusal(await edge.connect(path, "rubbish")) == (401, UNAUTHORIZED)
    async with await edge.connect(path, await edge.sign_in(fresh("alice"))) as stream:
        assert stream.status == 200
    async with await edge.connect("/api/stream/prices?symbols=NONE") as stream:
        assert stream.status == 200


async def test_health_reports_the_streaming_state(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    user = fresh("alice")
    cookie, root = await edge.sign_in(user), await edge.sign_in(fresh("root"), ["admin"])
    async with await edge.open_stream(ORDERS, cookie), edge.client() as http:
        health = (await http.get("/health/sse")).json()
        assert (health["status"], health["listener_active"]) == ("ok", True)
        assert health["total_connections"] >= 1
        assert "connections_per_user" not in health
        assert set((await http.get("/health")).json()["sse"]) == set(health)
        http.cookies.set("session", root)
        assert (await http.get("/health/sse")).json()["connections_per_user"][user] == 1


async def test_prometheus_metrics_count_connections(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    cookie = await edge.sign_in(fresh("alice"))
    async with edge.client() as http:

        async def value(name: str) -> float:
            text = (await http.get("/metrics")).text
            return next(
                float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)
            )

        closed_before = await value('tapewire_connections_closed_total{reason="gone"}')
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            assert await value("tapewire_connections ") >= 1
            assert await value("tapewire_connections_live ") >= 1
        seen = [closed_before]

        async def closed() -> None:
            while seen[-1] <= closed_before:
                seen.append(await value('tapewire_connections_closed_total{reason="gone"}'))

        await asyncio.wait_for(closed(), WAIT_TIMEOUT_SECONDS)
    await wait_until("the closed connection is counted", lambda: seen[-1] > closed_before)
