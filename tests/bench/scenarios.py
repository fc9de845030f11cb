"""The scenarios. Each returns rows of (description, figure)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.bench import engine
from tests.bench.client import BenchStream, BenchTarget, sse_field
from tests.bench.sizes import BenchSize, TableRows, format_milliseconds
from tests.bench.system import BenchSystem

SNAPSHOT_ORDERS = 20
"""Orders in the snapshot of the user whose connects are measured."""
MISSED_EVENT_COUNT = 100
"""The number of events that a resuming client is behind."""
QUIET_ORDERS_PER_SECOND = 5
"""Orders a second of a quiet user."""
BUSY_USER_COUNT = 20
CALLER_COUNT = 20
CONCURRENCY = 64
"""The number of connections that are opened at the same time."""


def order_body(number: int, id_prefix: str) -> dict[str, Any]:
    return {
        "symbol": "IBM",
        "side": "buy" if number % 2 else "sell",
        "type": "market",
        "qty": 1,
        "clientOrderId": f"{id_prefix}-{number}",
    }


class OrderArrivals:
    """When the first frame and the fill of each order arrived."""

    def __init__(self) -> None:
        self.first_frame_at: dict[str, float] = {}
        self.filled_at: dict[str, float] = {}
        self.snapshot_count = 0

    def record_frame(self, frame: bytes) -> None:
        name = sse_field(frame, b"event")
        if not name.startswith(b"order:"):
            return
        now = time.perf_counter()
        payload = json.loads(sse_field(frame, b"data"))
        if "snapshot" in payload:
            self.snapshot_count += 1
            return
        self.first_frame_at.setdefault(payload["clientOrderId"], now)
        if name == b"order:fill":
            self.filled_at.setdefault(payload["clientOrderId"], now)


async def measure_quiet_orders(
    target: BenchTarget, _system: BenchSystem, size: BenchSize
) -> TableRows:
    """The time from the first byte of the request to the frame on the reader's socket, for one user
    with occasional orders."""
    return await _measure_orders(target, "quiet", size, users=1, rate=QUIET_ORDERS_PER_SECOND)


async def measure_busy_orders(
    target: BenchTarget, _system: BenchSystem, size: BenchSize
) -> TableRows:
    """The same time with many users at a steady rate, each reading their own stream."""
    return await _measure_orders(
        target, "busy", size, users=BUSY_USER_COUNT, rate=size.busy_orders_per_second
    )


async def measure_single_user_orders(
    target: BenchTarget, _system: BenchSystem, size: BenchSize
) -> TableRows:
    """The same time at the same rate with one user, whose stream is flushed in windows."""
    return await _measure_orders(target, "flood", size, users=1, rate=size.busy_orders_per_second)


async def _measure_orders(
    target: BenchTarget, label: str, size: BenchSize, *, users: int, rate: int
) -> TableRows:
    arrivals = OrderArrivals()
    cookies, streams = [], []
    for user in range(users):
        cookies.append(await target.sign_in(f"bench-{label}-{user}"))
        stream = await target.open_stream(
            "/api/stream/orders", arrivals.record_frame, cookie=cookies[-1]
        )
        streams.append(stream)
    await wait_until(lambda: arrivals.snapshot_count == users, "every snapshot arrived")
    count = int(rate * size.order_seconds)
    sent: dict[str, float] = {}
    replied: list[float] = []
    numbers = iter(range(count))
    began = time.perf_counter()

    async def call(cookie: str) -> None:
        caller = await target.open_json_client(cookie)
        for number in numbers:
            await asyncio.sleep(began + number / rate - time.perf_counter())
            body = order_body(number, label)
            sent[str(body["clientOrderId"])] = start = time.perf_counter()
            status, answer = await caller.request("POST", "/api/orders", body)
            assert status == 201, answer
            replied.append(time.perf_counter() - start)
        caller.close()

    await asyncio.gather(*(call(cookies[number % users]) for number in range(CALLER_COUNT)))
    await wait_until(lambda: len(arrivals.filled_at) == count, "every fill arrived")
    for stream in streams:
        stream.close()
    how = f"{rate}/s, {users} user{'s' * (users > 1)}"
    firsts = [arrivals.first_frame_at[key] - at for key, at in sent.items()]
    fills = [arrivals.filled_at[key] - at for key, at in sent.items()]
    return [
        (f"order request → reply, {how}", format_milliseconds(replied)),
        (f"order request → frame on the wire, {how}", format_milliseconds(firsts)),
        (f"order request → fill on the wire, {how}", format_milliseconds(fills)),
    ]


async def measure_connects(target: BenchTarget, system: BenchSystem, size: BenchSize) -> TableRows:
    """Open, read the snapshot, close; then resume, from memory and from the log."""
    cookie = await target.sign_in("bench-connect")
    ids: list[str] = []
    stream = await target.open_stream(
        "/api/stream/orders", lambda f: ids.append(sse_field(f, b"id").decode()), cookie=cookie
    )
    caller = await target.open_json_client(cookie)
    for number in range(max(SNAPSHOT_ORDERS, MISSED_EVENT_COUNT // 4 + 1)):
        await caller.request("POST", "/api/orders", order_body(number, "connect"))
    await wait_until(lambda: len([i for i in ids if i]) > MISSED_EVENT_COUNT + 1, "enough events")
    stream.close()
    caller.close()
    behind = [i for i in ids if i][-MISSED_EVENT_COUNT - 1]
    rows = [
        (
            f"connects with a snapshot of {MISSED_EVENT_COUNT // 4 + 1} orders",
            await _measure_connect_rate(target, system, cookie, "", 1, size.connect_count),
        ),
        (
            f"resumes {MISSED_EVENT_COUNT} events behind, remembered",
            await _measure_connect_rate(
                target, system, cookie, behind, MISSED_EVENT_COUNT, size.connect_count
            ),
        ),
    ]
    await asyncio.to_thread(system.restart_edge)
    rows.append(
        (
            f"resumes {MISSED_EVENT_COUNT} events behind, from the log",
            await _measure_connect_rate(
                target, system, cookie, behind, MISSED_EVENT_COUNT, size.connect_count // 2
            ),
        )
    )
    return rows


async def _measure_connect_rate(
    target: BenchTarget, system: BenchSystem, cookie: str, last_id: str, frames: int, count: int
) -> str:
    """The rate of connections that each received `frames` frames with ids, and their cost on the
    edge."""
    cpu = system.cpu_seconds()["edge-0"]
    numbers = iter(range(count))
    began = time.perf_counter()

    async def open_some() -> None:
        for _ in numbers:
            got = 0
            done = asyncio.get_running_loop().create_future()

            def count_frame(frame: bytes, done: asyncio.Future[None] = done) -> None:
                nonlocal got
                got += b"\nid: " in frame
                if got >= frames and not done.done():
                    done.set_result(None)

            stream = await target.open_stream(
                "/api/stream/orders", count_frame, cookie=cookie, last_event_id=last_id
            )
            async with asyncio.timeout(300):
                await done
            stream.close()

    await asyncio.gather(*(open_some() for _ in range(CONCURRENCY)))
    rate = count / (time.perf_counter() - began)
    used = (system.cpu_seconds()["edge-0"] - cpu) / count
    return f"{rate:,.0f}/s, {used * 1e3:.2f} ms of CPU each"


async def measure_idle_connections(
    target: BenchTarget, system: BenchSystem, size: BenchSize
) -> TableRows:
    """The cost of an idle connection."""
    cookies = [
        await target.sign_in(f"idle-{number}")
        for number in range(min(size.idle_connection_count, 100))
    ]
    edge = system.edge_process()
    before = edge.memory_info().rss
    ready = 0

    def count_snapshot(frame: bytes) -> None:
        nonlocal ready
        ready += b"snapshot" in frame

    streams: list[BenchStream] = []
    for number in range(size.idle_connection_count):
        cookie = cookies[number % len(cookies)]
        streams.append(
            await target.open_stream("/api/stream/orders", count_snapshot, cookie=cookie)
        )
    await wait_until(lambda: ready == size.idle_connection_count, "every snapshot arrived")
    cpu = system.cpu_seconds()["edge-0"]
    await asyncio.sleep(size.idle_seconds)
    used = (system.cpu_seconds()["edge-0"] - cpu) / size.idle_seconds
    memory = (edge.memory_info().rss - before) / size.idle_connection_count
    for stream in streams:
        stream.close()
    return [
        (
            f"memory an idle connection ({size.idle_connection_count} of them)",
            f"{memory / 1024:.1f} KiB",
        ),
        (
            f"CPU of the edge with {size.idle_connection_count} idle connections",
            f"{used:.1%} of a core",
        ),
    ]


async def measure_quotes(target: BenchTarget, system: BenchSystem, size: BenchSize) -> TableRows:
    """Readers of all quotes of a random walk."""
    got = 0

    def count_quote(frame: bytes) -> None:
        nonlocal got
        got += frame.startswith(b"event: price:update")

    streams = [
        await target.open_stream("/api/stream/prices", count_quote)
        for _ in range(size.reader_count)
    ]
    await wait_until(lambda: got > 2 * size.reader_count, "quotes arrive")
    cpu, first, began = system.cpu_seconds()["edge-0"], got, time.perf_counter()
    await asyncio.sleep(size.idle_seconds)
    seconds = time.perf_counter() - began
    used = (system.cpu_seconds()["edge-0"] - cpu) / seconds
    rate = (got - first) / seconds
    received = sum(stream.received for stream in streams)
    for stream in streams:
        stream.close()
    return [
        (f"quotes delivered to {size.reader_count} readers", f"{rate:,.0f}/s"),
        ("CPU of the edge meanwhile", f"{used:.1%} of a core"),
        ("bytes a quote on the wire", f"{received / max(got, 1):.0f}"),
    ]


async def wait_until(condition: Callable[[], bool], description: str, seconds: float = 300) -> None:
    """Wait for `condition`; `description` names it in the error."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {description}")
        await asyncio.sleep(0.005)


SCENARIOS: list[Callable[[BenchTarget, BenchSystem, BenchSize], Awaitable[TableRows]]] = [
    measure_quiet_orders,
    measure_busy_orders,
    measure_single_user_orders,
    measure_connects,
    measure_idle_connections,
    measure_quotes,
    engine.measure_commands,
    engine.measure_appends,
    engine.measure_reactions,
    engine.measure_notifications,
]
