"""A page object for the trading page: the actions and the readings that tests use."""

import re
from typing import Any

from playwright.async_api import Locator, Page, expect


class TradingPage:
    """One tab. Every wait is for something that a person could see."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.prices = page.locator("#prices-state")
        self.trading = page.locator("#trading-state")
        self.quotes = page.locator("tr[data-symbol]")
        self.orders = page.locator("tr[data-order-id]")
        self.executions = page.locator("li[data-trade-id]")
        self.ticket = page.locator("#ticket")
        self.note = self.ticket.locator(".form-note")
        self.failure = self.ticket.locator(".form-error")

    async def open(self, url: str) -> None:
        await self.page.goto(url)

    async def sign_in(self, user: str) -> None:
        await self.page.get_by_label("User name").fill(user)
        await self.page.get_by_role("button", name="Sign in").click()

    async def open_signed_in(self, url: str, user: str) -> None:
        """Open the page, sign in, and wait until both streams are live."""
        await self.open(url)
        await self.sign_in(user)
        await expect(self.trading).to_have_attribute("data-state", "live")
        await expect(self.prices).to_have_attribute("data-state", "live")
        await expect(self.quotes.first).to_be_visible()

    async def fill_ticket(
        self,
        *,
        side: str = "Buy",
        qty: str = "10",
        limit: str | None = None,
        stop: str | None = None,
        time_in_force: str | None = None,
        reduce_only: bool = False,
    ) -> None:
        """Fill in the order form; keep the selected symbol."""
        await self.ticket.get_by_role("radio", name=side).check()
        kind = "Market" if limit is None else "Limit"
        await self.ticket.get_by_role("radio", name=kind).check()
        await self.ticket.get_by_label("Quantity").fill(qty)
        if limit is not None:
            await self.ticket.get_by_label("Limit price").fill(limit)
        if stop is None and time_in_force is None and not reduce_only:
            return
        await self.ticket.locator("summary").click()
        if stop is not None:
            await self.ticket.get_by_label("Stop price").fill(stop)
        if time_in_force is not None:
            await self.ticket.get_by_label("Time in force").select_option(time_in_force)
        await self.ticket.get_by_label("Reduce only").set_checked(reduce_only)

    async def submit_ticket(self) -> None:
        await self.ticket.locator("button[type=submit]").click()

    async def place_order(
        self, *, side: str = "Buy", qty: str = "10", limit: str | None = None, **terms: Any
    ) -> Locator:
        """Place an order; return its row once it appears."""
        before = await self.orders.count()
        await self.fill_ticket(side=side, qty=qty, limit=limit, **terms)
        await self.submit_ticket()
        await expect(self.note).to_have_text(re.compile("^Placed: "))
        await expect(self.orders).to_have_count(before + 1)
        newest = await self.orders.first.get_attribute("data-order-id")
        return self.page.locator(f'tr[data-order-id="{newest}"]')

    async def order_ids(self) -> list[str]:
        """The order ids of the rows on the page, newest first."""
        ids = await self.orders.evaluate_all("rows => rows.map(row => row.dataset.orderId)")
        return list(ids)

    async def expect_moving_quotes(self, *, seconds: float) -> None:
        """Wait until the quotes have shown two different states."""
        await self.page.wait_for_function(
            """() => {
                const text = document.querySelector('#quotes tbody').innerText;
                window.firstSeen ??= text;
                return text !== window.firstSeen && document.querySelector('[data-moved]');
            }""",
            timeout=seconds * 1000,
        )
        await self.page.evaluate("() => { delete window.firstSeen; }")

    async def expect_error_beside(self, label: str, message: re.Pattern[str]) -> None:
        """Expect the field to be marked as invalid and its description to match `message`."""
        field = self.page.get_by_label(label)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description(message)
        await expect(field).to_be_focused()
