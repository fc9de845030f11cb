"""A page object for the terminal around its panels: the actions and the readings that tests use."""

import re
from typing import Any

from playwright.async_api import Locator, Page, expect


class ShellPage:
    """One tab. Every wait is for something that a person could see or hear."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.locator(".status-word")
        self.strips = page.locator(".strip")
        self.spoken = page.locator("#live-region")
        self.first_steps = page.get_by_role("region", name="First five minutes")

    async def open(self, url: str, path: str = "/strategies") -> None:
        """Load a page of the terminal, and wait until it is live."""
        await self.page.goto(f"{url}{path}")
        await expect(self.status).to_have_text("Live")

    async def go_to(self, name: str) -> None:
        """Go to another page by its link."""
        await (
            self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        )

    async def sign_in(self, user: str) -> None:
        await self.page.get_by_role("banner").get_by_role("button", name="Sign in").click()
        await self.page.get_by_label("User name").fill(user)
        await self.page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        await expect(self.page.locator(".who")).to_contain_text(user)

    async def open_signed_in(self, url: str, user: str, name: str = "Trade") -> None:
        await self.open(url)
        await self.sign_in(user)
        await self.go_to(name)

    async def choose_symbol(self, text: str) -> None:
        """Find a symbol by keyboard."""
        await self.press("/")
        await self.choose(text)

    async def choose(self, text: str) -> None:
        """Choose the first symbol that matches `text` in the search that is open."""
        dialog = self.page.get_by_role("dialog", name="Find a symbol")
        await expect(dialog.get_by_role("combobox")).to_be_focused()
        await expect(dialog.get_by_role("option").first).to_be_visible()
        await self.page.keyboard.type(text)
        await self.press("Enter")
        await expect(dialog).to_have_count(0)

    def panel(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    async def place_of(self, name: str) -> str:
        """Where a panel is on the desk."""
        place: str = await self.panel(name).evaluate("panel => panel.style.gridArea")
        return place

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def focused(self) -> dict[str, Any]:
        """The name, the text and the panel of the element that has the focus."""
        found: dict[str, Any] = await self.page.evaluate(
            """() => {
                const element = document.activeElement;
                return {
                    tag: element.tagName,
                    id: element.id,
                    text: element.textContent.trim(),
                    panel: element.closest('.panel')?.id ?? null,
                };
            }"""
        )
        return found

    async def expect_focus_in(self, panel: str) -> None:
        await expect(self.page.locator(f"#panel-{panel}:focus-within")).to_be_visible()

    async def expect_live(self, is_live: bool) -> None:
        """Expect the whole page to look live, or to look as if it was not."""
        value = re.compile("yes" if is_live else "no|pending")
        await expect(self.page.locator("html")).to_have_attribute("data-live", value)
