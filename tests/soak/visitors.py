"""The visitors' process: `python -m tests.soak.visitors PORT NATS_URL SEED`.

It makes the world first, and says so with a `Report`. Then it takes orders as lines of JSON on its
input and answers each, when nobody is connected any more, with another.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from tapewire.log.jetstream import connect
from tests.soak.client import ANSWER_SECONDS
from tests.soak.plan import FRESH_SECONDS, Order, Report
from tests.soak.visits import RARE, VISITS, Street, Visit, Wrong
from tests.soak.world import PAST, PAST_STREAMS, World

AT_ONCE = 64
"""Visitors at the same time; some have several connections."""
CONNECTS_A_RARE_VISIT = 4000
CONNECTS_AN_EVENT = 8
WRONG_KEPT = 20
PAST_SECONDS = 3600


class Visitors:
    """All of them."""

    def __init__(self, street: Street, world: World) -> None:
        self._street = street
        self._world = world
        self._happened_at = 0
        self._rare_at = 0
        self._ways: Counter[str] = Counter()
        self._wrong: list[str] = []

    async def come(self, connects: int) -> Report:
        """Until that many connections were opened, and every visit is over."""
        street, began, events = self._street, time.monotonic(), self._world.events
        first = street.connects
        self._ways, self._wrong = Counter(), []
        self._happened_at = first
        visits = self._mix(first + connects)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._one_after_another(visits))
            group.create_task(self._happen(first + connects))
        return Report(
            connects=street.connects - first,
            seconds=time.monotonic() - began,
            events=self._world.events - events,
            ways=dict(self._ways),
            wrong=self._wrong,
        )

    def _mix(self, until: int) -> Iterator[Visit]:
        kinds, weights = [*VISITS], [*VISITS.values()]
        while self._street.connects < until:
            if self._street.connects >= self._rare_at:
                self._rare_at = self._street.connects + CONNECTS_A_RARE_VISIT
                yield from RARE
            yield self._street.rng.choices(kinds, weights)[0]

    async def _one_after_another(self, visits: Iterator[Visit]) -> None:
        for visit in visits:
            began = time.monotonic()
            try:
                self._ways[await visit(self._street)] += 1
            except (Wrong, OSError, TimeoutError) as error:
                if isinstance(error, Wrong) and time.monotonic() - began > FRESH_SECONDS:
                    self._ways["too late"] += 1
                    continue
                self._ways["wrong"] += 1
                if len(self._wrong) < WRONG_KEPT:
                    self._wrong.append(f"{visit.__name__}: {error!r}")

    async def _happen(self, until: int) -> None:
        """As many events as there are connects for."""
        while self._happened_at < until:
            if self._happened_at < self._street.connects:
                self._happened_at += CONNECTS_AN_EVENT
                await self._world.go_on()
            else:
                await asyncio.sleep(0.001)


async def read_the_past(street: Street) -> None:
    """Fill what the edge remembers, and read along."""
    # Not by the gateway's word, whose sessions are of seconds here.
    known = f"Authorization: Bearer {street.issuer.token(PAST, 'HS256', seconds=PAST_SECONDS)}"
    requests = [street.request("GET", path, known) for path in PAST_STREAMS]
    readers = [await street.call(request) for request in requests]

    async def told(sequence: int) -> None:
        mark = f"id: {street.world.epoch}-{sequence}\n".encode()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while mark not in readers[0].tail:
                    await readers[0].move()
        except TimeoutError:
            raise AssertionError(f"not told of {mark!r}: {readers[0].tail!r}") from None

    await street.world.fill(told)
    for reader in readers:
        reader.leave(street.rng)


async def main(port: int, nats_url: str, seed: int) -> None:
    wire = await connect(nats_url, "visitors")
    rng = random.Random(seed)
    world = World(wire, rng)
    street = Street(port, world, rng)
    await world.begin()
    await read_the_past(street)
    visitors = Visitors(street, world)
    _say(await visitors.come(0))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _say(await visitors.come(msgspec.json.decode(line, type=Order).connects))
    await wire.close()


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
