"""Notifications on the pages, against the running system: badge, toast, browser notification, and
tabs."""

import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.dashboard_page import DashboardPage, NotificationBell
from tests.browser.network_link import run_network_link
from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.browser.trading_page import TradingPage
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

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


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


async def _open_dashboard(stack: Stack, page: Page, user: str) -> NotificationBell:
    """Open the dashboard and sign in, unless the browser already has a session."""
    bell, dashboard = NotificationBell(page), DashboardPage(page)
    await dashboard.open(stack.url)
    if not [one for one in await page.context.cookies() if one["name"] == "session"]:
        await dashboard.sign_in(user)
    await bell.expect_live()
    return bell


async def test_notification_shows_as_badge_toast_and_inbox_line(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    bell = await _open_dashboard(stack, page, user)
    await bell.expect_unread(0)

    await publisher.publish_notification(user, "Margin", "Add funds")

    await bell.expect_unread(1)
    await expect(bell.toasts).to_contain_text("Margin: Add funds")
    await bell.open()
    await expect(bell.notification_line("Margin")).to_contain_text("Add funds")
    await publisher.publish_notification(user, "Second")
    await expect(bell.lines).to_have_count(2)
    await expect(bell.lines.first).to_contain_text("Second")
    await page.reload()
    await bell.expect_unread(2)
    await expect(bell.toasts).to_be_empty()


async def test_marking_as_read_updates_every_tab(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    here = await _open_dashboard(stack, await open_page(), user)
    for title in ("one", "two", "three"):
        await publisher.publish_notification(user, title)
    there = await _open_dashboard(stack, await open_page(), user)
    for bell in (here, there):
        await bell.page.bring_to_front()  # browsers slow down background pages
        await bell.expect_unread(3)
        await bell.open()
        await expect(bell.lines).to_have_count(3)

    await here.page.bring_to_front()
    await here.notification_line("two").get_by_role("button", name="Mark as read: two").click()
    for bell in (here, there):
        await bell.expect_unread(2)
        await expect(bell.notification_line("two")).to_have_attribute("data-read", "true")
        await expect(bell.notification_line("two").get_by_role("button")).to_have_count(0)
    await there.page.bring_to_front()
    await there.page.get_by_role("button", name="Mark all read").click()

    for bell in (here, there):
        await bell.expect_unread(0)
        await expect(bell.page.locator('#inbox li[data-read="false"]')).to_have_count(0)
    answer = await here.page.request.get(f"{stack.url}/api/notifications")
    assert (await answer.json())["unread"] == 0


@pytest.mark.slow
async def test_tabs_share_one_stream_and_another_tab_takes_it_over(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    """All tabs share one stream, because a browser opens only six connections to a server."""
    first = await _open_dashboard(stack, await open_page(), user)
    opened: list[str] = []
    page = await open_page()
    page.on("request", lambda request: opened.append(urlsplit(request.url).path))
    second = await _open_dashboard(stack, page, user)
    assert "/api/sse/notifications" not in opened

    await first.page.close()

    await second.expect_live()
    await publisher.publish_notification(user, "After the first tab")
    await expect(second.toasts).to_contain_text("After the first tab")
    await second.expect_unread(1)
    assert opened.count("/api/sse/notifications") == 1


async def test_browser_notification_is_shown_if_permitted(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    # Not every Chromium without a user interface can be given the permission.
    await page.add_init_script(
        RECORD_NOTIFICATIONS_SCRIPT
        + "Object.defineProperty(Notification, 'permission', {get: () => 'granted'});"
    )
    bell = await _open_dashboard(stack, page, user)

    id_ = await publisher.publish_notification(user, "<b>Filled</b>", "10 IBM")

    await page.wait_for_function("() => window.shown.length === 1")
    [notification] = await page.evaluate("() => window.shown")
    assert notification == {"title": "<b>Filled</b>", "body": "10 IBM", "tag": id_}
    await bell.open()
    await expect(page.get_by_role("button", name="Show on the desktop too")).to_be_hidden()


@pytest.mark.slow
async def test_permission_is_requested_only_after_a_click(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    await page.add_init_script(
        RECORD_NOTIFICATIONS_SCRIPT + "Object.defineProperty(Notification, 'permission',"
        "{get: () => window.asked ? 'denied' : 'default'});"
    )
    bell = await _open_dashboard(stack, page, user)
    await publisher.publish_notification(user, "Nobody was asked")
    await bell.expect_unread(1)
    await bell.open()
    assert await page.evaluate("() => [window.asked, window.shown.length]") == [0, 0]

    await page.get_by_role("button", name="Show on the desktop too").click()

    await expect(bell.inbox).to_contain_text("switched off")
    assert await page.evaluate("() => window.asked") == 1


@pytest.mark.slow
async def test_notifications_of_an_outage_appear_once_after_reconnecting(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    async with run_network_link(int(stack.url.rpartition(":")[2])) as (cable, near):
        dashboard, bell = DashboardPage(page), NotificationBell(page)
        await page.clock.install()
        await dashboard.open(near)
        await dashboard.sign_in(user)
        await bell.expect_live()
        await publisher.publish_notification(user, "before")
        await bell.expect_unread(1)

        cable.disconnect()
        await expect(bell.state).to_have_attribute("data-state", "reconnecting")
        await publisher.publish_notification(user, "meanwhile")
        cable.reconnect()
        await bell.advance_clock_while("connecting", "reconnecting")

        await bell.expect_live()
        await bell.expect_unread(2)
        await bell.open()
        await expect(bell.lines).to_have_count(2)
        await expect(bell.toasts).to_contain_text("meanwhile")


async def test_trading_page_shows_the_bell_and_one_toast_per_order(
    stack: Stack, page: Page, user: str, publisher: PageEventPublisher
) -> None:
    trading_page, bell = TradingPage(page), NotificationBell(page)
    await trading_page.open_signed_in(stack.url, user)
    await bell.expect_live()

    await trading_page.place_order(qty="10")

    await bell.expect_unread(1)
    await expect(bell.toasts).to_contain_text("Bought 10")
    await publisher.publish_notification(user, "And this")
    await expect(bell.toasts).to_contain_text("And this")
    await expect(bell.toasts).not_to_contain_text("Order filled")
    await bell.open()
    await expect(bell.notification_line("Order filled")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(bell.inbox).to_be_hidden()
    await expect(bell.button).to_be_focused()


@pytest.mark.slow
async def test_sign_out_removes_notifications_on_every_tab(
    stack: Stack, open_page: OpenPage, user: str, publisher: PageEventPublisher
) -> None:
    here = await _open_dashboard(stack, await open_page(), user)
    there = await _open_dashboard(stack, await open_page(), user)
    await publisher.publish_notification(user, "private")
    await there.expect_unread(1)

    await here.page.bring_to_front()
    await here.page.get_by_role("button", name="Sign out").click()

    for bell in (here, there):
        await expect(bell.state).to_have_attribute("data-state", "signed-out")
        await expect(bell.button).to_be_hidden()
        await expect(bell.page.get_by_label("User name")).to_be_visible()
        await expect(bell.lines).to_have_count(0)
