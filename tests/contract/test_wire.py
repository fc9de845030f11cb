"""The connection to NATS: what its ends and its losses tell, beyond the ports."""

import asyncio

import pytest

from tapewire.log import Unavailable, Uncertain
from tests.contract.backends import JetStreamBackend, settled
from tests.waiting import until


async def test_a_connection_closed_for_good_is_told(jetstream: JetStreamBackend) -> None:
    """nats-py gives a connection up, for ever, when the server reports an error that it does not
    know: too large a message once left a process running without a connection."""
    wire = await jetstream.wire()
    states: list[bool] = []
    gaps: list[str] = []
    wire.on_state.append(states.append)

    async def hear(_: object) -> None:
        pass

    await wire.subscribe("live.>", hear, gaps.append)
    ended = asyncio.create_task(wire.ended())
    silent = await jetstream.wire()
    await silent.subscribe("svc.silent", hear, lambda _: None)
    await settled(silent)
    waiting = asyncio.create_task(wire.request("svc.silent"))
    await asyncio.sleep(0)

    await wire.client._process_err("'Maximum Payload Violation'")

    with pytest.raises(Unavailable, match="Maximum Payload Violation"):
        await asyncio.wait_for(ended, 60)
    with pytest.raises(Uncertain):
        await waiting
    assert states == [False]
    assert gaps
    with pytest.raises(Unavailable):
        await wire.request("$JS.API.INFO")


async def test_an_end_that_was_asked_for_is_no_failure(jetstream: JetStreamBackend) -> None:
    wire = await jetstream.wire()
    ended = asyncio.create_task(wire.ended())
    await wire.close()
    await asyncio.wait_for(ended, 60)


async def test_nobody_listening_is_told_at_once(jetstream: JetStreamBackend) -> None:
    wire = await jetstream.wire()
    with pytest.raises(Unavailable):
        await wire.request("svc.nobody.here")


async def test_silence_is_told_after_the_time_given(jetstream: JetStreamBackend) -> None:
    wire, silent = await jetstream.wire(), await jetstream.wire()
    asked: list[object] = []

    async def hear(message: object) -> None:
        asked.append(message)

    await silent.subscribe("svc.silent", hear, lambda _: None)
    await settled(silent)
    with pytest.raises(Uncertain):
        await wire.request("svc.silent", seconds=0.2)
    await until("it was asked", lambda: asked)
    assert len(asked) == 1


async def test_a_request_under_way_ends_with_its_connection(jetstream: JetStreamBackend) -> None:
    wire, silent = await jetstream.wire(), await jetstream.wire()
    asked: list[object] = []

    async def hear(message: object) -> None:
        asked.append(message)

    await silent.subscribe("svc.silent", hear, lambda _: None)
    await settled(silent)
    waiting = asyncio.create_task(wire.request("svc.silent", seconds=60))
    await until("the request arrived", lambda: asked)

    async with jetstream.away():
        with pytest.raises(Uncertain):
            await asyncio.wait_for(waiting, 30)  # it was given a minute


async def test_a_slow_subscription_is_told_of_its_losses(
    jetstream: JetStreamBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.log.jetstream.wire.PENDING_MESSAGES", 10)
    wire, sender = await jetstream.wire(), await jetstream.wire()
    told: list[str] = []
    blocked, heard = asyncio.Event(), 0

    async def hear(_: object) -> None:
        nonlocal heard
        heard += 1
        await blocked.wait()

    await wire.subscribe("x.slow", hear, told.append)
    await settled(wire)
    for _ in range(100):
        await sender.publish("x.slow", b"")

    await until("the loss was told", lambda: "slow" in told, seen=lambda: told)
    blocked.set()
    await until("what was kept was heard", lambda: heard >= 10, seen=lambda: heard)
    assert heard < 100


async def test_a_flush_that_was_given_up_does_not_end_the_connection(
    jetstream: JetStreamBackend,
) -> None:
    """The regression: a service that closed its endpoints while the server stood still waited for
    a PONG, gave up, and when the PONG came, nats-py raised in its reading loop: the connection was
    dead for twenty seconds, until its pings went unanswered."""
    wire = await jetstream.wire()
    async with jetstream.frozen():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await wire.client.flush()

    await asyncio.wait_for(settled(wire), 60)
    await asyncio.wait_for(wire.client.flush(), 60)
    assert wire.client.stats["reconnects"] == 0
