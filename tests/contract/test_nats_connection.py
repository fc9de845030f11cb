"""The NATS connection, beyond the ports: how closes and lost messages are reported."""

import asyncio

import pytest

from tapewire.log import OutcomeUnknown, Unavailable
from tests.contract.backends import JetStreamBackend, wait_subscribed
from tests.harness.waiting import wait_until


async def test_a_permanently_closed_connection_is_reported(jetstream: JetStreamBackend) -> None:
    """nats-py closes a connection permanently after an error of the server that it does not know.

    Regression: after a message that was too large, a process continued without a connection.
    """
    wire = await jetstream.connect()
    states: list[bool] = []
    gaps: list[str] = []
    wire.state_listeners.append(states.append)

    async def hear(_: object) -> None:
        pass

    await wire.subscribe("live.>", hear, gaps.append)
    ended = asyncio.create_task(wire.wait_closed())
    silent = await jetstream.connect()
    await silent.subscribe("svc.silent", hear, lambda _: None)
    await wait_subscribed(silent)
    waiting = asyncio.create_task(wire.request("svc.silent"))
    await asyncio.sleep(0)

    await wire.client._process_err("'Maximum Payload Violation'")

    with pytest.raises(Unavailable, match="Maximum Payload Violation"):
        await asyncio.wait_for(ended, 60)
    with pytest.raises(OutcomeUnknown):
        await waiting
    assert states == [False]
    assert gaps
    with pytest.raises(Unavailable):
        await wire.request("$JS.API.INFO")


async def test_a_requested_close_is_not_an_error(jetstream: JetStreamBackend) -> None:
    wire = await jetstream.connect()
    ended = asyncio.create_task(wire.wait_closed())
    await wire.close()
    await asyncio.wait_for(ended, 60)


async def test_a_request_without_responders_fails_at_once(jetstream: JetStreamBackend) -> None:
    wire = await jetstream.connect()
    with pytest.raises(Unavailable):
        await wire.request("svc.nobody.here")


async def test_a_request_without_a_reply_fails_after_its_timeout(
    jetstream: JetStreamBackend,
) -> None:
    wire, silent = await jetstream.connect(), await jetstream.connect()
    asked: list[object] = []

    async def hear(message: object) -> None:
        asked.append(message)

    await silent.subscribe("svc.silent", hear, lambda _: None)
    await wait_subscribed(silent)
    with pytest.raises(OutcomeUnknown):
        await wire.request("svc.silent", timeout_seconds=0.2)
    await wait_until("the request arrived", lambda: asked)
    assert len(asked) == 1


async def test_a_pending_request_fails_when_its_connection_is_lost(
    jetstream: JetStreamBackend,
) -> None:
    wire, silent = await jetstream.connect(), await jetstream.connect()
    asked: list[object] = []

    async def hear(message: object) -> None:
        asked.append(message)

    await silent.subscribe("svc.silent", hear, lambda _: None)
    await wait_subscribed(silent)
    waiting = asyncio.create_task(wire.request("svc.silent", timeout_seconds=60))
    await wait_until("the request arrived", lambda: asked)

    async with jetstream.server_down():
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(waiting, 30)  # the request itself has a minute


async def test_a_slow_subscription_reports_a_gap(
    jetstream: JetStreamBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.log.jetstream.connection.MAX_PENDING_MESSAGES", 10)
    wire, sender = await jetstream.connect(), await jetstream.connect()
    told: list[str] = []
    blocked, heard = asyncio.Event(), 0

    async def hear(_: object) -> None:
        nonlocal heard
        heard += 1
        await blocked.wait()

    await wire.subscribe("x.slow", hear, told.append)
    await wait_subscribed(wire)
    for _ in range(100):
        await sender.publish("x.slow", b"")

    await wait_until("the gap is reported", lambda: "slow" in told, describe_last=lambda: told)
    blocked.set()
    await wait_until(
        "the buffered messages are received", lambda: heard >= 10, describe_last=lambda: heard
    )
    assert heard < 100


async def test_a_canceled_flush_does_not_close_the_connection(
    jetstream: JetStreamBackend,
) -> None:
    """Regression: a service closed its endpoints while the server was frozen, and its wait for a
    PONG timed out. When the PONG arrived, nats-py raised in its read loop. The connection was
    unusable for twenty seconds, until its pings timed out."""
    wire = await jetstream.connect()
    async with jetstream.server_frozen():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await wire.client.flush()

    await asyncio.wait_for(wait_subscribed(wire), 60)
    await asyncio.wait_for(wire.client.flush(), 60)
    assert wire.client.stats["reconnects"] == 0
