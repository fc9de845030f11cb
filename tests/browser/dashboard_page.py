"""Page objects for the dashboard, and for the bell of either page."""

import asyncio
import re
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.harness.waiting import POLL_INTERVAL_SECONDS

RECORD_STATES_SCRIPT = """() => {
    window.seen = [];
    addEventListener('DOMContentLoaded', () => {
        const line = document.querySelector('#feed-state');
        const strip = document.querySelector('#strip');
        const note = () => {
            const seconds = strip.innerText.match(/ in ([0-9]+) s/);
            const wait = seconds ? Number(seconds[1]) : 0;
            const last = window.seen.at(-1);
            const state = line.dataset.state;
            const text = document.querySelector('#strip-more').textContent;
            if (last?.state !== state || last.text !== text) window.seen.push({state, text, wait});
            else last.wait = Math.max(last.wait, wait);
        };
        new MutationObserver(note).observe(document.body,
            {subtree: true, childList: true, characterData: true, attributes: true});
        note();
    });
}"""


CLOCK_TIMEOUT_SECONDS = 60.0


async def _advance_clock_to_retry(
    page: Page, element: Locator, expected_text: Locator, states: tuple[str, ...]
) -> None:
    """Advance the clock by exactly the announced wait, because a longer step could time out a
    running attempt."""
    async with asyncio.timeout(CLOCK_TIMEOUT_SECONDS):
        while await element.get_attribute("data-state") in states:
            found = re.search(r" in (\d+) s", await expected_text.inner_text())
            if found:
                await page.clock.fast_forward(int(found[1]) * 1000)
            await asyncio.sleep(POLL_INTERVAL_SECONDS)


class DashboardPage:
    """One tab with the dashboard. Every wait is for something that a person could see."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.feed = page.locator("#feed-state")
        self.strip = page.locator("#strip")
        self.items = page.locator("li[data-item-id]")
        self.views = page.locator("#views")
        self.form = page.locator("#view-form")

    async def open(self, url: str, query: str = "") -> None:
        await self.page.goto(f"{url}/dashboard{query}")

    async def expect_connected(self, *, timeout_ms: float | None = None) -> None:
        await expect(self.feed.locator(".link-words")).to_have_text("Connected", timeout=timeout_ms)
        await expect(self.strip).to_be_hidden()

    async def expect_state(self, state: str) -> None:
        await expect(self.feed).to_have_attribute("data-state", state)

    async def sign_in(self, user: str) -> None:
        await self.page.get_by_label("User name").fill(user)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.views).to_be_visible()

    async def item_titles(self) -> list[str]:
        """The titles of the items, newest first."""
        return [text.strip() for text in await self.items.locator(".item-title").all_inner_texts()]

    def item_element(self, id_: str) -> Locator:
        return self.page.locator(f'li[data-item-id="{id_}"]')

    async def record_states(self) -> None:
        """Record states from the next page load on; read them with `recorded_states`."""
        await self.page.add_init_script(f"({RECORD_STATES_SCRIPT})()")

    async def recorded_states(self) -> list[dict[str, Any]]:
        """The states that the page went through, in order: the state, the text of the strip, and
        the longest wait in seconds that it announced."""
        seen: list[dict[str, Any]] = await self.page.evaluate("() => window.seen")
        return seen

    async def wait_for_recorded_state(self, state: str) -> None:
        """Wait until the page has been in `state`, even briefly. Call `record_states` first."""
        await self.page.wait_for_function(
            "(wanted) => window.seen.some(({state}) => state === wanted)", arg=state
        )

    async def advance_clock_while(self, *states: str) -> None:
        """While the page is in one of `states`, advance its clock by the wait that it announces
        before the next attempt. The page needs an installed clock."""
        await _advance_clock_to_retry(self.page, self.feed, self.strip, states)

    async def save_view(self, name: str, tickers: str, tags: str = "") -> None:
        """Fill in the open form and save it."""
        await self.form.get_by_label("Name").fill(name)
        await self.form.get_by_label("Tickers").fill(tickers)
        await self.form.get_by_label("Tags").fill(tags)
        await self.form.get_by_role("button", name="Save").click()


class NotificationBell:
    """The notifications of one tab, on either page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.state = page.locator("#notifications-state")
        self.button = page.locator(".bell")
        self.badge = page.locator(".badge")
        self.inbox = page.locator("#inbox")
        self.lines = page.locator("#inbox li")
        self.toasts = page.get_by_role("log")

    async def expect_live(self) -> None:
        await expect(self.state).to_have_attribute("data-state", "live")

    async def advance_clock_while(self, *states: str) -> None:
        """Advance the clock as `DashboardPage.advance_clock_while` does."""
        await _advance_clock_to_retry(self.page, self.state, self.state, states)

    async def expect_unread(self, unread_count: int) -> None:
        if unread_count:
            await expect(self.badge).to_have_text(str(unread_count))
            await expect(self.button).to_have_accessible_name(
                f"Notifications, {unread_count} unread"
            )
        else:
            await expect(self.badge).to_be_hidden()
            await expect(self.button).to_have_accessible_name("Notifications")

    async def open(self) -> None:
        await self.button.click()
        await expect(self.inbox).to_be_visible()

    def notification_line(self, title: str) -> Locator:
        return self.lines.filter(has=self.page.get_by_text(title, exact=True))
