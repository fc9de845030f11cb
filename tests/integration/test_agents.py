"""Service processes report their state, and `tapewire status` shows it (T10)."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.events import AgentStatusChanged
from tapewire.log import LogError, encode_token
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness import fork_server
from tests.harness.edge import ManagedService
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.recorded_log import event_of

WAIT_SECONDS = 90.0
SILENCE = 6
"""Seconds. Many heartbeats long: a process that only lacks CPU time is not declared dead."""
QUICK = {
    "TAPEWIRE_AGENT_HEARTBEAT": "0.3",
    "TAPEWIRE_AGENT_SILENCE": f"{SILENCE}",
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path / "nats", provisioned=True)
    (tmp_path / "nats").mkdir()
    made.start()
    yield made
    made.close()


@pytest.fixture
def start(
    broker: LocalNatsServer, tmp_path: Path
) -> Iterator[Callable[[str, str], ManagedService]]:
    """Starts services, by name and instance."""
    started = []

    def start_(name: str, instance: str) -> ManagedService:
        settings = {"TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_INSTANCE": instance, **QUICK}
        service = ManagedService(name, settings, tmp_path)
        started.append(service)
        service.wait_ready()
        return service

    yield start_
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


async def run_status(broker: Any, *options: Any) -> str:
    command = ("status", "--nats", broker.url, *options)
    done = await asyncio.to_thread(fork_server.run_cli, *command, timeout=60)
    done.check_returncode()
    return done.stdout


@pytest.fixture
async def journal(broker: LocalNatsServer) -> AsyncIterator[JetStreamEventLog]:
    """The event log, over its own connection."""
    connection = await connect(broker.url, "test")
    yield JetStreamEventLog(connection)
    await connection.close()


def _name(instance: str) -> str:
    return f"{'orders' if instance.startswith('o') else 'prices'}/{instance}"


async def recorded_states(log: Any, instance: str) -> list[Any]:
    """Return the states of an instance in order. A service that is degraded for another reason than
    before records that too, which is no other state."""
    page = await log.page(f"ev._all.agents.{encode_token(_name(instance))}", after=0)
    return [state for state, _ in itertools.groupby(one.event.state.value for one in page.events)]


async def become(log: Any, instance: str, *wanted: Any) -> None:
    """Wait until the last recorded states of `instance` are `wanted`."""
    seen = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while seen is None or seen[-len(wanted) :] != [*wanted]:
                with contextlib.suppress(LogError):  # the server is being restarted
                    seen = await recorded_states(log, instance)
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{instance} never became {wanted}; last seen: {seen}")


async def test_state_changes_of_services_are_recorded_through_kills_and_restarts(
    broker: LocalNatsServer, start: Callable[[str, str], ManagedService], journal: JetStreamEventLog
) -> None:
    orders, prices, victim = (start("orders", "o.1"), start("prices", "p/1"), start("prices", "p2"))
    for instance in ("o.1", "p/1", "p2"):
        await become(journal, instance, "starting", "running")

    prices.process.kill()
    await become(journal, "p/1", "starting", "running", "stopped")

    # Like a container that crashes again, the process has the same name.
    again = start("prices", "p/1")
    await become(journal, "p/1", "stopped", "starting", "running")
    again.process.kill()
    await become(journal, "p/1", "stopped", "starting", "running", "stopped")

    # The death of a process that is killed together with the server is noticed later. If the outage
    # made live processes count as dead, they would be recorded as stopped by then.
    victim.process.kill()
    broker.kill()
    broker.start()
    await become(journal, "o.1", "running", "degraded", "running")
    await become(journal, "p2", "running", "stopped")
    assert "stopped" not in await recorded_states(journal, "o.1")

    rows = [json.loads(line) for line in (await run_status(broker, "--json")).splitlines()]
    assert [(one["service"], one["instance"], one["state"], one["detail"]) for one in rows] == [
        ("orders", "o.1", "running", None),
        ("prices", "p/1", "stopped", f"not heard of for {SILENCE} s"),
        ("prices", "p2", "stopped", f"not heard of for {SILENCE} s"),
    ]

    orders.process.terminate()
    assert await asyncio.to_thread(orders.process.wait, 60) == 0
    assert (await recorded_states(journal, "o.1"))[-2:] == ["running", "stopped"], (
        "the last state is not stopped"
    )
    table = (await run_status(broker)).splitlines()
    assert table[0].split() == ["service", "instance", "state", "since", "detail"]
    assert table[1].split()[:3] == ["orders", "o.1", "stopped"]


def test_contradictory_heartbeat_settings_are_rejected(broker: LocalNatsServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tapewire_services.orders"],
        env={"TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_AGENT_HEARTBEAT": "30", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "TAPEWIRE_AGENT_SILENCE=45" in done.stderr


async def test_a_failed_start_is_recorded_without_file_names(
    broker: LocalNatsServer, journal: JetStreamEventLog
) -> None:
    settings = {"TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_INSTANCE": "p1", "PATH": "", **QUICK}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tapewire_services.prices"],
        env={**settings, "TAPEWIRE_FEED": "/nowhere/quotes.csv"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "/nowhere/quotes.csv" in done.stdout + done.stderr
    page = await journal.page(f"ev._all.agents.{encode_token(_name('p1'))}", after=0)
    status = event_of(page.events[-1], AgentStatusChanged)
    assert (status.state.value, status.detail) == (
        "stopped",
        "failed: BadSetting (its log says why)",
    )
