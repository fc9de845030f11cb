"""All clients read while orders are written. Their edge is killed and restarted on the same port,
another edge is drained, and the message server is killed. No event is lost or delivered twice."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

import pytest

from tapewire.cli.up.embedded_nats import find_free_port
from tests.clients.client_runs import WAIT_TIMEOUT_SECONDS, ClientRun
from tests.clients.conftest import ClientGroup
from tests.clients.stream_users import (
    ORDERS_PATH,
    SETTINGS,
    StreamUser,
    append_orders,
    expected_order_events,
)
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITE_INTERVAL_SECONDS = 0.005
"""The delay between two orders; the tests only need orders at every moment."""

_order_numbers = itertools.count(1)


class BackgroundOrderWriter:
    """Writes orders of a user, one after the other, until the block ends."""

    def __init__(self, journal: EventLogDriver, name: str) -> None:
        self.journal, self.name = journal, name
        self.order_ids: list[str] = []
        self._is_running = True
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._is_running = False
        await self._task

    async def _write(self) -> None:
        while self._is_running:
            order_id = f"o-{next(_order_numbers)}"
            await append_orders(self.journal, self.name, order_id)
            self.order_ids.append(order_id)
            await asyncio.sleep(WRITE_INTERVAL_SECONDS)

    @property
    def last_order_id(self) -> str:
        """The id of the order that was written last."""
        return self.order_ids[-1]

    async def wait_for_more(self, count: int = 10) -> None:
        """Wait until `count` more orders are written."""
        wanted = len(self.order_ids) + count

        def are_written() -> bool:
            assert self._task is not None
            assert not self._task.done(), self._task.exception()
            return len(self.order_ids) >= wanted

        await wait_until(
            f"{wanted} orders are written", are_written, timeout_seconds=WAIT_TIMEOUT_SECONDS
        )


@contextlib.asynccontextmanager
async def run_all_clients(
    client_group: ClientGroup, alice: StreamUser
) -> AsyncIterator[list[ClientRun]]:
    """Start one run of each client; all of them have the snapshot."""
    async with contextlib.AsyncExitStack() as stack:
        started = []
        for client, run in client_group.runs.items():
            wanted = await alice.stream_request(ORDERS_PATH, client.auth_methods[0])
            started.append(await stack.enter_async_context(run(wanted)))
        for reader in started:
            await reader.wait_for_event(ORDERS_PATH, "order:update")
        yield started


async def wait_until_all_have(client_runs: Sequence[ClientRun], order_id: str) -> None:
    """Wait until every client has received that order."""
    for reader in client_runs:
        await reader.wait_until(
            f"order {order_id}",
            lambda r: order_id in [one for _, one in r.order_events(ORDERS_PATH)],
        )


async def test_clients_miss_nothing_across_restarts(
    client_group: ClientGroup, isolated_harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The same clients read through all restarts, from the first order to the last."""
    # A port outside the ephemeral range: a client that calls an edge that is down cannot be
    # assigned it.
    edge = isolated_harness.start_edge(find_free_port(), **SETTINGS)
    alice = StreamUser(fresh("alice"), edge)
    async with run_all_clients(client_group, alice) as started:
        edge = await replace_edge(isolated_harness, edge, alice, started, edge.kill)
        edge = await replace_edge(isolated_harness, edge, alice, started, edge.stop)
        isolated_harness.broker.kill()  # the streams stay open and show later events
        isolated_harness.broker.start()
        async with isolated_harness.journal() as journal:
            await append_orders(journal, alice.name, *(f"after-{number}" for number in range(10)))
            await wait_until_all_have(started, "after-9")
            log = await expected_order_events(journal, alice.name)
        for reader in started:
            assert reader.order_events(ORDERS_PATH) == log, reader.name
            assert not reader.events_of(ORDERS_PATH, "stream:reset"), reader.name


async def replace_edge(
    harness: Harness,
    edge: EdgeProcess,
    alice: StreamUser,
    client_runs: Sequence[ClientRun],
    end_edge: Callable[[], object],
) -> EdgeProcess:
    """End `edge` while orders are written, start another on its port, and return that one after all
    clients have reconnected."""
    async with harness.journal() as journal, BackgroundOrderWriter(journal, alice.name) as writing:
        await writing.wait_for_more()
        await wait_until_all_have(client_runs, writing.last_order_id)
        await asyncio.to_thread(end_edge)  # orders are written meanwhile
        await writing.wait_for_more()
        new_edge = harness.start_edge(edge.port, **SETTINGS)
        await writing.wait_for_more()
        await wait_until_all_have(client_runs, writing.last_order_id)
    return new_edge
