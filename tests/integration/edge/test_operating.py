"""What operators see and do, over all edge processes together: C13, T8, T9, N2, S6, metrics."""

import asyncio
from collections.abc import Callable

import pytest

from tests.integration.edge.house import Edge, House
from tests.integration.edge.rows import opened
from tests.waiting import WAIT_SECONDS, until

ORDERS = "/api/stream/orders"
WARNED = "closes the oldest connection of a user"


@pytest.fixture
def two(lone: House) -> list[Edge]:
    """Two processes of their own, which know of each other."""
    return [lone.edge(SSE_MAX_CONNECTIONS_PER_USER=3) for _ in range(2)]


async def total(edge, cookie: str):
    async with edge.client(cookie) as http:
        return (await http.get("/api/sse/status")).json()


async def test_one_more_than_allowed_closes_the_oldest_wherever_it_is(two: list[Edge]) -> None:
    one, other = two
    cookie = await one.sign_in("alice")
    streams = [
        await edge.follow(ORDERS, cookie, headers={"X-Correlation-ID": f"tab-{number}"})
        for number, edge in enumerate((one, other, one))
    ]
    for stream in streams:
        await stream.until("order:update")
    stranger = await other.follow(ORDERS, await one.sign_in("bob"))

    streams.append(await other.follow(ORDERS, cookie))

    oldest = streams[0]
    *_, farewell = await oldest.rest()
    assert (farewell.event, farewell.data) == ("connection:limit", {"reason": "limit", "limit": 3})
    client = oldest.frames[1].data["clientId"]
    for said in (
        {"event": WARNED, "level": "warning"},
        {"event": "stream closed", "reason": "limit"},
    ):
        await until(
            f"it is logged: {said}",
            lambda said=said: one.logged(client=client, correlation="tab-0", **said),
            seen=lambda: one.lines()[-5:],
        )
    streams.append(await one.follow(ORDERS, cookie))
    *_, farewell = await streams[1].rest()
    assert farewell.event == "connection:limit"
    client = streams[1].frames[1].data["clientId"]
    assert {line["correlation"] for line in other.logged(WARNED, client=client)} == {"tab-1"}
    for stream in [*streams, stranger]:
        await stream.close()


async def test_every_process_knows_how_many_there_are(two: list[Edge]) -> None:
    one, other = two
    alice, bob = await one.sign_in("alice"), await one.sign_in("bob")
    streams = [
        await one.follow(ORDERS, alice),
        await other.follow(ORDERS, alice),
        await other.follow(ORDERS, bob),
        await other.follow("/api/stream/prices"),
    ]
    wanted = {
        "status": "ok", "user_connections": 2, "total_connections": 4, "active_users": 2,
    }  # fmt: skip
    for edge in two:
        seen = {}

        async def known(edge=edge, seen=seen) -> None:
            while seen != wanted:
                seen.update(await total(edge, alice))
                await asyncio.sleep(0.05)

        try:
            await asyncio.wait_for(known(), WAIT_SECONDS)
        except TimeoutError:
            pytest.fail(f"last seen: {seen}, not {wanted}")
    other.kill()
    seen = {}

    async def forgotten() -> None:
        while seen.get("total_connections") != 1:
            seen.update(await total(one, alice))
            await asyncio.sleep(0.2)

    await asyncio.wait_for(forgotten(), 2 * WAIT_SECONDS)
    for stream in streams:
        await stream.close()


async def test_metrics_are_told_as_they_change_and_whose_only_to_admins(two: list[Edge]) -> None:
    one, other = two
    root, alice = await one.sign_in("root", ["admin"]), await one.sign_in("alice")
    path = "/api/stream/metrics"
    async with await one.follow(path) as public, await other.follow(path, root) as admin:
        opened = await other.follow(ORDERS, alice)

        def has_alice(frame):
            users = {one["userId"]: one["clientCount"] for one in frame.data["clientsPerUser"]}
            return users.get("alice") == 1

        told = await admin.until("alice is counted", has_alice)
        assert told.event == "metrics"
        assert told.data["totalClients"] >= 2
        counted = await public.until("three are counted", lambda f: f.data["totalClients"] == 3)
        assert set(counted.data) == {"timestamp", "totalClients", "totalUsers"}
        await opened.close()
        await public.until("two are left", lambda f: f.data["totalClients"] == 2)


async def test_a_test_event_reaches_every_connection_on_every_process(two: list[Edge]) -> None:
    one, other = two
    root, alice = await one.sign_in("root", ["admin"]), await one.sign_in("alice")
    streams = [
        await one.follow(ORDERS, alice),
        await other.follow("/api/stream/prices"),
        await other.follow("/api/v2/stream"),
        await one.follow("/api/sse/notifications", alice),
        await opened(other, "/sse/strategies", alice),
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
        told = await stream.until("test")
        by = told.data["sentBy" if number < 2 else "sent_by"]
        assert (told.data["message"], by, told.id) == ("hello", "root", None)
        assert told.data["timestamp"]
        await stream.close()


async def test_health_of_streaming(edge: Edge, fresh: Callable[[str], str]) -> None:
    user = fresh("alice")
    cookie, root = await edge.sign_in(user), await edge.sign_in(fresh("root"), ["admin"])
    async with await edge.follow(ORDERS, cookie), edge.client() as http:
        health = (await http.get("/health/sse")).json()
        assert (health["status"], health["listener_active"]) == ("ok", True)
        assert health["total_connections"] >= 1
        assert "connections_per_user" not in health
        assert set((await http.get("/health")).json()["sse"]) == set(health)
        http.cookies.set("session", root)
        assert (await http.get("/health/sse")).json()["connections_per_user"][user] == 1


async def test_metrics_for_prometheus(edge: Edge, fresh: Callable[[str], str]) -> None:
    cookie = await edge.sign_in(fresh("alice"))
    async with edge.client() as http:

        async def value(name: str):
            text = (await http.get("/metrics")).text
            return next(
                float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)
            )

        gone = await value('tapewire_connections_closed_total{reason="gone"}')
        async with await edge.follow(ORDERS, cookie) as stream:
            await stream.until("order:update")
            assert await value("tapewire_connections ") >= 1
            assert await value("tapewire_connections_live ") >= 1
        seen = [gone]

        async def closed() -> None:
            while seen[-1] <= gone:
                seen.append(await value('tapewire_connections_closed_total{reason="gone"}'))

        await asyncio.wait_for(closed(), WAIT_SECONDS)
    await until("it is counted", lambda: seen[-1] > gone)
