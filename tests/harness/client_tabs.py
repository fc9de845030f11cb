"""Tabs of Tapewire's client in real browsers, for tests of how they share a connection.

The page is a module of the client itself, shown as text: it comes from the edge with the policy of
its pages (Trusted Types included), and runs nothing. `START` makes a client in it, which follows
prices and orders, and notes every change of its status. A bearer token is optional.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.harness.edge import EdgeProcess
from tests.harness.waiting import wait_until_async

PAGE_PATH = "/client/index.js"
START = """async ([sharing, symbols, token]) => {
    const { createTapewire } = await import('/client/index.js');
    const client = createTapewire({
        workerUrl: '/client/worker.js',
        sharing,
        ...(token && { token: () => token }),
    });
    window.client = client;
    window.statuses = [];
    const note = () => statuses.push({ at: Date.now(), ...client.connection.status.get() });
    client.connection.status.subscribe(note);
    note();
    for (const symbol of symbols) client.prices.subscribe(symbol, () => {});
    client.orders.keys.subscribe(() => {});
    // What a person could see: the age of the oldest price that looked live.
    window.oldestLive = 0;
    setInterval(() => {
        for (const symbol of symbols) {
            const quote = client.prices.get(symbol);
            if (!quote || !client.prices.isLive(symbol)) continue;
            oldestLive = Math.max(oldestLive, (Date.now() - Date.parse(quote.timestamp)) / 1000);
        }
    }, 20);
}"""
STATUS = "client.connection.status.get().name"


async def connection_count(edge: EdgeProcess) -> int:
    """The number of streams that are open at the edge."""
    async with edge.client() as http:
        return int((await http.get("/api/stream/metrics")).json()["totalClients"])


async def wait_in(tab: Any, expression: str) -> None:
    """Wait until the expression is true in the tab, whose policy forbids Playwright's own way."""
    await wait_until_async(expression, lambda: tab.evaluate(expression))


async def wait_for_status(tabs: list[Any], name: str, *, timeout_seconds: float = 60.0) -> None:
    """Wait until each of `tabs` has this status."""

    async def all_have() -> bool:
        return all([await tab.evaluate(STATUS) == name for tab in tabs])

    await wait_until_async(f"all tabs are {name}", all_have, timeout_seconds=timeout_seconds)


async def seconds_until_live(tabs: list[Any], since_ms: float) -> float:
    """How many seconds after `since_ms` (epoch milliseconds) the last of `tabs` was live again. It
    does not count for a tab that has been live all the time."""
    await wait_for_status(tabs, "live")
    script = f"statuses.filter((one) => one.at > {since_ms}).at(-1)?.at ?? 0"
    last = max([float(await tab.evaluate(script)) for tab in tabs])
    return max(0.0, last - since_ms) / 1000


async def count_connections_until(edge: EdgeProcess, wanted: int) -> None:
    async def is_wanted() -> bool:
        return await connection_count(edge) == wanted

    await wait_until_async(f"{wanted} streams are open", is_wanted)


class QuoteTicker:
    """Publishes a quote of each symbol so often, while the block lasts."""

    def __init__(
        self, publish: Callable[[str, str], Awaitable[object]], symbols: list[str], rate: float
    ) -> None:
        self._publish, self._symbols, self._pause = publish, symbols, 1 / rate
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "QuoteTicker":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _run(self) -> None:
        count = 0
        while True:
            count += 1
            for symbol in self._symbols:
                await self._publish(symbol, f"{100 + count % 50}")
            await asyncio.sleep(self._pause)


def now_ms() -> float:
    return time.time() * 1000
