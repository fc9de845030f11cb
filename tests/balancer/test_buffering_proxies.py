"""The browser client behind an nginx that holds streams back: it goes on by long-polling, and
misses nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.balancer.fleet import EdgeFleet
from tests.harness.chromium import browser, chromium  # noqa: F401  # fixtures
from tests.harness.publishers import orders_placed
from tests.harness.waiting import wait_until_async

ORDERS_PATH = "/api/stream/orders"
EVENTS = 40
APPEND_INTERVAL_SECONDS = 0.05
"""No assertion depends on it."""
MAX_LIVE_SECONDS = 10.0
"""Five are promised, of which the client waits for 2.5. Allows for a busy machine."""
BUFFERING = {
    # With HTTP/1.1, nginx passes on each chunk of a chunked response.
    "proxy_pass_header X-Accel-Buffering;": "proxy_ignore_headers X-Accel-Buffering;",
    "proxy_http_version 1.1;": "proxy_http_version 1.0;",
}
COMPRESSING = {
    **BUFFERING,
    "gzip off;": "gzip on; gzip_proxied any; gzip_types text/event-stream application/json;",
}
WATCH_SCRIPT = """
async (path) => {
    const { connect } = await import('/client/tapewire.js');
    const seen = window.seen = {ids: [], orders: [], states: [], liveAfterMs: null};
    const startedAt = performance.now();
    connect(path, {
        onEvent: ({type, id, data}) => {
            if (type !== 'order:update') return;
            seen.liveAfterMs ??= performance.now() - startedAt;
            seen.ids.push(id);
            const orders = data.snapshot ? data.orders : [data];
            seen.orders.push(...orders.map(({orderId}) => orderId));
        },
        onState: (state) => seen.states.push(state.isPolling ? 'polling' : state.name),
    });
}
"""


@pytest.fixture(scope="module")
def one_edge(fleet_folders: Callable[[], Path]) -> Iterator[EdgeFleet]:
    """An edge behind nginx, which leaves the compression to nginx."""
    made = EdgeFleet(fleet_folders(), 1, SSE_GZIP="off")
    yield made
    made.close()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("changes", "earlier_orders", "last_state"),
    [
        pytest.param(BUFFERING, 0, "polling", id="nothing arrives"),
        pytest.param(BUFFERING, 400, "polling", id="the end of a large snapshot is held"),
        pytest.param(COMPRESSING, 0, "polling", id="the proxy compresses in large blocks"),
        pytest.param({}, 0, "live", id="nothing is held"),
    ],
)
async def test_a_client_behind_a_proxy_is_live_within_seconds_and_misses_nothing(
    one_edge: EdgeFleet,
    browser: Browser,  # noqa: F811
    fresh: Callable[[str], str],
    summary_lines: list[str],
    request: pytest.FixtureRequest,
    changes: dict[str, str],
    earlier_orders: int,
    last_state: str,
) -> None:
    user = fresh("buffered")
    front = one_edge.start_proxy(changes)
    cookie = await one_edge.sign_in(user)
    async with one_edge.harness.journal() as journal:
        for order in orders_placed(earlier_orders, "early"):
            await journal.append(user, order)
        context = await browser.new_context()
        await context.add_cookies([{"name": "session", "value": cookie, "url": front.url}])
        page = await context.new_page()
        await page.goto(f"{front.url}/client/tapewire.js")
        await page.evaluate(WATCH_SCRIPT, ORDERS_PATH)

        async def read_seen() -> Any:
            return await page.evaluate("() => window.seen")

        async def is_live() -> bool:
            return (await read_seen())["liveAfterMs"] is not None

        await wait_until_async("the client is live", is_live)
        appended = []
        for number in range(EVENTS):
            appended.append(await journal.append(user, *orders_placed(1, f"late-{number}")))
            await asyncio.sleep(APPEND_INTERVAL_SECONDS)

        async def has_all() -> bool:
            return f"late-{EVENTS - 1}-0" in (await read_seen())["orders"]

        started = time.monotonic()
        await wait_until_async("the client has all events", has_all)
        delay = time.monotonic() - started
        seen = await read_seen()
        await context.close()
    expected = [f"early-{number}" for number in range(max(earlier_orders - 200, 0), earlier_orders)]
    late = [f"late-{number}-0" for number in range(EVENTS)]
    sequences = [int(id_.rpartition("-")[2]) for id_ in seen["ids"]]
    assert [one for one in seen["orders"] if one.startswith("late")] == late
    assert {*expected} <= {*seen["orders"]}
    assert sequences[1:] == [one for one in appended if one > sequences[0]]
    assert seen["states"][-1] == last_state
    assert seen["liveAfterMs"] / 1000 < MAX_LIVE_SECONDS
    case = request.node.callspec.id
    summary_lines.append(
        f"client behind a proxy ({case}): live after "
        f"{seen['liveAfterMs'] / 1000:.2f} s, the last event {delay:.2f} s after it was stored"
    )
