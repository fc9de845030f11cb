"""All clients at once, while orders are written: their edge is killed and comes back on the same
port, another one is drained, the message server is killed. Nothing is lost, nothing comes twice."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

import pytest

from tapewire.cli.up.nats import free_port
from tests.clients.conftest import Crowd
from tests.clients.people import ORDERS, SETTINGS, Person, places, written
from tests.clients.readers import WAIT_SECONDS
from tests.integration.edge.house import House
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE_SECONDS = 0.005
"""Between two orders: there are only to be some at every moment."""

_numbers = itertools.count(1)


class Writing:
    """Orders of somebody, one after the other, for as long as the block."""

    def __init__(self, journal, name: str) -> None:
        self.journal, self.name = journal, name
        self.written = []
        self._go_on = True
        self._task = None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_) -> None:
        self._go_on = False
        await self._task

    async def _write(self) -> None:
        while self._go_on:
            order_id = f"o-{next(_numbers)}"
            await places(self.journal, self.name, order_id)
            self.written.append(order_id)
            await asyncio.sleep(PACE_SECONDS)

    @property
    def last(self):
        """The last one that was written."""
        return self.written[-1]

    async def more(self, count: int = 10) -> None:
        """Until that many more are written."""
        wanted = len(self.written) + count

        def are_written():
            assert not self._task.done(), self._task.exception()
            return len(self.written) >= wanted

        await until(f"{wanted} orders are written", are_written, seconds=WAIT_SECONDS)


@contextlib.asynccontextmanager
async def readers(crowd, alice: str):
    """One reader of each client, all of them with the snapshot."""
    async with contextlib.AsyncExitStack() as stack:
        started = []
        for client, run in crowd.runs.items():
            wanted = await alice.wants(ORDERS, client.ways[0])
            started.append(await stack.enter_async_context(run(wanted)))
        for reader in started:
            await reader.until_event(ORDERS, "order:update")
        yield started


async def all_have(started, order_id) -> None:
    """Each was shown that order."""
    for reader in started:
        await reader.until(
            f"order {order_id}", lambda r: order_id in [one for _, one in r.orders(ORDERS)]
        )


async def test_a_day_of_restarts(crowd: Crowd, lone: House, fresh: Callable[[str], str]) -> None:
    """One after the other, with the same clients from the first order to the last."""
    # A port that no client is given for its own end, when it calls an edge that is down.
    edge = lone.edge(port=free_port(), **SETTINGS)
    alice = Person(fresh("alice"), edge)
    async with readers(crowd, alice) as started:
        edge = await replaced(lone, edge, alice, started, edge.kill)
        edge = await replaced(lone, edge, alice, started, edge.stop)
        lone.broker.kill()  # the streams stay open; what was written after it is shown
        lone.broker.start()
        async with lone.journal() as journal:
            await places(journal, alice.name, *(f"after-{number}" for number in range(10)))
            await all_have(started, "after-9")
            log = await written(journal, alice.name)
        for reader in started:
            assert reader.orders(ORDERS) == log, reader.name
            assert not reader.of(ORDERS, "stream:reset"), reader.name


async def replaced(house, edge, alice: str, started, end):
    """The edge that took the place of `edge`, which ended while orders were written; all clients
    have come to it."""
    async with house.journal() as journal, Writing(journal, alice.name) as writing:
        await writing.more()
        await all_have(started, writing.last)
        await asyncio.to_thread(end)  # orders are written meanwhile
        await writing.more()
        young = house.edge(port=edge.port, **SETTINGS)
        await writing.more()
        await all_have(started, writing.last)
    return young
