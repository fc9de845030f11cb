"""What each client does when it is refused: it gives up where that is right, waits where not."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.client_runs import DriverStreamRequest
from tests.clients.conftest import ClientGroup, RunClient
from tests.clients.relay import run_relay
from tests.clients.stream_users import ORDERS_PATH, SETTINGS, StreamUser, append_orders
from tests.harness.edge import Harness

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIN_RETRY_AFTER_SECONDS, MIN_DEFAULT_RETRY_SECONDS = 1.9, 0.9
"""What they wait at least: two seconds as they are told, or one where they cannot know; their
timers may be some milliseconds early by ours."""


async def test_nobody_signed_in(run_client: RunClient, harness: Harness) -> None:
    """401: it ends, and says so."""
    edge = harness.shared_edge(**SETTINGS)
    async with run_client(DriverStreamRequest(edge.url, ORDERS_PATH)) as reader:
        assert await reader.wait_until_over() == "401"
        assert not reader.events


async def test_a_full_edge_and_too_many_tries(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """503 of an edge that holds as many as it may, 429 of a strict one, and then a stream: asked
    for by itself, not sooner than it was told."""
    full = harness.shared_edge(**SETTINGS, SSE_MAX_CONNECTIONS=1)
    strict = harness.shared_edge(**SETTINGS, SSE_CONNECT_RATE=1)
    edge = harness.shared_edge(**SETTINGS)

    async def check(client: Any, run: Any) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            way.plans += [way.answer_from(full.port), way.answer_from(strict.port)]
            # By the cookie where it can: a browser that was refused with a ticket has no session.
            async with run(await alice.stream_request(ORDERS_PATH, client.ways[-1])) as reader:
                await reader.until_event(ORDERS_PATH, "order:update")
                await append_orders(journal, alice.name, "one")
                await reader.until_order(ORDERS_PATH, "one")
            assert [asked.response_head.split()[1] for asked in way.requests] == [
                "503",
                "429",
                "200",
            ]
            first, second, third = (asked.received_at for asked in way.requests)
            least = (
                MIN_DEFAULT_RETRY_SECONDS
                if client.name == "EventSource"
                else MIN_RETRY_AFTER_SECONDS
            )
            assert min(second - first, third - second) >= least

    async with await full.connect("/api/stream/prices"):
        await client_group.check_each(check)


async def test_one_stream_too_many(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """Its user opens another one: it ends, and does not come back to end that one."""
    edge = harness.shared_edge(**SETTINGS | {"SSE_MAX_CONNECTIONS_PER_USER": 1})

    async def check(client: Any, run: Any) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            async with run(await alice.stream_request(ORDERS_PATH, client.ways[0])) as reader:
                await reader.until_event(ORDERS_PATH, "order:update")
                async with await edge.open_stream(
                    ORDERS_PATH, await edge.sign_in(alice.name)
                ) as other:
                    assert await reader.until_over() == "limit"
                    await append_orders(journal, alice.name, "one")
                    shown = await other.read_until(
                        "the order", lambda f: "orderId" in (f.data or {}), seconds=60
                    )
                    assert shown.data["orderId"] == "one"
            assert reader.seen[-1].event == "connection:limit"
            assert len(way.requests) == 1

    await client_group.check_each(check)
