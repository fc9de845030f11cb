"""What only `tapewire.stream` does, against real edges: it moves to another edge before its own
closes the stream, polls while a proxy holds the stream back, and renews its token in time.

Each test reads with the async iterator and with the blocking one, both at once.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import tapewire
from tests.clients.order_writer import BackgroundOrderWriter
from tests.clients.relay import RelayedRequest, StreamRelay, run_relay
from tests.clients.stream_users import (
    ORDERS_PATH,
    SETTINGS,
    StreamUser,
    append_orders,
    expected_order_events,
)
from tests.harness.edge import Harness
from tests.harness.jwt_issuer import JwtIssuer
from tests.harness.tcp_balancer import run_balancer
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

DRAIN_SECONDS = 6
TOKEN_SECONDS = 9.0
NEVER_POLL: dict[str, Any] = {"poll_after_seconds": None}
"""A busy machine may take long for the first byte."""


class Reading:
    """The events and states of a stream that is being read."""

    def __init__(self) -> None:
        self.events: list[tapewire.StreamEvent] = []
        self.states: list[tapewire.StreamState] = []

    def order_events(self) -> list[tuple[str, str]]:
        """As `expected_order_events`, without the snapshot."""
        return [
            (one.id or "", one.data["orderId"])
            for one in self.events
            if one.type == "order:update" and "orderId" in one.data
        ]

    def was_lost(self) -> bool:
        return any(one.name == "reconnecting" for one in self.states)


@contextlib.asynccontextmanager
async def read_async(url: str, **options: Any) -> AsyncIterator[Reading]:
    """Read with the async iterator for the duration of the block."""
    reading = Reading()

    async def read() -> None:
        async for event in stream:
            reading.events.append(event)

    stream = tapewire.stream(url, on_state=reading.states.append, trust_env=False, **options)
    task = asyncio.create_task(read())
    yield reading
    await stream.close()
    await task


@contextlib.asynccontextmanager
async def read_blocking(url: str, **options: Any) -> AsyncIterator[Reading]:
    """Read with the blocking iterator, in a thread, for the duration of the block."""
    reading = Reading()
    stream = tapewire.sync.stream(url, on_state=reading.states.append, trust_env=False, **options)

    def read() -> None:
        for event in stream:
            reading.events.append(event)

    thread = threading.Thread(target=read)
    thread.start()
    yield reading
    await asyncio.to_thread(stream.close)
    await asyncio.to_thread(thread.join)


@contextlib.asynccontextmanager
async def read_both(
    url: str, options: Callable[[], dict[str, Any]]
) -> AsyncIterator[list[Reading]]:
    """Read with both; each has its own `options`."""
    async with read_async(url, **options()) as one, read_blocking(url, **options()) as other:
        readings = [one, other]
        await wait_until(
            "both have the snapshot",
            lambda: all(any(e.type == "order:update" for e in r.events) for r in readings),
            describe_last=lambda: [r.states[-3:] for r in readings],
        )
        yield readings


async def wait_until_read(readings: list[Reading], order_id: str) -> None:
    await wait_until(
        f"both have order {order_id}",
        lambda: all(order_id in [one for _, one in r.order_events()] for r in readings),
        describe_last=lambda: [r.states[-3:] for r in readings],
    )


async def test_it_moves_to_another_edge_before_its_own_closes_the_stream(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """Both edges are replaced, one after the other, while orders are written."""
    settings = SETTINGS | {"TAPEWIRE_DRAIN_SECONDS": DRAIN_SECONDS}
    old, new = harness.start_edge(**settings), harness.start_edge(**settings)
    alice = StreamUser(fresh("alice"), new)
    cookie = await new.sign_in(alice.name)
    async with run_balancer(old.port, new.port) as (_, url), harness.journal() as journal:
        path = f"{url}{ORDERS_PATH}"
        options = {"cookies": {"session": cookie}, **NEVER_POLL}
        async with read_both(path, lambda: options) as readings:
            async with BackgroundOrderWriter(journal, alice.name) as writing:
                await writing.wait_for_more()
                assert await asyncio.to_thread(old.stop) == 0
                await writing.wait_for_more()
            await wait_until_read(readings, writing.last_order_id)
            log = await expected_order_events(journal, alice.name)
            for reading in readings:
                assert reading.order_events() == log
                assert not reading.was_lost(), reading.states
    assert await asyncio.to_thread(new.stop) == 0


def hold_back(relay: StreamRelay) -> Any:
    """A plan that forwards the head of the response, and nothing of its body."""

    async def plan(request: RelayedRequest, writer: asyncio.StreamWriter) -> None:
        async with relay._connect_edge(relay.port, request) as far:
            writer.write(request.response_head.encode("latin-1"))
            while chunk := await far.read(65_536):
                request.response_body += chunk

    return plan


async def test_it_polls_while_a_proxy_holds_the_stream_back(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    edge = harness.shared_edge(**SETTINGS)
    async with run_relay(edge.port) as way, harness.journal() as journal:
        alice = StreamUser(fresh("alice"), edge, way.url)
        cookie = await edge.sign_in(alice.name)
        way.plans += [hold_back(way), hold_back(way)]
        url = f"{way.url}{ORDERS_PATH}"
        async with read_both(url, lambda: {"cookies": {"session": cookie}}) as readings:
            assert all(r.states[-1].is_polling for r in readings)
            for number in range(5):
                await append_orders(journal, alice.name, f"o-{number}")
                await wait_until_read(readings, f"o-{number}")
            log = await expected_order_events(journal, alice.name)
            for reading in readings:
                assert reading.order_events() == log
                assert not reading.was_lost()
        heads = [one.request_head.splitlines()[0] for one in way.requests]
        assert sum("handover=1" in head for head in heads) == 2
        assert all("wait=" in head or "handover=1" in head for head in heads)


async def test_it_renews_its_token_before_it_ends(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """Three tokens, each of a few seconds. The edge closes no stream, because the next connection
    is opened in time."""
    edge = harness.shared_edge(**SETTINGS)
    alice = StreamUser(fresh("alice"), edge)
    ask_counts: list[int] = []

    def options() -> dict[str, Any]:
        ask_counts.append(0)
        position = len(ask_counts) - 1

        def make_token() -> str:
            ask_counts[position] += 1
            return JwtIssuer().token(alice.name, "HS256", seconds=TOKEN_SECONDS)

        return {"token": make_token, **NEVER_POLL}

    async with harness.journal() as journal:
        async with read_both(f"{edge.url}{ORDERS_PATH}", options) as readings:
            async with BackgroundOrderWriter(journal, alice.name) as writing:
                await wait_until("both have a third token", lambda: min(ask_counts) >= 3)
                await writing.wait_for_more()
            await wait_until_read(readings, writing.last_order_id)
            log = await expected_order_events(journal, alice.name)
        for reading in readings:
            assert reading.order_events() == log
            assert not reading.was_lost()
            assert "auth:expired" not in [one.type for one in reading.events]


async def test_it_gives_up_an_edge_that_stands_still_and_returns_when_it_moves(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """A stopped process keeps its connections open, and new ones are accepted for it."""
    settings = SETTINGS | {"SSE_KEEPALIVE_INTERVAL": 1}
    edge = harness.start_edge(**settings)
    alice = StreamUser(fresh("alice"), edge)
    options = {"cookies": {"session": await edge.sign_in(alice.name)}, **NEVER_POLL}
    async with harness.journal() as journal:
        await append_orders(journal, alice.name, "before")
        async with read_both(f"{edge.url}{ORDERS_PATH}", lambda: options) as readings:
            await append_orders(journal, alice.name, "live")
            await wait_until_read(readings, "live")
            edge.freeze()
            try:
                await append_orders(journal, alice.name, "meanwhile")
                await wait_until(
                    "both give the connection up",
                    lambda: all(
                        any(one.reason == "the server went silent" for one in r.states)
                        for r in readings
                    ),
                    describe_last=lambda: [r.states[-3:] for r in readings],
                )
            finally:
                edge.thaw()
            await append_orders(journal, alice.name, "after")
            await wait_until_read(readings, "after")
            log = await expected_order_events(journal, alice.name)
            for reading in readings:
                assert reading.order_events() == log[1:]
                assert [one.type for one in reading.events].count("stream:reset") == 0
    edge.stop()
