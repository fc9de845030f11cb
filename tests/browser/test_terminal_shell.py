"""The terminal around its panels: states in words, keys, layouts, accessibility, first steps."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import OpenPage, new_context, page_opener
from tests.browser.network_link import run_network_link
from tests.browser.shell_page import ShellPage
from tests.harness.axe import find_violations
from tests.harness.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

DEEP_LINKS = ("/strategies", "/dashboard", "/operations")
PHONE = {"width": 390, "height": 844}
ZOOMED = {"width": 640, "height": 400}
"""A screen of 1280 by 800 at a zoom of 200 %."""
SMALLEST = {"width": 320, "height": 568}
WIDE = {"width": 1440, "height": 900}


@pytest.fixture
def user() -> str:
    """A user name that no other test uses, so tests can share one running system."""
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture
def terminal(page: Page) -> ShellPage:
    return ShellPage(page)


@pytest_asyncio.fixture(loop_scope="session")
async def other_browser(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with new_context(browser) as context:
        yield context


async def test_a_lost_connection_is_said_once_and_cannot_be_overlooked(
    terminal: ShellPage, stack: Stack
) -> None:
    async with run_network_link(int(stack.url.rpartition(":")[2])) as (link, url):
        await terminal.open(url)
        await terminal.expect_live(True)
        link.disconnect()
        await terminal.expect_live(False)
        strip = terminal.strips.first
        await expect(strip).to_contain_text("not current")
        await expect(terminal.page.locator(".status-bar")).to_contain_text(
            re.compile(r"last event .* ago")
        )
        await expect(strip.get_by_role("button", name="Try now")).to_be_visible()
        border = await terminal.page.locator("main").evaluate(
            "main => getComputedStyle(main).borderTopWidth"
        )
        assert border == "6px"
        await terminal.page.evaluate(
            """() => {
                window.said = [];
                const region = document.getElementById('live-region');
                new MutationObserver(() => said.push(region.textContent))
                    .observe(region, {childList: true, subtree: true});
            }"""
        )
        link.reconnect()
        await strip.get_by_role("button", name="Try now").click()
        await terminal.expect_live(True)
        await expect(terminal.spoken).to_have_text("Live.")
        announced = await terminal.page.evaluate("said.filter(Boolean)")
        assert len(announced) == len(set(announced))


@pytest.mark.slow
async def test_another_account_in_another_tab_is_said_and_stays_on_the_page(
    open_page: OpenPage, stack: Stack, user: str
) -> None:
    first, second = ShellPage(await open_page()), ShellPage(await open_page())
    await first.open_signed_in(stack.url, user)
    await second.open(stack.url)
    await second.page.get_by_role("button", name="Sign out").click()
    await expect(first.page.locator(".strip")).to_contain_text(re.compile("signed out|ended"))
    await second.sign_in(f"{user}-b")
    await expect(first.page.locator(".who")).to_contain_text(f"{user}-b")


async def test_keys_reach_every_panel_and_none_acts_while_somebody_types(
    terminal: ShellPage, stack: Stack, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    await terminal.press("g", "w")
    await terminal.expect_focus_in("watchlist")
    await terminal.choose_symbol("ibm")
    await expect(terminal.page.locator(".search-symbol")).to_have_text("IBM")
    await terminal.expect_focus_in("watchlist")
    await terminal.press("b")
    quantity = terminal.panel("Order ticket").get_by_label("Quantity")
    await expect(quantity).to_be_focused()
    await quantity.press_sequentially("b/?x")
    await expect(quantity).to_have_value("b/?x")
    await expect(terminal.page.get_by_role("dialog")).to_have_count(0)
    await terminal.press("Shift+Tab", "g", "s")
    await terminal.expect_focus_in("strategies")
    await expect(terminal.page).to_have_url(re.compile("/strategies$"))
    await terminal.press("?")
    keys = terminal.page.get_by_role("dialog", name="Keys")
    await expect(keys).to_contain_text("Cancel the selected order")
    await terminal.press("Escape")
    await terminal.expect_focus_in("strategies")


async def test_an_order_is_placed_and_canceled_by_keyboard_and_the_focus_stays(
    terminal: ShellPage, stack: Stack, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    await terminal.choose_symbol("IBM")
    await terminal.press("b")
    ticket = terminal.panel("Order ticket")
    await expect(ticket.get_by_label("Quantity")).to_be_focused()
    await ticket.get_by_role("radio", name="Market").focus()
    await terminal.press("ArrowRight")
    await ticket.get_by_label("Limit price").focus()
    await terminal.press("Control+A")
    await terminal.page.keyboard.type("1.01")
    await ticket.get_by_label("Quantity").focus()
    await terminal.page.keyboard.type("3")
    await terminal.press("Enter")
    row = terminal.panel("Orders").locator("tbody [role=row]")
    await expect(row).to_contain_text("IBM")
    await terminal.press("g", "o", "Tab")
    await row.focus()
    await terminal.press(" ", "x")
    await expect(row).to_contain_text("Canceled")
    await terminal.expect_focus_in("blotter")


@pytest.mark.slow
async def test_the_desk_is_arranged_by_keyboard_and_by_pointer_and_remembered(
    terminal: ShellPage, stack: Stack, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    before = await terminal.place_of("Watchlist")
    menu = terminal.page.get_by_role("button", name="Watchlist: move, size, close")
    await menu.press("Enter")
    await expect(terminal.page.get_by_role("button", name="← Left")).to_be_focused()
    await terminal.page.get_by_role("button", name="Wider").press("Enter")
    await terminal.page.get_by_role("button", name="Down ↓").press("Enter")
    await terminal.press("Escape")
    await expect(menu).to_be_focused()
    by_keyboard = await terminal.place_of("Watchlist")
    assert by_keyboard != before

    positions = terminal.panel("Positions")
    old_place = await terminal.place_of("Positions")
    head = await positions.get_by_role("heading").bounding_box()
    assert head is not None
    mouse = terminal.page.mouse
    await mouse.move(head["x"] + 20, head["y"] + 5)
    await mouse.down()
    await mouse.move(head["x"] - 300, head["y"] - 200, steps=5)
    await mouse.up()
    assert await terminal.place_of("Positions") != old_place

    await terminal.page.get_by_role("button", name="Account: move, size, close").press("Enter")
    await (
        terminal.page.locator("#panel-account")
        .get_by_role("button", name="Close the panel")
        .click()
    )
    await expect(terminal.panel("Account")).to_have_count(0)

    places = {name: await terminal.place_of(name) for name in ("Watchlist", "Positions")}
    await terminal.go_to("Strategies")
    await expect(terminal.panel("Decisions")).to_be_visible()
    await terminal.page.go_back()
    await expect(terminal.panel("Watchlist")).to_be_visible()
    assert {name: await terminal.place_of(name) for name in places} == places

    await terminal.page.get_by_role("button", name="Panels", exact=True).click()
    await terminal.page.get_by_role("button", name="Reset the layout").click()
    await expect(terminal.panel("Account")).to_be_visible()
    assert await terminal.place_of("Watchlist") == before


@pytest.mark.slow
async def test_a_reload_and_another_page_lose_neither_ticket_nor_sort_nor_symbol(
    terminal: ShellPage, stack: Stack, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user, "Strategies")
    await terminal.go_to("Trade")
    watchlist = terminal.panel("Watchlist")
    await watchlist.get_by_role("button", name="Price").click()
    await watchlist.locator("tbody [role=row]").nth(2).click()
    symbol = await terminal.page.locator(".search-symbol").inner_text()
    await terminal.panel("Order ticket").get_by_label("Quantity").fill("17")
    await terminal.go_to("Strategies")
    await terminal.page.reload()
    await expect(terminal.panel("Decisions")).to_be_visible()
    await terminal.page.go_back()
    await expect(terminal.page.locator(".search-symbol")).to_have_text(symbol)
    await expect(terminal.panel("Order ticket").get_by_label("Quantity")).to_have_value("17")
    await expect(watchlist.get_by_role("columnheader", name="Price")).to_have_attribute(
        "aria-sort", "descending"
    )


async def test_the_first_five_minutes_are_ticked_by_what_the_account_shows(
    terminal: ShellPage, stack: Stack, user: str
) -> None:
    await terminal.open(stack.url)
    await terminal.go_to("Trade")
    steps = terminal.first_steps
    await expect(steps).to_contain_text("0 of 5 done")
    await terminal.sign_in(user)
    await expect(steps).to_contain_text("1 of 5 done")
    await steps.get_by_role("button", name="Find a symbol").click()
    await terminal.choose("")
    await steps.get_by_role("button", name="Fill in the ticket").click()
    await expect(terminal.panel("Order ticket").get_by_label("Quantity")).to_be_focused()
    await expect(terminal.page.locator('.touch-line[data-live="true"]')).to_be_visible()
    await terminal.press("Enter")
    await expect(steps).to_contain_text("3 of 5 done")
    await steps.get_by_role("button", name="Create and start it").click()
    await steps.get_by_role("button", name="Arm it").click()
    await expect(steps).to_contain_text("5 of 5 done")
    await steps.get_by_role("button", name="Close this list").click()
    await terminal.go_to("Strategies")
    await terminal.page.reload()
    await expect(terminal.status).to_have_text("Live")
    await expect(steps).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["desk", "phone"])
async def test_no_page_has_an_axe_violation(
    terminal: ShellPage, stack: Stack, user: str, viewport: dict[str, int], scheme: str
) -> None:
    page = terminal.page
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
    found: dict[str, list[str]] = {}
    await terminal.open(stack.url)
    found["signed out"] = await find_violations(page)
    await page.get_by_role("button", name="Sign in").first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    found["sign in"] = await find_violations(page)
    await terminal.press("Escape")
    await terminal.sign_in(user)
    for path in DEEP_LINKS:
        await terminal.open(stack.url, path)
        await expect(page.locator(".panel-loading")).to_have_count(0)
        found[path] = await find_violations(page)
    for name in ("News", "Trade" if viewport is WIDE else "Market"):
        await terminal.go_to(name)
        await expect(page.locator(".panel-loading")).to_have_count(0)
        found[name] = await find_violations(page)
    for key in ("/", "?"):
        await terminal.press(key)
        await expect(page.get_by_role("dialog")).to_be_visible()
        found[key] = await find_violations(page)
        await terminal.press("Escape")
    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize(
    "viewport",
    [
        pytest.param(ZOOMED, marks=pytest.mark.slow),
        SMALLEST,
        pytest.param(PHONE, marks=pytest.mark.slow),
    ],
    ids=["zoomed", "smallest", "phone"],
)
async def test_a_narrow_page_has_no_sideways_scrolling_and_messages_cover_nothing(
    terminal: ShellPage, stack: Stack, user: str, viewport: dict[str, int]
) -> None:
    page = terminal.page
    await page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
    await terminal.open(stack.url)
    await terminal.sign_in(user)
    await terminal.go_to("Market")
    await terminal.first_steps.get_by_role("button", name="Find a symbol").click()
    await terminal.choose("")
    for tab in ("Trade", "Strategies", "News", "Market"):
        await terminal.go_to(tab)
        widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], tab
    await page.evaluate(
        """() => fetch('/api/orders', {
            method: 'POST',
            headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({
                symbol: 'AAPL', side: 'buy', type: 'limit', qty: 1, limitPrice: 1.01,
                clientOrderId: crypto.randomUUID(),
            }),
        })"""
    )
    await expect(terminal.first_steps).to_contain_text("3 of 5 done")
    await terminal.first_steps.get_by_role("button", name="Create and start it").click()
    await expect(page.locator(".toast").first).to_be_visible()
    covered = await page.evaluate(
        """() => {
            const main = document.querySelector('main').getBoundingClientRect();
            const toasts = document.querySelector('.toasts').getBoundingClientRect();
            return getComputedStyle(document.querySelector('.toasts')).position !== 'static'
                || (toasts.top < main.bottom && main.bottom <= innerHeight);
        }"""
    )
    assert not covered


async def test_less_motion_and_forced_colours_are_respected(browser: Browser, stack: Stack) -> None:
    context = await browser.new_context(reduced_motion="reduce", forced_colors="active")
    async with page_opener(context) as open_page:
        terminal = ShellPage(await open_page())
        await terminal.open(stack.url)
        await terminal.go_to("Trade")
        await expect(terminal.panel("Watchlist").locator("tbody [role=row]").first).to_be_visible()
        await asyncio.sleep(1)
        running = await terminal.page.evaluate(
            "document.getAnimations().filter(({playState}) => playState === 'running').length"
        )
        assert running == 0
        current = terminal.page.get_by_role("link", name="Trade")
        assert await current.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    await context.close()


async def test_a_path_that_does_not_exist_here_leads_back(
    terminal: ShellPage, stack: Stack
) -> None:
    await terminal.open(stack.url)
    await terminal.page.evaluate(
        "history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    await expect(terminal.page.get_by_text("There is no such page.")).to_be_visible()
    assert await terminal.page.title() == "Not found · Tapewire"
