"""Every edge is replaced by another, one after the other, and every client stays connected.

The browser client in Chromium and in Node, and a plain EventSource, follow one user through a
balancer. The test measures no times. It asserts that the client was live throughout, and that it
left each edge before that edge closed the stream.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.pages import find_node
from tests.harness.publishers import EventLogDriver, order_placed
from tests.harness.tcp_balancer import run_balancer
from tests.harness.waiting import wait_until

HERE = Path(__file__).parent
ORDERS_PATH = "/api/stream/orders"
DRAIN_SETTINGS = {"TAPEWIRE_DRAIN_SECONDS": 6, "SSE_MAX_CONNECTIONS_PER_USER": 3}
"""Edges announce the drain within its first three seconds, which leaves clients three more. The
connection limit equals the number of clients, so a fourth connection would fail the test."""
TEST_SECONDS = 60.0
APPEND_INTERVAL_SECONDS = 0.02
"""The interval between events; no assertion depends on it."""
WATCH_SCRIPT = """
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


class NodeClients:
    """The browser client in a Node process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ids: list[str] = []
        self.connected_client_ids: list[str] = []
        self.states: list[str] = []
        self._read_task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if "state" in message:
                self.states.append(message["state"])
            elif message["type"] == "connected":
                self.connected_client_ids.append(message["client"])
            elif message["id"] is not None:
                self.ids.append(message["id"])

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._read_task
        assert await self._process.wait() == 0


class EventPump:
    """Appends events of a user, one after the other, until `stop`."""

    def __init__(self, journal: EventLogDriver, user: str) -> None:
        self._journal = journal
        self._user = user
        self.sequences: list[int] = []
        self._is_stopped = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._is_stopped.is_set():
            event = order_placed(f"o-{len(self.sequences)}")
            self.sequences.append(await self._journal.append(self._user, event))
            await asyncio.sleep(APPEND_INTERVAL_SECONDS)

    async def stop(self) -> None:
        self._is_stopped.set()
        await self._task


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    made = Harness(tmp_path_factory.mktemp("rolling"))
    yield made
    made.close()


async def _seen_sequences(page: Page, client_name: str) -> dict[str, Any]:
    return dict(await page.evaluate("(who) => window.seen[who]", client_name))


async def _start_node_clients(url: str, cookie: str) -> NodeClients | None:
    node = find_node()
    if not node:
        return None  # Chromium is tested without Node, too
    command = (*node, str(HERE / "watcher.js"), f"{url}{ORDERS_PATH}", f"session={cookie}")
    pipe = asyncio.subprocess.PIPE
    return NodeClients(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))


async def _wait_until_received(page: Page, node: NodeClients | None, last: int) -> None:
    """Wait until all three clients have received sequence `last`."""
    for who in ("client", "plain"):
        await page.wait_for_function(
            "([who, last]) => window.seen[who].ids.at(-1)?.endsWith('-' + last)",
            arg=[who, last],
            timeout=TEST_SECONDS * 1000,
        )
    if node is not None:
        ids = node.ids
        await wait_until(
            "Node has the last event",
            lambda: ids[-1:] and ids[-1].endswith(f"-{last}"),
            describe_last=lambda: ids[-1:],
            timeout_seconds=TEST_SECONDS,
        )


async def _wait_until_exited(edge: EdgeProcess) -> None:
    edge.terminate()
    assert await asyncio.to_thread(edge.process.wait, TEST_SECONDS) == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_clients_stay_live_while_every_edge_is_replaced(harness: Harness, page: Page) -> None:
    first, second, third = (harness.start_edge(**DRAIN_SETTINGS) for _ in range(3))
    cookie = await first.sign_in("alice")
    async with (
        harness.journal() as journal,
        run_balancer(first.port, second.port) as (balancer, url),
    ):
        await page.context.add_cookies([{"name": "session", "value": cookie, "url": url}])
        await page.goto(f"{url}/client/tapewire.js")
        await page.evaluate(WATCH_SCRIPT, ORDERS_PATH)
        node = await _start_node_clients(url, cookie)
        start = await journal.append("alice", order_placed("start"))
        await _wait_until_received(page, node, start)
        pump = EventPump(journal, "alice")

        await _wait_until_exited(first)
        balancer.ports.append(third.port)
        await _wait_until_exited(second)
        await pump.stop()
        await _wait_until_received(page, node, pump.sequences[-1])

        client, plain = await _seen_sequences(page, "client"), await _seen_sequences(page, "plain")
        watched = {"client": client["ids"], "plain": plain["ids"]}
        states = {"client": client["states"]}
        clients = {"client": client["clients"]}
        if node is not None:
            await node.end()
            watched["node"] = node.ids
            states["node"] = node.states
            clients["node"] = node.connected_client_ids

        for who, ids in watched.items():
            sequences = [int(id_.rpartition("-")[2]) for id_ in ids]
            after = sequences.index(start) + 1
            assert sequences[after:] == pump.sequences, who
        for who, named in states.items():
            assert [name for name in named if name != "closed"] == ["connecting", "live"], who
            assert len(set(clients[who])) == 3, who
        # It may still be disconnected when the second edge leaves, and then skips that one.
        assert len(set(plain["clients"])) in (2, 3)
        assert "closed" not in plain["states"], "the client was rejected and does not reconnect"
        for edge in (first, second, third):
            assert not edge.find_log_lines("connection.limit_exceeded")
