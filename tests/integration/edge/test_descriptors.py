"""An edge whose file descriptors run out (C14): it answers or lets wait, and says what to do."""

import asyncio
import json
import os
import resource
import sys

import psutil
import pytest

from tapewire_services.edge.http.listener import RESERVED_DESCRIPTORS
from tests.harness.edge import START_TIMEOUT_SECONDS, EdgeProcess, Harness
from tests.harness.waiting import wait_until

PRICES = "/api/stream/prices?symbols=NONE"
SPARE = 6
"""Descriptors that connections may use besides the reserved ones."""
EXHAUSTED = "listener.descriptors_exhausted"


@pytest.fixture
def edge(isolated_harness: Harness) -> EdgeProcess:
    return isolated_harness.start_edge()


def limit_descriptors(edge: EdgeProcess, spare: int) -> None:
    """Leave `spare` descriptors to the edge."""
    _, hard = resource.prlimit(edge.pid, resource.RLIMIT_NOFILE)
    limit = edge.open_descriptors() + spare
    resource.prlimit(edge.pid, resource.RLIMIT_NOFILE, (limit, hard))


async def test_connections_beyond_the_limit_are_503_and_logged_once(edge: EdgeProcess) -> None:
    limit_descriptors(edge, RESERVED_DESCRIPTORS + SPARE)
    streams = [await edge.open_stream(PRICES) for _ in range(SPARE)]
    for _ in range(3):
        async with await edge.connect(PRICES) as answer:
            assert answer.status == 503
            assert int(answer.header("retry-after") or 0) >= 1
            assert b'"statusCode":503' in await answer.body()
    [line] = edge.find_log_lines(EXHAUSTED)
    assert line["level"] == "warning"
    assert "ulimit -n" in line["remedy"]
    assert "SSE_MAX_CONNECTIONS" in line["remedy"]
    for stream in streams:
        await stream.close()
    await wait_until(
        "the streams are closed",
        lambda: len(edge.find_log_lines("stream.closed")) >= SPARE,
        describe_last=lambda: edge.log_lines()[-3:],
    )
    async with await edge.open_stream(PRICES) as stream:
        assert stream.status == 200


async def test_without_any_descriptor_connections_wait_and_none_is_reset(
    edge: EdgeProcess,
) -> None:
    limit_descriptors(edge, SPARE)
    idle = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(3 * SPARE)]
    await wait_until(
        "it is logged",
        lambda: edge.find_log_lines(EXHAUSTED),
        describe_last=lambda: edge.log_lines()[-3:],
    )
    waiting = asyncio.create_task(edge.connect(PRICES))
    process = psutil.Process(edge.pid)
    before = process.cpu_times()
    await asyncio.sleep(2)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.5, "it tries without pause"
    for _, writer in idle:
        writer.close()
    async with await waiting as answer:
        assert answer.status in (200, 503)


async def test_a_burst_is_answered_completely(edge: EdgeProcess) -> None:
    """All connections arrive while the edge cannot accept any."""
    limit_descriptors(edge, RESERVED_DESCRIPTORS + SPARE)
    edge.freeze()
    connecting = [asyncio.create_task(edge.connect("/health/live")) for _ in range(100)]
    await asyncio.sleep(0.2)
    edge.thaw()
    answers = await asyncio.gather(*connecting)
    assert {answer.status for answer in answers} <= {200, 503}
    for answer in answers:
        await answer.close()


@pytest.mark.parametrize(
    ("soft", "hard", "max_connections", "is_warned"),
    [(200, 200, 1000, True), (200, 200, 100, False), (128, 4096, 1000, False)],
)
async def test_at_the_start_the_limit_is_raised_or_a_warning_says_why_not(
    harness: Harness, soft: int, hard: int, max_connections: int, is_warned: bool
) -> None:
    settings = {
        "TAPEWIRE_NATS_URL": harness.broker.url,
        "TAPEWIRE_PORT": "0",
        "SSE_MAX_CONNECTIONS": str(max_connections),
    }
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f'ulimit -S -n {soft}; ulimit -H -n {hard}; exec "$@"', "sh",
        sys.executable, "-m", "tapewire_services.edge",
        env={**os.environ, **settings}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        warnings = []
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while (line := json.loads(await process.stderr.readline()))["event"] != "service.ready":
                warnings += [line] * (line["event"] == "listener.descriptors_below_limit")
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert [each["limit"] for each in warnings] == [hard] * is_warned
        assert limits == (
            soft if soft >= max_connections else min(max_connections + 64, hard),
            hard,
        )
    finally:
        process.kill()
        await process.wait()
