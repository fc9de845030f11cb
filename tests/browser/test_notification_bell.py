"""Notifications in the terminal, against the running system: the badge, messages, notifications of
the browser, the inbox, and other tabs."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.network_link import run_network_link
from tests.browser.news_page import Inbox, NewsPage
from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.browser.terminal_page import TerminalPage
from tests.harness.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

RECORD_NOTIFICATIONS_SCRIPT = """
    window.shown = [];
    window.Notification = class extends window.Notification {
        constructor(title, options) {
            super(title, options);
            window.shown.push({title, body: options.body, tag: options.tag});
        }
    };
    const ask = Object.getPrototypeOf(Notification).requestPermission;
    window.asked = 0;
    Notification.requestPermission = () => { window.asked += 1; return ask.call(Notification); };
"""
SET_PERMISSION_SCRIPT = (
    "Object.defineProperty(Notification, 'permission', {get: () => window.permission});"
    "Notification.requestPermission = async () => { window.asked += 1; return window.permission; };"
)
"""Not every Chromium without a user interface can be given the permission."""
HIDE_SCRIPT = "() => Object.defineProperty(document, 'hidden', {configurable: true, value: true})"
SWITCH_NAME = "System notifications in the background"


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


async def _open_news(stack: Stack, page: Page, user: str) -> Inbox:
    """Open the news and sign in, unless the browser already has a session."""
    news = NewsPage(page)
    if [one for one in await page.context.cookies() if one["name"] == "session"]:
        await news.open(stack.url)
        await news.expect_user(user)
        await news.expect_status("Live")
    else:
        await news.open_signed_in(stack.url, user)
    return Inbox(page)


async def test_notification_shows_as_badge_message_and_entry_of_the_inbox(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    inbox = await _open_news(stack, page, user)
    await inbox.expect_unread(0)

    await publisher.publish_notification(user, "Margin", "Add funds")

    await inbox.expect_unread(1)
    await expect(inbox.toasts).to_contain_text("Margin")
    await expect(inbox.toasts).to_contain_text("Add funds")
    await inbox.open()
    await expect(inbox.entry("Margin")).to_contain_text("Add funds")
    await publisher.publish_notification(user, "Second")
    await expect(inbox.entries).to_have_count(2)
    await expect(inbox.entries.first).to_contain_text("Second")
    await page.reload()
    await inbox.expect_unread(2)
    await expect(inbox.toasts).to_have_count(0)

    await publisher.publish_notification(user, "Sold by the stop-loss", type_="stop_loss")
    warning = inbox.toasts.filter(has_text="Sold by the stop-loss")
    await expect(warning).to_have_attribute("data-kind", "warn")


async def test_marking_as_read_updates_every_tab(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    here = await _open_news(stack, await open_page(), user)
    for title in ("one", "two", "three"):
        await publisher.publish_notification(user, title)
    there = await _open_news(stack, await open_page(), user)
    for inbox in (here, there):
        await inbox.page.bring_to_front()  # browsers slow down background pages
        await inbox.expect_unread(3)
        await expect(inbox.entries).to_have_count(3)

    await here.page.bring_to_front()
    await here.entry("two").get_by_role("button", name="Mark as read: two").click()
    for inbox in (here, there):
        await inbox.expect_unread(2)
        await expect(inbox.entry("two")).to_have_attribute("data-unread", "false")
        await expect(inbox.entry("two").get_by_role("button")).to_have_count(0)
    await there.page.bring_to_front()
    await there.page.get_by_role("button", name="Mark all as read").click()

    for inbox in (here, there):
        await inbox.expect_unread(0)
        await expect(inbox.panel.locator('.notification[data-unread="true"]')).to_have_count(0)
    answer = await here.page.request.get(f"{stack.url}/api/notifications")
    assert (await answer.json())["unread"] == 0


async def test_one_tab_reports_a_notification_and_another_one_after_it_is_closed(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    first = await _open_news(stack, await open_page(), user)
    second = await _open_news(stack, await open_page(), user)
    await publisher.publish_notification(user, "For both tabs")
    for inbox in (first, second):
        await inbox.expect_unread(1)
    counts = [await inbox.toasts.count() for inbox in (first, second)]
    assert sorted(counts) == [0, 1]

    await (first if counts[0] else second).page.close()
    left = second if counts[0] else first

    await publisher.publish_notification(user, "After a tab was closed")
    await expect(left.toasts).to_contain_text("After a tab was closed")
    await left.expect_unread(2)


async def test_browser_notification_is_shown_in_the_background_if_permitted_and_wanted(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    await page.add_init_script(
        RECORD_NOTIFICATIONS_SCRIPT + "window.permission = 'granted';" + SET_PERMISSION_SCRIPT
    )
    inbox = await _open_news(stack, page, user)
    await inbox.panel.get_by_label(SWITCH_NAME).check()
    await publisher.publish_notification(user, "Seen on the page")
    await inbox.expect_unread(1)
    assert await page.evaluate("() => window.shown") == []
    await page.get_by_role("link", name="Trade").click()
    await expect(inbox.panel).to_have_count(0)
    await page.evaluate(HIDE_SCRIPT)

    id_ = await publisher.publish_notification(user, "<b>Filled</b>", "10 IBM")

    await page.wait_for_function("() => window.shown.length === 1")
    [notification] = await page.evaluate("() => window.shown")
    assert notification == {"title": "<b>Filled</b>", "body": "10 IBM", "tag": id_}


@pytest.mark.slow
async def test_permission_is_requested_only_after_a_click(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    await page.add_init_script(
        RECORD_NOTIFICATIONS_SCRIPT + "window.permission = 'default';" + SET_PERMISSION_SCRIPT
    )
    inbox = await _open_news(stack, page, user)
    await page.evaluate(HIDE_SCRIPT)
    await publisher.publish_notification(user, "Nobody was asked")
    await inbox.expect_unread(1)
    assert await page.evaluate("() => [window.asked, window.shown.length]") == [0, 0]

    await page.evaluate("() => { window.permission = 'denied'; }")
    await inbox.panel.get_by_label(SWITCH_NAME).click()

    await expect(inbox.panel).to_contain_text("System notifications are blocked in this browser")
    assert await page.evaluate("() => window.asked") == 1


@pytest.mark.slow
async def test_notifications_of_an_outage_appear_once_after_reconnecting(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    async with run_network_link(int(stack.url.rpartition(":")[2])) as (cable, near):
        news, inbox = NewsPage(page), Inbox(page)
        await news.open_signed_in(near, user)
        await publisher.publish_notification(user, "before")
        await inbox.expect_unread(1)

        cable.disconnect()
        await news.expect_status("Reconnecting")
        await publisher.publish_notification(user, "meanwhile")
        cable.reconnect()

        await news.expect_status("Live")
        await inbox.expect_unread(2)
        await expect(inbox.entries).to_have_count(2)
        await expect(inbox.toasts.filter(has_text="meanwhile")).to_have_count(1)


async def test_an_order_is_reported_once_and_its_notification_leads_to_the_inbox(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    terminal, inbox = TerminalPage(page), Inbox(page)
    await terminal.open_signed_in(stack.url, user)

    await terminal.place_order(qty="10")

    await inbox.expect_unread(1)
    await expect(inbox.toasts).to_contain_text("Bought 10")
    await publisher.publish_notification(user, "And this")
    await expect(inbox.toasts.filter(has_text="And this")).to_have_count(1)
    await expect(inbox.toasts.filter(has_text="Bought 10")).to_have_count(1)
    await inbox.open()
    await expect(inbox.entry("Order filled")).to_be_visible()
    await expect(inbox.panel.get_by_role("heading", name="Notifications")).to_be_focused()


@pytest.mark.slow
async def test_sign_out_removes_notifications_on_every_tab(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    here = await _open_news(stack, await open_page(), user)
    there = await _open_news(stack, await open_page(), user)
    await publisher.publish_notification(user, "private")
    await there.expect_unread(1)

    await here.page.bring_to_front()
    await NewsPage(here.page).sign_out()

    for inbox in (here, there):
        await NewsPage(inbox.page).expect_user("")
        await expect(inbox.button).to_have_count(0)
        await expect(inbox.entries).to_have_count(0)
        await expect(inbox.page.get_by_text("private")).to_have_count(0)
