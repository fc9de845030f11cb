"""Only `tapewire provision` and `tapewire up` create or change streams.

Services check the streams that they find, hold while one is missing or unfit, and change none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.log.jetstream import NatsConnection, connect, provisioning
from tapewire.log.jetstream.provisioning import provision_when_available
from tapewire.log.jetstream.streams import MARKET, QUOTES, stream_specs
from tapewire.log.ports import OutcomeUnknown, Unavailable
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_cluster import run_nats_cluster
from tests.harness.nats_servers import LocalNatsServer, provision_streams
from tests.harness.provisioning import ask, get, run_command, wait_held, wait_ready
from tests.harness.publishers import EventLogDriver, orders_placed
from tests.harness.waiting import wait_until, wait_until_async

NAMES = {spec.name for spec in stream_specs()}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    """A server without any stream."""
    made = LocalNatsServer(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def connection(broker: LocalNatsServer) -> AsyncIterator[NatsConnection]:
    opened = await connect(broker.url, "operator")
    yield opened
    await opened.close()


@pytest.fixture
def start(broker: LocalNatsServer, tmp_path: Path) -> Iterator[Callable[..., ManagedService]]:
    """Starts a service with a health port, without waiting until it is ready."""
    started: list[ManagedService] = []

    def start_(name: str, **settings: str) -> ManagedService:
        environment = {"TAPEWIRE_NATS_URL": broker.url, **settings}
        make = EdgeProcess if name == "edge" else lambda *of: ManagedService(name, *of)
        started.append(make(environment, tmp_path))
        return started[-1]

    yield start_
    for service in started:
        if service.process.poll() is None:
            service.kill()


def provision(url: str, *options: str, **env: str) -> str:
    """The output of `tapewire provision`."""
    code, output = run_command("provision", "--nats", url, *options, **env)
    assert code == 0, output
    return output


async def configs(connection: NatsConnection) -> dict[str, Any]:
    """The configuration of every stream, by name."""
    listed = (await ask(connection, "STREAM.LIST"))["streams"] or []
    return {stream["config"]["name"]: stream["config"] for stream in listed}


async def edit(connection: NatsConnection, name: str, **fields: Any) -> None:
    """Change a stream as an operator does."""
    config = {**(await configs(connection))[name], **fields}
    answer = await ask(connection, f"STREAM.UPDATE.{name}", config)
    assert "error" not in answer, answer


class TestServicesWithoutFitStreams:
    @pytest.mark.parametrize("name", ["orders", "prices", "insights"])
    async def test_a_service_holds_until_the_streams_exist_and_creates_none(
        self, start: Callable[..., ManagedService], connection: NatsConnection, name: str
    ) -> None:
        port = find_free_port()
        url = f"http://127.0.0.1:{port}"
        service = start(name, TAPEWIRE_HEALTH_PORT=str(port))
        await wait_held(url, "EVENTS", "MARKET", "tapewire provision")
        assert (await get(f"{url}/health/live")).status_code == 200
        assert await configs(connection) == {}
        assert service.find_log_lines("service.held")
        connected_url = connection.client.connected_url
        assert connected_url is not None
        provision_streams(connected_url.geturl())
        await wait_ready(url)

    async def test_an_edge_answers_503_with_the_reason_until_the_streams_exist(
        self, start: Callable[..., Any], broker: LocalNatsServer
    ) -> None:
        edge = start("edge")
        await wait_held(edge.url, "EVENTS")
        for path in ("/api/orders", "/api/stream/orders", "/"):
            answer = await get(f"{edge.url}{path}")
            assert answer.status_code == 503
            assert set(answer.json()) == {"error", "message", "statusCode"}
            assert "EVENTS is missing" in answer.json()["message"]
        assert (await get(f"{edge.url}/health/live")).status_code == 200
        provision_streams(broker.url)
        await wait_ready(edge.url)
        assert await edge.sign_in("alice")

    async def test_a_held_service_stops_at_a_signal(
        self, start: Callable[..., ManagedService]
    ) -> None:
        port = find_free_port()
        service = start("orders", TAPEWIRE_HEALTH_PORT=str(port))
        await wait_held(f"http://127.0.0.1:{port}", "EVENTS")
        assert await asyncio.to_thread(service.stop) == 0

    @pytest.mark.parametrize(
        ("stream", "fields"),
        [
            ("EVENTS", {"allow_direct": False}),
            ("EVENTS", {"republish": None}),
            ("VIEWS", {"max_msgs_per_subject": -1}),
            ("KV_leases", {"subjects": ["elsewhere.>"]}),
        ],
        ids=["direct get off", "nothing republished", "values kept", "another subject"],
    )
    async def test_an_unfit_stream_holds_a_service_until_it_is_provisioned(
        self,
        start: Callable[..., ManagedService],
        connection: NatsConnection,
        broker: LocalNatsServer,
        stream: str,
        fields: dict[str, Any],
    ) -> None:
        provision_streams(broker.url)
        await edit(connection, stream, **fields)
        port = find_free_port()
        start("orders", TAPEWIRE_HEALTH_PORT=str(port))
        await wait_held(f"http://127.0.0.1:{port}", stream, next(iter(fields)))
        changed = await asyncio.to_thread(provision, broker.url)
        assert f"{stream}: {next(iter(fields))}" in changed
        await wait_ready(f"http://127.0.0.1:{port}")

    async def test_services_change_no_stream(
        self,
        start: Callable[..., ManagedService],
        connection: NatsConnection,
        broker: LocalNatsServer,
    ) -> None:
        provision_streams(broker.url)
        await edit(connection, "EVENTS", description="ours", max_bytes=1 << 30, discard="new")
        await edit(connection, "KV_sessions", max_bytes=1 << 24)
        before = await configs(connection)
        for name in ("orders", "positions", "edge"):
            start(name, TAPEWIRE_REPLICAS="1").wait_ready()
        assert await configs(connection) == before


class TestProvision:
    async def test_each_change_is_printed_and_a_second_run_has_nothing_to_do(
        self, broker: LocalNatsServer
    ) -> None:
        first = await asyncio.to_thread(provision, broker.url)
        streams = {line for line in first.splitlines() if line.endswith(": created")}
        assert streams == {f"{name}: created" for name in NAMES}
        assert await asyncio.to_thread(provision, broker.url) == "nothing to do\n"

    @pytest.mark.parametrize(
        "fields",
        [
            {"description": "the journal of the firm"},
            {"max_bytes": 5_000_000_000, "discard": "new"},
            {"max_age": 10**18},
            {"compression": "s2"},
            {"metadata": {"owner": "desk 7"}},
            {"duplicate_window": 600_000_000_000},
            {"subjects": ["ev.>", "more.>"]},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    async def test_the_settings_of_an_operator_stay(
        self, connection: NatsConnection, broker: LocalNatsServer, fields: dict[str, Any]
    ) -> None:
        """Also when another field of the stream has to be changed."""
        provision_streams(broker.url)
        await edit(connection, "EVENTS", **fields, allow_direct=False)
        changed = await asyncio.to_thread(provision, broker.url)
        assert "EVENTS: allow_direct" in changed
        after = (await configs(connection))["EVENTS"]
        assert after["allow_direct"] is True
        for field, value in fields.items():
            found = after[field]
            assert (found.items() >= value.items()) if field == "metadata" else found == value

    async def test_a_stream_that_cannot_be_fitted_is_named_and_kept(
        self, connection: NatsConnection, broker: LocalNatsServer
    ) -> None:
        await ask(connection, "STREAM.CREATE.EVENTS",
                  {"name": "EVENTS", "subjects": ["ev.>"], "storage": "memory"})  # fmt: skip
        code, output = await asyncio.to_thread(run_command, "provision", "--nats", broker.url)
        assert code == 1
        assert output.startswith("tapewire: the streams cannot be made: stream EVENTS: ")
        assert (await configs(connection))["EVENTS"]["storage"] == "memory"

    async def test_replicas_are_raised_and_never_lowered_in_passing(self, tmp_path: Path) -> None:
        with run_nats_cluster(tmp_path) as cluster:
            connection = await connect(cluster.url, "operator")
            try:
                await asyncio.to_thread(provision, cluster.url, TAPEWIRE_NATS_WAIT="60")
                await _wait_replicas(connection, 1)
                changed = await asyncio.to_thread(provision, cluster.url, TAPEWIRE_REPLICAS="3")
                assert "EVENTS: num_replicas 1 -> 3" in changed
                await _wait_replicas(connection, 3)
                assert await asyncio.to_thread(provision, cluster.url) == "nothing to do\n"
                await _wait_replicas(connection, 3)
                lowered = await asyncio.to_thread(provision, cluster.url, "--lower-replicas")
                assert "EVENTS: num_replicas 3 -> 1" in lowered
                await _wait_replicas(connection, 1)
            finally:
                await connection.close()


class TestRoom:
    """A limit that the server has no room for is said, by every run."""

    @pytest.fixture
    def small(self, tmp_path: Path) -> Iterator[LocalNatsServer]:
        made = LocalNatsServer(tmp_path, max_store_bytes=884 << 20)
        made.start()
        yield made
        made.close()

    def test_a_new_and_an_existing_stream_without_room_are_named(
        self, small: LocalNatsServer
    ) -> None:
        for first_line in ("KV_journal: created", "nothing to do"):
            code, output = run_command("provision", "--nats", small.url)
            assert (code, output.splitlines()[0]) == (1, first_line)
            warning = "warning: EVENTS has no limit instead of 4,294,967,296 bytes (0 are used)"
            assert warning in output
            assert "KV_leases has" not in output
        env = {"TAPEWIRE_JOURNAL_BYTES": str(100 << 20)}
        code, output = run_command("provision", "--nats", small.url, **env)
        assert (code, "EVENTS: max_bytes -1 -> 104857600" in output) == (0, True), output

    def test_a_limit_that_cannot_be_raised_is_named_and_stays(self, small: LocalNatsServer) -> None:
        env = {"TAPEWIRE_JOURNAL_BYTES": str(50 << 20)}
        assert run_command("provision", "--nats", small.url, **env)[0] == 0
        code, output = run_command("provision", "--nats", small.url)
        assert code == 1
        assert "EVENTS is limited to 52,428,800 bytes instead of 4,294,967,296 bytes" in output

    async def test_a_limit_of_an_operator_is_right(self, small: LocalNatsServer) -> None:
        await asyncio.to_thread(run_command, "provision", "--nats", small.url)
        connection = await connect(small.url, "operator")
        try:
            for stream in ("EVENTS", "VIEWS"):
                await edit(connection, stream, max_bytes=20 << 20, discard="new")
        finally:
            await connection.close()
        code, output = await asyncio.to_thread(run_command, "provision", "--nats", small.url)
        assert (code, "warning" in output) == (0, False), output


async def _wait_replicas(connection: NatsConnection, count: int) -> None:
    """Wait until every stream is listed with `count` copies. While a stream of a cluster elects a
    leader, lists leave it out."""
    seen: set[int] = set()

    async def are_listed() -> bool:
        nonlocal seen
        seen = {config["num_replicas"] for config in (await configs(connection)).values()}
        return seen == {count}

    await wait_until_async(f"{count} copies", are_listed, describe_last=lambda: seen)


async def test_a_restored_and_accepted_journal_releases_the_services(
    start: Callable[..., ManagedService],
    connection: NatsConnection,
    broker: LocalNatsServer,
    tmp_path: Path,
) -> None:
    """Services used to create EVENTS first, and the server refused the restore (10130)."""
    provision_streams(broker.url)
    journal = EventLogDriver(connection)
    await journal.append("alice", *orders_placed(20))
    backup = await _snapshot(connection)
    await ask(connection, "STREAM.DELETE.EVENTS")
    folder = tmp_path / "store/jetstream/$G/streams/EVENTS"
    await wait_until("the server has removed the files", lambda: not folder.exists())
    port = find_free_port()
    start("orders", TAPEWIRE_HEALTH_PORT=str(port))
    await wait_held(f"http://127.0.0.1:{port}", "EVENTS")
    restored = await _restore(connection, backup)
    assert "error" not in restored, restored
    await wait_held(f"http://127.0.0.1:{port}", "the journal is another one")
    code, output = await asyncio.to_thread(
        run_command, "journal", "accept-loss", "--nats", broker.url
    )
    assert code == 0, output
    await wait_ready(f"http://127.0.0.1:{port}")
    tags = [recorded.tag for recorded in await journal.read_user("alice")]
    assert tags.count("order.placed.v1") == 20


async def _snapshot(connection: NatsConnection) -> tuple[dict[str, Any], list[bytes]]:
    """A backup of EVENTS, as `nats stream backup` makes it."""
    chunks: list[bytes] = []
    ended = asyncio.Event()

    async def receive(message: Any) -> None:
        if not message.data:
            ended.set()
            return
        chunks.append(message.data)
        if message.reply:
            await message.respond(b"")

    inbox = connection.client.new_inbox()
    subscription = await connection.client.subscribe(inbox, cb=receive)
    answer = await ask(connection, "STREAM.SNAPSHOT.EVENTS", {"deliver_subject": inbox})
    async with asyncio.timeout(30):
        await ended.wait()
    await subscription.unsubscribe()
    return answer, chunks


async def _restore(connection: NatsConnection, backup: tuple[dict[str, Any], list[bytes]]) -> Any:
    described, chunks = backup
    request = {"config": described["config"], "state": described["state"]}
    answer = await ask(connection, "STREAM.RESTORE.EVENTS", request)
    for chunk in [*chunks, b""]:
        last = await connection.request(answer["deliver_subject"], chunk, timeout_seconds=30)
    return json.loads(last.data)


class TestInterruptedProvisioning:
    @pytest.mark.parametrize("is_sent", [False, True], ids=["not sent", "answer lost"])
    async def test_a_later_try_loses_neither_changes_nor_the_new_epoch(
        self,
        broker: LocalNatsServer,
        connection: NatsConnection,
        monkeypatch: pytest.MonkeyPatch,
        is_sent: bool,
    ) -> None:
        """Whichever request is the one that fails."""
        provision_streams(broker.url)
        await EventLogDriver(connection).append("nora", *orders_placed(1))
        request, failing, count = connection.request_many, 0, 0

        async def fail_once(*arguments: Any, **options: Any) -> list[Msg]:
            nonlocal count
            count += 1
            if count == failing and not is_sent:
                raise Unavailable("nothing was sent")
            answers = await request(*arguments, **options)
            if count == failing:
                raise OutcomeUnknown("the answer was lost")
            return answers

        monkeypatch.setattr(provisioning, "PROVISION_RETRY_SECONDS", 0)
        monkeypatch.setattr(connection, "request_many", fail_once)
        while count >= failing:
            for stream in (MARKET, QUOTES):
                await request(f"$JS.API.STREAM.DELETE.{stream}", b"", None, lambda _: True)
            failing, count = failing + 1, 0
            changes = await provision_when_available(connection, wait_seconds=30, continues=False)
            assert [line for line in changes if "server was restarted" in line], failing
            if not is_sent:
                assert {"MARKET: created", "QUOTES: created"} <= set(changes), failing
        assert failing > 10, "a try makes more requests"
