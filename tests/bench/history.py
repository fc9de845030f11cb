"""Start-up with a long history: every service on a log of a million events, cold and warm.

A cold start has no checkpoints, as after a restored backup; a warm start is the daily case. A
service has started once all its subscriptions have caught up, according to its own log. Its memory
is read once its durable subscriptions have no pending events, too. The scenario is slow and belongs
to neither the short nor the long form of the benchmark.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from nats.js import JetStreamContext

from tapewire.log.jetstream import JetStreamEventLog, connect, provision
from tests.bench.sizes import TableRows
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.synthetic_log import SyntheticLog, append_synthetic_log

EVENT_COUNT = int(os.environ.get("TAPEWIRE_BENCH_EVENTS", "1000000"))
USER_COUNT = 1000
START_TIMEOUT_SECONDS = 600.0
POLL_INTERVAL_SECONDS = 0.02
READY_EVENTS: dict[str, frozenset[str]] = {
    "orders": frozenset({"works"}),
    "positions": frozenset({"positions"}),
    "edge": frozenset(),
    "prices": frozenset(),
    "strategies": frozenset({"strategies-runner", "strategies-fills"}),
    "alerts": frozenset(
        {
            "alert-rules",
            "alerts-of-orders",
            "alerts-of-strategies",
            "notifications-of-orders",
            "notifications-of-strategies",
            "notifications-of-alerts",
        }
    ),
}
"""The log event of a service that has started: events, or the names of its subscriptions."""


class BenchedService:
    """A process of a service, and its log lines."""

    def __init__(self, name: str, url: str, log: Path, **settings: str) -> None:
        self._log = log
        self._awaited_events = {"service.ready", *READY_EVENTS[name]}
        self.started_at = time.perf_counter()
        environment = {
            **os.environ,
            "TAPEWIRE_NATS_URL": url,
            "TAPEWIRE_PORT": "0",
            "TAPEWIRE_LOG_FORMAT": "json",
            "TAPEWIRE_LOG_LEVEL": "info",
            **settings,
        }
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"tapewire_services.{name}"],
                env=environment,
                stdout=out,
                stderr=out,
            )

    async def wait_started(self) -> float:
        """Wait until all subscriptions have caught up; return the seconds since the start."""
        while not self._awaited_events <= self._logged_events():
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-2000:])
            if time.perf_counter() - self.started_at > START_TIMEOUT_SECONDS:
                raise TimeoutError(
                    f"still waits for {self._awaited_events - self._logged_events()}"
                )
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
        return time.perf_counter() - self.started_at

    def _logged_events(self) -> set[str]:
        found = set()
        for line in self._log.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                found.add(entry.get("event", ""))
                if entry.get("event") == "subscription.caught_up":
                    found.add(entry["name"])
        return found

    def cpu_seconds(self) -> float:
        """The CPU seconds used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def resident_megabytes(self) -> float:
        rss: int = psutil.Process(self._process.pid).memory_info().rss
        return rss / 1e6

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def run_nats_server() -> Iterator[tuple[LocalNatsServer, Path]]:
    with tempfile.TemporaryDirectory(prefix="tapewire-history-") as directory:
        broker = LocalNatsServer(Path(directory), provisioned=True)
        broker.start()
        try:
            yield broker, Path(directory)
        finally:
            broker.close()


class PrintedRows(list[tuple[str, str]]):
    """Rows that are printed as soon as they are measured, because the whole takes long."""

    def append(self, row: tuple[str, str]) -> None:
        sys.stderr.write(f"{row[0]}: {row[1]}\n")
        super().append(row)


async def measure_long_history() -> TableRows:
    """All rows: writing, each service cold and warm, and verification."""
    rows = PrintedRows()
    with run_nats_server() as (broker, folder):
        began = time.perf_counter()
        events = await _write_history(broker.url)
        rate = events / (time.perf_counter() - began)
        rows.append((f"writing {events:,} events in batches", f"{rate:,.0f}/s"))
        for name in READY_EVENTS:
            cold = await _measure_start(name, broker.url, folder, wait_ready=True)
            warm = await _measure_start(name, broker.url, folder, wait_ready=False)
            rows.append((f"{name}, cold start with {events:,} events", cold))
            rows.append((f"{name}, warm start", warm))
        rows.append(
            (f"tapewire verify of {events:,} events", await _measure_verification(broker.url))
        )
    return rows


async def _write_history(url: str) -> int:
    connection = await connect(url, "bench")
    try:
        await provision(connection)
        return await append_synthetic_log(
            JetStreamEventLog(connection), SyntheticLog(USER_COUNT), EVENT_COUNT
        )
    finally:
        await connection.close()


async def _measure_start(name: str, url: str, folder: Path, *, wait_ready: bool) -> str:
    service = BenchedService(name, url, folder / f"{name}.log")
    try:
        seconds = await service.wait_started()
        summary = f"{seconds:.1f} s ({service.cpu_seconds():.1f} s of CPU)"
        if wait_ready:
            await wait_reactions_done(url)
            seconds = time.perf_counter() - service.started_at
            summary += f", views counted after {seconds:.1f} s"
        await asyncio.sleep(2)  # let work in progress show in the memory
        return f"{summary}, {service.resident_megabytes():.0f} MB"
    finally:
        service.stop()


async def wait_reactions_done(url: str) -> None:
    """Wait until no durable subscription has pending events."""
    connection = await connect(url, "bench")
    try:
        while await _pending_message_count(connection.client.jetstream()):  # noqa: ASYNC110 - there is no notification
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def _pending_message_count(jetstream: JetStreamContext) -> int:
    infos = await jetstream.consumers_info("EVENTS")
    return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)


async def _measure_verification(url: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tapewire.cli", "verify", "--nats", url),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    watched, most, used = psutil.Process(process.pid), 0, 0.0
    reading = asyncio.create_task(process.stdout.read())
    while not reading.done():
        with contextlib.suppress(psutil.Error):
            most = max(most, watched.memory_info().rss)
            used = max(used, watched.cpu_times().user + watched.cpu_times().system)
        await asyncio.sleep(0.1)
    lines = reading.result().decode().splitlines()
    code = await process.wait()
    assert code == 0, lines[:5]
    return f"{lines[0].split('), ')[1]}, {used:.1f} s of CPU, {most / 1e6:.0f} MB"
