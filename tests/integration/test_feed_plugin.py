"""The feed of docs/feeds.md, installed as a package of its own, feeds the whole platform; when its
market cannot be heard, its quotes become stale, and nothing else is disturbed."""

import asyncio
import contextlib
import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import tapewire
from tests.harness.distributions import install_distribution
from tests.harness.edge import EdgeClient
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.page_files import write_page_files
from tests.harness.provisioning import get, run_command
from tests.harness.stack import Stack, StackFactory
from tests.harness.waiting import wait_until_async

STALE_SECONDS = 2.0
MAX_DELAY = 0.5
"""A quote is called stale within this time."""
OTHER = "OTHER"
"""A symbol that another program publishes."""


def install_feed(folder: Path) -> dict[str, str]:
    """Write the package of the page as pip installs it, and return the settings that name it."""
    write_page_files("feeds.md", folder)
    install_distribution(folder, "acme-feed", {"tapewire.feeds": {"acme": "acme_feed:AcmeFeed"}})
    return {"PYTHONPATH": str(folder), "TAPEWIRE_FEED_SOURCE": "acme"}


def open_market(folder: Path) -> Any:
    """The market of the page, which speaks to the feed over a socket."""
    spec = importlib.util.spec_from_file_location("acme_market", folder / "acme_market.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AcmeMarket()


class FeedPlatform:
    """`tapewire up` with the feed, its market, and a program that publishes `OTHER`."""

    def __init__(self, market: Any, server: LocalNatsServer, stack: Stack) -> None:
        self.market = market
        self.edge = EdgeClient(stack.url)
        self._server = server

    async def quote(self, symbol: str) -> dict[str, Any]:
        answer = await get(f"{self.edge.url}/api/prices?symbols={symbol}")
        found: list[dict[str, Any]] = answer.json()["prices"]
        return found[0] if found else {}

    async def wait_for_quote(self, symbol: str, **wanted: object) -> None:
        last: dict[str, Any] = {}

        async def is_quoted() -> bool:
            last.update(await self.quote(symbol))
            return wanted.items() <= last.items()

        await wait_until_async(
            f"{symbol} is quoted with {wanted}", is_quoted, describe_last=lambda: last
        )

    async def wait_status(self, *patterns: str) -> None:
        seen = ""

        async def found() -> bool:
            nonlocal seen
            arguments = ("status", "--nats", self._server.url)
            seen = (await asyncio.to_thread(run_command, *arguments))[1]
            return all(re.search(pattern, seen) for pattern in patterns)

        await wait_until_async(f"status has {patterns}", found, describe_last=lambda: seen)

    async def publish_other(self) -> None:
        """Publish `OTHER` until canceled, as a program that quotes it does."""
        async with tapewire.connect(self._server.url, "other-desk") as client:
            while True:
                await client.price(OTHER, 50, bid=50, bid_size=1000, ask=51, ask_size=1000)
                await asyncio.sleep(0.2)

    async def buy_other(self, http: httpx.AsyncClient) -> None:
        """Wait until a market order of `OTHER` is executed."""
        order = {"symbol": OTHER, "side": "buy", "type": "market", "qty": 1}
        placed = await http.post("/api/orders", json=order)
        assert placed.status_code == 201, placed.text
        listed: list[dict[str, Any]] = []

        async def is_filled() -> bool:
            listed[:] = (await http.get("/api/orders")).json()["orders"]
            return [one["status"] for one in listed] == ["filled"]

        await wait_until_async("the order is filled", is_filled, describe_last=lambda: listed)


@pytest.fixture
async def platform(tmp_path: Path, stack_factory: StackFactory) -> AsyncIterator[FeedPlatform]:
    server = LocalNatsServer(tmp_path, provisioned=True)
    server.start()
    settings = install_feed(tmp_path / "acme") | {
        "TAPEWIRE_STALE_SECONDS": f"{STALE_SECONDS:g}",
        "TAPEWIRE_AGENT_HEARTBEAT": "1",
    }
    async with open_market(tmp_path / "acme") as market:
        stack = await asyncio.to_thread(
            stack_factory, env=settings | market.environment, speed=None, nats=server.url
        )
        running = FeedPlatform(market, server, stack)
        other = asyncio.create_task(running.publish_other())
        yield running
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other
        await asyncio.to_thread(stack.stop)
    server.close()


async def test_a_feed_of_another_package_is_heard_lost_and_heard_again(
    platform: FeedPlatform,
) -> None:
    market = platform.market
    cookie = await platform.edge.sign_in("alice")
    stream = await platform.edge.open_stream("/api/stream/prices?symbols=ACME,IBM", cookie)
    [moved] = await market.move(1)
    await platform.wait_for_quote(moved.symbol, bid=moved.bid, price=moved.last)
    await stream.read_until("price:update")

    await market.send_bad_data()
    await platform.wait_status(r"feed: 1 faults in acme \(bad_message 1\)")
    moved = (await market.move(2))[-1]
    await platform.wait_for_quote(moved.symbol, bid=moved.bid, stale=False)

    await market.disconnect()
    stale = [(await stream.read_until("price:stale")).data for _ in range(2)]
    assert {one["symbol"] for one in stale} == {"ACME", "IBM"}
    assert all(STALE_SECONDS <= one["age"] <= STALE_SECONDS + MAX_DELAY for one in stale)
    await platform.wait_status(
        r"prices .*degraded .*the feed has failed, and was started again: ",
    )
    async with platform.edge.client(cookie) as http:
        await platform.wait_for_quote(OTHER, stale=False)
        await platform.buy_other(http)
        bars = (await http.get(f"/api/bars?symbol={OTHER}&interval=1s")).json()["bars"]
        assert bars, "bars are built by the process whose feed fails"

    unheard = {tick.symbol: tick for tick in await market.move(5)}
    assert all([(await platform.quote(symbol))["stale"] for symbol in unheard])
    await market.reconnect()
    for symbol, tick in unheard.items():
        await platform.wait_for_quote(symbol, bid=tick.bid, stale=False)
    await stream.close()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("bcme", "no installed distribution registers an entry point of this name .* are: acme"),
        ("acme", "acme_feed:AcmeFeed of the distribution acme-feed cannot start: KeyError: "),
    ],
)
async def test_a_feed_that_cannot_be_made_ends_the_start_with_the_reason(
    source: str, fault: str, stack_factory: StackFactory, tmp_path: Path
) -> None:
    settings = install_feed(tmp_path / "acme") | {"TAPEWIRE_FEED_SOURCE": source}
    stack = stack_factory(env=settings, wait=False)
    assert stack.process.wait(60) == 2
    assert re.search(f"TAPEWIRE_FEED_SOURCE='{source}': .*{fault}", stack.log_text())
