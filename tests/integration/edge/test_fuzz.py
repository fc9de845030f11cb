"""Random requests get an expected status, cause no failure and leak no resources (C2).

`TAPEWIRE_TEST_FUZZ_SECONDS` sets the duration. A run of 30 seconds or more starts all services.
`TAPEWIRE_TEST_SEED` repeats a run.
"""

import asyncio
import contextlib
import itertools
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.resource_monitor import ResourceMonitor
from tests.integration.edge.request_fuzzer import RequestFuzzer, fuzz_routes

SECONDS = float(os.environ.get("TAPEWIRE_TEST_FUZZ_SECONDS", "2"))
LONG_SECONDS = 30.0
MEANT = {100, 200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 431, 503}
STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
AT_ONCE = 24
LEAST_SENT = 400
"""The minimum number of connections, also on a slow machine."""
MOST_SHOWN = 20
SHOWN_BYTES = 500
LOOK_SECONDS = 0.05
"""How long to continue to read an answer that has begun. Streams have no end."""
SETTINGS = {
    "TAPEWIRE_JWT_SECRET": HS256_SECRET,
    "TAPEWIRE_TOKEN_IN_QUERY": "on",
    "TAPEWIRE_TRUSTED_PROXIES": "127.0.0.1,::1",
    "TAPEWIRE_USER_HEADER_FROM": "127.0.0.1",
    # The edge detects a client that left without reading when a write fails.
    "SSE_KEEPALIVE_INTERVAL": "1",
}


async def statuses_of(edge: EdgeProcess, sent: bytes) -> list[int]:
    """The statuses of all answers to `sent`. An incomplete request has none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    received = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(sent)
            await writer.drain()
            while data := await _more(reader, LOOK_SECONDS if received else _timeout_for(sent)):
                received += data
    finally:
        writer.transport.abort()
    return [int(status) for status in STATUS.findall(received)]


def _timeout_for(sent: bytes) -> float:
    """Wait long for a complete request. With an incomplete one, both sides may wait."""
    whole = sent.endswith(b"\r\n\r\n") and sent.startswith(b"GET /")
    return 20.0 if whole else 0.3


async def _more(reader: Any, seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        return await reader.read(1 << 16)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_random_requests_cause_no_failure_and_no_leak(
    isolated_harness: Harness, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    seed = int(os.environ.get("TAPEWIRE_TEST_SEED") or random.randrange(1 << 32))
    issuer, file = JwtIssuer(), tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    edge = isolated_harness.start_edge(TAPEWIRE_JWT_JWKS=file, **SETTINGS)
    others = _others(isolated_harness) if SECONDS >= LONG_SECONDS else []
    cookie = await edge.sign_in(fresh("alice"))
    tokens = [issuer.token("alice", "HS256", seconds=9999), issuer.token("bob", seconds=9999)]
    async with edge.client(cookie) as http:
        found = fuzz_routes((await http.get("/docs/openapi.json")).json())
    fuzz = RequestFuzzer(seed, [cookie.encode(), *(token.encode() for token in tokens)], found)
    gauges = ResourceMonitor(edge, isolated_harness.broker)
    first = await gauges.sample_baseline()
    tried, unmeant = await _send(edge, fuzz)
    assert not unmeant, (seed, unmeant)
    sys.stdout.write(f"seed {seed}: {dict(tried)}\n")
    assert {200, 400, 401, 404, 405, 422} <= set(tried), tried
    await gauges.wait_until_idle(first)
    for service in (edge, *others):
        assert not _bad(service), (seed, service.name, _bad(service)[:3])
        assert "Traceback" not in service.log_file.read_text(), seed
    async with edge.client(cookie) as http:
        assert (await http.get("/api/session")).status_code == 200


async def _send(edge: EdgeProcess, fuzz: Any) -> tuple[Counter[int], list[tuple[list[int], bytes]]]:
    """Send random requests until the time is over.

    Returns the count of each status, and the requests that got an unexpected status.
    """
    ends, sending = time.monotonic() + SECONDS, itertools.count()
    tried, unmeant = Counter[int](), list[tuple[list[int], bytes]]()

    async def one_after_another() -> None:
        for number in sending:
            if number >= LEAST_SENT and time.monotonic() > ends:
                return
            sent = fuzz.connection_bytes()
            statuses = await statuses_of(edge, sent)
            tried.update(statuses)
            if not set(statuses) <= MEANT:
                unmeant.append((statuses, sent[:SHOWN_BYTES]))
            if len(unmeant) >= MOST_SHOWN:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_another())
    return tried, unmeant


def _others(harness: Harness) -> Any:
    return [
        harness.start_service(name)
        for name in ("orders", "positions", "strategies", "alerts", "insights")
    ]


def _bad(service: Any) -> list[Any]:
    return [line for line in service.log_lines() if "exception" in line or line["level"] == "error"]
