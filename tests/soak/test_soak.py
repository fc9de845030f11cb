"""The edge holds nothing of clients that have left, however many there were.

`make soak` opens 200,000 connections; `SHORT=1` opens some thousands with a larger bound.
Measurements are printed as they are taken. `TAPEWIRE_TEST_SEED` repeats a mix.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence

from tapewire.log.jetstream import connect
from tapewire.log.jetstream.streams import LEASES, SESSIONS, TICKETS
from tests.harness.edge import EdgeProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.resource_monitor import (
    MEMORY_FIELDS,
    ResourceMonitor,
    ResourceSample,
    jetstream_counts,
)
from tests.soak.load_process import start_load_process
from tests.soak.plan import FULL, IS_SHORT, SMALL, LoadReport
from tests.soak.slopes import GrowthSlope, fit_slope, format_outcome_counts, format_slopes

SIZE = SMALL if IS_SHORT else FULL
CLEANUP_TIMEOUT_SECONDS = 120.0
"""The time within which the store must drop expired sessions and tickets, which live for
seconds."""
EXPECTED_OUTCOMES = {
    "streams fresh", "streams resumed", "streams with odd ids", "streams of the past",
    "left at once", "half-sent", "refused 401", "refused 404", "refused 405", "refused 422",
    "refused 429", "with requests behind", "by ticket", "tickets unspent", "revoked", "slow",
    "too many tabs", "crowds to 503", "calls", "test events",
}  # fmt: skip
GAUGES = (
    "descriptors",
    "threads",
    "tasks",
    "subscriptions",
    "connections",
    "connections_everywhere",
    "outboxes",
)


async def test_edge_holds_nothing_of_clients_that_left(
    edge_with_limits: tuple[EdgeProcess, LocalNatsServer],
) -> None:
    seed = int(os.environ.get("TAPEWIRE_TEST_SEED") or random.randrange(1 << 32))
    _print_line(f"\n{SIZE.connect_count:,} connects; TAPEWIRE_TEST_SEED={seed} repeats the mix")
    await _run_soak(*edge_with_limits, seed)


async def _run_soak(edge: EdgeProcess, nats_server: LocalNatsServer, seed: int) -> None:
    gauges = ResourceMonitor(edge, nats_server)
    samples: list[ResourceSample] = []
    at: list[int] = []
    counts: Counter[str] = Counter()
    connects = 0
    async with start_load_process(edge.port, nats_server.url, seed) as visitors:
        first = await gauges.sample_baseline()
        _print_line(f"at first: {first}")
        for number in range(SIZE.round_count + 1):
            report = await visitors.run_connects(
                SIZE.connect_count // SIZE.round_count if number else SIZE.warm_up_connects
            )
            assert not report.violations, report.violations
            connects += report.connect_count
            counts += Counter(report.outcome_counts)
            samples.append(await gauges.wait_until_idle(first))
            at.append(connects)
            _print_line(_progress_line(connects, report, samples[-1]))
    slopes = _fit_slopes(at, samples)
    _print_line("\n".join(format_slopes(slopes)))
    _print_line(format_outcome_counts(counts))
    assert not [one for one in slopes if one.is_too_steep], "\n".join(format_slopes(slopes))
    assert set(counts) >= EXPECTED_OUTCOMES, EXPECTED_OUTCOMES - set(counts)
    assert (await gauges.wait_until_idle(first)).baseline_counts == first.baseline_counts
    await _check_store_empty(nats_server)
    bad = [line for line in edge.log_lines() if "exception" in line or line["level"] == "error"]
    assert not bad, bad[:3]
    assert "Traceback" not in edge.log_file.read_text()


def _fit_slopes(
    connect_counts: Sequence[int], samples: Sequence[ResourceSample]
) -> list[GrowthSlope]:
    """Fit all measurements; only memory may grow, and only a little."""
    memory = [
        fit_slope(
            f"{name}, KiB",
            connect_counts,
            [getattr(one, name) for one in samples],
            SIZE.max_memory_growth_kib,
        )
        for name in MEMORY_FIELDS
    ]
    held = [
        fit_slope(name, connect_counts, [getattr(one, name) for one in samples], 0)
        for name in GAUGES
    ]
    return memory + held


async def _check_store_empty(nats_server: LocalNatsServer) -> None:
    """Check that the store has dropped all sessions and tickets, which live for seconds here, and
    that no consumer of a reader is left over."""
    connection = await connect(nats_server.url, "soak")
    deadline = asyncio.get_running_loop().time() + CLEANUP_TIMEOUT_SECONDS
    try:
        while any(
            (there := await jetstream_counts(connection, (SESSIONS, TICKETS, LEASES))).values()
        ):
            assert asyncio.get_running_loop().time() < deadline, there
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


def _progress_line(connect_count: int, report: LoadReport, sample: ResourceSample) -> str:
    memory = f"{sample.rss:,.0f} KiB resident, {sample.pss:,.0f} proportional"
    rate = report.connect_count / report.duration_seconds
    return (
        f"{connect_count:>8,}  {rate:,.0f}/s  {report.event_count:,} events  {memory}  "
        f"{sample.baseline_counts}"
    )


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
