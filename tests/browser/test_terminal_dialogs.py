"""Dialogs, the symbol search and boxes that open: by keyboard, by pointer, and over a bad network.

They are built on React Aria and are loaded after the first view. The fixtures fail a test whose
page violates the content security policy, so nothing here may insert an inline style.
"""

import asyncio
import re
import uuid

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.shell_page import ShellPage
from tests.harness.firefox import (  # fixtures
    FirefoxSession,
    firefox,  # noqa: F401
    firefox_path,  # noqa: F401
    firefox_session,  # noqa: F401
)
from tests.harness.pages import build_terminal
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIALOG_FILES = re.compile(r"/assets/(?!lazy)[a-z-]*dialog-.*\.js$")


@pytest.fixture
def terminal(page: Page) -> ShellPage:
    return ShellPage(page)


async def test_the_symbol_search_is_a_combo_box_with_a_list(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    await terminal.open(stack.url)
    opener = page.locator(".search-button")
    await opener.focus()
    await terminal.press("Enter")
    search = page.get_by_role("dialog", name="Find a symbol")
    box = search.get_by_role("combobox", name="Symbol")
    options = search.get_by_role("listbox", name="Symbols").get_by_role("option")
    await expect(box).to_be_focused()
    await expect(options.nth(1)).to_be_visible()
    names = await options.all_inner_texts()

    # Arrows, Home and End mark an option; the focus stays in the field.
    for key, option in (
        ("ArrowDown", options.first),
        ("ArrowDown", options.nth(1)),
        ("End", options.last),
        ("Home", options.first),
    ):
        await terminal.press(key)
        marked = await option.get_attribute("id")
        await expect(box).to_have_attribute("aria-activedescendant", str(marked))
    await expect(box).to_be_focused()

    # Typing narrows the list, and what matches nothing is said.
    await page.keyboard.type(names[1].lower())
    await expect(options.first).to_have_text(names[1])
    await page.keyboard.type("///")
    await expect(options).to_have_count(0)
    await expect(search.get_by_role("status")).to_contain_text("No symbol contains")

    # Nothing below can be read or pressed, Tab does not leave the dialog, and Esc goes back.
    await expect(page.locator("[inert], [aria-hidden=true]").locator("header")).to_be_visible()
    await terminal.press("Tab", "Tab", "Shift+Tab")
    assert await page.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    await terminal.press("Escape")
    await expect(search).to_have_count(0)
    await expect(opener).to_be_focused()
    assert await page.evaluate("document.querySelectorAll('style').length") == 0


@pytest.mark.slow
async def test_an_option_is_chosen_by_a_press(terminal: ShellPage, stack: Stack) -> None:
    await terminal.open(stack.url)
    await terminal.press("Control+k")
    option = terminal.page.get_by_role("option").nth(2)
    name = await option.inner_text()
    await option.click()
    await expect(terminal.page.locator(".search-symbol")).to_have_text(name)
    await expect(terminal.page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.slow
async def test_a_press_beside_a_dialog_closes_it_unless_it_asks_something(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    await terminal.open_signed_in(stack.url, f"user{uuid.uuid4().hex[:12]}", "Strategies")
    await page.get_by_role("button", name="New strategy").click()
    form = page.get_by_role("dialog", name="New strategy")
    await expect(form.get_by_label("Name")).to_be_focused()
    await page.mouse.click(5, 5)
    await expect(form).to_have_count(0)
    await expect(page.get_by_role("button", name="New strategy")).to_be_focused()

    await page.get_by_role("button", name="New strategy").click()
    await form.get_by_role("button", name="Create the strategy").click()
    delete = page.get_by_role("grid").get_by_role("button", name=re.compile("^Delete "))
    await delete.click()
    question = page.get_by_role("alertdialog")
    await expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    await page.mouse.click(5, 5)
    await expect(question).to_be_visible()
    await terminal.press("Escape")
    await expect(question).to_have_count(0)
    await expect(delete).to_be_focused()


@pytest.mark.slow
async def test_a_dialog_that_is_still_being_loaded_opens_later_and_the_focus_waits(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    await page.route(DIALOG_FILES, hold)
    await terminal.open(stack.url)
    opener = page.get_by_role("banner").get_by_role("button", name="Sign in")
    await opener.focus()
    await terminal.press("Enter")
    await expect(opener).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    arrived.set()
    await expect(page.get_by_label("User name")).to_be_focused()
    await terminal.press("Escape")
    await expect(opener).to_be_focused()


@pytest.mark.slow
async def test_a_dialog_that_cannot_be_loaded_says_so_and_the_next_press_opens_it(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    await page.route(DIALOG_FILES, lambda route: route.abort())
    await terminal.open(stack.url)
    await terminal.press("?")
    await expect(page.get_by_role("region", name="Messages")).to_contain_text(
        "This could not be opened"
    )
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.unroute(DIALOG_FILES)
    await terminal.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


@pytest.mark.slow
async def test_dialogs_are_loaded_before_anybody_asks_for_them(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    loaded: list[str] = []
    page.on("requestfinished", lambda request: loaded.append(request.url))
    await terminal.open(stack.url, "/")
    async with asyncio.timeout(60):
        while not all(any(name in url for url in loaded) for name in ("symbol-dialog", "sign-in")):
            await page.wait_for_timeout(100)
    await page.context.set_offline(True)
    await terminal.press("/")
    await expect(page.get_by_role("combobox", name="Symbol")).to_be_focused()


@pytest.mark.slow
async def test_a_box_of_choices_closes_by_escape_and_by_a_press_elsewhere(
    terminal: ShellPage, stack: Stack
) -> None:
    page = terminal.page
    await terminal.open(stack.url)
    opener = page.get_by_role("button", name="Settings and help")
    box = page.get_by_role("dialog", name="Settings and help")
    await opener.focus()
    await terminal.press("Enter")
    await expect(box).to_be_visible()
    await expect(opener).to_have_attribute("aria-expanded", "true")
    theme = box.get_by_role("radio", name="Dark")
    await box.get_by_role("radio", name="System").focus()
    await terminal.press("ArrowRight", "ArrowRight")
    await expect(theme).to_be_checked()
    await terminal.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    await terminal.press("Escape")
    await expect(box).to_be_hidden()
    await expect(opener).to_be_focused()
    await expect(opener).to_have_attribute("aria-expanded", "false")

    await opener.click()
    await expect(box).to_be_visible()
    await page.mouse.click(5, 5)
    await expect(box).to_be_hidden()


@pytest.mark.slow
async def test_firefox_searches_a_symbol_by_keyboard_and_violates_no_policy(
    stack: Stack,
    firefox_session: FirefoxSession,  # noqa: F811
) -> None:
    build_terminal()
    tab = await firefox_session.open_tab(f"{stack.url}/strategies")
    await tab.wait_for("document.querySelector('.status-word')?.innerText === 'Live'")
    await tab.evaluate(
        """() => {
            window.violations = [];
            addEventListener('securitypolicyviolation', ({violatedDirective, sample}) =>
                window.violations.push(`${violatedDirective} ${sample}`));
        }"""
    )
    opener = "document.activeElement?.classList.contains('search-button')"
    await tab.evaluate("document.querySelector('.search-button').focus()")
    await tab.press("Enter")
    await tab.wait_for("document.activeElement?.getAttribute('role') === 'combobox'")
    await tab.wait_for("document.querySelectorAll('[role=option]').length > 2")
    await tab.press("ArrowDown")
    await tab.press("ArrowDown")
    await tab.wait_for("document.activeElement.getAttribute('aria-activedescendant') !== null")
    wanted = "document.querySelectorAll('[role=option]')[1]"
    await tab.wait_for(f"{wanted}.hasAttribute('data-focused')")
    name = await tab.evaluate(f"{wanted}.innerText")
    await tab.press("Enter")
    await tab.wait_for(f"document.querySelector('.search-symbol').innerText === '{name}'")
    await tab.wait_for(opener)
    await tab.press("Enter")
    await tab.wait_for("document.activeElement?.getAttribute('role') === 'combobox'")
    await tab.press("Tab")
    await tab.press("Tab")
    assert await tab.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    await tab.press("Escape")
    await tab.wait_for(opener)
    assert await tab.evaluate("window.violations") == []
    assert tab.errors == []
