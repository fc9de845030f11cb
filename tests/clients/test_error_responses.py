"""How each client handles error responses: it stops on permanent errors and retries others."""

import dataclasses
from collections.abc import Callable

import pytest

from tests.clients.client_runs import DocumentedClient, DriverStreamRequest
from tests.clients.conftest import ClientGroup, RunClient
from tests.clients.relay import run_relay
from tests.clients.stream_users import ORDERS_PATH, SETTINGS, StreamUser, append_orders
from tests.harness.edge import Harness

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIN_RETRY_AFTER_SECONDS, MIN_DEFAULT_RETRY_SECONDS = 1.9, 0.9
"""The least delays: two seconds as announced, or one second for a client that cannot read the
header. The timers of clients may fire some milliseconds early by our clock."""


async def test_client_stops_without_credentials(run_client: RunClient, harness: Harness) -> None:
    """The client stops and reports status 401."""
    edge = harness.shared_edge(**SETTINGS)
    async with run_client(DriverStreamRequest(edge.url, ORDERS_PATH)) as reader:
        assert await reader.wait_until_over() == "401"
        assert not reader.events


async def test_client_stops_when_another_user_is_signed_in(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The stream is meant for bob. An EventSource does not see the 409, and asks whose session it
    is."""
    edge = harness.shared_edge(**SETTINGS)

    async def check(client: DocumentedClient, run: RunClient) -> None:
        alice = StreamUser(fresh("alice"), edge)
        request = await alice.stream_request(ORDERS_PATH, client.auth_methods[-1])
        async with run(dataclasses.replace(request, query="?userId=bob")) as reader:
            reason = "401" if client.name == "EventSource" else "409"
            assert await reader.wait_until_over() == reason
            assert not reader.events

    await client_group.check_each(check)


async def test_client_retries_after_503_and_429(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """An edge at its connection limit answers 503, a rate-limited one 429, and then the stream
    opens. The client retries by itself, and not sooner than announced."""
    full = harness.shared_edge(**SETTINGS, SSE_MAX_CONNECTIONS=1)
    strict = harness.shared_edge(**SETTINGS, SSE_CONNECT_RATE=1)
    edge = harness.shared_edge(**SETTINGS)

    async def check(client: DocumentedClient, run: RunClient) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            way.plans += [way.answer_from(full.port), way.answer_from(strict.port)]
            # Use the cookie if the client can: a browser whose ticket was rejected has no session.
            async with run(
                await alice.stream_request(ORDERS_PATH, client.auth_methods[-1])
            ) as reader:
                await reader.wait_for_event(ORDERS_PATH, "order:update")
                await append_orders(journal, alice.name, "one")
                await reader.wait_for_order(ORDERS_PATH, "one")
            assert [request.response_head.split()[1] for request in way.requests] == [
                "503",
                "429",
                "200",
            ]
            first, second, third = (request.received_at for request in way.requests)
            least = (
                MIN_DEFAULT_RETRY_SECONDS
                if client.name == "EventSource"
                else MIN_RETRY_AFTER_SECONDS
            )
            assert min(second - first, third - second) >= least

    async with await full.connect("/api/stream/prices"):
        await client_group.check_each(check)


async def test_client_stops_after_the_user_connection_limit(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The user opens another stream. The first one ends and does not reconnect, which would close
    the other one."""
    edge = harness.shared_edge(**SETTINGS | {"SSE_MAX_CONNECTIONS_PER_USER": 1})

    async def check(client: DocumentedClient, run: RunClient) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            async with run(
                await alice.stream_request(ORDERS_PATH, client.auth_methods[0])
            ) as reader:
                await reader.wait_for_event(ORDERS_PATH, "order:update")
                async with await edge.open_stream(
                    ORDERS_PATH, await edge.sign_in(alice.name)
                ) as other:
                    assert await reader.wait_until_over() == "limit"
                    await append_orders(journal, alice.name, "one")
                    order_frame = await other.read_until(
                        "the order", lambda f: "orderId" in (f.data or {}), seconds=60
                    )
                    assert order_frame.data["orderId"] == "one"
            assert reader.events[-1].event == "connection:limit"
            assert len(way.requests) == 1

    await client_group.check_each(check)
