"""Every edge is replaced by another, one after the other, and no client has a moment without one.

The browser client in Chromium and in Node, and an EventSource, which knows nothing of it, follow
one user through a balancer. What says that nothing was seen of the change is not a time but that
the client was live throughout, and that it left each edge before that one closed it.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.balancer import before
from tests.integration.edge.house import Edge, House
from tests.integration.edge.market import Journal, placed
from tests.waiting import until

HERE = Path(__file__).parent
ORDERS = "/api/stream/orders"
DRAIN = {"TAPEWIRE_DRAIN_SECONDS": 6, "SSE_MAX_CONNECTIONS_PER_USER": 3}
"""Told within the first three seconds, with three to go; and nobody may have one connection more
than the three that there are."""
SECONDS = 60.0
EVERY_SECONDS = 0.02
"""The pace of events; nothing waits for it."""
WATCH = """
async (path) => {
    const { connect } = await import('/client/tapewire.js');
    const watching = () => ({ids: [], clients: [], states: [], silence: 0, at: performance.now()});
    const note = (seen, type, id, data) => {
        const now = performance.now();
        seen.silence = Math.max(seen.silence, now - seen.at);
        seen.at = now;
        if (type === 'connected') seen.clients.push(data.clientId);
        else if (id) seen.ids.push(id);
    };
    const [client, plain] = [watching(), watching()];
    window.seen = {client, plain};
    connect(path, {
        onEvent: ({type, id, data}) => note(client, type, id, data),
        onState: ({name}) => client.states.push(name),
    });
    const source = new EventSource(path);
    source.onopen = () => plain.states.push('live');
    source.onerror = () => plain.states.push(source.readyState === 2 ? 'closed' : 'reconnecting');
    for (const type of ['connected', 'order:update']) {
        source.addEventListener(type, ({data, lastEventId}) =>
            note(plain, type, type === 'connected' ? null : lastEventId, JSON.parse(data)));
    }
}
"""


class InNode:
    """The client in a process of Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ids: list[str] = []
        self.clients: list[str] = []
        self.states: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if "state" in said:
                self.states.append(said["state"])
            elif said["type"] == "connected":
                self.clients.append(said["client"])
            elif said["id"] is not None:
                self.ids.append(said["id"])

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reading
        assert await self._process.wait() == 0


class Pump:
    """Events of a user, one after the other, until `stop`."""

    def __init__(self, journal: Journal, user: str) -> None:
        self._journal = journal
        self._user = user
        self.sequences: list[int] = []
        self._ends = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._ends.is_set():
            event = placed(f"o-{len(self.sequences)}")
            self.sequences.append(await self._journal.append(self._user, event))
            await asyncio.sleep(EVERY_SECONDS)

    async def stop(self) -> None:
        self._ends.set()
        await self._task


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("rolling"))
    yield made
    made.close()


async def _seen(page: Page, who: str) -> dict[str, Any]:
    return dict(await page.evaluate("(who) => window.seen[who]", who))


async def _in_node(url: str, cookie: str) -> InNode | None:
    node = shutil.which("node")
    if node is None:
        return None  # Chromium plays its part all the same
    command = (node, str(HERE / "watcher.js"), f"{url}{ORDERS}", f"session={cookie}")
    pipe = asyncio.subprocess.PIPE
    return InNode(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))


async def _arrived(page: Page, node: InNode | None, last: int) -> None:
    """All three have seen sequence `last`."""
    for who in ("client", "plain"):
        await page.wait_for_function(
            "([who, last]) => window.seen[who].ids.at(-1)?.endsWith('-' + last)",
            arg=[who, last],
            timeout=SECONDS * 1000,
        )
    if node is not None:
        ids = node.ids
        await until(
            "Node has the last event",
            lambda: ids[-1:] and ids[-1].endswith(f"-{last}"),
            seen=lambda: ids[-1:],
            seconds=SECONDS,
        )


async def _gone(edge: Edge) -> None:
    edge.terminate()
    assert await asyncio.to_thread(edge.process.wait, SECONDS) == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_clients_see_nothing_of_it(house: House, page: Page) -> None:
    first, second, third = (house.edge(**DRAIN) for _ in range(3))
    cookie = await first.sign_in("alice")
    async with house.journal() as journal, before(first.port, second.port) as (balancer, url):
        await page.context.add_cookies([{"name": "session", "value": cookie, "url": url}])
        await page.goto(f"{url}/health")
        await page.evaluate(WATCH, ORDERS)
        node = await _in_node(url, cookie)
        start = await journal.append("alice", placed("start"))
        await _arrived(page, node, start)
        pump = Pump(journal, "alice")

        await _gone(first)
        balancer.ports.append(third.port)
        await _gone(second)
        await pump.stop()
        await _arrived(page, node, pump.sequences[-1])

        client, plain = await _seen(page, "client"), await _seen(page, "plain")
        watched = {"client": client["ids"], "plain": plain["ids"]}
        states = {"client": client["states"]}
        clients = {"client": client["clients"]}
        if node is not None:
            await node.end()
            watched["node"] = node.ids
            states["node"] = node.states
            clients["node"] = node.clients

        for who, ids in watched.items():
            sequences = [int(id_.rpartition("-")[2]) for id_ in ids]
            after = sequences.index(start) + 1
            assert sequences[after:] == pump.sequences, who
        for who, named in states.items():
            assert [name for name in named if name != "closed"] == ["connecting", "live"], who
            assert len(set(clients[who])) == 3, who
        # It may still be away when the second edge leaves, and so come to the third at once.
        assert len(set(plain["clients"])) in (2, 3)
        assert "closed" not in plain["states"], "it was refused, and has given up for good"
        for edge in (first, second, third):
            assert not edge.logged("closes the oldest connection of a user")
