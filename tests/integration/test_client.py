"""The client library against a real server: async and sync calls, requests, and server restarts."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tapewire
from tapewire import contracts
from tapewire.events import Side
from tapewire.log import RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect, provision
from tapewire.runtime import CommandRejected, Endpoint, RequestContext
from tapewire.runtime.requests import serve_requests
from tests.harness.loans import LoanMade
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.recorded_log import event_of, read_events
from tests.harness.waiting import wait_until

STRATEGY: dict[str, Any] = {"user": "alice", "strategy_id": "s-1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def connection(server: LocalNatsServer) -> AsyncIterator[NatsConnection]:
    opened = await connect(server.url, "test")
    await provision(opened)
    yield opened
    await opened.close()


async def stored(connection: NatsConnection, filter_: str = "ev.>") -> list[RecordedEvent]:
    return (await JetStreamEventLog(connection).page(filter_, after=0)).events


async def test_events_published_while_the_server_is_killed_are_stored_once(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    """The server is killed during publishing; afterwards it reports stored events as duplicates.
    The second half of the events is published while the server is frozen, so it is certainly not
    acknowledged before the kill."""
    async with tapewire.connect(server.url, "desk", retry_seconds=60) as client:
        numbers = iter(range(300))
        ids: list[str] = []
        still, begun = asyncio.Event(), 0

        async def publish_all() -> None:
            nonlocal begun
            for number in numbers:
                if number >= 150:
                    await still.wait()
                begun += 1
                loan = LoanMade(loan_id=f"{number}", amount=Decimal(number))
                receipt = await client.publish(loan, owner="alice", entity=f"{number % 7}")
                ids.append(receipt.id)

        telling = asyncio.gather(*[publish_all() for _ in range(8)])
        await wait_until(
            "some events are published", lambda: len(ids) > 60, describe_last=lambda: len(ids)
        )
        await asyncio.to_thread(server.freeze)
        still.set()
        await wait_until(
            "more events are in flight", lambda: begun >= len(ids) + 8, describe_last=lambda: begun
        )
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await asyncio.wait_for(telling, 60)
    await wait_until("the test's own connection is restored", lambda: connection.is_connected)
    events = await read_events(JetStreamEventLog(connection))
    assert sorted(one.metadata.id for one in events) == sorted(ids)
    assert sorted(int(event_of(one, LoanMade).loan_id) for one in events) == list(range(300))


async def test_a_retried_handler_publishes_nothing_twice(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    receipts: list[tapewire.Receipt] = []
    async with tapewire.connect(server.url, "desk") as client:

        async def handle(_: RecordedEvent) -> None:
            receipts.append(await client.alert(user="bob", message="seen"))
            if len(receipts) < 3:
                raise RuntimeError("not now")

        cause = await client.strategy_started(**STRATEGY)
        await client.subscribe_durable("watch", tapewire.pattern(domain="reports"), handle)
        await wait_until("handled", lambda: len(receipts) == 3, describe_last=lambda: receipts)
    [alert] = await stored(connection, "ev.bob.alerts.>")
    assert alert.metadata.causation == cause.id
    assert [(one.id, one.sequence) for one in receipts] == [(alert.metadata.id, alert.sequence)] * 3
    assert [one.is_duplicate for one in receipts] == [False, True, True]


@pytest.mark.slow  # the server waits half a minute for the acknowledgement of the dead process
async def test_another_process_continues_a_durable_subscription_and_publishes_nothing_twice(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    """The first process publishes an alert, and dies before it acknowledges the event."""
    program = f"""
import asyncio, os, tapewire
async def main():
    async with tapewire.connect({server.url!r}, "desk") as client:
        async def handle(recorded):
            await client.alert(user="bob", message="seen")
            print("alerted", flush=True)
            os._exit(9)
        await client.subscribe_durable("watch", tapewire.pattern(domain="reports"), handle)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    async with tapewire.connect(server.url, "desk") as client:
        cause = await client.strategy_started(**STRATEGY)
        killed = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program], capture_output=True, timeout=60
        )
        assert killed.returncode == 9, killed.stderr

        handled: list[int] = []

        async def handle(recorded: RecordedEvent) -> None:
            receipt = await client.alert(user="bob", message="seen")
            assert receipt.is_duplicate
            handled.append(recorded.delivery_count)

        await client.subscribe_durable("watch", tapewire.pattern(domain="reports"), handle)
        await wait_until("the event is handled again", lambda: handled, timeout_seconds=90)
    alerts = await stored(connection, "ev.bob.alerts.>")
    assert [one.metadata.causation for one in alerts] == [cause.id]
    assert handled[0] >= 2


class Answers:
    """A notifications service that records its requests."""

    def __init__(self) -> None:
        self.contexts: list[RequestContext] = []

    async def send(
        self, request: contracts.notifications.SendNotification, context: RequestContext
    ) -> msgspec.Struct:
        self.contexts.append(context)
        if request.title == "no":
            raise CommandRejected("invalid", "title must not be no", "title")
        return contracts.notifications.SendReply(ids=[f"n-{user}" for user in request.user_ids])


async def test_a_request_is_repeated_under_the_same_command_id(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    answers = Answers()
    endpoint = Endpoint(contracts.notifications.SendNotification, answers.send)
    async with tapewire.connect(server.url, "desk") as client:
        with tapewire.correlated("morning"):
            asking = asyncio.create_task(client.notify("alice", "bob", title="hello"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asking), 0.3)
        answering = await serve_requests(connection, "alerts", {"send": endpoint})
        assert await asyncio.wait_for(asking, 60) == ["n-alice", "n-bob"]
        await answering.close()
    [context] = answers.contexts
    assert context.correlation == "morning"
    assert len(context.command_id) == 32


async def test_a_rejected_command_raises_and_is_not_repeated(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    answers = Answers()
    endpoint = Endpoint(contracts.notifications.SendNotification, answers.send)
    answering = await serve_requests(connection, "alerts", {"send": endpoint})
    async with tapewire.connect(server.url, "desk") as client:
        with pytest.raises(tapewire.CommandRejected) as caught:
            await client.notify("alice", title="no")
        assert (caught.value.code, caught.value.path) == ("invalid", "title")
    await answering.close()
    assert len(answers.contexts) == 1


async def test_a_missing_service_raises_request_timeout(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    assert connection.is_connected
    async with tapewire.connect(server.url, "desk", retry_seconds=3) as client:
        with pytest.raises(tapewire.RequestTimeout, match="alerts does not answer send"):
            await client.notify("alice", title="hello")


async def test_a_missing_server_raises_unavailable() -> None:
    with pytest.raises(tapewire.Unavailable, match="no NATS server answers"):
        async with tapewire.connect("nats://127.0.0.1:1", "desk", retry_seconds=0.3):
            pass


async def test_an_event_beyond_the_message_limit_is_rejected(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    async with tapewire.connect(server.url, "desk") as client:
        loan = LoanMade(loan_id="x" * (1 << 20), amount=Decimal(1))
        with pytest.raises(tapewire.AppendRejected, match="more than the server takes"):
            await client.publish(loan, owner="alice", entity="1")
    assert await stored(connection) == []


class TestSync:
    """The same calls from synchronous code, on any thread."""

    @pytest.fixture(autouse=True)
    async def _streams(self, connection: NatsConnection) -> None: ...

    async def test_calls_return_when_the_event_is_stored(
        self, server: LocalNatsServer, connection: NatsConnection
    ) -> None:
        def script() -> None:
            with tapewire.sync.connect(server.url, "script") as client:
                receipt = client.strategy_started(**STRATEGY, symbol="IBM")
                assert receipt.sequence == 1
                client.price("IBM", 182.45)
                loan = LoanMade(loan_id="1", amount=Decimal(5))
                assert client.publish(loan, owner="alice", entity="1").sequence == 2
                with pytest.raises(tapewire.InvalidArgument, match="side='both'"):
                    client.order_placed(
                        user="alice", order_id="o", symbol="IBM", side="both", quantity=1
                    )
                with tapewire.correlated("batch-7"):
                    client.order_placed(
                        user="alice", order_id="o", symbol="IBM", side=Side.BUY, quantity=1
                    )

        await asyncio.to_thread(script)
        *_, last = await stored(connection)
        assert (last.sequence, last.metadata.correlation) == (3, "batch-7")
        assert "tapewire" not in {thread.name for thread in threading.enumerate()}

    async def test_a_sync_handler_publishes_with_the_cause_of_its_event(
        self, server: LocalNatsServer, connection: NatsConnection
    ) -> None:
        def script() -> tapewire.Receipt:
            done = threading.Event()
            with tapewire.sync.connect(server.url, "script") as client:

                def handle(recorded: RecordedEvent) -> None:
                    client.alert(user="bob", message=str(recorded.sequence))
                    done.set()

                cause = client.strategy_started(**STRATEGY)
                subscription = client.subscribe_durable(
                    "watch", tapewire.pattern(domain="reports"), handle
                )
                assert done.wait(60)
                subscription.close()
            return cause

        cause = await asyncio.to_thread(script)
        [alert] = await stored(connection, "ev.bob.alerts.>")
        assert alert.metadata.causation == cause.id

    async def test_a_closed_client_raises(self, server: LocalNatsServer) -> None:
        def script() -> None:
            client = tapewire.sync.connect(server.url, "script")
            client.close()
            client.close()
            with pytest.raises(RuntimeError, match="the client is closed"):
                client.price("IBM", 1)

        await asyncio.to_thread(script)

    async def test_a_failed_connect_leaves_no_thread(self) -> None:
        def script() -> None:
            with pytest.raises(tapewire.Unavailable):
                tapewire.sync.connect("nats://127.0.0.1:1", "script", retry_seconds=0.3)

        await asyncio.to_thread(script)
        assert "tapewire" not in {thread.name for thread in threading.enumerate()}


async def test_published_events_are_logged_by_the_programs_own_logging(
    server: LocalNatsServer, connection: NatsConnection
) -> None:
    program = f"""
import asyncio, logging, tapewire
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
async def main():
    async with tapewire.connect({server.url!r}, "desk") as client:
        with tapewire.correlated("morning"):
            receipt = await client.strategy_started(user="alice", strategy_id="s-1")
            print(receipt.id)
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    [recorded] = await stored(connection)
    assert done.stdout.strip() == recorded.metadata.id
    [line] = [line for line in done.stderr.splitlines() if recorded.metadata.id in line]
    assert line.startswith("tapewire.client ")
    for expected in ("StrategyReportedStarted", "ev.alice.reports.", "morning"):
        assert expected in line


def test_log_lines_go_to_the_programs_own_logging_with_secrets_masked() -> None:
    """Without configuration by the program, Tapewire's lines go through Python's logging."""
    program = """
import logging, sys
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=sys.argv[1])
from tapewire.runtime import logging_setup
logging_setup.configure_embedded_logging()
import structlog
structlog.get_logger("tapewire.client").info("published", token="abc", subject="ev.a")
structlog.get_logger("tapewire.client").debug("unheard")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "%(name)s %(levelname)s %(message)s"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("tapewire.client INFO event='published'")
    assert "abc" not in line
