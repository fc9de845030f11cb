"""What is measured. Each scenario returns rows of (what, figure)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from tests.bench import engine
from tests.bench.client import Stream, Target, field
from tests.bench.figures import Rows, Size, milliseconds
from tests.bench.system import System

SNAPSHOT_ORDERS = 20
"""Orders in the snapshot of the user that connects are measured with."""
BEHIND = 100
"""Events that a resuming client is behind."""
QUIET_RATE = 5
"""Orders a second of a quiet user."""
BUSY_USERS = 20
CALLERS = 20
AT_ONCE = 64
"""Connections being opened at the same time."""


def order(number: int, label: str) -> dict[str, object]:
    return {
        "symbol": "IBM",
        "side": "buy" if number % 2 else "sell",
        "type": "market",
        "qty": 1,
        "clientOrderId": f"{label}-{number}",
    }


class Arrivals:
    """When the first frame and the fill of each order arrived."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.fill: dict[str, float] = {}
        self.snapshots = 0

    def take(self, frame: bytes) -> None:
        name = field(frame, b"event")
        if not name.startswith(b"order:"):
            return
        now = time.perf_counter()
        payload = json.loads(field(frame, b"data"))
        if "snapshot" in payload:
            self.snapshots += 1
            return
        self.first.setdefault(payload["clientOrderId"], now)
        if name == b"order:fill":
            self.fill.setdefault(payload["clientOrderId"], now)


async def orders_quiet(target: Target, _system: System, size: Size) -> Rows:
    """From the first byte of the request to the frame on the reader's socket: one user, now and
    then."""
    return await _orders(target, "quiet", size, users=1, rate=QUIET_RATE)


async def orders_busy(target: Target, _system: System, size: Size) -> Rows:
    """The same with many users at a steady rate, each reading their own stream."""
    return await _orders(target, "busy", size, users=BUSY_USERS, rate=size.busy_rate)


async def orders_flood(target: Target, _system: System, size: Size) -> Rows:
    """The same at the same rate with one user, whose stream is gathered into flush windows."""
    return await _orders(target, "flood", size, users=1, rate=size.busy_rate)


async def _orders(target: Target, label: str, size: Size, *, users: int, rate: int) -> Rows:
    arrivals = Arrivals()
    cookies, streams = [], []
    for user in range(users):
        cookies.append(await target.sign_in(f"bench-{label}-{user}"))
        stream = await target.stream("/api/stream/orders", arrivals.take, cookie=cookies[-1])
        streams.append(stream)
    await until(lambda: arrivals.snapshots == users, "every snapshot arrived")
    count = int(rate * size.order_seconds)
    sent: dict[str, float] = {}
    replied: list[float] = []
    numbers = iter(range(count))
    began = time.perf_counter()

    async def call(cookie: str) -> None:
        caller = await target.caller(cookie)
        for number in numbers:
            await asyncio.sleep(began + number / rate - time.perf_counter())
            body = order(number, label)
            sent[str(body["clientOrderId"])] = start = time.perf_counter()
            status, answer = await caller.call("POST", "/api/orders", body)
            assert status == 201, answer
            replied.append(time.perf_counter() - start)
        caller.close()

    await asyncio.gather(*(call(cookies[number % users]) for number in range(CALLERS)))
    await until(lambda: len(arrivals.fill) == count, "every fill arrived")
    for stream in streams:
        stream.close()
    how = f"{rate}/s, {users} user{'s' * (users > 1)}"
    firsts = [arrivals.first[key] - at for key, at in sent.items()]
    fills = [arrivals.fill[key] - at for key, at in sent.items()]
    return [
        (f"order request → reply, {how}", milliseconds(replied)),
        (f"order request → frame on the wire, {how}", milliseconds(firsts)),
        (f"order request → fill on the wire, {how}", milliseconds(fills)),
    ]


async def connects(target: Target, system: System, size: Size) -> Rows:
    """Open, take the snapshot, close; then resumes, from memory and from the log."""
    cookie = await target.sign_in("bench-connect")
    ids: list[str] = []
    stream = await target.stream(
        "/api/stream/orders", lambda f: ids.append(field(f, b"id").decode()), cookie=cookie
    )
    caller = await target.caller(cookie)
    for number in range(max(SNAPSHOT_ORDERS, BEHIND // 4 + 1)):
        await caller.call("POST", "/api/orders", order(number, "connect"))
    await until(lambda: len([i for i in ids if i]) > BEHIND + 1, "enough events")
    stream.close()
    caller.close()
    behind = [i for i in ids if i][-BEHIND - 1]
    rows = [
        (
            f"connects with a snapshot of {BEHIND // 4 + 1} orders",
            await _rate(target, system, cookie, "", 1, size.connects),
        ),
        (
            f"resumes {BEHIND} events behind, remembered",
            await _rate(target, system, cookie, behind, BEHIND, size.connects),
        ),
    ]
    await asyncio.to_thread(system.restart_edge)
    rows.append(
        (
            f"resumes {BEHIND} events behind, from the log",
            await _rate(target, system, cookie, behind, BEHIND, size.connects // 2),
        )
    )
    return rows


async def _rate(
    target: Target, system: System, cookie: str, last_id: str, frames: int, count: int
) -> str:
    """Connections a second that each got `frames` frames with ids, and what one cost the edge."""
    cpu = system.cpu_seconds()["edge-0"]
    numbers = iter(range(count))
    began = time.perf_counter()

    async def open_some() -> None:
        for _ in numbers:
            got = 0
            done = asyncio.get_running_loop().create_future()

            def take(frame: bytes, done: asyncio.Future[None] = done) -> None:
                nonlocal got
                got += b"\nid: " in frame
                if got >= frames and not done.done():
                    done.set_result(None)

            stream = await target.stream(
                "/api/stream/orders", take, cookie=cookie, last_event_id=last_id
            )
            async with asyncio.timeout(300):
                await done
            stream.close()

    await asyncio.gather(*(open_some() for _ in range(AT_ONCE)))
    rate = count / (time.perf_counter() - began)
    used = (system.cpu_seconds()["edge-0"] - cpu) / count
    return f"{rate:,.0f}/s, {used * 1e3:.2f} ms of CPU each"


async def idle(target: Target, system: System, size: Size) -> Rows:
    """What a connection costs that waits for something to happen."""
    cookies = [await target.sign_in(f"idle-{number}") for number in range(min(size.idle, 100))]
    edge = system.edge()
    before = edge.memory_info().rss
    ready = 0

    def take(frame: bytes) -> None:
        nonlocal ready
        ready += b"snapshot" in frame

    streams: list[Stream] = []
    for number in range(size.idle):
        cookie = cookies[number % len(cookies)]
        streams.append(await target.stream("/api/stream/orders", take, cookie=cookie))
    await until(lambda: ready == size.idle, "every snapshot arrived")
    cpu = system.cpu_seconds()["edge-0"]
    await asyncio.sleep(size.idle_seconds)
    used = (system.cpu_seconds()["edge-0"] - cpu) / size.idle_seconds
    memory = (edge.memory_info().rss - before) / size.idle
    for stream in streams:
        stream.close()
    return [
        (f"memory an idle connection ({size.idle} of them)", f"{memory / 1024:.1f} KiB"),
        (f"CPU of the edge with {size.idle} idle connections", f"{used:.1%} of a core"),
    ]


async def quotes(target: Target, system: System, size: Size) -> Rows:
    """Readers of all quotes of a random walk."""
    got = 0

    def take(frame: bytes) -> None:
        nonlocal got
        got += frame.startswith(b"event: price:update")

    streams = [await target.stream("/api/stream/prices", take) for _ in range(size.readers)]
    await until(lambda: got > 2 * size.readers, "quotes arrive")
    cpu, first, began = system.cpu_seconds()["edge-0"], got, time.perf_counter()
    await asyncio.sleep(size.idle_seconds)
    seconds = time.perf_counter() - began
    used = (system.cpu_seconds()["edge-0"] - cpu) / seconds
    rate = (got - first) / seconds
    received = sum(stream.received for stream in streams)
    for stream in streams:
        stream.close()
    return [
        (f"quotes delivered to {size.readers} readers", f"{rate:,.0f}/s"),
        ("CPU of the edge meanwhile", f"{used:.1%} of a core"),
        ("bytes a quote on the wire", f"{received / max(got, 1):.0f}"),
    ]


async def until(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Wait for `condition`; `what` names it when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.005)


SCENARIOS: list[Callable[[Target, System, Size], Awaitable[Rows]]] = [
    orders_quiet,
    orders_busy,
    orders_flood,
    connects,
    idle,
    quotes,
    engine.commands,
    engine.appends,
    engine.reactions,
    engine.notifications,
]
