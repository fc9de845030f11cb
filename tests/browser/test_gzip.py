"""The browser's own EventSource on a compressed stream receives each event immediately (C6)."""

import asyncio

import pytest
from playwright.async_api import Page, Response

from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDER_COUNT = 5
ARRIVAL_TIMEOUT_MS = 20_000
"""Shorter than the half minute after which an idle frame would push out a frame that was held back.
This user receives no other events."""

READ_ORDERS_SCRIPT = """async ({ orders, soon }) => {
    const source = new EventSource('/api/stream/orders');
    const counts = new Map();
    let check = () => {};
    for (const name of ['open', 'order:update']) source.addEventListener(name, (event) => {
        const { orderId } = JSON.parse(event.data ?? '{}');
        counts.set(orderId ?? name, (counts.get(orderId ?? name) ?? 0) + 1);
        check();
    });
    const seen = (what, times) => new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${what} is held back`)), soon);
        check = () => {
            if ((counts.get(what) ?? 0) < times) return;
            clearTimeout(late);
            resolve();
        };
        check();
    });
    await seen('order:update', 1);
    const order = { symbol: 'IBM', side: 'buy', type: 'limit', qty: 5, limitPrice: 1 };
    const headers = { 'content-type': 'application/json' };
    for (let placed = 0; placed < orders; placed += 1) {
        const body = JSON.stringify(order);
        const answer = await fetch('/api/orders', { method: 'POST', headers, body });
        await seen((await answer.json()).orderId, 2);
    }
    source.close();
}"""


async def test_event_source_receives_each_compressed_event_immediately(
    stack: Stack, page: Page
) -> None:
    """Each order is placed after the browser received that the previous one was accepted."""
    await asyncio.to_thread(stack.wait_until_healthy)
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def note(response: Response) -> None:
        if response.request.resource_type == "eventsource" and not answered.done():
            answered.set_result(response)

    await page.route("**/*.js", lambda route: route.abort())  # the page itself sends no requests
    await page.goto(stack.url)
    signed_in = await page.request.post(f"{stack.url}/api/session", data={"userId": "gzip"})
    assert signed_in.status == 201
    page.on("response", note)

    await page.evaluate(READ_ORDERS_SCRIPT, {"orders": ORDER_COUNT, "soon": ARRIVAL_TIMEOUT_MS})

    headers = (await answered).headers
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
