"""Chromium freezes, caches, crashes and closes a tab that shares its connection; the others go on,
and the tab is current again when it returns (U1).

Kinds of fault: a page that stands still for longer than a price is current; one that its user
leaves and comes back to; one that ends without a word. Nothing is simulated: the browser does it,
to pages that no test keeps visible. The pages have a bearer token and no cookie.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.client_tabs import (
    PAGE_PATH,
    START,
    QuoteTicker,
    count_connections_until,
    now_ms,
    seconds_until_live,
    wait_for_status,
)
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.pages import build_pages
from tests.harness.publishers import QuoteDriver
from tests.harness.unattended_tabs import (
    UnattendedBrowser,
    UnattendedTab,
    run_unattended_browser,
)
from tests.harness.waiting import wait_until_async

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

SYMBOLS = ["IBM", "SPY"]
MAX_TAKEOVER_SECONDS = 2.0
MAX_RETURN_SECONDS = 5.0
MAX_LIVE_AGE_SECONDS = 1.5 + 4.0
"""The silence of a hub, and the time after which a quote is stale."""
AWAY_SECONDS = 7.0
"""Longer than that."""
LOCKS_ARE_WANTED = "WebLocksContention"
"""Why Chromium may load the leader's page anew: another tab waits for the lock that it gives up."""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    build_pages()
    made = Harness(tmp_path_factory.mktemp("life"))
    yield made
    made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def market(harness: Harness) -> AsyncIterator[QuoteDriver]:
    async with harness.market() as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def life_browser() -> AsyncIterator[UnattendedBrowser]:
    async with run_unattended_browser() as browser:
        yield browser


class SharingTabs:
    """Two tabs that share a connection. `first` holds it, if a tab does."""

    def __init__(self, browser: UnattendedBrowser, edge: EdgeProcess, sharing: str) -> None:
        self._browser, self._edge, self._sharing = browser, edge, sharing
        self._token = JwtIssuer().token("dave", "HS256", seconds=3600)
        self.first: UnattendedTab
        self.other: UnattendedTab

    async def open(self) -> None:
        url = f"{self._edge.url}{PAGE_PATH}"
        tabs = [await self._browser.open_tab(url) for _ in range(2)]
        for tab in tabs:
            await self.start(tab)
        await wait_for_status(tabs, "live")
        if self._sharing == "leader":
            await wait_until_async("one leads", lambda: self._sort(tabs))
        else:
            self.first, self.other = tabs

    async def start(self, tab: UnattendedTab) -> None:
        await tab.evaluate(START, [self._sharing, SYMBOLS, self._token])

    async def close(self) -> None:
        for tab in (self.first, self.other):
            await self._browser.close_tab(tab)

    async def _sort(self, tabs: list[UnattendedTab]) -> bool:
        transports = [await tab.evaluate("client.connection.transport.get()") for tab in tabs]
        if sorted(transports) != ["follower", "leader"]:
            return False
        self.first, self.other = tabs if transports[0] == "leader" else reversed(tabs)
        return True


@pytest_asyncio.fixture(loop_scope="session", params=["worker", "leader"])
async def tabs(
    request: pytest.FixtureRequest,
    life_browser: UnattendedBrowser,
    harness: Harness,
    market: QuoteDriver,
) -> AsyncIterator[SharingTabs]:
    edge = harness.start_edge(TAPEWIRE_JWT_SECRET=HS256_SECRET)
    made = SharingTabs(life_browser, edge, request.param)
    async with QuoteTicker(market.publish, SYMBOLS, 5):
        await made.open()
        await count_connections_until(edge, 1)
        yield made
        await count_connections_until(edge, 1)
        await made.close()
    edge.kill()


async def assert_the_other_goes_on(tabs: SharingTabs, since: float) -> None:
    """It is live within its time, and remains so while the first is away."""
    await tabs.other.evaluate("new Promise((done) => setTimeout(done, 2000))")
    assert await seconds_until_live([tabs.other], since) <= MAX_TAKEOVER_SECONDS
    away_ms = AWAY_SECONDS * 1000
    await wait_until_async("it was long away", lambda: _has_passed(since + away_ms))
    assert await tabs.other.evaluate("client.prices.isLive('IBM')")
    assert await tabs.other.evaluate("oldestLive") < MAX_LIVE_AGE_SECONDS


async def _has_passed(at_ms: float) -> bool:
    return now_ms() > at_ms


async def assert_the_first_is_back(tabs: SharingTabs, since: float) -> None:
    """It says that it is stale before it is live again, and no old price looked live."""
    assert await seconds_until_live([tabs.first], since) <= MAX_RETURN_SECONDS
    names = await tabs.first.evaluate("statuses.map((one) => one.name)")
    assert "stale" in names[names.index("live") :], names
    assert await tabs.first.evaluate("client.prices.isLive('IBM')")
    assert await tabs.first.evaluate("oldestLive") < MAX_LIVE_AGE_SECONDS


async def test_a_tab_that_the_browser_freezes_and_thaws(tabs: SharingTabs) -> None:
    await tabs.first.evaluate(
        "document.addEventListener('freeze', () => { window.wasFrozen = true; })"
    )
    since = now_ms()
    await tabs.first.post("Page.setWebLifecycleState", state="frozen")
    await assert_the_other_goes_on(tabs, since)
    since = now_ms()
    await tabs.first.post("Page.setWebLifecycleState", state="active")
    await assert_the_first_is_back(tabs, since)
    assert await tabs.first.evaluate("wasFrozen")


async def test_a_tab_that_its_user_leaves_and_returns_to(tabs: SharingTabs) -> None:
    """The page is in the back/forward cache meanwhile, and is restored as it was."""
    since = now_ms()
    await tabs.first.send("Page.navigate", url="about:blank")
    await assert_the_other_goes_on(tabs, since)
    since = now_ms()
    reasons = await tabs.first.go_back()
    if reasons:
        assert reasons == [LOCKS_ARE_WANTED]
        is_loaded = f"location.pathname === '{PAGE_PATH}' && document.readyState === 'complete'"
        await wait_until_async("it is loaded anew", lambda: tabs.first.evaluate(is_loaded))
        await tabs.start(tabs.first)
        await wait_for_status([tabs.first], "live")
    else:
        await assert_the_first_is_back(tabs, since)


async def _crash(tabs: SharingTabs, _browser: UnattendedBrowser) -> None:
    await tabs.first.post("Page.crash")


async def _close(tabs: SharingTabs, browser: UnattendedBrowser) -> None:
    await browser.close_tab(tabs.first)


@pytest.mark.parametrize("end", [_crash, _close], ids=["crashes", "is closed"])
async def test_a_tab_that_ends_for_good(
    tabs: SharingTabs, life_browser: UnattendedBrowser, end: Any
) -> None:
    since = now_ms()
    await end(tabs, life_browser)
    await assert_the_other_goes_on(tabs, since)
