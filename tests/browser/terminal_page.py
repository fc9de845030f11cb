"""A page object for the terminal: the actions and the readings that tests use."""

import re
from typing import Any

from playwright.async_api import Locator, Page, expect

ORDER_STATUS_WORDS = {
    "new": "Open",
    "partially_filled": "Partly filled",
    "filled": "Filled",
    "canceled": "Canceled",
    "rejected": "Rejected",
}


class TerminalPage:
    """One tab. Every wait is for something that a person could see."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.locator(".status-word")
        self.strip = page.locator(".strip")
        self.messages = page.get_by_role("region", name="Messages")
        self.account_button = page.get_by_role("banner").get_by_role("button", name="Sign in")
        self.watchlist = self.panel("watchlist")
        self.quotes = self.rows("watchlist")
        self.ticket = self.panel("ticket")
        self.orders = self.rows("blotter")
        self.executions = self.rows("executions")
        self.positions = self.rows("positions")
        self.note = self.ticket.locator(".placed-note")
        self.failure = self.ticket.locator(".form-error")
        self.touch = self.ticket.locator(".touch-line")

    def panel(self, name: str) -> Locator:
        return self.page.locator(f"#panel-{name}")

    def rows(self, panel: str) -> Locator:
        return self.panel(panel).locator("tbody tr[data-key]")

    def row(self, panel: str, key: str) -> Locator:
        return self.panel(panel).locator(f'tbody tr[data-key="{key}"]')

    async def open(self, url: str, path: str = "/") -> None:
        await self.page.goto(f"{url}{path}")

    async def sign_in(self, user: str) -> None:
        await self.account_button.click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("User name").fill(user)
        await dialog.get_by_role("button", name="Sign in").click()

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").click()

    async def expect_user(self, user: str) -> None:
        """Expect the page to show `user`; "" for nobody."""
        if user:
            await expect(self.page.get_by_role("banner")).to_contain_text(user)
        else:
            await expect(self.account_button).to_be_visible()

    async def expect_status(
        self, word: str | re.Pattern[str], *, timeout: float | None = None
    ) -> None:
        await expect(self.status).to_have_text(word, timeout=timeout)

    async def open_signed_in(self, url: str, user: str, path: str = "/") -> None:
        """Open the page, sign in, and wait until it is live with quotes."""
        await self.open(url, path)
        await self.sign_in(user)
        await self.expect_user(user)
        await self.expect_status("Live")
        if path == "/":
            await expect(self.quotes.first).to_be_visible()
            await expect(self.touch).to_be_visible()

    async def show_panel(self, title: str) -> None:
        """Open a panel by the menu of panels."""
        await self.page.get_by_role("button", name="Panels").click()
        await self.page.get_by_role("checkbox", name=re.compile(f"^{title}")).check()
        await self.page.keyboard.press("Escape")

    async def fill_ticket(
        self,
        *,
        side: str = "Buy",
        qty: str = "10",
        limit: str | None = None,
        stop: str | None = None,
        time_in_force: str = "gtc",
        reduce_only: bool = False,
    ) -> None:
        """Fill in the order form; keep the selected symbol."""
        kind = {
            (False, False): "Market",
            (True, False): "Limit",
            (False, True): "Stop",
            (True, True): "Stop limit",
        }[limit is not None, stop is not None]
        await self.ticket.get_by_role("radio", name=side, exact=True).check(force=True)
        await self.ticket.get_by_role("radio", name=kind, exact=True).check(force=True)
        await self.ticket.get_by_label("Quantity").fill(qty)
        if limit is not None:
            await self.ticket.get_by_label("Limit price").fill(limit)
        if stop is not None:
            await self.ticket.get_by_label("Stop price").fill(stop)
        await self.ticket.get_by_label("Time in force").select_option(time_in_force)
        await self.ticket.get_by_label("Reduce only").set_checked(reduce_only)

    async def submit_ticket(self) -> None:
        await self.ticket.locator("button[type=submit]").click()

    async def place_order(self, *, confirms: bool = False, **terms: Any) -> Locator:
        """Place an order; return its row once it appears.

        `confirms`: the page asks about it first.
        """
        before = set(await self.order_ids())
        await self.fill_ticket(**terms)
        await self.submit_ticket()
        if confirms:
            question = self.page.get_by_role("alertdialog")
            await question.get_by_role("button", name=re.compile("^(Buy|Sell)")).click()
        try:
            await expect(self.orders).to_have_count(len(before) + 1)
        except AssertionError as error:
            status, ticket = await self.status.inner_text(), await self.ticket.inner_text()
            raise AssertionError(f"no order appeared; {status=}, {ticket=}") from error
        [added] = set(await self.order_ids()) - before
        return self.row("blotter", added)

    async def expect_order(self, row: Locator, status: str) -> None:
        await expect(row.locator(".chip")).to_have_text(ORDER_STATUS_WORDS[status])

    async def order_ids(self) -> list[str]:
        """The order ids of the rows on the page, newest first."""
        ids = await self.orders.evaluate_all("rows => rows.map(row => row.dataset.key)")
        return list(ids)

    async def cancel(self, row: Locator) -> None:
        await row.get_by_role("button", name=re.compile("^Cancel")).click()

    async def expect_moving_quotes(self, *, seconds: float = 60) -> None:
        """Wait until the watchlist has shown two different states."""
        await self.page.wait_for_function(
            """() => {
                const text = document.querySelector('#panel-watchlist tbody')?.innerText;
                if (!text) return false;
                window.firstSeen ??= text;
                return text !== window.firstSeen;
            }""",
            timeout=seconds * 1000,
        )
        await self.page.evaluate("() => { delete window.firstSeen; }")

    async def expect_error_beside(self, label: str, message: re.Pattern[str]) -> None:
        """Expect the field of the ticket to be invalid, and its description to match `message`."""
        field = self.ticket.get_by_label(label)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description(message)
