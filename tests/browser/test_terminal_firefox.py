"""The terminal in Debian's Firefox: prices, orders, notifications, every panel, a second tab."""

import json
import os
import uuid
from pathlib import Path

import pytest

from tests.browser.page_event_publisher import open_page_event_publisher
from tests.harness.firefox import (  # fixtures
    FirefoxSession,
    FirefoxTab,
    firefox,  # noqa: F401
    firefox_path,  # noqa: F401
    firefox_session,  # noqa: F401
)
from tests.harness.pages import build_terminal
from tests.harness.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SCREENSHOTS = os.environ.get("TERMINAL_SCREENSHOTS")
"""A folder for screenshots of all pages; none are taken without it."""
PANELS_BY_PATH = {
    "/": ("watchlist", "chart", "ticket", "blotter", "positions", "account", "executions",
          "replay"),
    "/strategies": ("strategies", "decisions", "alerts"),
    "/dashboard": ("items", "metrics", "notifications"),
    "/operations": ("services", "connections", "journal", "explain"),
}  # fmt: skip
SHOWS_SCRIPT = """([selector, text]) =>
    (document.querySelector(selector)?.innerText ?? '').includes(text)"""
CHOOSE_SCRIPT = "(selector) => document.querySelector(selector).click()"
SIGN_IN_SCRIPT = """(user) => fetch('/api/session', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({userId: user, roles: ['admin']}),
}).then(({status}) => status)"""
OPEN_PANELS_SCRIPT = """() => {
    for (const box of document.querySelectorAll('[popover] input[type=checkbox]'))
        if (!box.checked) box.click();
}"""
OVERFLOW_SCRIPT = """() => {
    const {scrollWidth, clientWidth, scrollHeight, clientHeight} = document.documentElement;
    return [scrollWidth - clientWidth, scrollHeight - clientHeight];
}"""

SHORTENED_NUMBERS_SCRIPT = """() => {
    // Firefox writes an ellipsis where any box inside of a cell goes past the cell's padding.
    const isShortened = (cell) => {
        const {paddingLeft, paddingRight} = getComputedStyle(cell);
        const {left, right} = cell.getBoundingClientRect();
        return [...cell.querySelectorAll('*')].map((box) => box.getBoundingClientRect()).some(
            (box) => box.width > 0 && (box.right > right - parseFloat(paddingRight) + 0.5
                || box.left < left + parseFloat(paddingLeft) - 0.5));
    };
    return [...document.querySelectorAll('.table-body .table-cell')]
        .filter((cell) => cell.querySelector('.num') && isShortened(cell))
        .map((cell) => `${cell.dataset.column} ${cell.innerText}`);
}"""


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def built_pages() -> None:
    build_terminal()


async def _expect_text(tab: FirefoxTab, selector: str, text: str) -> None:
    await tab.wait_for(SHOWS_SCRIPT, [selector, text])


async def _screenshot(tab: FirefoxTab, name: str) -> None:
    if SCREENSHOTS:
        await tab.screenshot(Path(SCREENSHOTS) / f"firefox-{name.replace('/', '_')}.png")


async def _place_order(tab: FirefoxTab, quantity: str, limit: str | None = None) -> None:
    await tab.press("Escape")
    await tab.press("b")
    await tab.wait_for("document.activeElement?.closest('#panel-ticket') !== null")
    kind = "market" if limit is None else "limit"
    await tab.evaluate(CHOOSE_SCRIPT, f"#panel-ticket input[type=radio][value={kind}]")
    await tab.click("#panel-ticket input[name=qty]")
    await tab.press("Control+a")
    await tab.type_text(quantity)
    if limit is not None:
        await tab.click("#panel-ticket input[name=limitPrice]")
        await tab.press("Control+a")
        await tab.type_text(limit)
    await tab.press("Enter")


async def test_prices_orders_notifications_and_a_second_tab(
    stack: Stack,
    firefox_session: FirefoxSession,  # noqa: F811
    user: str,
) -> None:
    tab = await firefox_session.open_tab(stack.url)
    await _expect_text(tab, ".status-word", "Live")
    quotes = "document.querySelector('#panel-watchlist tbody')?.innerText"
    before = await tab.wait_for(quotes)
    await tab.wait_for(f"{quotes} !== {json.dumps(before)}")

    await tab.click("header .button.primary")
    await tab.wait_for("document.activeElement?.closest('[role=dialog]') !== null")
    await tab.type_text(user)
    await tab.press("Enter")
    await _expect_text(tab, ".who", user)
    await tab.wait_for("!document.querySelector('[role=dialog].dialog-body')")

    await _place_order(tab, "5", limit="0.01")
    await _expect_text(tab, "#panel-blotter tbody", "Open")
    await tab.click('#panel-blotter tbody button[aria-label^="Cancel"]')
    await _expect_text(tab, "#panel-blotter tbody", "Canceled")
    await _place_order(tab, "10")
    await _expect_text(tab, "#panel-blotter tbody", "Filled")
    await _expect_text(tab, "#panel-positions tbody", "+10")

    async with open_page_event_publisher(stack.nats_url) as publisher:
        await publisher.publish_notification(user, "Margin", "Add funds", "margin_call")
    await _expect_text(tab, "[aria-label=Messages]", "Add funds")

    second = await firefox_session.open_tab(stack.url)
    await _expect_text(second, ".status-word", "Live")
    await _expect_text(second, "#panel-blotter tbody", "Filled")
    for either in (tab, second):
        await _expect_text(either, ".status-transport", "connection for all tabs")
        assert either.errors == []


@pytest.mark.parametrize(("theme", "width"), [("dark", 1600), ("light", 390)])
async def test_every_panel_opens_without_an_error(
    stack: Stack,
    firefox_session: FirefoxSession,  # noqa: F811
    user: str,
    theme: str,
    width: int,
) -> None:
    tab = await firefox_session.open_tab(stack.url, width=width, height=1000)
    assert await tab.evaluate(SIGN_IN_SCRIPT, user) in (200, 201)
    is_phone = width < 600
    paths = ["/", "/#trade", "/#positions"] if is_phone else ["/"]
    paths += [path for path in PANELS_BY_PATH if path != "/"]
    seen: set[str] = set()
    for path in paths:
        await tab.goto("about:blank")
        await tab.goto(f"{stack.url}{path}")
        await _expect_text(tab, ".status-word", "Live")
        await tab.evaluate(CHOOSE_SCRIPT, f'[data-choice=theme] input[value="{theme}"]')
        if path == "/" and not is_phone:
            await tab.evaluate(OPEN_PANELS_SCRIPT)
        await tab.wait_for("!document.querySelector('.panel-loading')")
        panel_ids = await tab.evaluate("[...document.querySelectorAll('.panel')].map(({id}) => id)")
        seen.update(id_.removeprefix("panel-") for id_ in panel_ids)
        stopped = await tab.evaluate("document.querySelector('main [role=alert]')?.innerText")
        assert stopped is None, f"{path} shows a failure: {stopped}"
        assert await tab.evaluate(SHORTENED_NUMBERS_SCRIPT) == []
        assert await tab.evaluate(OVERFLOW_SCRIPT) == [0, 0], f"{path} does not fit its window"
        await _screenshot(tab, f"{theme}-{width}-{path}")
    assert seen >= {panel for panels in PANELS_BY_PATH.values() for panel in panels}
    assert tab.errors == []
