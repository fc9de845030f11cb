"""The terminal by keyboard alone (U5): place an order, cancel it, change the symbol, mark
notifications as read, step through a replay. The focus is never lost."""

import re
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.filled_account import AccountApi
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

    async def arrow_to(self, row: Locator, button: Locator) -> None:
        """Go from a row, or from a button of it, to another of its buttons."""
        while not await row.evaluate("(element) => element === document.activeElement"):
            await self.press("ArrowLeft")
        while not await button.evaluate("(element) => element === document.activeElement"):
            await self.press("ArrowRight")

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
    await keys.arrow_to(row, cancel)
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


async def test_strategies_and_alerts_are_run_by_keyboard(
    stack: Stack, context: BrowserContext, page: Page
) -> None:
    keys, terminal = Keyboard(page), TerminalPage(page)
    await page.set_viewport_size({"width": 1600, "height": 1000})
    await AccountApi(context, stack.url).sign_in(f"user{uuid.uuid4().hex[:12]}")
    await terminal.open(stack.url, "/strategies")
    await terminal.expect_status("Live")
    dialog, question = page.get_by_role("dialog"), page.get_by_role("alertdialog")

    # Arm a rule that fires, acknowledge it by arming it again, and delete it.
    await keys.press("g", "a")
    await expect(page.locator("#panel-alerts-title")).to_be_focused()
    alerts = terminal.panel("alerts")
    new_rule = alerts.get_by_role("button", name="New rule")
    await keys.tab_to(new_rule)
    await keys.press("Enter")
    await keys.tab_to(dialog.locator("input[name=price]"))
    await keys.press("Control+a")
    await keys.type("0.01")
    await keys.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(new_rule).to_be_focused()
    rules = page.locator('[data-table="alert-rules"] tbody tr')
    raised = page.locator('[data-table="alerts"] tbody tr')
    await expect(rules).to_contain_text("Triggered")
    await keys.tab_to(rules.first)
    for count in (2, 3):
        await keys.arrow_to(rules.first, rules.get_by_role("button", name="Arm again"))
        await keys.press("Enter")
        await expect(raised).to_have_count(count)
        await expect(rules).to_contain_text("Triggered")
        await keys.expect_focus_inside(rules.first)
    await keys.arrow_to(rules.first, rules.get_by_role("button", name="Delete"))
    await keys.press("Enter")
    await expect(rules).to_have_count(0)
    await keys.expect_focus_inside(alerts)

    # Create a strategy, start it, stop it, delete it.
    await keys.press("g", "s")
    strategies, rows = terminal.panel("strategies"), terminal.rows("strategies")
    await expect(page.locator("#panel-strategies-title")).to_be_focused()
    await keys.tab_to(strategies.get_by_role("button", name="New strategy"))
    await keys.press("Enter")
    await expect(dialog.get_by_label("Name")).to_be_focused()
    await keys.type("Mine")
    await keys.tab_to(dialog.locator("input[name=slow]"))
    await keys.press("Control+a")
    await keys.type("900")
    await keys.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(rows).to_contain_text("Not started")
    await keys.tab_to(rows.first)
    await keys.arrow_to(rows.first, rows.get_by_role("button", name="Start Mine"))
    await keys.press("Enter")
    await expect(rows).to_contain_text("Running")
    await keys.expect_focus_inside(rows.first)
    for action, label in (("Stop", "Stop the strategy"), ("Delete", "Delete the strategy")):
        await keys.arrow_to(rows.first, rows.get_by_role("button", name=f"{action} Mine"))
        await keys.press("Enter")
        await keys.tab_to(question.get_by_role("button", name=label))
        await keys.press("Enter")
        await expect(question).to_have_count(0)
        await keys.expect_focus_inside(strategies)


async def test_orders_are_canceled_and_symbols_changed_by_keys_alone(
    stack: Stack, context: BrowserContext, page: Page
) -> None:
    keys, terminal = Keyboard(page), TerminalPage(page)
    await page.set_viewport_size({"width": 1600, "height": 1000})
    api = AccountApi(context, stack.url)
    await api.sign_in(f"user{uuid.uuid4().hex[:12]}")
    await api.place_limit_order("IBM")
    await terminal.open(stack.url)
    await terminal.expect_status("Live")
    await expect(terminal.quotes.nth(2)).to_be_visible()

    # Choose the next symbol in the watchlist by arrow and Space.
    await keys.press("g", "w")
    await keys.tab_to(terminal.quotes.first)
    await keys.press("ArrowDown", "ArrowDown", "Space")
    third = await terminal.quotes.nth(2).get_attribute("data-key")
    await expect(page.locator(".search-symbol")).to_have_text(third or "")
    await keys.expect_focus_inside(terminal.quotes.nth(2))

    # Cancel the selected order by the key for that.
    row = terminal.orders.first
    await terminal.expect_order(row, "new")
    await keys.press("g", "o")
    await keys.tab_to(row)
    await keys.press("Space", "x")
    if await page.get_by_role("alertdialog").count():
        await keys.tab_to(page.get_by_role("alertdialog").get_by_role("button", name="Cancel the"))
        await keys.press("Enter")
    await terminal.expect_order(row, "canceled")
    await keys.expect_focus_inside(terminal.panel("blotter"))

    # Leave a replay for the present.
    await keys.press("g", "r")
    replay = terminal.panel("replay")
    await expect(page.locator("#panel-replay-title")).to_be_focused()
    await keys.tab_to(replay.get_by_role("button", name="Load"))
    await keys.press("Enter")
    slider = replay.get_by_role("slider", name="Time")
    await keys.tab_to(slider)
    await keys.press("ArrowLeft")
    await expect(replay.get_by_role("region", name="Orders at that time")).to_contain_text("Buy 5")
    await keys.press("Shift+Tab")
    await expect(replay.get_by_role("button", name="Back to live")).to_be_focused()
    await keys.press("Enter")
    await expect(slider).to_have_count(0)
    await keys.expect_focus_inside(replay)


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
