"""A journal of a million events is archived to a tenth under load.

The journal is written without services. Then an edge and the services of orders and positions run
on it, one client places orders, and others have streams open. The scenario fails if a view of
another user differs afterwards, if `tapewire verify` finds a difference with the archive, or if a
client sees more than one reset. It is slow and belongs to neither the short nor the long form of
the benchmark.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from tapewire.cli.nats_config.declarations import all_durables, service_accesses
from tapewire.log import LatestValueStore, LogError, new_id, pattern, view_checkpoints
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
)
from tapewire.log.jetstream.durable_subscription import ACK_WAIT_SECONDS, MAX_ACK_PENDING
from tapewire.log.jetstream.streams import EVENTS, VIEWS
from tapewire.log.page_reader import read_pages
from tapewire.verify.checkpoints import VIEW_TYPES
from tests.bench.history import PrintedRows, run_nats_server
from tests.bench.sizes import TableRows, format_milliseconds
from tests.harness.consumer_checkpoints import write_consumer_checkpoints
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.provisioning import ask
from tests.harness.publishers import QuoteDriver
from tests.harness.synthetic_log import SyntheticLog, append_synthetic_log
from tests.harness.waiting import wait_until

EVENT_COUNT = int(os.environ.get("TAPEWIRE_BENCH_EVENTS", "1000000"))
USER_COUNT = 60
COMPARED_USERS = 10
ARCHIVED_SHARE = 0.97
STREAM = "/api/stream/orders"
OPEN_STREAMS = 10
CALM_SECONDS = 20.0
"""How long orders are measured before the archive begins."""
SETTLE_SECONDS = 120.0
"""How long the first order may take: services that have just started read the journal."""
MAX_LOAD_ATTEMPTS = 20
ORDER_PAUSE_SECONDS = 0.1
SYMBOL = "LOAD"
"""Only this symbol has quotes, so orders of other users stay as they are."""


class OrderLoad:
    """One client that places market orders one after another until it is stopped."""

    def __init__(self, http: httpx.AsyncClient, quotes: QuoteDriver) -> None:
        self._http = http
        self._quotes = quotes
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.repetitions = 0

    async def run(self) -> None:
        while True:
            await self._quotes.publish(SYMBOL)
            order = {"symbol": SYMBOL, "side": "buy", "type": "market", "qty": 1}
            key, began = new_id(), time.perf_counter()
            while (answer := await self._place(order, key)).status_code == 503:
                self.repetitions += 1
            self.seconds.append(time.perf_counter() - began)
            if answer.status_code != 201:
                self.failures.append(answer.text)
            await asyncio.sleep(ORDER_PAUSE_SECONDS)

    async def _place(self, order: dict[str, object], key: str) -> httpx.Response:
        return await self._http.post("/api/orders", json=order, headers={"Idempotency-Key": key})


class CommandCost:
    """What a command cost: seconds, CPU seconds of it and of the message server, and memory."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = self.server_cpu_seconds = self.megabytes = 0.0
        self.output: dict[str, object] = {}


async def measure_archiving() -> TableRows:
    """All rows. Raises AssertionError if the state or a client differs."""
    rows: TableRows = PrintedRows()
    with run_nats_server() as (server, folder):
        server_process = _find_server(folder)
        connection = await connect(server.url, "bench", wait_seconds=60)
        try:
            began = time.perf_counter()
            log = JetStreamEventLog(connection)
            generated = SyntheticLog(users=USER_COUNT, seed=5)
            count = await append_synthetic_log(log, generated, EVENT_COUNT)
            rows.append((f"writing {count:,} events", f"{time.perf_counter() - began:.0f} s"))
            store = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
            await write_consumer_checkpoints(log, store)
            await _create_durables(connection, count + 1)
            users = generated.users[:COMPARED_USERS]
            before = await _fold_views(log, users)
            async with _run_load(connection, server.url, folder, users[:OPEN_STREAMS]) as parts:
                edge, load, resets = parts
                await wait_until(
                    "an order is placed", lambda: load.seconds, timeout_seconds=SETTLE_SECONDS
                )
                load.seconds.clear()
                await asyncio.sleep(CALM_SECONDS)
                calm, load.seconds, load.repetitions = load.seconds, [], 0
                epoch = (await log.bounds()).epoch
                measured = await _run_archive(server.url, folder, count, server_process)
                busy, load.seconds = load.seconds, []
                assert await _load_views(log, store, users) == before, "a view differs"
                for row in _rows_of(measured, calm, busy):
                    rows.append(row)
                rows.append(("orders that were sent again after a 503", f"{load.repetitions}"))
                assert not load.failures, load.failures[:3]
                assert not resets(), "an open stream was reset"
                await _check_resumption(edge, users[0], f"{epoch}-{count // 2}")
            for row in await _verify(server.url, folder):
                rows.append(row)
        finally:
            await connection.close()
    return rows


@contextlib.asynccontextmanager
async def _run_load(
    connection: NatsConnection, url: str, folder: Path, users: list[str]
) -> AsyncIterator[tuple[EdgeProcess, OrderLoad, Callable[[], int]]]:
    """An edge and services under load; the last value counts the resets of open streams."""
    settings = {"TAPEWIRE_NATS_URL": url}
    edge = EdgeProcess(settings, folder)
    services = [edge, *(ManagedService(name, settings, folder) for name in ("orders", "positions"))]
    reset_count = 0

    async def follow(user: str) -> None:
        nonlocal reset_count
        cookie = await edge.sign_in(user)
        async with await edge.open_stream(STREAM, cookie) as stream:
            while True:
                reset_count += (await stream.read(seconds=3600)).event == "stream:reset"

    try:
        for service in services:
            await asyncio.to_thread(service.wait_ready)
        quotes = QuoteDriver(connection)
        await quotes.publish(SYMBOL)
        await edge.wait_for_quotes(SYMBOL)
        async with edge.client(await edge.sign_in("load")) as http:
            load = OrderLoad(http, quotes)
            tasks = [asyncio.create_task(follow(user)) for user in users]
            tasks.append(asyncio.create_task(load.run()))
            try:
                yield edge, load, lambda: reset_count
                for task in tasks:
                    if task.done():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for service in services:
            service.kill()


async def _create_durables(connection: NatsConnection, first: int) -> None:
    """Create the durable subscriptions of the services as those that have handled all events before
    `first`."""
    for name, filter_ in all_durables(service_accesses()).items():
        config = {
            "durable_name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT_SECONDS * 1_000_000_000,
            "filter_subject": filter_,
            "max_ack_pending": MAX_ACK_PENDING,
        }
        request = {"stream_name": EVENTS, "config": config}
        await ask(connection, f"CONSUMER.DURABLE.CREATE.{EVENTS}.{name}", request)


async def _run_archive(url: str, folder: Path, count: int, server: psutil.Process) -> CommandCost:
    before = str(int(count * ARCHIVED_SHARE))
    measured = CommandCost()
    server_cpu = sum(server.cpu_times()[:2])
    command = ("journal", "archive", "--before", before, "--to", str(folder / "archive"))
    began = time.perf_counter()
    process = await _start(*command, "--min-age", "0", "--json", "--nats", url)
    watched = psutil.Process(process.pid)

    async def watch() -> None:
        while True:
            with contextlib.suppress(psutil.Error):
                measured.cpu_seconds = sum(watched.cpu_times()[:2])
                megabytes = watched.memory_info().rss / 1e6
                measured.megabytes = max(measured.megabytes, megabytes)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    output, _ = await process.communicate()
    watching.cancel()
    measured.seconds = time.perf_counter() - began
    measured.server_cpu_seconds = sum(server.cpu_times()[:2]) - server_cpu
    assert process.returncode == 0, process.returncode
    measured.output = json.loads(output)
    return measured


def _rows_of(measured: CommandCost, calm: list[float], busy: list[float]) -> TableRows:
    report = measured.output
    figures = {name: f"{value:,}" for name, value in report.items() if isinstance(value, int)}
    return [
        ("archived up to", figures["horizon"]),
        ("events removed, earlier events kept", f"{figures['removed']}, {figures['retained']}"),
        (
            "bytes of the journal, before and after",
            f"{figures['bytesBefore']}, {figures['bytesAfter']}",
        ),
        ("bytes of the archive", figures["archiveBytes"]),
        ("the command, with verification", f"{measured.seconds:.0f} s"),
        (
            "CPU of the command and of the message server",
            f"{measured.cpu_seconds:.0f} s, {measured.server_cpu_seconds:.0f} s",
        ),
        ("memory of the command", f"{measured.megabytes:.0f} MB"),
        ("placing an order before", format_milliseconds(calm)),
        (f"placing an order meanwhile ({len(busy)})", format_milliseconds(busy)),
    ]


ViewDigests = dict[tuple[str, str], str]


async def _fold_views(log: JetStreamEventLog, users: list[str]) -> ViewDigests:
    """A digest of every view of each user, folded from all events."""
    views: dict[tuple[str, str], Any] = {
        (user, name): view_type() for name, view_type in VIEW_TYPES.items() for user in users
    }
    concerned: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for (user, _), view in views.items():
        concerned[user, view.domain].append(view)
    up_to = (await log.bounds()).last
    async for page in read_pages(log, pattern(), after=0, up_to=up_to):
        for recorded in page:
            subject = recorded.event_subject
            for view in concerned.get((subject.owner, subject.domain), ()):
                view.apply(recorded.event)
    return {key: _digest(view) for key, view in views.items()}


async def _load_views(
    log: JetStreamEventLog, store: LatestValueStore, users: list[str]
) -> ViewDigests:
    """A digest of every view of each user, as a client gets it."""
    return {
        (user, name): _digest(await _load_view(log, store, view_type, user))
        for name, view_type in VIEW_TYPES.items()
        for user in users
    }


def _digest(view: Any) -> str:
    state = json.loads(view.encode())
    if isinstance(state, dict):
        state.pop("stored", None)  # the sequences at which blocks were stored
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


async def _load_view(
    log: JetStreamEventLog, store: LatestValueStore, view_type: Any, user: str
) -> Any:
    """The view; the loaded message server may not answer in time."""
    for _ in range(MAX_LOAD_ATTEMPTS):
        with contextlib.suppress(LogError):
            return (await view_checkpoints.load(log, store, view_type, user))[0]
        await asyncio.sleep(1)
    raise TimeoutError(f"a view of {user} cannot be loaded")


async def _check_resumption(edge: EdgeProcess, user: str, old_id: str) -> None:
    """An id from before the archive leads to one reset and a snapshot."""
    cookie = await edge.sign_in(user)
    async with await edge.open_stream(STREAM, cookie, last_event_id=old_id) as stream:
        await stream.read_until("order:update")
        events = [frame.event for frame in stream.frames]
        assert events.count("stream:reset") == 1, events
        [reset] = [frame for frame in stream.frames if frame.event == "stream:reset"]
        assert reset.data["reason"] == "trimmed", reset.data


async def _verify(url: str, folder: Path) -> TableRows:
    rows: TableRows = []
    for arguments in (("--archive", str(folder / "archive")), ()):
        process = await _start("verify", *arguments, "--json", "--nats", url)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-2000:]
        summary = json.loads(output.splitlines()[-1])
        what = "verify with the archive" if arguments else "verify of the journal alone"
        figure = f"{summary['events']:,} events, {summary['differences']} differences"
        rows.append((what, f"{figure}, {summary['seconds']:.0f} s"))
    return rows


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tapewire.cli", *arguments), stdout=asyncio.subprocess.PIPE
    )


def _find_server(folder: Path) -> psutil.Process:
    """The process of the message server that stores in `folder`."""
    for process in psutil.Process().children(recursive=True):
        if str(folder / "store") in process.cmdline():
            return process
    raise AssertionError(f"no message server stores in {folder}")
