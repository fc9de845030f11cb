"""Hostile text in every field that users and programs fill (U6): the terminal shows it as text; it
neither hides nor reorders what stands beside it, and the page goes on working.

The server is scripted, because a real one refuses some of these texts where they enter.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.scripted_server import (
    IBM_QUOTE,
    ScriptedServer,
    error_answer,
    price_events,
    run_scripted_server,
)
from tests.browser.terminal_page import TerminalPage
from tests.browser.test_dashboard_scripted import METRICS, make_item, make_notification
from tests.browser.test_terminal_scripted import ACCOUNT, make_order

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMESTAMP = "2026-01-05T14:30:00Z"
SCRIPT = "window.hasRun = true"
MARKUP = (
    f'<img src=x onerror="{SCRIPT}"><script>{SCRIPT}</script><svg onload="{SCRIPT}">{{{{7*7}}}}'
)
HOSTILE_TEXTS = {
    "markup": MARKUP,
    "an attribute": f'" onmouseover="{SCRIPT}" x=\'',
    "a javascript link": f"javascript:{SCRIPT}",
    "a data link": f"data:text/html,<script>{SCRIPT}</script>",
    "a long word": "Wm" * 2_500,
    "right-to-left override": "\u202eesreveR",
    "isolates and embeddings": "\u2067\u202b\u2066\u202eabc",
    "a closed isolate": "abc\u2069\u2069\u202eabc",
    "right-to-left letters": "\u05d0\u05d1\u05d2 \u0634\u062d\u0646 1-2",
    "NUL and control characters": "a\x00\x01\x07\x08\x1b[31m\r\n\t\x7f\x85b",
    "zero-width": "a\u200b\u200d\ufeff\u2060b" * 20,
    "combining marks": "a" + "\u0301\u0323\u0489\u20dd" * 200,
    "a lone surrogate": "a\ud800b\udc00",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea" * 30,
    "a huge number": "9" * 400,
    "names of objects": "__proto__ constructor toString",
    "line separators": "a\u2028b\u2029c\n\n\n\n\n\n\n\n\n\nd",
}
PATHS = ("/", "/strategies", "/dashboard")
RECORD_REPORTS_SCRIPT = """
    window.reports = [];
    addEventListener('securitypolicyviolation', ({violatedDirective, blockedURI}) =>
        window.reports.push(`${violatedDirective} ${blockedURI}`));
"""
HARM_SCRIPT = """() => {
    const wrong = window.reports.map((report) => `violation of the policy: ${report}`);
    if (window.hasRun) wrong.push('a script ran');
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) wrong.push('the page scrolls sideways');
    const foreign =
        'main img, iframe, a[href^="javascript" i], a[href^="data" i], main svg[onload]';
    for (const {outerHTML} of document.querySelectorAll(foreign)) wrong.push(outerHTML);
    for (const box of document.querySelectorAll('.panel, header, .strip, .toasts, .dialog')) {
        if (box.getBoundingClientRect().right > root.clientWidth + 1) {
            wrong.push(`${box.id || box.className} is wider than the page`);
        }
    }
    for (const cell of document.querySelectorAll('.table-cell, .toast p, .notification, dd, td')) {
        const isOpen = getComputedStyle(cell).overflowX === 'visible';
        if (isOpen && cell.scrollWidth > cell.clientWidth + 1) {
            wrong.push(`${cell.className} ${cell.dataset.column ?? ''} spills`);
        }
    }
    // Plain text beside a hostile one is read from left to right, as ever.
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const isHidden = node.parentElement.closest('.sr-only') !== null;
        if (isHidden || !/^[\\x20-\\x7e\\u2026]{3,}$/.test(node.data)) continue;
        const range = new Range();
        const leftOf = (start) => {
            range.setStart(node, start);
            range.setEnd(node, start + 1);
            return range.getBoundingClientRect();
        };
        const start = node.data.search(/\\S/);
        const [first, second] = [leftOf(start), leftOf(start + 1)];
        const isOnOneLine = Math.abs(first.top - second.top) < 2 && first.width > 0;
        if (isOnOneLine && second.left < first.left - 0.5) {
            wrong.push(`reordered: ${JSON.stringify(node.data.slice(0, 60))}`);
        }
    }
    return wrong;
}"""
REACHABLE_SCRIPT = """(names) => names.filter((name) => {
    const isNamed = (button) => (button.ariaLabel ?? button.innerText).startsWith(name);
    const button = [...document.querySelectorAll('button')]
        .find((element) => isNamed(element) && element.checkVisibility());
    if (!button) return true;
    button.scrollIntoView({block: 'center', inline: 'nearest'});
    const {left, right, top, bottom} = button.getBoundingClientRect();
    const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return !button.contains(hit);
})"""
BROKEN_STATES = (
    "{", "null", "[]", '"text"', "-1", '{"column": 7}', "[[[]]]", '{"trade": {"x": -1}}',
)  # fmt: skip
SINK_SCRIPT = """() => {
    const attempts = {
        innerHTML: () => { document.body.innerHTML = '<b>text</b>'; },
        insertAdjacentHTML: () => document.body.insertAdjacentHTML('beforeend', '<b>text</b>'),
        script: () => { document.createElement('script').textContent = 'window.hasRun = true'; },
        source: () => { document.createElement('script').src = '/worker.js'; },
        write: () => document.write('<b>text</b>'),
        policy: () => trustedTypes.createPolicy('another', {}),
    };
    return Object.entries(attempts).filter(([, attempt]) => {
        try { attempt(); return true; } catch { return false; }
    }).map(([name]) => name);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[ScriptedServer]:
    async with run_scripted_server() as made:
        made.openings["account"] = [("account:update", ACCOUNT)]
        yield made


def _fill_in(server: ScriptedServer, text: str) -> None:
    """Put a text into every field of everything that the pages show."""
    # Ids and symbols come from UTF-8 and go back in addresses.
    key = text.encode("utf-8", "replace").decode()
    server.openings["prices"] = price_events(IBM_QUOTE, {**IBM_QUOTE, "symbol": key})
    orders = [
        make_order(orderId=f"{status} {key}", symbol=key, status=status, reason=reason, **terms)
        for status, reason, terms in (
            ("new", None, {"waiting": text, "type": "limit", "limitPrice": 181.5}),
            ("partially_filled", text, {"strategyId": key, "timeInForce": text}),
            ("rejected", text, {}),
            (text, text, {}),
        )
    ]
    server.sign_in_user(key, orders=orders)
    server.answer_list("orders", "orders", *orders)
    server.openings["positions"] = [
        ("position:update", {"snapshot": True, "positions": [_position(key)], "totalValue": 1}),
    ]
    notifications = [
        make_notification(
            f"{type_} {key}", type=type_, title=text, message=text, payload={text: text}
        )
        for type_ in ("message", "strategy_error", text)
    ]
    server.answer_list("notifications", "notifications", *notifications, unread=3)
    server.openings["notifications"] = [("notification:unread", {"unread": 3})]
    urls = [f"javascript:{SCRIPT}", f"data:text/html,{text}", f"https://example.com/{text}", text]
    items = [
        make_item(f"{url} {key}", title=text, source=text, url=url, tickers=[key], tags=[text])
        for url in urls
    ]
    server.answer_list("v2/items", "items", *items)
    server.openings["item-metrics"] = [("item:metrics", {**METRICS, "tags": {text: 3}})]
    view = {"id": key, "name": text, "tickers": [key], "tags": [text]}
    server.answer_list("v2/configurations", "configurations", view)
    server.answer_list("strategies", "strategies", _strategy(key, text))
    rule = {
        "ruleId": key, "kind": "price_above", "level": "info", "symbol": key, "price": 1,
        "percent": None, "windowSeconds": None, "armed": True, "timestamp": TIMESTAMP,
    }  # fmt: skip
    server.answer_list("alerts/rules", "rules", rule)
    alert = {
        "alertId": key, "level": "error", "message": text, "symbol": key, "ruleId": key,
        "timestamp": TIMESTAMP,
    }  # fmt: skip
    server.answer_list("alerts", "alerts", alert)
    decision = {
        "decisionId": key, "strategyId": key, "symbol": key, "action": "buy",
        "confidence": 0.5, "reasoning": text, "taken": True, "timestamp": TIMESTAMP,
    }  # fmt: skip
    server.openings["ai-decisions"] = [("ai:decision", decision)]
    server.answer_always("POST /api/orders", error_answer(422, text, path=text))


def _position(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol, "quantity": 7, "entryPrice": 1.5, "currentPrice": 1.5, "stale": False,
        "unrealizedPnL": 0, "realizedPnL": 0, "timestamp": TIMESTAMP,
    }  # fmt: skip


def _strategy(key: str, text: str) -> dict[str, Any]:
    return {
        "strategyId": key, "name": text, "symbol": key, "quantity": 1, "stopLoss": None,
        "rule": {"kind": "moving_average_crossover", "fast": 2, "slow": 5}, "maxTrades": None,
        "status": "started", "position": 1, "entryPrice": 1.5, "order": None, "orders": 1,
        "trades": 1, "realizedPnL": 0, "message": text, "timestamp": TIMESTAMP,
    }  # fmt: skip


async def _find_harm(server: ScriptedServer, page: Page, text: str) -> dict[str, list[str]]:
    """What a text does to the pages in which it is everywhere."""
    terminal = TerminalPage(page)
    _fill_in(server, text)
    harm: dict[str, list[str]] = {}
    for path in PATHS:
        await terminal.open(server.url, path)
        await terminal.expect_status("Live")
        await expect(page.locator(".panel-loading")).to_have_count(0)
        if path == "/":
            await expect(terminal.orders).to_have_count(4)
            await expect(terminal.positions).to_have_count(1)
            await terminal.fill_ticket(qty="1")
            await terminal.submit_ticket()
            await expect(terminal.failure).to_be_visible()
            await terminal.orders.first.click()
        if path == "/dashboard":
            await expect(terminal.rows("items").first).to_be_visible()
        server.send("notification", make_notification(f"{path} {text}", title=text, message=text))
        await expect(page.locator(".toast").last).to_be_visible()
        buttons = ["Settings", "Panels", "Sign out"]
        hidden = await page.evaluate(REACHABLE_SCRIPT, [*buttons, *(["Cancel:"] * (path == "/"))])
        found = [f"not in reach: {name}" for name in hidden]
        if found := await page.evaluate(HARM_SCRIPT) + found:
            harm[path] = found
    return harm


async def test_markup_in_every_field_does_nothing(server: ScriptedServer, page: Page) -> None:
    await page.add_init_script(RECORD_REPORTS_SCRIPT)
    assert await _find_harm(server, page, MARKUP) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [name for name in HOSTILE_TEXTS if name != "markup"])
async def test_hostile_text_in_every_field_stays_in_its_place(
    server: ScriptedServer, page: Page, kind: str
) -> None:
    await page.add_init_script(RECORD_REPORTS_SCRIPT)
    await page.set_viewport_size({"width": 1600, "height": 1000})
    assert await _find_harm(server, page, HOSTILE_TEXTS[kind]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("state", BROKEN_STATES)
async def test_a_stored_state_that_is_broken_or_of_another_version_counts_as_none(
    server: ScriptedServer, page: Page, state: str
) -> None:
    terminal = TerminalPage(page)
    await page.add_init_script(RECORD_REPORTS_SCRIPT)
    server.sign_in_user("alice", orders=[make_order()])
    await terminal.open(server.url)
    await expect(terminal.orders).to_have_count(1)
    await page.get_by_role("button", name="Settings and help").click()
    await page.get_by_role("radio", name="Dark").check(force=True)
    await page.keyboard.press("Escape")
    await terminal.orders.first.click()
    await page.get_by_role("button", name="Price", exact=True).click()

    count = await page.evaluate(
        """(state) => {
            let count = 0;
            for (const store of [localStorage, sessionStorage]) {
                for (const key of Object.keys(store)) {
                    store.setItem(key, state);
                    count += 1;
                }
                for (const key of ['layout', 'layouts', 'theme', 'watchlist', 'selected-symbol']) {
                    store.setItem(`tapewire:${key}`, state);
                }
            }
            return count;
        }""",
        state,
    )
    assert count > 2
    await page.reload()

    await terminal.expect_status("Live")
    await expect(terminal.orders).to_have_count(1)
    await expect(terminal.quotes.first).to_be_visible()
    assert await page.evaluate(HARM_SCRIPT) == []


@pytest.mark.slow
async def test_a_hostile_address_of_the_page_shows_the_page(
    server: ScriptedServer, page: Page
) -> None:
    terminal = TerminalPage(page)
    await page.add_init_script(RECORD_REPORTS_SCRIPT)
    for address in (
        f"/?symbol={MARKUP}&theme={MARKUP}#{MARKUP}",
        f"/#javascript:{SCRIPT}",
        "/?%00%FF%FE=%E2%80%AE#%00",
        "/dashboard?" + "a=b&" * 1_000 + "#trade",
    ):
        await terminal.open(server.url, address)
        await page.reload()
        await terminal.expect_status("Live")
        await expect(page.locator(".panel").first).to_be_visible()
        assert await page.evaluate(HARM_SCRIPT) == [], address


async def test_the_policy_of_the_pages_has_no_unsafe_parts_and_sinks_take_no_text(
    server: ScriptedServer, context: BrowserContext
) -> None:
    page = await context.new_page()
    response = await page.goto(server.url)
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert await page.evaluate(SINK_SCRIPT) == []
    assert not await page.evaluate("() => window.hasRun")
