"""Page objects for the terminal's news, and for the inbox of any of its pages."""

from playwright.async_api import Locator, Page, expect

from tests.browser.terminal_page import TerminalPage

NEWS_PATH = "/dashboard"


class NewsPage(TerminalPage):
    """One tab with the news items, their sentiment and the user's views."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.items = self.rows("items")
        self.views = self.panel("items").get_by_label("View", exact=True)
        self.dialog = page.get_by_role("dialog")
        self.metrics = self.panel("metrics")

    async def open(self, url: str, path: str = NEWS_PATH) -> None:
        await super().open(url, path)

    async def open_signed_in(self, url: str, user: str, path: str = NEWS_PATH) -> None:
        await super().open_signed_in(url, user, path)

    def item(self, id_: str) -> Locator:
        return self.row("items", id_)

    async def item_titles(self) -> list[str]:
        """The titles of the items, newest first."""
        return [text.strip() for text in await self.items.locator(".item-title").all_inner_texts()]

    async def total(self) -> int:
        """The number of all items."""
        count = self.metrics.locator("dt:text-is('Items') + dd")
        return int((await count.inner_text()).replace(",", ""))

    async def save_view(self, name: str, tickers: str, tags: str = "") -> None:
        """Fill in the open dialog of a view and save it."""
        await self.dialog.get_by_label("Name").fill(name)
        await self.dialog.get_by_label("Tickers").fill(tickers)
        await self.dialog.get_by_label("Tags").fill(tags)
        await self.dialog.locator("button[type=submit]").click()

    async def create_view(self, name: str, tickers: str) -> None:
        """Create a view, which is then shown."""
        await self.panel("items").get_by_role("button", name="New view").click()
        await self.save_view(name, tickers)
        await self.expect_view(name)

    async def delete_view(self) -> None:
        """Delete the view that is shown."""
        await self.panel("items").get_by_role("button", name="Change").click()
        await self.dialog.get_by_role("button", name="Delete the view").click()
        await self.dialog.get_by_role("button", name="Press again to delete").click()
        await expect(self.dialog).to_have_count(0)

    async def expect_view(self, name: str) -> None:
        """Expect the items of this view to be shown."""
        await expect(self.views.locator("option:checked")).to_have_text(name)


class Inbox:
    """The notifications of one tab: the badge in the header, the panel, and the messages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.button = page.get_by_role("banner").get_by_role("button", name="Notifications")
        self.badge = page.get_by_role("banner").locator(".badge")
        self.panel = page.locator("#panel-notifications")
        self.entries = self.panel.locator(".notification")
        self.toasts = page.locator(".toast")

    async def expect_unread(self, unread_count: int) -> None:
        if unread_count:
            await expect(self.badge).to_have_text(str(unread_count))
            name = f"Notifications: {unread_count} unread"
        else:
            await expect(self.badge).to_have_count(0)
            name = "Notifications"
        await expect(self.button).to_have_accessible_name(name)

    async def open(self) -> None:
        """Show the panel, on whichever page it is."""
        await self.button.click()
        await expect(self.panel.get_by_label("Show", exact=True)).to_be_visible()

    def entry(self, title: str) -> Locator:
        return self.entries.filter(has=self.page.get_by_text(title, exact=True))
