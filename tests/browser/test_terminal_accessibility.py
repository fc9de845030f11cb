"""The terminal is usable by everybody (U6): axe finds nothing on any page, state, dialog, theme and
width; the focus is visible everywhere; zoom cuts nothing off; nothing moves for those who ask for
that; forced colours hide no state.

Set TERMINAL_SCREENSHOTS to a folder for a screenshot of every state.
"""

import contextlib
import os
import pprint
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, Page, expect
from playwright.async_api import Error as PlaywrightError

from tests.browser.filled_account import AccountApi, fill_account
from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.browser.page_geometry import (
    find_clipped_text,
    find_sideways_scrolling,
    find_small_targets,
)
from tests.browser.scripted_server import (
    IBM_QUOTE,
    ScriptedServer,
    error_answer,
    price_events,
    run_scripted_server,
)
from tests.browser.terminal_page import TerminalPage
from tests.browser.test_terminal_scripted import ACCOUNT, make_order
from tests.harness.axe import find_violations
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/", "/strategies", "/dashboard", "/operations")
PHONE_PATHS = ("/", "/#trade", "/#positions", "/strategies", "/dashboard", "/operations")
WIDE = {"width": 1600, "height": 1000}
PHONE = {"width": 390, "height": 844}
SMALLEST = {"width": 320, "height": 640}
ZOOMED = {"width": 640, "height": 400}
"""What 200 % zoom leaves of a window of 1280 times 800."""
SCREENSHOTS = os.environ.get("TERMINAL_SCREENSHOTS")
MOTION_SCRIPT = """() => {
    const seconds = (times) => Math.max(...times.split(',').map((time) => parseFloat(time)));
    const moving = [...document.querySelectorAll('*')].filter((element) => {
        const {animationName, animationDuration, transitionDuration} = getComputedStyle(element);
        return seconds(transitionDuration) > 0.01
            || (animationName !== 'none' && seconds(animationDuration) > 0.01);
    });
    const running = document.getAnimations().filter(
        ({effect}) => effect.getComputedTiming().activeDuration > 10);
    return [...moving.map(({tagName, className}) => `${tagName}.${className}`),
        ...running.map(({effect}) => `an animation of ${effect.target?.className}`)];
}"""
FLASHES_SCRIPT = """() => new Promise((resolve) => {
    const end = performance.now() + 1500;
    const isFlashing = (cell) => getComputedStyle(cell).backgroundColor !== 'rgba(0, 0, 0, 0)';
    const look = () => {
        if ([...document.querySelectorAll('.flashing')].some(isFlashing)) resolve(true);
        else if (performance.now() > end) resolve(false);
        else requestAnimationFrame(look);
    };
    look();
})"""
FOCUS_SCRIPT = """() => {
    const element = document.activeElement;
    if (element === document.body) return null;
    const {left, top, right, bottom} = element.getBoundingClientRect();
    // A radio button of a row of choices is transparent: its label shows the focus.
    const shown = getComputedStyle(element).opacity === '0' ? element.nextElementSibling : element;
    const {outlineStyle, outlineWidth, outlineColor} = getComputedStyle(shown);
    const [x, y] = [(left + right) / 2, Math.min((top + bottom) / 2, top + 12)];
    const hit = document.elementFromPoint(x, y);
    return {
        name: [element.tagName, element.id || element.className, element.innerText].join(' '),
        isOutlined: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2
            && !/rgba\\(.*, 0\\)|transparent/.test(outlineColor),
        isInView: x >= 0 && y >= 0 && x <= innerWidth && y <= innerHeight,
        isOnTop: hit !== null && (hit.contains(element) || element.contains(hit)
            || hit.closest('label')?.contains(element) === true),
    };
}"""
TEXT_SIZE_SCRIPT = """document.addEventListener('readystatechange', () => {
    document.documentElement.style.fontSize = sessionStorage.getItem('text size') ?? '';
}, {once: true})"""
MAX_TABS = 150


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[ScriptedServer]:
    """A server of one user who has an order in every state."""
    async with run_scripted_server() as made:
        made.openings["prices"] = price_events(
            IBM_QUOTE, {**IBM_QUOTE, "symbol": "SPY", "stale": True, "age": 12.0}
        )
        made.openings["account"] = [("account:update", ACCOUNT)]
        statuses = ("new", "partially_filled", "pending_cancel", "filled", "canceled", "rejected")
        made.sign_in_user(
            "alice",
            orders=[
                make_order(orderId=status, status=status, reason="for a reason")
                for status in statuses
            ],
        )
        yield made


class Inspection:
    """What is wrong with the states that a page has gone through, in both themes."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.found: dict[str, list[str]] = {}
        self._name = name

    async def check(self, state: str) -> None:
        """Inspect the page as it is: all rules in the light theme, and contrast in the dark one."""
        page = self.page
        for theme, rules in (("dark", ["color-contrast"]), ("light", [])):
            await page.emulate_media(
                color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
            )
            if SCREENSHOTS:
                file = f"{self._name} {state} {theme}".replace("/", "_").replace(" ", "-")
                await page.screenshot(path=Path(SCREENSHOTS) / f"{file}.png")
            if violations := await find_violations(page, rules=rules):
                self.found[f"{state}, {theme}"] = violations
        if small := await find_small_targets(page):
            self.found[f"{state}, targets"] = small

    async def check_dialog(self, state: str, opener: Locator | str) -> None:
        """Open a dialog by a button or a key, check the page, and close the dialog by Esc."""
        if isinstance(opener, str):
            await self.page.keyboard.press(opener)
        else:
            await opener.click()
        page = self.page
        dialog = page.get_by_role("dialog").or_(page.get_by_role("alertdialog"))
        await expect(dialog).to_be_visible()
        await self.check(state)
        await self.page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)


async def _open(page: Page, url: str, path: str) -> TerminalPage:
    terminal = TerminalPage(page)
    await terminal.open(url, path)
    await terminal.expect_status("Live")
    await expect(page.locator(".panel-loading")).to_have_count(0)
    return terminal


async def _wait_until_filled(page: Page, url: str) -> None:
    """Wait until every list of the page of strategies has a row."""
    await page.goto(f"{url}/strategies")
    for table in ("strategies", "alert-rules", "alerts", "decisions"):
        await expect(page.locator(f'[data-table="{table}"] tbody tr').first).to_be_visible()


async def test_axe_finds_nothing_on_a_filled_page(server: ScriptedServer, page: Page) -> None:
    terminal = TerminalPage(page)
    seen = Inspection(page, "smoke")
    await terminal.open(server.url)
    await expect(terminal.orders).to_have_count(6)
    await terminal.orders.nth(1).click()
    await seen.check("filled")
    assert not seen.found, pprint.pformat(seen.found)


@pytest.mark.slow
@pytest.mark.parametrize("size", [WIDE, PHONE, ZOOMED], ids=["wide", "phone", "zoomed"])
async def test_axe_finds_nothing_on_any_page_and_dialog(
    stack: Stack, context: BrowserContext, page: Page, publisher: PageEventPublisher, user: str,
    size: Any,
) -> None:  # fmt: skip
    is_desk = size is WIDE
    await page.set_viewport_size(size)
    seen = Inspection(page, str(size["width"]))
    paths = PATHS if is_desk else PHONE_PATHS

    terminal = await _open(page, stack.url, "/")
    await expect(terminal.quotes.first).to_be_visible()
    symbol = await page.locator(".search-symbol").inner_text()
    for path in paths:
        await _open(page, stack.url, path)
        await seen.check(f"signed out {path}")
    await seen.check_dialog("signing in", terminal.account_button)

    api = AccountApi(context, stack.url)
    await api.sign_in(user, "admin")
    for path in paths:
        await _open(page, stack.url, path)
        await seen.check(f"empty {path}")
    await fill_account(api, publisher, user, symbol)
    await _wait_until_filled(page, stack.url)
    for path in paths:
        await _open(page, stack.url, path)
        await seen.check(f"filled {path}")
        await _check_dialogs(seen, path, is_desk)

    assert not seen.found, pprint.pformat(seen.found)


async def _check_dialogs(seen: Inspection, path: str, is_desk: bool) -> None:
    page = seen.page
    terminal = TerminalPage(page)
    if path == "/":
        await seen.check_dialog("help", "?")
        await seen.check_dialog("symbols", "/")
        await seen.check_dialog("settings", page.get_by_role("button", name="Settings and help"))
    if path == "/" and is_desk:
        await seen.check_dialog("panels", page.get_by_role("button", name="Panels"))
        menu = page.get_by_role("button", name="Watchlist: move, size, close")
        await seen.check_dialog("menu of a panel", menu)
        await terminal.show_panel("Replay")
        await terminal.show_panel("Executions")
        replay = terminal.panel("replay")
        await replay.get_by_role("button", name="Load").click()
        await expect(replay.get_by_role("slider")).to_be_visible()
        await seen.check("a replay")
    if path == ("/" if is_desk else "/#trade"):
        working = terminal.orders.filter(has=page.get_by_role("button", name="Change")).first
        await working.click()
        await seen.check("an order's details")
        await seen.check_dialog("changing an order", working.get_by_role("button", name="Change"))
        await terminal.fill_ticket(qty="0")
        await terminal.submit_ticket()
        await seen.check("an invalid quantity")
        await terminal.fill_ticket(qty="1000000")
        await seen.check_dialog("a question", terminal.ticket.locator("button[type=submit]"))
    if path == "/strategies":
        strategies = terminal.panel("strategies")
        create = strategies.get_by_role("button", name="New strategy")
        await seen.check_dialog("a new strategy", create)
        # On a phone the buttons are in the details of a strategy.
        for state, action, name in (
            ("changing a strategy", "Change", "Not started"),
            ("deleting a strategy", "Delete", "Not started"),
            ("stopping a strategy", "Stop", "Waits"),
        ):
            button = strategies.get_by_role("button", name=f"{action} {name}").last
            if not await button.count():
                await terminal.rows("strategies").filter(has_text=name).click()
            await seen.check_dialog(state, button)
        await terminal.rows("strategies").filter(has_text="Trades").click()
        await seen.check("a strategy's details")
        rule = terminal.panel("alerts").get_by_role("button", name="New rule")
        await seen.check_dialog("a new rule", rule)
    if path == "/dashboard":
        view = terminal.panel("items").get_by_role("button", name="New view")
        await seen.check_dialog("a new view", view)


@pytest.mark.slow
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_axe_finds_nothing_in_any_state_of_the_connection_and_the_session(
    server: ScriptedServer, page: Page, size: Any
) -> None:
    terminal = TerminalPage(page)
    seen = Inspection(page, f"states {size['width']}")
    await page.set_viewport_size(size)
    await terminal.open(server.url, "/#trade")
    await terminal.expect_status("Live")

    # The server goes silent, and then the connection breaks.
    server.is_silent = True
    await terminal.expect_status("Not live")
    await seen.check("stale")
    busy = (503, {"error": "Error", "message": "busy", "statusCode": 503}, {"retry-after": "3600"})
    server.answer_always("GET /api/stream", busy)
    server.end_streams()
    await terminal.expect_status("Reconnecting")
    await seen.check("reconnecting")

    server.is_streaming, server.is_silent, server.is_caught_up = True, False, False
    with contextlib.suppress(PlaywrightError):  # it may try by itself meanwhile
        await terminal.strip.get_by_role("button", name="Try now").click(timeout=2_000)
    await terminal.expect_status("Catching up")
    await seen.check("catching up")

    server.is_caught_up = True
    server.cut_streams()
    await terminal.expect_status("Live")
    server.send("stream:reset", {"reason": "trimmed", "requested": "e-1", "firstAvailable": "e-9"})
    await expect(terminal.strip).to_contain_text("loaded anew")
    await seen.check("reset")
    await terminal.strip.get_by_role("button", name="Close").click()

    server.is_silent = True
    server.cut_streams()
    await terminal.expect_status("Polling")
    await seen.check("polling")
    server.is_silent = False

    # The account: another one, none, and not known which.
    server.sign_in_user("somebody-else")
    server.answer_always("POST /api/orders", error_answer(409, "changed", error="account_changed"))
    await terminal.fill_ticket(qty="1")
    await terminal.submit_ticket()
    await expect(terminal.strip.filter(has_text="somebody-else")).to_be_visible()
    await seen.check("account changed")

    server.answer_always("GET /api/session", error_answer(401, "The session has ended."))
    server.answer_always("GET /api/stream", error_answer(401, "The session has ended."))
    server.end_streams()
    await expect(terminal.account_button).to_be_visible()
    await seen.check("signed out by the server")

    server.answer_always("GET /api/session", error_answer(500, "Nobody knows."))
    await page.reload()
    await expect(terminal.strip.filter(has_text="not known who is signed in")).to_be_visible()
    await seen.check("nobody knows who is signed in")

    server.answer_always("GET /api/session", error_answer(401, "No session."))
    server.answer_always("GET /api/stream", error_answer(403, "Not this page."))
    await page.reload()
    await terminal.expect_status("Refused")
    await seen.check("refused")
    assert not seen.found, pprint.pformat(seen.found)


@pytest.mark.slow
async def test_zoom_of_200_percent_cuts_nothing_off_and_needs_no_scrolling_sideways(
    stack: Stack, context: BrowserContext, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    await page.add_init_script(TEXT_SIZE_SCRIPT)
    await _open(page, stack.url, "/")
    symbol = await page.locator(".search-symbol").inner_text()
    api = AccountApi(context, stack.url)
    await api.sign_in(user, "admin")
    await fill_account(api, publisher, user, symbol)
    wrong: dict[str, list[str]] = {}
    for name, size, text_size in (
        ("zoom", ZOOMED, 100),
        ("phone", PHONE, 100),
        ("smallest", SMALLEST, 100),
        ("large text", {"width": 880, "height": 900}, 200),
        ("large text on a phone", PHONE, 150),
    ):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await page.evaluate(f"() => sessionStorage.setItem('text size', '{text_size}%')")
        for path in PHONE_PATHS:
            await _open(page, stack.url, path)
            if SCREENSHOTS:
                file = f"{name} {path}".replace("/", "_").replace(" ", "-")
                await page.screenshot(path=Path(SCREENSHOTS) / f"{file}.png")
            found = await find_sideways_scrolling(page) + await find_clipped_text(page)
            if found:
                wrong[f"{name} {path}"] = found
    assert not wrong, pprint.pformat(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("colours", ["none", "active"], ids=["own colours", "forced colours"])
async def test_the_focus_is_visible_on_every_stop_of_the_tab_key(
    stack: Stack, context: BrowserContext, page: Page, user: str, publisher: PageEventPublisher,
    colours: Any,
) -> None:  # fmt: skip
    await page.emulate_media(forced_colors=colours, reduced_motion="reduce")
    await _open(page, stack.url, "/")
    symbol = await page.locator(".search-symbol").inner_text()
    api = AccountApi(context, stack.url)
    await api.sign_in(user, "admin")
    await fill_account(api, publisher, user, symbol)
    wrong: dict[str, list[str]] = {}
    for path in PATHS:
        await _open(page, stack.url, path)
        stops: list[dict[str, Any]] = []
        while len(stops) < MAX_TABS:
            await page.keyboard.press("Tab")
            if (stop := await page.evaluate(FOCUS_SCRIPT)) is None:
                break
            stops.append(stop)
        assert len(stops) > 10, path
        hidden = [
            f"{stop['name']}: {flag}"
            for stop in stops
            for flag in ("isOutlined", "isInView", "isOnTop")
            if not stop[flag]
        ]
        if hidden:
            wrong[path] = hidden
    assert not wrong, pprint.pformat(wrong)


@pytest.mark.slow
async def test_forced_colours_hide_no_state(server: ScriptedServer, page: Page) -> None:
    terminal = TerminalPage(page)
    await page.emulate_media(forced_colors="active")
    await terminal.open(server.url)
    await expect(terminal.orders).to_have_count(6)
    await terminal.orders.nth(1).click()

    async def style(locator: Locator, name: str) -> str:
        found: str = await locator.evaluate(f"element => getComputedStyle(element)['{name}']")
        return found

    assert await style(terminal.orders.nth(1), "outlineStyle") == "solid"
    assert await style(terminal.orders.nth(0), "outlineStyle") == "none"
    current = page.get_by_role("link", name="Trade", exact=True)
    assert await style(current, "outlineStyle") == "solid"
    side = terminal.ticket.locator('[data-choice="side"] span')
    colours = {await style(side.nth(number), "backgroundColor") for number in (0, 1)}
    assert len(colours) == 2
    for chip in await terminal.orders.locator(".chip").all():
        assert await style(chip, "borderTopStyle") == "solid"
    server.end_streams()
    await expect(page.locator("html")).to_have_attribute("data-live", "no")
    assert await style(page.locator("main"), "borderTopWidth") == "6px"
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / "forced-colours.png")


@pytest.mark.slow
async def test_nothing_moves_where_less_motion_is_asked_for(stack: Stack, page: Page) -> None:
    await page.emulate_media(reduced_motion="reduce")
    terminal = await _open(page, stack.url, "/")
    await terminal.expect_moving_quotes()
    assert await page.evaluate(MOTION_SCRIPT) == []
    assert not await page.evaluate(FLASHES_SCRIPT)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await page.evaluate(MOTION_SCRIPT) == []
    await page.keyboard.press("Escape")

    await page.emulate_media(reduced_motion="no-preference")
    await expect(page.locator(".flashing[data-flash]").first).to_be_visible()
    assert await page.evaluate(FLASHES_SCRIPT)
