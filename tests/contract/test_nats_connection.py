"""The NATS connection, beyond the ports: how closes and lost messages are reported."""

import asyncio
import contextlib
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from tapewire.log import LogError, OutcomeUnknown, Unavailable
from tapewire.log.jetstream import NatsConnection, connect
from tests.contract.backends import JetStreamBackend, wait_subscribed
from tests.harness.nats_servers import NatsServer
from tests.harness.waiting import wait_until


async def test_a_permanently_closed_connection_is_reported(jetstream: JetStreamBackend) -> None:
    """nats-py closes a connection permanently after an error of the server that it does not know.

    Regression: after a message that was too large, a process continued without a connection.
    """
    connection = await jetstream.connect()
    states: list[bool] = []
    gaps: list[str] = []
    connection.state_listeners.append(states.append)

    async def ignore_message(_: object) -> None:
        pass

    await connection.subscribe("live.>", ignore_message, gaps.append)
    ended = asyncio.create_task(connection.wait_closed())
    silent = await jetstream.connect()
    await silent.subscribe("svc.silent", ignore_message, lambda _: None)
    await wait_subscribed(silent)
    waiting = asyncio.create_task(connection.request("svc.silent"))
    await asyncio.sleep(0)

    await connection.client._process_err("'Maximum Payload Violation'")

    with pytest.raises(Unavailable, match="Maximum Payload Violation"):
        await asyncio.wait_for(ended, 60)
    with pytest.raises(OutcomeUnknown):
        await waiting
    assert states == [False]
    assert gaps
    with pytest.raises(Unavailable):
        await connection.request("$JS.API.INFO")


@pytest.mark.parametrize("send", ["publish", "request", "unsubscribe"])
def test_sending_on_a_connection_that_the_server_has_just_closed_is_no_unknown_error(
    broker: NatsServer, send: str
) -> None:
    """Services run on uvloop, where a write to a closed connection is a RuntimeError.

    Regression: nats-py stopped sending then, and until its read loop noticed the loss, each send
    raised that RuntimeError, which ended the task of a service. The read loop is stopped here.
    """

    async def ignore(_: object) -> None:
        pass

    async def send_while_the_server_is_gone() -> None:
        connection = await connect(broker.url, "test")
        subscriptions = [
            await connection.subscribe(f"live.{number}", ignore, ignored.append)
            for number in range(200)
        ]
        await connection.flush()
        assert connection.client._reading_task is not None
        connection.client._reading_task.cancel()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "publish": lambda: connection.publish("say.nothing", b""),
            "request": lambda: connection.request("svc.nobody", timeout_seconds=0.1),
            "unsubscribe": lambda: subscriptions.pop().close(),
        }
        broker.freeze()
        await connection.publish("say.nothing", b"")
        await asyncio.sleep(0.05)  # it is written, and not read: so the kill resets the connection
        broker.kill()
        try:
            closing = _transport_of(connection).is_closing
            await wait_until("the connection is closed", lambda: bool(closing()))
            async with asyncio.timeout(30):
                while connection.is_connected:
                    with contextlib.suppress(LogError):
                        await calls[send]()
                    await asyncio.sleep(0.001)
        finally:
            broker.start()
        await connection.wait_connected(30)
        await connection.request("$JS.API.INFO")
        await connection.close()

    ignored = list[str]()
    uvloop.run(send_while_the_server_is_gone())


def test_a_flush_of_a_connection_that_was_just_closed_fails_as_any_outage(
    broker: NatsServer,
) -> None:
    async def flush() -> None:
        connection = await connect(broker.url, "test")
        _transport_of(connection).abort()
        with pytest.raises(Unavailable):
            await connection.flush()
        await connection.wait_connected(30)
        await connection.close()

    uvloop.run(flush())


def _transport_of(connection: NatsConnection) -> Any:
    return vars(connection.client._transport)["_io_writer"].transport


class DeafClient:
    """Connects for ever, and ignores the first cancellation, as nats-py does while it closes a
    failed connection."""

    def __init__(self) -> None:
        self.cancellations = 0

    async def connect(self, **_: object) -> None:
        for _attempt in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancellations += 1
                if self.cancellations == 2:
                    raise


@pytest.mark.parametrize("wait_seconds", [0.05, 60], ids=["timed out", "canceled"])
async def test_an_attempt_to_connect_ends_although_it_ignores_a_cancellation(
    monkeypatch: pytest.MonkeyPatch, wait_seconds: float
) -> None:
    """Regression: a process tried for ever to connect with refused credentials."""
    connection, client = NatsConnection(), DeafClient()
    monkeypatch.setattr(connection.client, "connect", client.connect)
    connecting = asyncio.create_task(
        connection.open("nats://127.0.0.1:1", "test", wait_seconds=wait_seconds)
    )
    if wait_seconds == 60:
        await asyncio.sleep(0.05)
        connecting.cancel()
    with pytest.raises((Unavailable, asyncio.CancelledError)) as ended:
        await asyncio.wait_for(connecting, 30)
    assert client.cancellations == 2
    assert ended.type is (asyncio.CancelledError if wait_seconds == 60 else Unavailable)


async def test_failed_attempts_to_reconnect_leave_no_socket_open(
    jetstream: JetStreamBackend,
) -> None:
    """A suspended server accepts connections and does not greet."""
    connection = await jetstream.connect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with jetstream.server_frozen():
            server = connection.client._current_server
            assert server is not None
            connection.client._abort_connection()
            await wait_until("it tried three times", lambda: server.reconnects >= 3)
        await wait_until("it is connected", lambda: connection.is_connected)
        await connection.request("$JS.API.INFO")
    assert [str(one.message) for one in caught if one.category is ResourceWarning] == []


async def test_a_requested_close_is_not_an_error(jetstream: JetStreamBackend) -> None:
    connection = await jetstream.connect()
    ended = asyncio.create_task(connection.wait_closed())
    await connection.close()
    await asyncio.wait_for(ended, 60)


async def test_a_request_without_responders_fails_at_once(jetstream: JetStreamBackend) -> None:
    connection = await jetstream.connect()
    with pytest.raises(Unavailable):
        await connection.request("svc.nobody.here")


async def test_a_request_without_a_reply_fails_after_its_timeout(
    jetstream: JetStreamBackend,
) -> None:
    connection, silent = await jetstream.connect(), await jetstream.connect()
    requests: list[object] = []

    async def record_request(message: object) -> None:
        requests.append(message)

    await silent.subscribe("svc.silent", record_request, lambda _: None)
    await wait_subscribed(silent)
    with pytest.raises(OutcomeUnknown):
        await connection.request("svc.silent", timeout_seconds=0.2)
    await wait_until("the request arrived", lambda: requests)
    assert len(requests) == 1


async def test_a_pending_request_fails_when_its_connection_is_lost(
    jetstream: JetStreamBackend,
) -> None:
    connection, silent = await jetstream.connect(), await jetstream.connect()
    requests: list[object] = []

    async def record_request(message: object) -> None:
        requests.append(message)

    await silent.subscribe("svc.silent", record_request, lambda _: None)
    await wait_subscribed(silent)
    waiting = asyncio.create_task(connection.request("svc.silent", timeout_seconds=60))
    await wait_until("the request arrived", lambda: requests)

    async with jetstream.server_down():
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(waiting, 30)  # the request itself has a minute


async def test_a_slow_subscription_reports_a_gap(
    jetstream: JetStreamBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.log.jetstream.connection.MAX_PENDING_MESSAGES", 10)
    connection, sender = await jetstream.connect(), await jetstream.connect()
    gap_reasons: list[str] = []
    blocked, received_count = asyncio.Event(), 0

    async def receive_slowly(_: object) -> None:
        nonlocal received_count
        received_count += 1
        await blocked.wait()

    await connection.subscribe("x.slow", receive_slowly, gap_reasons.append)
    await wait_subscribed(connection)
    for _ in range(100):
        await sender.publish("x.slow", b"")

    await wait_until(
        "the gap is reported", lambda: "slow" in gap_reasons, describe_last=lambda: gap_reasons
    )
    blocked.set()
    await wait_until(
        "the buffered messages are received",
        lambda: received_count >= 10,
        describe_last=lambda: received_count,
    )
    assert received_count < 100


async def test_a_canceled_flush_does_not_close_the_connection(
    jetstream: JetStreamBackend,
) -> None:
    """Regression: a service closed its endpoints while the server was frozen, and its wait for a
    PONG timed out. When the PONG arrived, nats-py raised in its read loop. The connection was
    unusable for twenty seconds, until its pings timed out."""
    connection = await jetstream.connect()
    async with jetstream.server_frozen():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.client.flush()

    await asyncio.wait_for(wait_subscribed(connection), 60)
    await asyncio.wait_for(connection.client.flush(), 60)
    assert connection.client.stats["reconnects"] == 0
