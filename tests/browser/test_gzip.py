"""The browser's own EventSource on a compressed stream: each event when it comes (C6)."""

import asyncio

import pytest
from playwright.async_api import Page, Response

from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """() => new Promise((resolve, reject) => {
    const source = new EventSource('/api/stream/prices');
    const seen = [];
    source.onerror = () => reject(new Error(`it failed after ${seen.length} events`));
    source.addEventListener('price:update', (event) => {
        const update = JSON.parse(event.data);
        seen.push({ symbol: update.symbol, late: Date.now() - Date.parse(update.timestamp) });
        if (seen.length === 60) { source.close(); resolve(seen); }
    });
})"""


async def test_an_event_source_reads_it_as_it_comes(stack: Stack, page: Page) -> None:
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def note(response: Response) -> None:
        if response.request.resource_type == "eventsource" and not answered.done():
            answered.set_result(response)

    await page.route("**/*.js", lambda route: route.abort())  # the page itself stays quiet
    await page.goto(stack.url)
    page.on("response", note)

    seen = await page.evaluate(READ)

    headers = (await answered).headers
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
    assert len({event["symbol"] for event in seen[1:]}) > 1
    late = sorted(event["late"] for event in seen[1:])
    assert late[len(late) // 2] < 500, f"milliseconds from quote to screen: {late}"
