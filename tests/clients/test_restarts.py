"""All clients read while orders are written. Their edge is killed and restarted on the same port,
another edge is drained, and the message server is killed. No event is lost or delivered twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tapewire.cli.up.embedded_nats import find_free_port
from tests.clients.client_runs import ClientRun
from tests.clients.conftest import ClientGroup
from tests.clients.order_writer import BackgroundOrderWriter
from tests.clients.stream_users import (
    ORDERS_PATH,
    SETTINGS,
    StreamUser,
    append_orders,
    expected_order_events,
)
from tests.harness.edge import EdgeProcess, Harness

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
