"""The trials: what each does with a server, and the figure it gives.

A trial gets a started server and returns a `Figure`. `most` looks for the most that a server
delivers in time: it offers more and more until a step is not delivered whole, or late, and measures
the best step again, for a median. Start reading at `trials`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from statistics import median

import msgspec

from tests.bench.peers.crowd import Crowd, crowd, delivered, quantile
from tests.bench.peers.reader import Open, Report
from tests.bench.peers.servers import Floor, Nchan, Server, SseStarlette, Tapewire
from tests.bench.peers.servers.port import BEHIND_EVENTS, paced

WHOLE = 0.98
"""Of the events offered, that a step must deliver."""
IN_TIME_SECONDS = 0.1
"""Within which 99 % must arrive."""
SETTLE_SECONDS = 0.5
SOURCES = tuple(f"127.0.0.{number}" for number in range(1, 9))

STEPS: dict[str, Sequence[float]] = {
    Tapewire.name: (2.5e5, 1e6, 2e6, 3e6),
    Nchan.name: (4e4, 6e4, 8e4, 1e5, 1.2e5),
    SseStarlette.name: (4e3, 8e3, 1.2e4, 1.6e4, 2e4, 2.5e4),
    Floor.name: (1e6, 2e6, 3e6),
}
"""Deliveries a second offered, one after the other, until one is too much."""
MANY_STEPS: dict[str, Sequence[float]] = {
    Tapewire.name: (5e4, 6e4, 8e4, 1e5),
    SseStarlette.name: (1e3, 2e3),
    Floor.name: (2.5e5, 5e5),
}
"""Offered before those to more than `FEW` readers: it is writes that cost, and each is one more."""
FEW = 1000
PROMPT = "SSE_BUSY_FLUSH_MS"
"""Without it a stream of more than 1,000 events a second comes in windows of 100 ms, which is what
a page wants, and cannot come in less than that."""
TELLS = (1000.0, 4000.0, 7000.0, 10_000.0, 13_000.0)


class Size(msgspec.Struct, frozen=True):
    """How much of everything."""

    seconds: float
    repeats: int
    many: int
    users: int
    idle: int
    steps: int
    peers: bool


FULL = Size(seconds=2.0, repeats=3, many=5000, users=1000, idle=10_000, steps=9, peers=True)
SHORT = Size(seconds=0.5, repeats=1, many=0, users=100, idle=200, steps=1, peers=False)


class Figure(msgspec.Struct, frozen=True):
    """What came out: words, and a value for ratios, of which more is better unless it is a
    `burden`."""

    words: str
    value: float | None = None
    burden: bool = False


class Step(msgspec.Struct):
    """What came of an offer. `cpu` is cores of the server, `busy` cores of the readers."""

    rate: float
    offered: float
    delivered: float
    p50: float
    p99: float
    cpu: float
    busy: float
    bytes_an_event: float

    @property
    def good(self) -> bool:
        return self.delivered >= WHOLE * self.offered > 0 and self.p99 <= IN_TIME_SECONDS

    def words(self) -> str:
        late = "" if self.good else " (late or not whole)"
        return (
            f"{self.delivered:,.0f}/s{late}, p50 {self.p50 * 1e3:.1f} ms, "
            f"p99 {self.p99 * 1e3:.1f} ms, {self.cpu:.0%} of a core"
        )


Offer = Callable[[float], Awaitable[Step]]


async def most(offer: Offer, rates: Sequence[float], repeats: int) -> Figure:
    """The most that is delivered in time; the median of the best step's repeats."""
    best: Step | None = None
    for rate in rates:
        step = await offer(rate)
        if not step.good:
            step = await offer(rate)  # once more: the machine may have been busy with something
        if not step.good:
            break
        best = step
    if best is None:
        return Figure(f"{step.words()}", None)
    again = [best] + [await offer(best.rate) for _ in range(repeats - 1)]
    return Figure(middle(again).words(), middle(again).delivered)


def middle(steps: Sequence[Step]) -> Step:
    """Each figure's median."""
    fields = Step.__struct_fields__
    return Step(**{name: median(getattr(step, name) for step in steps) for name in fields})


async def broadcast(server: Server, size: Size, count: int) -> Figure:
    """One topic, `count` readers: the most that is delivered in time."""
    async with crowd() as people:
        await readers(server, people, [None] * count)

        async def offer(rate: float) -> Step:
            return await _step(people, server, rate, size.seconds, count, server.offer)

        rates = [*(MANY_STEPS.get(server.name, ()) if count > FEW else ()), *STEPS[server.name]]
        return await most(offer, [rate / count for rate in rates[: size.steps]], size.repeats)


async def at_a_hundred(server: Server, size: Size, *, gzip: bool = False) -> Figure:
    """One topic, 1,000 readers, 100 events a second: what a delivery costs."""
    count = min(size.users, 1000)
    async with crowd() as people:
        await readers(server, people, [None] * count, gzip=gzip)
        steps = [
            await _step(people, server, 100, size.seconds, count, server.offer)
            for _ in range(size.repeats)
        ]
    step = middle(steps)
    each = step.cpu / max(step.delivered, 1)
    words = f"{step.words()}, {step.bytes_an_event:.0f} bytes an event"
    return Figure(words, each, burden=True)


async def each_user(server: Server, size: Size) -> Figure:
    """Different events for each user, who has one reader: the most that is delivered in time."""
    users = [f"user{number}" for number in range(size.users)]
    async with crowd() as people:
        await readers(server, people, users)
        offer = _teller(people, server, users, size.seconds)
        return await most(offer, TELLS[: size.steps], size.repeats)


async def to_screen(server: Server, size: Size) -> Figure:
    """1,000 events a second for 100 users: how long one takes."""
    users = [f"screen{number}" for number in range(100)]
    async with crowd() as people:
        await readers(server, people, users)
        offer = _teller(people, server, users, size.seconds)
        step = middle([await offer(1000) for _ in range(size.repeats)])
    return Figure(step.words(), step.p50, burden=True)


async def storm(server: Server, size: Size) -> Figure:
    """All readers of 100 users return at once, each 100 events behind, while others are live."""
    behind = [f"storm{number}" for number in range(size.users // 10)]
    live = [f"live{number}" for number in range(100)]
    count = len(behind) * 10
    async with crowd() as people, crowd() as others:
        await readers(server, others, live)
        last = await server.position()
        if last is None:
            return Figure("keeps no history")
        for number in range(len(behind) * BEHIND_EVENTS):
            await server.tell(behind[number % len(behind)], number)
            if number % 256 == 0:
                await asyncio.sleep(0)
        await server.settled()
        requests = [
            await server.request(behind[number % len(behind)], last_id=last)
            for number in range(count)
        ]
        memory = server.memory()
        meanwhile = asyncio.create_task(
            _teller(others, server, live, size.seconds + SETTLE_SECONDS)(100)
        )
        await asyncio.sleep(2 * SETTLE_SECONDS)
        report = await people.open(
            Open(
                port=server.port,
                requests=requests,
                sources=SOURCES,
                marker="\nid: ",
                wanted=BEHIND_EVENTS,
                at_once=count,
            )
        )
        grown = server.memory() - memory
        step = await meanwhile
    took = max(report.opened)
    words = (
        f"{count:,} readers in {took:.2f} s, {grown / count / 1024:.0f} KiB more each; "
        f"live ones p99 {step.p99 * 1e3:.0f} ms"
    )
    return Figure(words, took, burden=True)


async def waiting(server: Server, size: Size, *, gzip: bool = False) -> Figure:
    """Connections that wait for something to happen, ten a user: what each holds."""
    users = [f"idle{number}" for number in range(max(size.idle // 10, 1))]
    async with crowd() as people:
        await readers(server, people, users, gzip=gzip)
        before = server.memory()
        report = await readers(server, people, users * 9, gzip=gzip)
        each = (server.memory() - before) / (len(users) * 9)
    rate = len(report.opened) / max(report.opened)
    words = f"{each / 1024:.1f} KiB each of {len(users) * 10:,}; {rate:,.0f} connects/s"
    return Figure(words, each, burden=True)


async def readers(
    server: Server, people: Crowd, users: Sequence[str | None], *, gzip: bool = False
) -> Report:
    """Open a reader for each of `users`."""
    requests = [await server.request(user, gzip=gzip) for user in users]
    return await people.open(
        Open(port=server.port, requests=requests, sources=SOURCES, marker=server.marker, wanted=1)
    )


def _teller(people: Crowd, server: Server, users: Sequence[str], seconds: float) -> Offer:
    async def tell(number: int) -> None:
        await server.tell(users[number % len(users)], number)

    async def tell_all(rate: float, seconds: float) -> list[float]:
        return await paced(rate, seconds, tell)

    async def offer(rate: float) -> Step:
        return await _step(people, server, rate, seconds, 1, tell_all)

    return offer


async def _step(
    people: Crowd,
    server: Server,
    rate: float,
    seconds: float,
    readers_each: int,
    offer: Callable[[float, float], Awaitable[list[float]]],
) -> Step:
    """Offer `rate` events a second, each for so many readers, and measure in the middle of it."""
    offering = asyncio.ensure_future(offer(rate, seconds + 2 * SETTLE_SECONDS))
    await asyncio.sleep(SETTLE_SECONDS)
    cpu = server.cpu()
    report = await people.measure(seconds)
    lasted = seconds + 1.0
    used = server.cpu() - cpu
    stamps = await offering
    published = sum(report.began <= stamp < report.began + seconds for stamp in stamps)
    return Step(
        rate=rate,
        offered=published * readers_each / seconds,
        delivered=delivered(report) / seconds,
        p50=quantile(report, 0.5),
        p99=quantile(report, 0.99),
        cpu=used / min(lasted, seconds + SETTLE_SECONDS),
        busy=report.cpu / lasted,
        bytes_an_event=report.received / max(report.events, 1),
    )


Run = Callable[[Server, Size], Awaitable[Figure]]
HISTORY = frozenset({Tapewire, Nchan})
COMPRESSING = frozenset({Tapewire})
"""nginx does not compress what nchan sends."""
SERVING = frozenset({Tapewire, Nchan, SseStarlette})
ALL = SERVING | {Floor}


class Trial(msgspec.Struct, frozen=True):
    """A row of the table, and whom it is for. `settings` are Tapewire's; with them it is compared
    with what the others did in the trial `like`."""

    name: str
    run: Run
    servers: frozenset[type[Server]] = SERVING
    settings: Mapping[str, object] = {}
    like: str = ""


def trials(size: Size) -> list[Trial]:
    """The rows of the table."""
    made = [
        Trial(f"{count:,} readers of one topic, most in time", partial(broadcast, count=count), ALL)
        for count in (size.users, size.many)
        if count
    ]
    first = made[0]
    made.append(
        Trial(
            f"{first.name}, {PROMPT}=0", first.run, frozenset({Tapewire}), {PROMPT: 0}, first.name
        )
    )
    one_topic = f"{size.users:,} readers of one topic, 100 events/s"
    squeezed = partial(at_a_hundred, gzip=True)
    users = f"{size.users:,} users with events of their own, most in time"
    made += [
        Trial(users, each_user),
        Trial(f"{one_topic}, gzip", squeezed, COMPRESSING),
    ]
    if not size.peers:
        return made
    return [
        *made,
        Trial(one_topic, at_a_hundred),
        Trial("publish to screen, 1,000 events/s, 100 users", to_screen),
        Trial("storm: all return at once, 100 events behind", storm, HISTORY),
        Trial("waiting connections", waiting),
        Trial("waiting connections, gzip", partial(waiting, gzip=True), COMPRESSING),
    ]
