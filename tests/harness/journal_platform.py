"""A message server with an edge and an orders service, and what may befall its journal."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.log.jetstream import NatsConnection, connect
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer, provision_streams
from tests.harness.provisioning import ask, run_command
from tests.harness.publishers import EventLogDriver, orders_placed


class JournalPlatform:
    """A message server with an edge and an orders service that serve a journal of ten events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = LocalNatsServer(folder)
        self.server.start()
        provision_streams(self.server.url)
        self._services: list[ManagedService] = []
        self.orders_url = ""

    async def start_services(self) -> None:
        """Start an edge and an orders service, and wait until both run or hold."""
        port = find_free_port()
        self.orders_url = f"http://127.0.0.1:{port}"
        settings = {"TAPEWIRE_NATS_URL": self.server.url}
        orders_settings = {**settings, "TAPEWIRE_HEALTH_PORT": str(port)}
        self.edge = EdgeProcess(settings, self.folder)
        self._services += [
            self.edge,
            ManagedService("orders", orders_settings, self.folder),
        ]
        for service in self._services[-2:]:
            await asyncio.to_thread(service.wait_ready)

    async def connect(self) -> NatsConnection:
        return await connect(self.server.url, "test")

    async def append(self, count: int, prefix: str = "o") -> int:
        """Append orders of alice; the last sequence."""
        connection = await self.connect()
        try:
            return await EventLogDriver(connection).append("alice", *orders_placed(count, prefix))
        finally:
            await connection.close()

    async def api(self, verb: str, request: dict[str, Any] | None = None) -> Any:
        connection = await self.connect()
        try:
            return await ask(connection, verb, request)
        finally:
            await connection.close()

    async def epoch(self) -> str:
        connection = await self.connect()
        try:
            return await EventLogDriver(connection).epoch()
        finally:
            await connection.close()

    def stop_services(self) -> None:
        for service in self._services:
            if service.process.poll() is None:
                service.kill()

    def stop_orders(self) -> None:
        self._services[-1].kill()

    def copy_store(self) -> Path:
        """Stop the server, copy its files, and start it again."""
        self.server.kill()
        copy = self.folder / "copy"
        shutil.copytree(self.folder / "store", copy)
        self.server.start()
        return copy

    def restore_store(self, copy: Path) -> None:
        """Put a copy of the server's files back, and start the server."""
        self.server.kill()
        shutil.rmtree(self.folder / "store")
        shutil.copytree(copy, self.folder / "store")
        self.server.start()

    def lose_store(self) -> None:
        """Lose everything that the server has stored, and start it again."""
        self.server.kill()
        shutil.rmtree(self.folder / "store")
        self.server.start()

    def provision(self) -> str:
        return self.run("provision")[1]

    def run(self, *command: str) -> tuple[int, str]:
        """The exit code and the output of a `tapewire` command."""
        return run_command(*command, "--nats", self.server.url)

    def close(self) -> None:
        self.stop_services()
        self.server.close()
