"""Starting with a long history: every service on a log of a million events, cold and warm.

Cold is a log without a checkpoint of anything, as after a restored backup; warm is how services
start every day. A service has started when all that it follows is caught up, by its own log. Its
memory is read when what it reacts to is done, too. Slow: not in the short form, nor in the long.
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

from tapewire.log.jetstream import JetStreamLog, connect, provision
from tests.bench.figures import Rows
from tests.broker import LocalBroker
from tests.tapes import Tape, write

EVENTS = int(os.environ.get("TAPEWIRE_BENCH_EVENTS", "1000000"))
USERS = 1000
START_SECONDS = 600.0
LOOK_SECONDS = 0.02
STARTS: dict[str, frozenset[str]] = {
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
"""What a service says when it has started: the names of followers, or a word."""


class Service:
    """A process of a service, and what it says."""

    def __init__(self, name: str, url: str, log: Path) -> None:
        self._log = log
        self._wanted = {"ready", *STARTS[name]}
        self._began = time.perf_counter()
        environment = {
            **os.environ,
            "TAPEWIRE_NATS_URL": url,
            "TAPEWIRE_PORT": "0",
            "TAPEWIRE_LOG_FORMAT": "json",
            "TAPEWIRE_LOG_LEVEL": "info",
        }
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"services.{name}"],
                env=environment,
                stdout=out,
                stderr=out,
            )

    async def started(self) -> float:
        """Seconds until it was caught up with everything."""
        while not self._wanted <= self._said():
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-2000:])
            if time.perf_counter() - self._began > START_SECONDS:
                raise TimeoutError(f"still waits for {self._wanted - self._said()}")
            await asyncio.sleep(LOOK_SECONDS)
        return time.perf_counter() - self._began

    def _said(self) -> set[str]:
        found = set()
        for line in self._log.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                found |= {said.get("event", ""), said.get("follower", "")}
                if said.get("event") == "knows the rules":
                    found.add("alert-rules")
        return found

    def used(self) -> float:
        """Seconds of CPU."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
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
def server() -> Iterator[tuple[LocalBroker, Path]]:
    with tempfile.TemporaryDirectory(prefix="tapewire-history-") as directory:
        broker = LocalBroker(Path(directory))
        broker.start()
        try:
            yield broker, Path(directory)
        finally:
            broker.close()


class _Told(list[tuple[str, str]]):
    """Rows, each told as soon as it is known: the whole takes long."""

    def append(self, row: tuple[str, str]) -> None:
        sys.stderr.write(f"{row[0]}: {row[1]}\n")
        super().append(row)


async def history() -> Rows:
    """All rows: writing, each service cold and warm, and verification."""
    rows = _Told()
    with server() as (broker, folder):
        began = time.perf_counter()
        events = await _write(broker.url)
        rate = events / (time.perf_counter() - began)
        rows.append((f"writing {events:,} events in batches", f"{rate:,.0f}/s"))
        for name in STARTS:
            cold = await _start(name, broker.url, folder, wait=True)
            warm = await _start(name, broker.url, folder, wait=False)
            rows.append((f"{name}, cold start with {events:,} events", cold))
            rows.append((f"{name}, warm start", warm))
        rows.append((f"tapewire verify of {events:,} events", await _verify(broker.url)))
    return rows


async def _write(url: str) -> int:
    wire = await connect(url, "bench")
    try:
        await provision(wire)
        return await write(JetStreamLog(wire), Tape(USERS), EVENTS)
    finally:
        await wire.close()


async def _start(name: str, url: str, folder: Path, *, wait: bool) -> str:
    service = Service(name, url, folder / f"{name}.log")
    try:
        seconds = await service.started()
        said = f"{seconds:.1f} s ({service.used():.1f} s of CPU)"
        if wait:
            said += f", views counted after {await _reacted(url, service):.1f} s"
        await asyncio.sleep(2)  # so that what is only begun shows in the memory too
        return f"{said}, {service.megabytes():.0f} MB"
    finally:
        service.stop()


async def _reacted(url: str, service: Service) -> float:
    """Until no reaction has anything left to take; seconds since the service began."""
    wire = await connect(url, "bench")
    try:
        while await _pending(wire.client.jetstream()):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.2)
        return time.perf_counter() - service._began
    finally:
        await wire.close()


async def _pending(jetstream: "object") -> int:
    infos = await jetstream.consumers_info("EVENTS")  # type: ignore[attr-defined]
    return sum(info.num_pending + info.num_ack_pending for info in infos)


async def _verify(url: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tapewire.cli", "verify", "--nats", url),
        stdout=subprocess.PIPE,
    )
    watched, most, used = psutil.Process(process.pid), 0, 0.0
    reading = asyncio.create_task(process.stdout.read())  # type: ignore[union-attr]
    while not reading.done():
        with contextlib.suppress(psutil.Error):
            most = max(most, watched.memory_info().rss)
            used = max(used, watched.cpu_times().user + watched.cpu_times().system)
        await asyncio.sleep(0.1)
    lines = reading.result().decode().splitlines()
    code = await process.wait()
    assert code == 0, lines[:5]
    return f"{lines[0].split('), ')[1]}, {used:.1f} s of CPU, {most / 1e6:.0f} MB"
