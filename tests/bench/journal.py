"""What an order takes of the journal's room, and what subjects take of the server's memory.

Orders are placed over HTTP and filled by the services; then the journal says how many events,
subjects and bytes they are. The memory is that of a message server of its own, whose journal gets
the subjects and events of ever more orders of the same size. It is read after the writing, after a
restart, and after pages were read, for which the server indexes what it has on disk. GOMEMLIMIT in
the environment is that of the server; without it the figures include garbage. The scenario takes
many minutes and belongs to neither the short nor the long form of the benchmark.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import psutil

from tapewire.log import RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect, provision
from tapewire.log.jetstream.atomic_batch import OutgoingMessage, store_together
from tapewire.log.jetstream.journal_record import JournalExtent, read_extent
from tapewire.log.jetstream.streams import EVENTS, VIEWS
from tapewire.log.ports import CATCH_UP_PAGE_BYTES, CATCH_UP_PAGE_EVENTS, MAX_BATCH_EVENTS
from tests.bench.client import BenchTarget
from tests.bench.history import PrintedRows
from tests.bench.scenarios import order_body
from tests.bench.sizes import TableRows
from tests.bench.system import BenchSystem, run_system
from tests.harness.nats_servers import LocalNatsServer

ORDER_COUNT = int(os.environ.get("TAPEWIRE_BENCH_ORDERS", "2000"))
SUBJECT_COUNT = int(os.environ.get("TAPEWIRE_BENCH_SUBJECTS", "3000000"))
MEASURED_SUBJECTS = min(1_000_000, SUBJECT_COUNT)
"""Subjects between two measurements of the memory."""
USER = "measured"
READ_FILTERS = ("ev.*.orders.>", f"ev.{USER}.trades.>", ">")
READ_PAGES = 20
"""Pages of each filter that are read for the last figure."""
CALLER_COUNT = 8
QUIET_SECONDS = 3.0
"""The orders are done when the journal has not grown for so long."""
SETTLE_SECONDS = 5.0
"""The server collects garbage and writes its files meanwhile."""
RECOVERY_SECONDS = 120.0
MEBIBYTE = 1 << 20
JOURNAL_BYTES = 24 << 30
"""More than the orders take."""


class OrderFootprint(msgspec.Struct, frozen=True):
    """What one order added to the journal, on average, and the messages of one of the orders."""

    events: float
    subjects: float
    journal_bytes: float
    disk_bytes: float
    view_bytes: float
    samples: list[RecordedEvent]


async def measure_journal() -> TableRows:
    """All rows: an order's room in the journal, and the memory by subjects."""
    with run_system() as system:
        footprint = await _measure_orders(system)
    rows = PrintedRows()
    for row in (
        ("events of a market order that is filled", f"{footprint.events:.2f}"),
        ("subjects of it", f"{footprint.subjects:.2f}"),
        ("bytes of it in the journal", f"{footprint.journal_bytes:,.0f}"),
        ("bytes of it in the files of EVENTS", f"{footprint.disk_bytes:,.0f}"),
        ("bytes of it in VIEWS", f"{footprint.view_bytes:,.0f}"),
    ):
        rows.append(row)
    await _measure_memory(footprint, rows)
    return rows


async def _measure_orders(system: BenchSystem) -> OrderFootprint:
    target = BenchTarget(system.url)
    cookie = await target.sign_in(USER)
    connection = await connect(system.nats_url, "bench")
    try:
        await _place_orders(target, cookie, range(100), connection)  # opens the position
        before, views = await _read_extent(connection), await _stream_bytes(connection, VIEWS)
        disk = system.stream_file_bytes(EVENTS)
        numbers = range(100, 100 + ORDER_COUNT)
        await _place_orders(target, cookie, numbers, connection)
        after = await _read_extent(connection)
        added = await _read_events(connection, before.bounds.last)
        return OrderFootprint(
            events=(after.event_count - before.event_count) / ORDER_COUNT,
            subjects=len({recorded.subject for recorded in added}) / ORDER_COUNT,
            journal_bytes=(after.byte_count - before.byte_count) / ORDER_COUNT,
            disk_bytes=(system.stream_file_bytes(EVENTS) - disk) / ORDER_COUNT,
            view_bytes=(await _stream_bytes(connection, VIEWS) - views) / ORDER_COUNT,
            samples=_events_of_one_order(added),
        )
    finally:
        await connection.close()


async def _place_orders(
    target: BenchTarget, cookie: str, numbers: range, connection: NatsConnection
) -> None:
    """Place the orders and wait until the services have nothing more to store."""

    async def place(own: range) -> None:
        caller = await target.open_json_client(cookie)
        for number in own:
            status, answer = await caller.request("POST", "/api/orders", order_body(number, "j"))
            assert status == 201, answer
        caller.close()

    await asyncio.gather(*(place(numbers[first::CALLER_COUNT]) for first in range(CALLER_COUNT)))
    last, quiet_since = 0, time.perf_counter()
    while time.perf_counter() - quiet_since < QUIET_SECONDS:
        await asyncio.sleep(0.2)
        now = (await _read_extent(connection)).bounds.last
        if now != last:
            last, quiet_since = now, time.perf_counter()


async def _read_extent(connection: NatsConnection) -> JournalExtent:
    extent = await read_extent(connection)
    assert extent is not None
    return extent


async def _stream_bytes(connection: NatsConnection, stream: str) -> int:
    answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"")
    return int(msgspec.json.decode(answer.data)["state"]["bytes"])


async def _read_events(connection: NatsConnection, after: int) -> list[RecordedEvent]:
    log, found, has_more = JetStreamEventLog(connection), list[RecordedEvent](), True
    while has_more:
        page = await log.page(f"ev.{USER}.>", after=after)
        found += page.events
        after, has_more = page.events[-1].sequence, page.has_more
    return found


def _events_of_one_order(events: list[RecordedEvent]) -> list[RecordedEvent]:
    """The events with the correlation id that has the most usual number of them."""
    by_correlation: dict[str, list[RecordedEvent]] = {}
    for recorded in events:
        by_correlation.setdefault(recorded.metadata.correlation, []).append(recorded)
    [(usual, _)] = Counter(len(group) for group in by_correlation.values()).most_common(1)
    return next(group for group in by_correlation.values() if len(group) == usual)


async def _measure_memory(footprint: OrderFootprint, rows: TableRows) -> None:
    with tempfile.TemporaryDirectory(prefix="tapewire-subjects-") as directory:
        server = LocalNatsServer(Path(directory))
        server.start()
        try:
            await _provision(server.url)
            rows.append(("memory of the server without a journal", _resident_memory(server)))
            orders = 0
            for subjects in range(MEASURED_SUBJECTS, SUBJECT_COUNT + 1, MEASURED_SUBJECTS):
                first, orders = orders, round(subjects / footprint.subjects)
                peak = await _write_orders(server, footprint.samples, range(first, orders))
                await asyncio.sleep(SETTLE_SECONDS)
                figures = f"{_resident_memory(server)}, at most {peak / MEBIBYTE:,.0f} MiB"
                rows.append((f"with {orders:,} orders, {subjects:,} subjects", figures))
            server.kill()
            began = time.perf_counter()
            server.start()
            seconds = time.perf_counter() - began
            rows.append(("after a restart", f"{_resident_memory(server)}, {seconds:.1f} s"))
            await _read_pages(server.url)
            rows.append(("after pages were read", _resident_memory(server)))
        finally:
            server.close()


async def _read_pages(url: str) -> None:
    connection = await connect(url, "bench", wait_seconds=RECOVERY_SECONDS)
    try:
        log = JetStreamEventLog(connection)
        for filter_ in READ_FILTERS:
            after = 0
            for _ in range(READ_PAGES):
                page = await log.page(
                    filter_, after=after, limit=CATCH_UP_PAGE_EVENTS, max_bytes=CATCH_UP_PAGE_BYTES
                )
                if not page.events:
                    break
                after = page.events[-1].sequence
    finally:
        await connection.close()


async def _provision(url: str) -> None:
    connection = await connect(url, "bench")
    try:
        await provision(connection, journal_bytes=JOURNAL_BYTES)
    finally:
        await connection.close()


def _resident_memory(server: LocalNatsServer) -> str:
    return f"{psutil.Process(server.pid).memory_info().rss / MEBIBYTE:,.0f} MiB"


async def _write_orders(
    server: LocalNatsServer, samples: list[RecordedEvent], numbers: range
) -> int:
    """Store the events of orders like the one of `samples`; the largest resident memory of the
    server meanwhile, in bytes."""
    process, peak = psutil.Process(server.pid), 0
    connection = await connect(server.url, "bench")
    step = MAX_BATCH_EVENTS // len(samples)
    try:
        for first in range(numbers.start, numbers.stop, step):
            orders = range(first, min(first + step, numbers.stop))
            messages = [_message_of(each, number) for number in orders for each in samples]
            answer = await store_together(connection, messages)
            assert b'"error"' not in answer.data, answer.data
            peak = max(peak, process.memory_info().rss)
    finally:
        await connection.close()
    return peak


def _message_of(recorded: RecordedEvent, number: int) -> OutgoingMessage:
    """The event as one of order `number`, of the same size. An entity that all orders share, such
    as a position, stays. The server does not take its id for a message id: it would remember as
    many of them as are written in two minutes."""
    subject, digits = recorded.subject, f"{number:012x}"
    prefix, _, entity = subject.rpartition(".")
    if len(entity) > len(digits):
        subject = f"{prefix}.{entity[: -len(digits)]}{digits}"
    headers = {
        "Tw-Bench-Id": digits + recorded.metadata.id[len(digits) :],
        "Tw-Type": recorded.tag,
        "Tw-Correlation": recorded.metadata.correlation,
        "Tw-Causation": recorded.metadata.causation or "",
    }
    return subject, recorded.data, headers
