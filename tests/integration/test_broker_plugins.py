"""A broker of another package, written from docs/brokers.md alone: the page's example, installed
beside Tapewire, executes the orders of a running platform."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tapewire.testing.brokers import VenueDriver
from tests.harness import fork_server
from tests.harness.distributions import install_distribution
from tests.harness.page_files import write_page_files
from tests.harness.stack import WAIT_TIMEOUT_SECONDS, Stack, StackFactory
from tests.harness.waiting import wait_until_async

PARKED_SOON = """
from acme_broker import AcmeBroker
from tapewire.log import failed_events
failed_events.MAX_ATTEMPTS = 2
"""
"""An execution that fits no order is parked at its second try, in the orders service alone."""


class Platform:
    """A running platform whose orders go to Acme's venue, and a user who is signed in."""

    def __init__(self, stack: Stack, venue: VenueDriver, user: httpx.AsyncClient) -> None:
        self.stack, self.venue, self.user = stack, venue, user

    async def place(self, limit: str = "100") -> str:
        """Place an order of 10 shares. Returns its id."""
        order = {"symbol": "AAPL", "side": "buy", "type": "limit", "qty": "10", "limitPrice": limit}
        reply = await self.user.post("/api/orders", json=order)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["orderId"])

    async def wait_for(self, order_id: str, status: str, filled: str) -> dict[str, Any]:
        """Wait until the order has this status and this many shares are filled."""

        order: dict[str, Any] = {}

        async def is_done() -> bool:
            nonlocal order
            reply = await self.user.get(f"/api/orders/{order_id}")
            order = reply.json()
            return reply.status_code == 200 and (
                (order["status"], Decimal(order["filledQty"])) == (status, Decimal(filled))
            )

        await wait_until_async(
            f"{status} with {filled} filled", is_done, describe_last=lambda: order
        )
        return order

    async def run(self, *command: str) -> str:
        """The output of a command of `tapewire`."""
        result = await asyncio.to_thread(
            fork_server.run_cli, *command, "--nats", self.stack.nats_url, timeout=60
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    async def describe_orders_service(self) -> dict[str, Any]:
        """What `tapewire status` says of the living process of the orders service."""
        lines = map(json.loads, (await self.run("status", "--json")).splitlines())
        name = f"-{self.stack.pid('orders')}"
        return next((one for one in lines if one["instance"].endswith(name)), {"state": "unknown"})

    async def wait_for_reason(self, text: str | None) -> None:
        """Wait until the orders service is degraded for a reason with `text`; None: until it is
        not degraded."""

        service: dict[str, Any] = {}

        async def is_said() -> bool:
            nonlocal service
            service = await self.describe_orders_service()
            if text is None:
                return bool(service["state"] == "running")
            return service["state"] == "degraded" and text in service["detail"]

        await wait_until_async(
            f"the reason of the orders service is {text}", is_said, describe_last=lambda: service
        )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The example of the page, installed in a folder."""
    (tmp_path / "parked_soon.py").write_text(PARKED_SOON)
    write_page_files("brokers.md", tmp_path)
    broker = {"acme": "parked_soon:AcmeBroker"}
    install_distribution(tmp_path, "acme-broker", {"tapewire.brokers": broker})
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in ("acme_broker", "acme_venue"):
        sys.modules.pop(name, None)


@pytest.fixture
async def platform(folder: Path, stack_factory: StackFactory) -> AsyncIterator[Platform]:
    from acme_venue import AcmeVenue  # type: ignore[import-not-found]

    venue = AcmeVenue()
    await venue.start()
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    settings = {"TAPEWIRE_BROKER": "acme", "TAPEWIRE_AGENT_HEARTBEAT": "0.5", "PYTHONPATH": path}
    stack = await asyncio.to_thread(stack_factory, env={**settings, **venue.environment})
    cookies = await asyncio.to_thread(stack.sign_in, "alice")
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=60) as user:
        yield Platform(stack, venue, user)
    await venue.stop()


async def test_a_broker_of_another_package_executes_the_orders_of_the_platform(
    platform: Platform,
) -> None:
    venue = platform.venue

    # An order over HTTP is filled by it.
    started_at = datetime.now(UTC)
    first = await platform.place()
    await venue.accept(first)
    await venue.execute(first, Decimal(10), Decimal("99.5"))
    order = await platform.wait_for(first, "filled", "10")
    assert (order["filledAvgPrice"], order["venueOrderId"]) == (99.5, f"A-{first}")
    [trade] = (await platform.user.get("/api/trades")).json()["trades"]
    assert trade["executionId"] == "E1"
    assert started_at <= datetime.fromisoformat(trade["venueTime"]) <= datetime.now(UTC)

    # A cancel is pending until the venue has answered.
    second = await platform.place()
    await venue.accept(second)
    reply = await platform.user.delete(f"/api/orders/{second}")
    assert reply.json()["status"] == "pending_cancel"
    await venue.cancel(second)
    await platform.wait_for(second, "canceled", "0")

    # What the venue cannot do is rejected, with the reason.
    order = {"symbol": "AAPL", "side": "sell", "type": "stop", "qty": "10", "stopPrice": "90"}
    stop = (await platform.user.post("/api/orders", json=order)).json()["orderId"]
    rejected = await platform.wait_for(stop, "rejected", "0")
    assert rejected["reason"] == "Acme takes market and limit orders (GTC) only"

    # The orders service is killed: what is executed meanwhile is booked by the next broker.
    third = await platform.place()
    await venue.accept(third)
    await platform.wait_for(third, "new", "0")
    pid = platform.stack.kill("orders")
    await venue.execute(third, Decimal(4), Decimal(100))
    await asyncio.to_thread(platform.stack.pid, "orders", other_than=pid)
    await platform.wait_for(third, "partially_filled", "4")

    # An execution that fits no order is kept: operators see it.
    await venue.execute_unknown_order(Decimal(3), Decimal(100))
    await platform.wait_for_reason("1 events of unmatched-executions are parked")
    [parked] = map(json.loads, (await platform.run("parked", "list", "--json")).splitlines())
    assert (parked["subscription"], parked["attempts"]) == ("unmatched-executions", 2)
    assert "there is no order 'unknown'" in parked["error"]
    sequence = str(parked["sequence"])
    details = await platform.run("parked", "show", "unmatched-executions", sequence)
    assert '"qty":3,"price":100' in details.replace(" ", "")
    await platform.run("parked", "drop", "unmatched-executions", sequence)

    # The venue is away: status says so, and requests are answered; then it goes on.
    await venue.disconnect()
    await platform.wait_for_reason("the broker: no connection to Acme")
    fourth = await platform.place()
    await venue.reconnect()
    await venue.accept(fourth)
    await venue.execute(fourth, Decimal(10), Decimal(100))
    await platform.wait_for(fourth, "filled", "10")
    await platform.wait_for_reason(None)


def test_the_example_of_the_page_passes_the_contract_suite(tmp_path: Path) -> None:
    write_page_files("brokers.md", tmp_path)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-qrs",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faker",
            tmp_path,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout
    skipped = [line for line in result.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all(line.endswith("has no offer") for line in skipped), skipped  # it is not reduce-only


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"TAPEWIRE_BROKER": "acne"},
            "name in the group 'tapewire.brokers'; the names are: acme, paper",
        ),
        (
            {"TAPEWIRE_BROKER": "acme", "ACME_VENUE": "localhost"},
            "ACME_VENUE=localhost: must be HOST:PORT",
        ),
    ],
)
def test_a_bad_choice_ends_the_start_and_says_why(
    folder: Path, stack_factory: StackFactory, settings: dict[str, str], message: str
) -> None:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    stack = stack_factory(env={**settings, "PYTHONPATH": path}, wait=False)
    assert stack.process.wait(WAIT_TIMEOUT_SECONDS) == 2
    assert message in stack.log_text()
