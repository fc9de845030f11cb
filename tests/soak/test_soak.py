"""The edge is as it was, however many came and went.

`make soak` is 200,000 connects; `SHORT=1` is some thousands, with a larger bound. What was measured
is printed as it comes. `TAPEWIRE_TEST_SEED` repeats a mix.
"""

import asyncio
import os
import random
import sys
from collections import Counter

from tapewire.log.jetstream import connect
from tapewire.log.jetstream.streams import LEASES, SESSIONS, TICKETS
from tests.broker import LocalBroker
from tests.integration.edge.gauges import MEMORY, Gauges, kept
from tests.integration.edge.house import Edge
from tests.soak.plan import FULL, SHORT, SMALL
from tests.soak.slopes import slope, table, ways
from tests.soak.street import street

SIZE = SMALL if SHORT else FULL
GONE_SECONDS = 120.0
"""Within which the store must have let go what ended: sessions and tickets of seconds."""
EVERY_WAY = {
    "streams fresh", "streams resumed", "streams with odd ids", "streams of the past",
    "left at once", "half-sent", "refused 401", "refused 404", "refused 405", "refused 422",
    "refused 429", "with requests behind", "by ticket", "tickets unspent", "revoked", "slow",
    "too many tabs", "crowds to 503", "calls", "test events",
}  # fmt: skip
GAUGES = ("descriptors", "threads", "tasks", "subscriptions", "connections", "roster", "outboxes")


async def test_what_comes_and_goes_leaves_nothing(strict: tuple[Edge, LocalBroker]) -> None:
    seed = int(os.environ.get("TAPEWIRE_TEST_SEED") or random.randrange(1 << 32))
    _say(f"\n{SIZE.connects:,} connects; TAPEWIRE_TEST_SEED={seed} repeats the mix")
    await _soak(*strict, seed)


async def _soak(edge, broker, seed: int) -> None:
    gauges = Gauges(edge, broker)
    samples, at, counts, connects = [], [], Counter(), 0
    async with street(edge.port, broker.url, seed) as visitors:
        first = await gauges.at_first()
        _say(f"at first: {first}")
        for number in range(SIZE.rounds + 1):
            report = await visitors.come(SIZE.connects // SIZE.rounds if number else SIZE.warm_up)
            assert not report.wrong, report.wrong
            connects += report.connects
            counts += Counter(report.ways)
            samples.append(await gauges.at_rest(first))
            at.append(connects)
            _say(_line(connects, report, samples[-1]))
    slopes = _slopes(at, samples)
    _say("\n".join(table(slopes)))
    _say(ways(counts))
    assert not [one for one in slopes if one.steep], "\n".join(table(slopes))
    assert set(counts) >= EVERY_WAY, EVERY_WAY - set(counts)
    assert (await gauges.at_rest(first)).held == first.held
    await _nothing_kept(broker)
    bad = [line for line in edge.lines() if "exception" in line or line["level"] == "error"]
    assert not bad, bad[:3]
    assert "Traceback" not in edge.log.read_text()


def _slopes(at, samples):
    """Of everything; memory alone may grow at all, and that by little."""
    memory = [
        slope(f"{name}, KiB", at, [getattr(one, name) for one in samples], SIZE.memory)
        for name in MEMORY
    ]
    held = [slope(name, at, [getattr(one, name) for one in samples], 0) for name in GAUGES]
    return memory + held


async def _nothing_kept(broker) -> None:
    """Sessions and tickets are of seconds here: the store lets all of them go, and there is no
    consumer left over that somebody read by."""
    wire = await connect(broker.url, "soak")
    deadline = asyncio.get_running_loop().time() + GONE_SECONDS
    try:
        while any((there := await kept(wire, (SESSIONS, TICKETS, LEASES))).values()):
            assert asyncio.get_running_loop().time() < deadline, there
            await asyncio.sleep(0.2)
    finally:
        await wire.close()


def _line(connects, report, sample):
    memory = f"{sample.rss:,.0f} KiB resident, {sample.pss:,.0f} proportional"
    rate = report.connects / report.seconds
    return f"{connects:>8,}  {rate:,.0f}/s  {report.events:,} events  {memory}  {sample.held}"


def _say(line) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
