"""All services as processes, `replicas` of each, over one NATS server.

With one replica a killed process is restarted at once; with more, when another process has taken
over its work. All processes end with the block of `ServiceProcesses.run_all`.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tapewire.log import Unavailable, encode_token
from tapewire.log.jetstream import JetStreamLatestValueStore, NatsConnection
from tests.day.plan import FEE_PER_SHARE
from tests.harness.nats_servers import LocalNatsServer, _set_parent_death_signal

SERVICES = ("prices", "orders", "positions", "strategies", "alerts")
SERVICE_OF_LEASE = {
    "price-feed": "prices",
    "paper-broker": "orders",
    "positions": "positions",
    "strategies-runner": "strategies",
    "alerts": "alerts",
    "notifications": "alerts",
}
"""The service that holds each lease."""
MODULES = {
    "prices": "tests.day.stepped_prices",
    "alerts": "tests.day.alerts_at_market_time",
    "strategies": "tests.day.strategies_at_market_time",
}
"""Modules of services that are not `tapewire_services.{name}`."""
PROJECT_FOLDER = Path(__file__).parents[2]
NATS = "nats"
DAY_END_SETTING = "TAPEWIRE_PAPER_DAY_END"
DAY_LENGTH = timedelta(hours=12)
"""Longer than any run. Day orders expire when `end_trading_day` says so."""
EXIT_TIMEOUT_SECONDS = 60.0


class ServiceProcesses:
    """The processes. A name is that of the service and a number, such as `orders-0`."""

    def __init__(self, folder: Path, feed: Path, replicas: int) -> None:
        self.replicas = replicas
        self.kill_count = 0
        self._folder = folder
        self._feed = feed
        self._nats_server = LocalNatsServer(folder, provisioned=True)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._settings = {
            "TAPEWIRE_PAPER_FEE_PER_SHARE": str(FEE_PER_SHARE),
            DAY_END_SETTING: f"{datetime.now(UTC) + DAY_LENGTH:%H:%M}",
        }

    @contextlib.asynccontextmanager
    async def run_all(self) -> AsyncIterator["ServiceProcesses"]:
        """Run all processes for the duration of the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._nats_server.start()
        try:
            for number in range(self.replicas):
                for service in SERVICES:
                    await self.start(f"{service}-{number}")
            yield self
        finally:
            for process in self._processes.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            for process in self._processes.values():
                await asyncio.wait_for(process.wait(), EXIT_TIMEOUT_SECONDS)
            self._nats_server.close()

    @property
    def url(self) -> str:
        return self._nats_server.url

    async def start(self, name: str) -> None:
        """Start a process, or start it again."""
        service = name.rpartition("-")[0]
        env = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
        env |= {
            "TAPEWIRE_NATS_URL": self.url,
            "TAPEWIRE_FEED": str(self._feed),
            "TAPEWIRE_INSTANCE": name,
            **self._settings,
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                MODULES.get(service, f"tapewire_services.{service}"),
                cwd=PROJECT_FOLDER,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_set_parent_death_signal,
            )

    async def end_trading_day(self) -> None:
        """Let the trading day end at the next full minute, and restart the orders services, which
        learn it as a setting."""
        now = datetime.now(UTC)
        day_end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        await asyncio.sleep((day_end - now).total_seconds())
        self._settings[DAY_END_SETTING] = f"{day_end:%H:%M}"
        for number in range(self.replicas):
            name = f"orders-{number}"
            process = self._processes[name]
            process.terminate()
            await asyncio.wait_for(process.wait(), EXIT_TIMEOUT_SECONDS)
            await self.start(name)

    async def kill(self, name: str) -> None:
        """Kill a process with SIGKILL and wait for its exit."""
        process = self._processes[name]
        if process.returncode is not None:
            raise AssertionError(f"{name} ended unexpectedly:\n{self.log_tail(name)}")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        self.kill_count += 1

    def kill_nats(self) -> None:
        """Kill the NATS server with SIGKILL and restart it with its stored data."""
        self._nats_server.kill()
        self._nats_server.start()
        self.kill_count += 1

    def raise_if_exited(self) -> None:
        """Raise AssertionError if a process exited that was not killed."""
        for name, process in self._processes.items():
            if process.returncode not in (None, -signal.SIGKILL):
                raise AssertionError(
                    f"{name} ended with {process.returncode}; its log ends:\n{self.log_tail(name)}"
                )

    def log_tail(self, name: str, line_count: int = 20) -> str:
        """Return the last lines of the log of a process."""
        text = (self._folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-line_count:])

    def error_lines(self) -> list[str]:
        """Return the lines of all logs that report an error."""
        return [
            f"{file.stem}: {line}"
            for file in sorted(self._folder.glob("*-[0-9].log"))
            for line in file.read_text(errors="replace").splitlines()
            if '"level":"error"' in line.replace(" ", "") or "Traceback" in line
        ]


class LeaseReader:
    """Reads who holds a lease."""

    def __init__(self, connection: NatsConnection) -> None:
        self._value_store = JetStreamLatestValueStore(
            connection, stream="KV_leases", prefix="$KV.leases"
        )

    async def holder(self, lease: str) -> str | None:
        """Return the process that holds the lease; None if there is none or NATS is away."""
        try:
            data = await self._value_store.get(encode_token(lease))
        except Unavailable:
            return None
        return data.decode() if data else None
