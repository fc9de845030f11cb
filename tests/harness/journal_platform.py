"""A message server with an edge and an orders service, and what may befall its journal."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx

from tapewire.cli.up.embedded_nats import find_free_port
from tapewire.log.history_store import store_history
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
)
from tapewire.log.jetstream.streams import VIEWS
from tapewire.views import OrderHistory
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer, provision_streams
from tests.harness.provisioning import ask, run_command
from tests.harness.publishers import EventLogDriver, orders_placed
from tests.harness.waiting import wait_until_async


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
        orders_settings = {
            **settings,
            "TAPEWIRE_HEALTH_PORT": str(port),
            "TAPEWIRE_STALE_SECONDS": "60",  # a test publishes its quote once
        }
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

    async def store_orders_history(self, user: str) -> None:
        """Store the list of the user's orders in blocks, as the orders service does."""
        connection = await self.connect()
        try:
            views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
            await store_history(JetStreamEventLog(connection), views, OrderHistory, user)
        finally:
            await connection.close()

    async def read_orders_page(self, user: str, cursor: str | None) -> tuple[list[str], str | None]:
        """The ids of a page of the user's orders, as the API lists them, and the next cursor."""
        async with self.edge.client(await self.edge.sign_in(user)) as http:
            params = {"limit": "200"} if cursor is None else {"limit": "200", "cursor": cursor}
            answer = httpx.Response(0)

            async def is_answered() -> bool:
                nonlocal answer
                answer = await http.get("/api/orders", params=params)
                return answer.status_code == 200

            await wait_until_async(
                "a page of orders is read", is_answered, describe_last=lambda: answer.text
            )
        page = answer.json()
        return [order["orderId"] for order in page["orders"]], page.get("next")

    async def list_orders(self, user: str) -> list[str]:
        """The ids of all orders of the user, the newest first."""
        page, cursor = await self.read_orders_page(user, None)
        found = page
        while cursor is not None:
            page, cursor = await self.read_orders_page(user, cursor)
            found += page
        return found

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
