"""The session cookie as a real browser keeps and sends it, while other pages set cookies too (W8).

Over HTTPS the browser itself holds neighbors back (`__Host-`). Over plain HTTP it does not, and
the edge refuses two sessions.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import WAIT_TIMEOUT_MS, OpenPage
from tests.browser.terminal_page import TerminalPage
from tests.browser.test_foreign_pages import serve_empty_page
from tests.harness.certificates import CertificateAuthority
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.nginx import NginxProcess, require_nginx
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP_HOST, SIBLING_HOST = "app.tapewire.localhost", "other.tapewire.localhost"
"""Browsers resolve all names under localhost to this machine, and keep their cookies apart."""
OPEN_STREAM_SCRIPT = """
    (ticket) => new Promise((resolve, reject) => {
        const source = new EventSource('/api/stream/orders?ticket=' + ticket);
        source.onopen = () => resolve(source.close());
        source.onerror = () => reject(new Error('no stream'));
    })
"""


@pytest.fixture
def edge(isolated_harness: Harness) -> EdgeProcess:
    """Return an edge that believes nginx about HTTPS."""
    return isolated_harness.start_edge(
        TAPEWIRE_TRUSTED_PROXIES="127.0.0.1/32", TAPEWIRE_ORIGINS=f"https://{APP_HOST}"
    )


@pytest.fixture
def https_port(edge: EdgeProcess, tmp_path: Path) -> Iterator[int]:
    """Return the port of an nginx that ends TLS in front of the edge."""
    require_nginx()
    certificate, key = CertificateAuthority("tests").issue("edge", tmp_path)
    tls = f"sndbuf=128k ssl;\n    ssl_certificate {certificate};\n    ssl_certificate_key {key};"
    nginx = NginxProcess(tmp_path / "nginx", [edge.port], {"sndbuf=128k;": tls})
    yield nginx.port
    nginx.close()


@pytest_asyncio.fixture(loop_scope="session")
async def https_context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser session that accepts the certificate of the tests."""
    made = await browser.new_context(ignore_https_errors=True, locale="en-US")
    made.set_default_timeout(WAIT_TIMEOUT_MS)
    expect.set_options(timeout=WAIT_TIMEOUT_MS)
    yield made
    await made.close()


async def session_cookies(context: BrowserContext) -> list[tuple[str, str, str]]:
    """The name, domain and path of each session cookie."""
    return [
        (cookie["name"], cookie["domain"], cookie["path"])
        for cookie in await context.cookies()
        if cookie["name"].endswith("session")
    ]


async def test_over_https_signing_in_and_out_uses_the_host_prefix(
    https_context: BrowserContext, https_port: int
) -> None:
    here, there = [TerminalPage(await https_context.new_page()) for _ in range(2)]
    url = f"https://localhost:{https_port}"
    await here.open(url)
    await there.open(url, "/dashboard")
    await here.sign_in("alice")
    for tab in (here, there):
        await tab.expect_user("alice")
    await here.expect_status("Live")

    assert await session_cookies(https_context) == [("__Host-session", "localhost", "/")]
    [cookie] = await https_context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert await here.page.evaluate("() => document.cookie") == ""
    await there.sign_out()
    for tab in (here, there):
        await tab.expect_user("")
    assert await session_cookies(https_context) == []


async def test_over_https_a_sibling_domain_sets_no_session(
    https_context: BrowserContext, https_port: int, edge: EdgeProcess
) -> None:
    """It can set `session` for us, which does not count, and not `__Host-session`."""
    async with edge.client(await edge.sign_in("alice")) as http:
        ticket = (await http.post("/api/stream/ticket")).json()["ticket"]
    theirs = await edge.sign_in("mallory")
    page = await https_context.new_page()
    await page.goto(f"https://{APP_HOST}:{https_port}/client/tapewire.js")
    await page.evaluate(OPEN_STREAM_SCRIPT, ticket)
    ours = ("__Host-session", APP_HOST, "/")
    assert await session_cookies(https_context) == [ours]

    sibling = await https_context.new_page()
    await sibling.route(
        f"https://{SIBLING_HOST}/",
        lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"),
    )
    await sibling.goto(f"https://{SIBLING_HOST}/")
    for name in ("session", "__Host-session"):
        for attributes in (
            "Path=/; Domain=tapewire.localhost",
            "Path=/api; Domain=tapewire.localhost",
            f"Path=/; Domain={APP_HOST}",
            "Path=/",
        ):
            await sibling.evaluate(
                "(cookie) => { document.cookie = cookie; }",
                f"{name}={theirs}; Secure; {attributes}",
            )

    assert sorted(await session_cookies(https_context)) == sorted(
        [
            ours,
            ("__Host-session", SIBLING_HOST, "/"),
            ("session", SIBLING_HOST, "/"),
            ("session", ".tapewire.localhost", "/"),
            ("session", ".tapewire.localhost", "/api"),
        ]
    )
    async with page.expect_request("**/api/session") as sent:
        user = await page.evaluate(
            "async () => (await (await fetch('/api/session')).json()).userId"
        )
    assert user == "alice"
    cookie_header = (await (await sent.value).all_headers())["cookie"]
    assert cookie_header.count(theirs) == 2, "the browser sends those of the sibling too"


@pytest.mark.slow
async def test_over_https_another_port_of_the_host_cannot_hide_the_session(
    https_context: BrowserContext, https_port: int
) -> None:
    """Ports share cookies. A page without TLS cannot set `__Host-session`."""
    tab = TerminalPage(await https_context.new_page())
    await tab.open(f"https://localhost:{https_port}")
    await tab.sign_in("alice")
    await tab.expect_user("alice")
    async with serve_empty_page() as (neighbor_url, _):
        neighbor = await https_context.new_page()
        await neighbor.goto(neighbor_url.replace("127.0.0.1", "localhost"))
        for cookie in ("session=x; Path=/", "session=y; Path=/api", "__Host-session=z; Path=/"):
            await neighbor.evaluate("(cookie) => { document.cookie = cookie; }", cookie)

    await tab.page.reload()

    await tab.expect_user("alice")
    names = [name for name, _, _ in await session_cookies(https_context)]
    assert sorted(names) == ["__Host-session", "session", "session"]


@pytest.mark.slow
async def test_over_http_two_sessions_are_refused_and_the_page_says_why(
    stack: Stack, open_page: OpenPage, page: Page
) -> None:
    tab = TerminalPage(page)
    await tab.open_signed_in(stack.url, "two-sessions")
    async with serve_empty_page() as (neighbor_url, _):
        neighbor = await open_page()
        await neighbor.goto(neighbor_url)
        await neighbor.evaluate("() => { document.cookie = 'session=theirs; Path=/api'; }")

    await tab.fill_ticket(limit="0.01")
    async with page.expect_response(f"{stack.url}/api/orders") as refused:
        await tab.submit_ticket()

    assert (await refused.value).status == 400
    await expect(tab.failure).to_contain_text("several cookies named session")
    await expect(tab.failure).to_contain_text("delete the cookies of this site")
    await expect(tab.orders).to_have_count(0)
