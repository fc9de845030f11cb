"""What a real browser lets pages of other origins do, and how its EventSources live behind a proxy
that cuts connections (W1, C14)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request

from tests.browser.conftest import OpenPage
from tests.browser.network_link import run_network_link
from tests.harness.connections import serve_connections
from tests.harness.edge import USE_DEFAULT, Harness
from tests.harness.publishers import order_placed
from tests.harness.waiting import wait_until_async

ATTACK_SCRIPT = """
async (edge) => {
    const send = (path, init) =>
        fetch(edge + path, {mode: 'no-cors', credentials: 'include', ...init}).catch(() => null);
    await send('/api/session', {});
    await send('/api/stream/ticket', {method: 'POST'});
    await send('/api/orders', {method: 'POST', body: '{"symbol":"IBM","side":"buy","qty":7}'});
    await send('/api/orders', {method: 'POST', body: new URLSearchParams({symbol: 'IBM'})});
    await send('/api/session', {method: 'POST', body: '{"userId":"mallory"}'});
    navigator.sendBeacon(edge + '/api/session', '{"userId":"mallory"}');
    const form = document.createElement('form');
    Object.assign(form, {method: 'POST', action: edge + '/api/session', enctype: 'text/plain'});
    form.innerHTML = `<input name='{"userId":"mallory","x":"' value='"}'>`;
    document.body.append(form);
    form.submit();
}
"""
SOURCES_A_PAGE = 6
"""A browser has six connections of HTTP/1.1 to a host and port."""
PAGES = 7
CUTS = 6
SOURCES_SCRIPT = """
([path, count]) => {
    window.sources = Array.from({length: count}, () => {
        const source = new EventSource(path);
        const seen = {source, opened: 0, id: '', gaveUp: false};
        source.onopen = () => { seen.opened += 1; };
        source.onerror = () => { seen.gaveUp ||= source.readyState === EventSource.CLOSED; };
        source.addEventListener('order:update', (event) => { seen.id = event.lastEventId; });
        return seen;
    });
}
"""
STATES_SCRIPT = """
() => window.sources.map(({source, opened, id, gaveUp}) =>
    ({state: source.readyState, opened, id, gaveUp}))
"""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def serve_empty_page() -> AsyncIterator[tuple[str, list[str]]]:
    """Serve an empty page on another port of the same host: of another origin, and of the same
    site. Yields its URL, and the heads of the requests that it gets."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        except asyncio.IncompleteReadError:  # browsers open connections in advance
            return
        body = b"<!doctype html><link rel=icon href=data:,><body>"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
        writer.write(head + body)
        writer.close()

    async with serve_connections(answer) as port:
        yield f"http://127.0.0.1:{port}/", heads


async def test_a_page_on_another_port_changes_nothing(
    isolated_harness: Harness, context: BrowserContext, page: Page
) -> None:
    edge = isolated_harness.start_edge()
    cookie = await edge.sign_in("alice")
    await context.add_cookies([{"name": "session", "value": cookie, "url": edge.url}])
    attempts: list[Request] = []
    page.on("request", lambda one: attempts.append(one) if one.url.startswith(edge.url) else None)
    async with serve_empty_page() as (foreign_url, _), serve_empty_page() as (other_url, heads):
        await page.goto(foreign_url)
        await page.evaluate(
            "(url) => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'})",
            other_url,
        )
        async with page.expect_navigation(url=f"{edge.url}/api/session"):
            await page.evaluate(ATTACK_SCRIPT, edge.url)
    changes = [one for one in attempts if one.method == "POST"]
    assert f"session={cookie}" in heads[-1], "the browser adds the cookie to such requests"
    paths = Counter(one.url.removeprefix(edge.url) for one in changes)
    assert paths == {"/api/stream/ticket": 1, "/api/orders": 2, "/api/session": 3}
    refused = [
        line for line in edge.find_log_lines("request.rejected") if "Origin" in line["reason"]
    ]
    assert Counter(line["path"] for line in refused) == paths
    session = await page.goto(f"{edge.url}/api/session")
    assert session is not None
    assert (await session.json())["userId"] == "alice"


async def test_our_own_page_changes_things(isolated_harness: Harness, page: Page) -> None:
    edge = isolated_harness.start_edge()
    await page.goto(f"{edge.url}/client/tapewire.js")
    statuses = await page.evaluate("""async () => {
        const post = async (path, body) => (await fetch(path, {
            method: 'POST', body, headers: body ? {'Content-Type': 'application/json'} : {},
        })).status;
        return [await post('/api/session', '{"userId":"alice"}'), await post('/api/stream/ticket')];
    }""")
    assert statuses == [201, 201]


async def test_forty_event_sources_of_an_office_stay_behind_a_proxy_that_cuts(
    isolated_harness: Harness, context: BrowserContext, open_page: OpenPage
) -> None:
    """A native EventSource gives up for good when it is answered 429."""
    edge = isolated_harness.start_edge(
        SSE_CONNECT_RATE=USE_DEFAULT, SSE_MAX_CONNECTIONS_PER_USER=100, SSE_RETRY_MS=100
    )
    cookie = await edge.sign_in("alice")
    await context.add_cookies([{"name": "session", "value": cookie, "url": edge.url}])
    async with contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(run_network_link(edge.port)) for _ in range(PAGES)
        ]
        pages = [await open_page() for _ in opened]
        for page, (_, url) in zip(pages, opened, strict=True):
            await page.goto(f"{url}/client/tapewire.js")
            await page.evaluate(SOURCES_SCRIPT, ["/api/stream/orders", SOURCES_A_PAGE])

        async def states() -> list[dict[str, Any]]:
            return [state for page in pages for state in await page.evaluate(STATES_SCRIPT)]

        for number in range(CUTS):

            async def all_are_back(least: int = number + 1) -> bool:
                now = await states()
                assert not any(state["gaveUp"] for state in now), now
                return all(s["state"] == 1 and s["id"] and s["opened"] >= least for s in now)

            await wait_until_async("all EventSources are open", all_are_back)
            for link, _ in opened:
                link.cut_all()
        async with isolated_harness.journal() as journal:
            last = await journal.append("alice", order_placed("last"))

        async def all_have_the_last_event() -> bool:
            return all(state["id"].endswith(f"-{last}") for state in await states())

        await wait_until_async("all have the last event", all_have_the_last_event)
        assert len(await states()) >= 40
        assert len(edge.find_log_lines("stream.opened")) >= PAGES * SOURCES_A_PAGE * CUTS
