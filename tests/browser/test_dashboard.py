"""The dashboard against the running system: live, reconnecting, polling, and live again."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.dashboard_page import DashboardPage
from tests.browser.network_link import run_network_link
from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT_TIMEOUT_MS = 5_000
RECOVERY_TIMEOUT_MS = 30_000
"""The limits that FEATURES D7 promises."""
STREAM_URL_PATTERN = "**/api/v2/**stream*"


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


@pytest.fixture
def dashboard(page: Page) -> DashboardPage:
    return DashboardPage(page)


@pytest.fixture
def unique_word() -> str:
    """A word that occurs nowhere else in the system."""
    return f"w{uuid.uuid4().hex[:10]}"


def _edge_port(stack: Stack) -> int:
    return int(stack.url.rpartition(":")[2])


async def test_connects_within_five_seconds_and_shows_totals_and_items(
    stack: Stack, dashboard: DashboardPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    older = await publisher.publish_item(f"{unique_word} was there before", "IBM")

    await dashboard.open(stack.url)

    await dashboard.expect_connected(timeout_ms=CONNECT_TIMEOUT_MS)
    await expect(dashboard.item_element(older)).to_be_visible()
    total = dashboard.page.locator("#total")
    before = int((await total.inner_text()).replace(",", ""))
    newer = await publisher.publish_item(
        f"{unique_word}: a wonderful, great success", "IBM", tags=(unique_word,)
    )
    await expect(dashboard.items.first).to_have_attribute("data-item-id", newer)
    await expect(dashboard.item_element(newer).locator(".chip")).to_have_text("positive")
    await expect(total).to_have_text(f"{before + 1:,}")
    assert (await dashboard.item_titles()).index(f"{unique_word} was there before") == 1


async def test_lost_stream_is_retried_then_polled_then_streamed_again(
    stack: Stack,
    context: BrowserContext,
    dashboard: DashboardPage,
    publisher: PageEventPublisher,
    unique_word: str,
) -> None:
    """All states of FEATURES D7, with every item shown once. The test moves the page's clock."""
    await dashboard.page.clock.install()
    await dashboard.record_states()
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await dashboard.open(near)
        await dashboard.expect_connected()
        await publisher.publish_item(f"{unique_word} 1 streamed", "IBM")
        await expect(dashboard.items.first).to_contain_text(f"{unique_word} 1")

        # As a proxy that passes calls and no streams.
        await context.route(STREAM_URL_PATTERN, lambda route: route.abort())
        cable.disconnect()
        await dashboard.wait_for_recorded_state("reconnecting")
        await publisher.publish_item(f"{unique_word} 2 unseen", "IBM")
        cable.reconnect()
        await dashboard.advance_clock_while("live", "connecting", "reconnecting")

        await dashboard.expect_state("polling")
        await expect(dashboard.strip).to_contain_text("No live stream: polling instead.")
        await expect(dashboard.strip).to_contain_text("New items are asked for every 5 seconds.")
        await expect(dashboard.items.first).to_contain_text(f"{unique_word} 2")
        await publisher.publish_item(f"{unique_word} 3 polled", "IBM")
        await dashboard.page.clock.fast_forward(6_000)
        await expect(dashboard.items.first).to_contain_text(f"{unique_word} 3")
        assert await dashboard.feed.get_attribute("data-state") == "polling"

        await context.unroute(STREAM_URL_PATTERN)
        await publisher.publish_item(f"{unique_word} 4 between", "IBM")
        await dashboard.advance_clock_while("polling")
        await dashboard.expect_connected()
        await publisher.publish_item(f"{unique_word} 5 streamed", "IBM")
        await expect(dashboard.items.first).to_contain_text(f"{unique_word} 5")

        titles = [title for title in await dashboard.item_titles() if title.startswith(unique_word)]
        assert [title.split()[1] for title in titles] == ["5", "4", "3", "2", "1"]
        states = await dashboard.recorded_states()
        waits = [seen["wait"] for seen in states if seen["state"] == "reconnecting"]
        tries = [seen["text"] for seen in states if seen["state"] == "reconnecting"]
        assert tries[:2] == ["Try 1 of 2", "Try 2 of 2"]
        assert 0 < waits[0] < waits[1]


@pytest.mark.slow
async def test_unreachable_server_is_reported_and_reconnected_to(
    stack: Stack, dashboard: DashboardPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    await dashboard.page.clock.install()
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await dashboard.open(near)
        await dashboard.expect_connected()

        cable.disconnect()
        await dashboard.advance_clock_while("live", "connecting", "reconnecting")
        await dashboard.expect_state("failing")
        await expect(dashboard.strip).to_contain_text("The server does not answer.")
        await publisher.publish_item(f"{unique_word} meanwhile", "IBM")
        cable.reconnect()
        # After one successful poll the page opens the stream without a further wait.
        await dashboard.page.clock.fast_forward(6_000)

        await dashboard.expect_connected()
        await expect(dashboard.items.first).to_contain_text(f"{unique_word} meanwhile")


async def test_reconnects_within_thirty_seconds_after_a_killed_edge_returns(
    stack: Stack, dashboard: DashboardPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    await dashboard.record_states()
    await dashboard.open(stack.url)
    await dashboard.expect_connected()

    killed = stack.kill("edge-0")
    await dashboard.wait_for_recorded_state("reconnecting")
    item = await publisher.publish_item(f"{unique_word} while it was down", "IBM")
    await asyncio.to_thread(stack.pid, "edge-0", other_than=killed)

    await dashboard.expect_connected(timeout_ms=RECOVERY_TIMEOUT_MS)
    await expect(dashboard.item_element(item)).to_have_count(1)
    assert await dashboard.item_titles() == list(dict.fromkeys(await dashboard.item_titles()))


async def test_user_creates_changes_and_deletes_views_that_filter_items(
    stack: Stack, dashboard: DashboardPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    ibm, ko = unique_word.upper()[:8] + "A", unique_word.upper()[:8] + "B"
    first = await publisher.publish_item(f"{unique_word} about {ibm}", ibm)
    other = await publisher.publish_item(f"{unique_word} about {ko}", ko)
    await dashboard.open(stack.url)
    await dashboard.sign_in(unique_word)
    await dashboard.expect_connected()
    await expect(dashboard.item_element(other)).to_be_visible()

    await dashboard.page.get_by_role("button", name="New view").click()
    await dashboard.save_view("Mine", f"${ibm.lower()}")
    await expect(dashboard.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(dashboard.items).to_have_count(1)
    await dashboard.expect_connected()
    second = await publisher.publish_item(f"{unique_word} more about {ibm}", ibm)
    third = await publisher.publish_item(f"{unique_word} both", ko, ibm)
    await expect(dashboard.items).to_have_count(3)

    await dashboard.page.reload()
    await expect(dashboard.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(dashboard.items).to_have_count(3)
    await dashboard.expect_connected()

    await dashboard.page.get_by_role("button", name="Change Mine").click()
    await dashboard.save_view("Theirs", ko)
    await expect(dashboard.items).to_have_count(2)
    await expect(dashboard.item_element(other)).to_be_visible()
    await expect(dashboard.item_element(third)).to_be_visible()
    await expect(dashboard.page.locator("#items-note")).to_have_text("of “Theirs”")

    await dashboard.page.get_by_role("button", name="Change Theirs").click()
    await dashboard.page.get_by_role("button", name="Delete view").click()
    await dashboard.page.get_by_role("button", name="Press again to delete").click()
    await expect(dashboard.page.get_by_role("radio")).to_have_count(1)
    await expect(dashboard.page.get_by_role("radio", name="All items")).to_be_checked()
    for id_ in (first, second, third, other):
        await expect(dashboard.item_element(id_)).to_be_visible()
    answer = await dashboard.page.request.get(f"{stack.url}/api/v2/configurations")
    assert (await answer.json())["configurations"] == []


@pytest.mark.slow
async def test_polling_a_view_shows_only_its_items(
    stack: Stack,
    context: BrowserContext,
    dashboard: DashboardPage,
    publisher: PageEventPublisher,
    unique_word: str,
) -> None:
    ticker = unique_word.upper()[:9]
    await context.route(STREAM_URL_PATTERN, lambda route: route.abort())
    await dashboard.page.clock.install()
    await dashboard.open(stack.url)
    await dashboard.sign_in(unique_word)
    await dashboard.page.get_by_role("button", name="New view").click()
    await dashboard.save_view("Mine", ticker)
    await expect(dashboard.page.locator("#items-note")).to_have_text("of “Mine”")
    await dashboard.advance_clock_while("connecting", "reconnecting")
    await dashboard.expect_state("polling")

    await publisher.publish_item(f"{unique_word} for nobody here", "IBM")
    wanted = await publisher.publish_item(f"{unique_word} for them", ticker)
    await dashboard.page.clock.fast_forward(6_000)

    await expect(dashboard.item_element(wanted)).to_be_visible()
    await expect(dashboard.items).to_have_count(1)


async def _open_with_view(stack: Stack, dashboard: DashboardPage, user: str) -> None:
    await dashboard.open(stack.url)
    await dashboard.sign_in(user)
    await dashboard.page.get_by_role("button", name="New view").click()
    await dashboard.save_view("Mine", "IBM")
    await expect(dashboard.page.get_by_role("radio", name="Mine")).to_be_checked()
    await dashboard.expect_connected()


@pytest.mark.slow
async def test_deleting_a_view_on_another_tab_switches_to_all_items(
    stack: Stack, open_page: OpenPage, unique_word: str
) -> None:
    here = DashboardPage(await open_page())
    await _open_with_view(stack, here, unique_word)
    there = DashboardPage(await open_page())
    await there.open(stack.url)
    await there.page.get_by_role("radio", name="Mine").check()

    await here.page.bring_to_front()  # browsers slow down background pages
    await here.page.get_by_role("button", name="Change Mine").click()
    await here.page.get_by_role("button", name="Delete view").click()
    await here.page.get_by_role("button", name="Press again to delete").click()

    await expect(there.page.get_by_role("log")).to_contain_text("This view is no more")
    await expect(there.page.get_by_role("radio")).to_have_count(1)
    await expect(there.page.get_by_role("radio", name="All items")).to_be_checked()
    await there.expect_connected()


@pytest.mark.slow
async def test_view_deleted_while_disconnected_switches_to_all_items(
    stack: Stack, dashboard: DashboardPage, unique_word: str
) -> None:
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await dashboard.page.clock.install()
        await dashboard.record_states()
        await dashboard.open(near)
        await dashboard.sign_in(unique_word)
        await dashboard.page.get_by_role("button", name="New view").click()
        await dashboard.save_view("Mine", "IBM")
        await dashboard.expect_connected()
        answer = await dashboard.page.request.get(f"{stack.url}/api/v2/configurations")
        [view] = (await answer.json())["configurations"]
        response = await dashboard.page.request.delete(
            f"{stack.url}/api/v2/configurations/{view['id']}"
        )
        assert response.ok

        cable.disconnect()
        await dashboard.wait_for_recorded_state("reconnecting")
        cable.reconnect()
        await dashboard.advance_clock_while("reconnecting")

        await expect(dashboard.page.get_by_role("log")).to_contain_text("This view is no more")
        await expect(dashboard.page.get_by_role("radio", name="All items")).to_be_checked()
        await dashboard.expect_connected()


@pytest.mark.slow
async def test_view_can_be_selected_by_keyboard(
    stack: Stack, dashboard: DashboardPage, unique_word: str
) -> None:
    await _open_with_view(stack, dashboard, unique_word)
    everything = dashboard.page.get_by_role("radio", name="All items")

    await dashboard.page.get_by_role("radio", name="Mine").focus()
    await dashboard.page.keyboard.press("ArrowUp")
    await expect(everything).to_be_checked()
    await expect(everything).to_be_focused()
    await dashboard.page.keyboard.press("ArrowDown")

    await expect(dashboard.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(dashboard.page.get_by_role("radio", name="Mine")).to_be_focused()
