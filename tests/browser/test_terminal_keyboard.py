"""The terminal by keyboard alone (U5): place an order, cancel it, change the symbol, mark
notifications as read, step through a replay. The focus is never lost."""

import re
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.browser.terminal_page import TerminalPage
from tests.harness.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

MAX_TABS = 60
FOCUS_SCRIPT = "() => document.activeElement?.tagName ?? 'BODY'"


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


class Keyboard:
    """Presses keys, and sees where the focus is."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def tab_to(self, target: Locator) -> None:
        """Press Tab until `target` has the focus, as somebody does who sees where it is."""
        for _ in range(MAX_TABS):
            if await target.evaluate("(element) => element === document.activeElement"):
                return
            await self.press("Tab")
        raise AssertionError(f"{target} is not reached by {MAX_TABS} presses of Tab")

    async def expect_focus_inside(self, place: Locator) -> None:
        """Expect the focus to be on `place` or inside of it, and to stay there."""
        focused = place.and_(self.page.locator(":focus, :focus-within"))
        await expect(focused).to_have_count(1)

    async def expect_focus_kept(self) -> None:
        assert await self.page.evaluate(FOCUS_SCRIPT) != "BODY"


async def test_every_task_is_done_by_keyboard_and_the_focus_is_never_lost(
    stack: Stack, page: Page, publisher: PageEventPublisher
) -> None:
    user = f"user{uuid.uuid4().hex[:12]}"
    keys, terminal = Keyboard(page), TerminalPage(page)
    await terminal.open(stack.url)
    await expect(terminal.quotes.first).to_be_visible()

    # The skip link is the first stop.
    await keys.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the panels")).to_be_focused()
    await keys.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    assert page.url == f"{stack.url}/"

    # Sign in.
    await keys.press("Shift+Tab")
    await keys.tab_to(terminal.account_button)
    await keys.press("Enter")
    await expect(page.get_by_label("User name")).to_be_focused()
    await keys.type(user)
    await keys.press("Enter")
    await terminal.expect_user(user)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await keys.expect_focus_kept()

    # Change the symbol.
    other = await terminal.quotes.nth(2).get_attribute("data-key")
    assert other is not None
    await keys.press("/")
    await expect(page.get_by_role("combobox", name="Symbol")).to_be_focused()
    await keys.type(other)
    await keys.press("Enter")
    await expect(page.locator(".search-symbol")).to_have_text(other)
    await keys.expect_focus_kept()

    # Open the help and close it.
    await keys.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await keys.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await keys.expect_focus_kept()

    # Place an order that stays open.
    await keys.press("b")
    await keys.expect_focus_inside(terminal.ticket)
    await keys.tab_to(terminal.ticket.get_by_role("radio", name="Market", exact=True))
    await keys.press("ArrowRight")
    await expect(terminal.ticket.get_by_role("radio", name="Limit", exact=True)).to_be_checked()
    await keys.tab_to(terminal.ticket.get_by_label("Quantity"))
    await keys.type("5")
    await keys.tab_to(terminal.ticket.get_by_label("Limit price"))
    await page.keyboard.press("Control+a")
    await keys.type("0.01")
    await keys.press("Enter")
    await expect(terminal.orders).to_have_count(1)
    row = terminal.orders.first
    await terminal.expect_order(row, "new")
    await keys.expect_focus_inside(terminal.ticket)

    # See its details, and close them.
    await keys.press("Escape", "g", "o")
    await expect(page.locator("#panel-blotter-title")).to_be_focused()
    await keys.tab_to(row)
    await keys.press("Space")
    close = terminal.panel("blotter").get_by_role("button", name="Close", exact=True)
    await keys.tab_to(close)
    await keys.press("Enter")
    await expect(close).to_have_count(0)
    await keys.expect_focus_inside(terminal.panel("blotter"))

    # Cancel it by the button of its row.
    await keys.press("g", "o")
    await keys.tab_to(row)
    cancel = row.get_by_role("button", name=re.compile("^Cancel"))
    while not await cancel.evaluate("(element) => element === document.activeElement"):
        await keys.press("ArrowRight")
    await keys.press("Enter")
    await terminal.expect_order(row, "canceled")
    await keys.expect_focus_inside(row)

    # Close a panel.
    menu = terminal.panel("account").get_by_role("button", name="Account: move, size, close")
    await keys.tab_to(menu)
    await keys.press("Enter")
    await keys.tab_to(page.get_by_role("button", name="Close the panel"))
    await keys.press("Enter")
    await expect(terminal.panel("account")).to_have_count(0)
    await keys.expect_focus_kept()

    # Mark notifications as read, one after the other.
    for title in ("One", "Two"):
        await publisher.publish_notification(user, title)
    await expect(page.get_by_role("button", name="Notifications: 2 unread")).to_be_visible()
    await keys.press("g", "n")
    inbox = terminal.panel("notifications")
    marks = inbox.get_by_role("button", name=re.compile("^Mark as read"))
    await expect(marks).to_have_count(2)
    await keys.tab_to(marks.first)
    for left in (1, 0):
        await keys.press("Enter")
        await expect(marks).to_have_count(left)
        await keys.expect_focus_inside(inbox)

    # Step through a replay.
    await keys.press("g", "r")
    replay = terminal.panel("replay")
    await expect(page.locator("#panel-replay-title")).to_be_focused()
    await keys.tab_to(replay.get_by_role("button", name="Load"))
    await keys.press("Enter")
    slider = replay.get_by_role("slider", name="Time")
    await expect(slider).to_be_visible()
    await keys.tab_to(slider)
    newest = await slider.get_attribute("aria-valuetext")
    await keys.press("Home", "ArrowRight", "ArrowRight")
    await expect(slider).to_have_value("2")
    await expect(slider).not_to_have_attribute("aria-valuetext", newest or "")
    await keys.tab_to(replay.get_by_role("button", name="One back"))
    await keys.press("Enter")
    await expect(slider).to_have_value("1")
    await keys.expect_focus_inside(replay)

    # Sign out.
    await keys.press("Escape")
    await keys.press("Shift+Tab")
    await keys.tab_to(page.get_by_role("button", name="Sign out"))
    await keys.press("Enter")
    await terminal.expect_user("")
    await keys.expect_focus_kept()


async def test_letters_that_are_typed_are_not_commands(stack: Stack, page: Page) -> None:
    keys, terminal = Keyboard(page), TerminalPage(page)
    await terminal.open(stack.url)
    field = terminal.watchlist.get_by_label("Filter symbols")
    await expect(terminal.quotes.first).to_be_visible()
    await keys.tab_to(field)

    await keys.type("b/s?x")

    await expect(field).to_have_value("b/s?x")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(field).to_be_focused()
