"""The trials: how each loads a server, and the figure that it measures.

A trial receives a started server and returns a `TrialFigure`. `find_max_rate` finds the highest
rate that a server delivers in time. It offers more until a step is delivered late or incompletely,
and repeats the best step for a median. Start reading at `create_trials`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import msgspec

from tests.bench.peers.reader import OpenConnections, ReaderReport
from tests.bench.peers.reader_process import (
    ReaderProcess,
    delivered_event_count,
    latency_quantile,
    start_reader_process,
)
from tests.bench.peers.servers import BareSocket, BenchServer, Nchan, SseStarlette, TapewireServer
from tests.bench.peers.servers.base import REPLAYED_EVENTS
from tests.harness.pacing import call_at_rate

MIN_DELIVERED_SHARE = 0.98
"""The share of the offered events that a step must deliver."""
MAX_P99_SECONDS = 0.1
"""The time within which 99 % of the events must arrive."""
SETTLE_SECONDS = 0.5
SOURCE_ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 9))

DELIVERY_RATES: dict[str, Sequence[float]] = {
    TapewireServer.name: (2.5e5, 1e6, 2e6, 3e6),
    Nchan.name: (4e4, 6e4, 8e4, 1e5, 1.2e5),
    SseStarlette.name: (4e3, 8e3, 1.2e4, 1.6e4, 2e4, 2.5e4),
    BareSocket.name: (1e6, 2e6, 3e6),
}
"""The rates to offer, in deliveries a second, one after the other until the server fails one."""
MANY_READER_DELIVERY_RATES: dict[str, Sequence[float]] = {
    TapewireServer.name: (5e4, 6e4, 8e4, 1e5),
    SseStarlette.name: (1e3, 2e3),
    BareSocket.name: (2.5e5, 5e5),
}
"""Lower rates to offer first with more than `MANY_READERS_THRESHOLD` readers, because writes
dominate the cost and each reader is one more write."""
MANY_READERS_THRESHOLD = 1000
FLUSH_SETTING = "SSE_BUSY_FLUSH_MS"
"""Without this setting a stream of more than 1,000 events a second is flushed in windows of 100 ms.
A page wants that, but its latency cannot be below the window."""
USER_EVENT_RATES = (1000.0, 4000.0, 7000.0, 10_000.0, 13_000.0)


class PeerBenchSize(msgspec.Struct, frozen=True):
    """The size of the comparison."""

    measure_seconds: float
    repeat_count: int
    many_reader_count: int
    user_count: int
    idle_connection_count: int
    rate_step_count: int
    includes_peers: bool


FULL = PeerBenchSize(
    measure_seconds=2.0,
    repeat_count=3,
    many_reader_count=5000,
    user_count=1000,
    idle_connection_count=10_000,
    rate_step_count=9,
    includes_peers=True,
)
SHORT = PeerBenchSize(
    measure_seconds=0.5,
    repeat_count=1,
    many_reader_count=0,
    user_count=100,
    idle_connection_count=200,
    rate_step_count=1,
    includes_peers=False,
)


class TrialFigure(msgspec.Struct, frozen=True):
    """The result of a trial: a text, and a value for ratios. A higher value is better, unless
    `is_lower_better`."""

    text: str
    value: float | None = None
    is_lower_better: bool = False


class LoadStep(msgspec.Struct):
    """The result of one offered rate. `server_cores` are the cores that the server used."""

    events_per_second: float
    offered_per_second: float
    delivered_per_second: float
    p50_seconds: float
    p99_seconds: float
    server_cores: float
    bytes_per_event: float

    @property
    def is_in_time(self) -> bool:
        return (
            self.delivered_per_second >= MIN_DELIVERED_SHARE * self.offered_per_second > 0
            and self.p99_seconds <= MAX_P99_SECONDS
        )

    def describe(self) -> str:
        late = "" if self.is_in_time else " (late or not whole)"
        return (
            f"{self.delivered_per_second:,.0f}/s{late}, p50 {self.p50_seconds * 1e3:.1f} ms, "
            f"p99 {self.p99_seconds * 1e3:.1f} ms, {self.server_cores:.0%} of a core"
        )


OfferLoad = Callable[[float], Coroutine[Any, Any, LoadStep]]


async def find_max_rate(offer: OfferLoad, rates: Sequence[float], repeats: int) -> TrialFigure:
    """The highest rate that is delivered in time; the median of the repeats of the best step."""
    best: LoadStep | None = None
    for rate in rates:
        step = await offer(rate)
        if not step.is_in_time:
            step = await offer(rate)  # repeat, because the machine may have been busy
        if not step.is_in_time:
            break
        best = step
    if best is None:
        return TrialFigure(f"{step.describe()}", None)
    again = [best] + [await offer(best.events_per_second) for _ in range(repeats - 1)]
    return TrialFigure(median_step(again).describe(), median_step(again).delivered_per_second)


def median_step(steps: Sequence[LoadStep]) -> LoadStep:
    """The median of each figure."""
    fields = LoadStep.__struct_fields__
    return LoadStep(**{name: median(getattr(step, name) for step in steps) for name in fields})


async def measure_broadcast(server: BenchServer, size: PeerBenchSize, count: int) -> TrialFigure:
    """One topic, `count` readers: the highest rate that is delivered in time."""
    async with start_reader_process() as people:
        await open_readers(server, people, [None] * count)

        async def offer(rate: float) -> LoadStep:
            return await _measure_step(
                people, server, rate, size.measure_seconds, count, server.publish_at_rate
            )

        rates = [
            *(
                MANY_READER_DELIVERY_RATES.get(server.name, ())
                if count > MANY_READERS_THRESHOLD
                else ()
            ),
            *DELIVERY_RATES[server.name],
        ]
        return await find_max_rate(
            offer, [rate / count for rate in rates[: size.rate_step_count]], size.repeat_count
        )


async def measure_fixed_rate(
    server: BenchServer, size: PeerBenchSize, *, gzip: bool = False
) -> TrialFigure:
    """One topic, 1,000 readers, 100 events a second: the cost of a delivery."""
    count = min(size.user_count, 1000)
    async with start_reader_process() as people:
        await open_readers(server, people, [None] * count, gzip=gzip)
        steps = [
            await _measure_step(
                people, server, 100, size.measure_seconds, count, server.publish_at_rate
            )
            for _ in range(size.repeat_count)
        ]
    step = median_step(steps)
    each = step.server_cores / max(step.delivered_per_second, 1)
    words = f"{step.describe()}, {step.bytes_per_event:.0f} bytes an event"
    return TrialFigure(words, each, is_lower_better=True)


async def measure_user_events(server: BenchServer, size: PeerBenchSize) -> TrialFigure:
    """Different events for each user with one reader each: the highest rate that is delivered in
    time."""
    users = [f"user{number}" for number in range(size.user_count)]
    async with start_reader_process() as people:
        await open_readers(server, people, users)
        offer = _offer_to_users(people, server, users, size.measure_seconds)
        return await find_max_rate(
            offer, USER_EVENT_RATES[: size.rate_step_count], size.repeat_count
        )


async def measure_latency(server: BenchServer, size: PeerBenchSize) -> TrialFigure:
    """1,000 events a second for 100 users: the latency."""
    users = [f"screen{number}" for number in range(100)]
    async with start_reader_process() as people:
        await open_readers(server, people, users)
        offer = _offer_to_users(people, server, users, size.measure_seconds)
        step = median_step([await offer(1000) for _ in range(size.repeat_count)])
    return TrialFigure(step.describe(), step.p50_seconds, is_lower_better=True)


async def measure_reconnect_storm(server: BenchServer, size: PeerBenchSize) -> TrialFigure:
    """All readers of 100 users reconnect at once, each 100 events behind, while others are live."""
    behind = [f"storm{number}" for number in range(size.user_count // 10)]
    live = [f"live{number}" for number in range(100)]
    count = len(behind) * 10
    async with start_reader_process() as people, start_reader_process() as others:
        await open_readers(server, others, live)
        last = await server.last_event_id()
        if last is None:
            return TrialFigure("keeps no history")
        for number in range(len(behind) * REPLAYED_EVENTS):
            await server.publish_to_user(behind[number % len(behind)], number)
            if number % 256 == 0:
                await asyncio.sleep(0)
        await server.wait_stored()
        requests = [
            await server.request(behind[number % len(behind)], last_id=last)
            for number in range(count)
        ]
        memory = server.resident_bytes()
        meanwhile = asyncio.create_task(
            _offer_to_users(others, server, live, size.measure_seconds + SETTLE_SECONDS)(100)
        )
        await asyncio.sleep(2 * SETTLE_SECONDS)
        report = await people.open(
            OpenConnections(
                port=server.port,
                requests=requests,
                sources=SOURCE_ADDRESSES,
                marker="\nid: ",
                marker_count=REPLAYED_EVENTS,
                concurrency=count,
            )
        )
        grown = server.resident_bytes() - memory
        step = await meanwhile
    took = max(report.open_seconds)
    words = (
        f"{count:,} readers in {took:.2f} s, {grown / count / 1024:.0f} KiB more each; "
        f"live ones p99 {step.p99_seconds * 1e3:.0f} ms"
    )
    return TrialFigure(words, took, is_lower_better=True)


async def measure_idle_connections(
    server: BenchServer, size: PeerBenchSize, *, gzip: bool = False
) -> TrialFigure:
    """Idle connections, ten per user: the memory of each."""
    users = [f"idle{number}" for number in range(max(size.idle_connection_count // 10, 1))]
    async with start_reader_process() as people:
        await open_readers(server, people, users, gzip=gzip)
        before = server.resident_bytes()
        report = await open_readers(server, people, users * 9, gzip=gzip)
        each = (server.resident_bytes() - before) / (len(users) * 9)
    rate = len(report.open_seconds) / max(report.open_seconds)
    words = f"{each / 1024:.1f} KiB each of {len(users) * 10:,}; {rate:,.0f} connects/s"
    return TrialFigure(words, each, is_lower_better=True)


async def open_readers(
    server: BenchServer,
    reader_process: ReaderProcess,
    users: Sequence[str | None],
    *,
    gzip: bool = False,
) -> ReaderReport:
    """Open a reader for each of `users`."""
    requests = [await server.request(user, gzip=gzip) for user in users]
    return await reader_process.open(
        OpenConnections(
            port=server.port,
            requests=requests,
            sources=SOURCE_ADDRESSES,
            marker=server.marker,
            marker_count=1,
        )
    )


def _offer_to_users(
    reader_process: ReaderProcess, server: BenchServer, users: Sequence[str], seconds: float
) -> OfferLoad:
    async def publish(number: int) -> None:
        await server.publish_to_user(users[number % len(users)], number)

    async def tell_all(rate: float, seconds: float) -> list[float]:
        return await call_at_rate(rate, seconds, publish)

    async def offer(rate: float) -> LoadStep:
        return await _measure_step(reader_process, server, rate, seconds, 1, tell_all)

    return offer


async def _measure_step(
    reader_process: ReaderProcess,
    server: BenchServer,
    rate: float,
    seconds: float,
    readers_per_event: int,
    publish_at_rate: Callable[[float, float], Awaitable[list[float]]],
) -> LoadStep:
    """Offer `rate` events a second, each for `readers_per_event` readers, and measure in the
    middle."""
    offering = asyncio.ensure_future(publish_at_rate(rate, seconds + 2 * SETTLE_SECONDS))
    await asyncio.sleep(SETTLE_SECONDS)
    cpu = server.cpu_seconds()
    report = await reader_process.measure(seconds)
    lasted = seconds + 1.0
    used = server.cpu_seconds() - cpu
    stamps = await offering
    published = sum(report.started_at <= stamp < report.started_at + seconds for stamp in stamps)
    return LoadStep(
        events_per_second=rate,
        offered_per_second=published * readers_per_event / seconds,
        delivered_per_second=delivered_event_count(report) / seconds,
        p50_seconds=latency_quantile(report, 0.5),
        p99_seconds=latency_quantile(report, 0.99),
        server_cores=used / min(lasted, seconds + SETTLE_SECONDS),
        bytes_per_event=report.received_bytes / max(report.event_count, 1),
    )


MeasureTrial = Callable[[BenchServer, PeerBenchSize], Awaitable[TrialFigure]]
WITH_HISTORY = frozenset({TapewireServer, Nchan})
WITH_COMPRESSION = frozenset({TapewireServer})
"""nginx does not compress the responses of nchan."""
ALL_WITH_DELIVERY = frozenset({TapewireServer, Nchan, SseStarlette})
ALL_SERVERS = ALL_WITH_DELIVERY | {BareSocket}


class BenchTrial(msgspec.Struct, frozen=True):
    """A row of the table, and the servers that it applies to. `settings` are Tapewire's; with them
    Tapewire is compared with the peers' result in the trial `compared_with`."""

    name: str
    run: MeasureTrial
    servers: frozenset[type[BenchServer]] = ALL_WITH_DELIVERY
    settings: Mapping[str, object] = {}
    compared_with: str = ""


def create_trials(size: PeerBenchSize) -> list[BenchTrial]:
    """The rows of the table."""
    made = [
        BenchTrial(
            f"{count:,} readers of one topic, most in time",
            partial(measure_broadcast, count=count),
            ALL_SERVERS,
        )
        for count in (size.user_count, size.many_reader_count)
        if count
    ]
    first = made[0]
    made.append(
        BenchTrial(
            f"{first.name}, {FLUSH_SETTING}=0",
            first.run,
            frozenset({TapewireServer}),
            {FLUSH_SETTING: 0},
            first.name,
        )
    )
    one_topic = f"{size.user_count:,} readers of one topic, 100 events/s"
    squeezed = partial(measure_fixed_rate, gzip=True)
    users = f"{size.user_count:,} users with events of their own, most in time"
    return [
        *made,
        BenchTrial(users, measure_user_events),
        BenchTrial(f"{one_topic}, gzip", squeezed, WITH_COMPRESSION),
        BenchTrial(one_topic, measure_fixed_rate),
        BenchTrial("publish to screen, 1,000 events/s, 100 users", measure_latency),
        BenchTrial(
            "storm: all return at once, 100 events behind", measure_reconnect_storm, WITH_HISTORY
        ),
        BenchTrial("waiting connections", measure_idle_connections),
        BenchTrial(
            "waiting connections, gzip",
            partial(measure_idle_connections, gzip=True),
            WITH_COMPRESSION,
        ),
    ]
