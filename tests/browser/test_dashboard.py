"""The terminal's news against the running system: items, views, states of the connection."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.network_link import run_network_link
from tests.browser.news_page import NewsPage
from tests.browser.page_event_publisher import PageEventPublisher, open_page_event_publisher
from tests.harness.relays import pass_calls_only, run_relay
from tests.harness.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

CONNECT_TIMEOUT_MS = 5_000
RECOVERY_TIMEOUT_MS = 30_000
"""The limits that FEATURES D7 promises."""


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(stack: Stack) -> AsyncIterator[PageEventPublisher]:
    async with open_page_event_publisher(stack.nats_url) as made:
        yield made


@pytest.fixture
def news(page: Page) -> NewsPage:
    return NewsPage(page)


@pytest.fixture
def unique_word() -> str:
    """A word that occurs nowhere else in the system."""
    return f"w{uuid.uuid4().hex[:10]}"


def _edge_port(stack: Stack) -> int:
    return int(stack.url.rpartition(":")[2])


async def test_connects_within_five_seconds_and_shows_totals_and_items(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    older = await publisher.publish_item(f"{unique_word} was there before", "IBM")

    await news.open(stack.url)

    await news.expect_status("Live", timeout=CONNECT_TIMEOUT_MS)
    await expect(news.strip).to_have_count(0)
    await expect(news.item(older)).to_be_visible()
    before = await news.total()
    newer = await publisher.publish_item(
        f"{unique_word}: a wonderful, great success", "IBM", tags=(unique_word,)
    )
    await expect(news.items.first).to_have_attribute("data-key", newer)
    await expect(news.item(newer).locator(".chip")).to_contain_text("Positive")
    await expect(news.metrics.locator("dt:text-is('Items') + dd")).to_have_text(f"{before + 1:,}")
    assert f"{unique_word} was there before" in await news.item_titles()


async def test_a_lost_stream_is_retried_and_every_item_is_shown_once(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await news.open(near)
        await news.expect_status("Live")
        await publisher.publish_item(f"{unique_word} 1 streamed", "IBM")
        await expect(news.items.first).to_contain_text(f"{unique_word} 1")

        cable.disconnect()
        await news.expect_status("Reconnecting")
        await expect(news.strip).to_contain_text("The connection is lost.")
        await expect(news.strip).to_contain_text("Next try in")
        await publisher.publish_item(f"{unique_word} 2 between", "IBM")
        cable.reconnect()

        await news.expect_status("Live")
        await publisher.publish_item(f"{unique_word} 3 streamed", "IBM")
        await expect(news.items.first).to_contain_text(f"{unique_word} 3")
        titles = [title for title in await news.item_titles() if title.startswith(unique_word)]
        assert [title.split()[1] for title in titles] == ["3", "2", "1"]


@pytest.mark.slow
async def test_unreachable_server_is_reported_and_reconnected_to_by_a_press(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await news.open(near)
        await news.expect_status("Live")

        cable.disconnect()
        await news.expect_status("Reconnecting")
        await expect(news.strip).to_contain_text("The last event came at")
        await publisher.publish_item(f"{unique_word} meanwhile", "IBM")
        cable.reconnect()
        await news.page.get_by_role("button", name="Try now").click()

        await news.expect_status("Live")
        await expect(news.items.first).to_contain_text(f"{unique_word} meanwhile")


async def test_reconnects_within_thirty_seconds_after_a_killed_edge_returns(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    await news.open(stack.url)
    await news.expect_status("Live")

    killed = stack.kill("edge-0")
    await expect(news.strip).to_contain_text("Prices are not current.")
    item = await publisher.publish_item(f"{unique_word} while it was down", "IBM")
    await asyncio.to_thread(stack.pid, "edge-0", other_than=killed)

    await news.expect_status("Live", timeout=RECOVERY_TIMEOUT_MS)
    await expect(news.item(item)).to_have_count(1)
    assert await news.item_titles() == list(dict.fromkeys(await news.item_titles()))


async def test_user_creates_changes_and_deletes_views_that_filter_items(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    ibm, ko = unique_word.upper()[:8] + "A", unique_word.upper()[:8] + "B"
    first = await publisher.publish_item(f"{unique_word} about {ibm}", ibm)
    other = await publisher.publish_item(f"{unique_word} about {ko}", ko)
    await news.open_signed_in(stack.url, unique_word)
    await expect(news.item(other)).to_be_visible()

    await news.create_view("Mine", f"${ibm.lower()}")
    await expect(news.items).to_have_count(1)
    await expect(news.item(first)).to_be_visible()
    await publisher.publish_item(f"{unique_word} more about {ibm}", ibm)
    third = await publisher.publish_item(f"{unique_word} both", ko, ibm)
    await expect(news.items).to_have_count(3)

    await news.page.reload()
    await news.expect_view("Mine")
    await expect(news.items).to_have_count(3)

    await news.panel("items").get_by_role("button", name="Change").click()
    await news.save_view("Theirs", ko)
    await news.expect_view("Theirs")
    await expect(news.items).to_have_count(2)
    await expect(news.item(other)).to_be_visible()
    await expect(news.item(third)).to_be_visible()

    await news.delete_view()
    await expect(news.views.locator("option")).to_have_text(["All items"])
    await expect(news.item(first)).to_be_visible()
    answer = await news.page.request.get(f"{stack.url}/api/v2/configurations")
    assert (await answer.json())["configurations"] == []


async def test_polling_a_view_shows_only_its_items(
    stack: Stack, news: NewsPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    ticker = unique_word.upper()[:9]
    async with run_relay(_edge_port(stack), pass_calls_only) as url:
        await news.open(url)
        await news.sign_in(unique_word)
        await news.expect_user(unique_word)
        await news.create_view("Mine", ticker)
        await news.expect_status("Polling")

        await publisher.publish_item(f"{unique_word} for nobody here", "IBM")
        wanted = await publisher.publish_item(f"{unique_word} for them", ticker)

        await expect(news.item(wanted)).to_be_visible()
        await expect(news.items).to_have_count(1)


@pytest.mark.slow
async def test_deleting_a_view_on_another_tab_switches_to_all_items(
    stack: Stack, open_page: OpenPage, publisher: PageEventPublisher, unique_word: str
) -> None:
    item = await publisher.publish_item(f"{unique_word} for everybody", "KO")
    here, there = NewsPage(await open_page()), NewsPage(await open_page())
    await here.open_signed_in(stack.url, unique_word)
    await here.create_view("Mine", unique_word.upper()[:9])
    await there.open(stack.url)
    await there.views.select_option("Mine")
    await expect(there.items).to_have_count(0)

    await here.page.bring_to_front()  # browsers slow down background pages
    await here.delete_view()

    await there.expect_view("All items")
    await expect(there.item(item)).to_be_visible()


@pytest.mark.slow
async def test_view_deleted_while_disconnected_switches_to_all_items(
    stack: Stack, news: NewsPage, unique_word: str
) -> None:
    async with run_network_link(_edge_port(stack)) as (cable, near):
        await news.open_signed_in(near, unique_word)
        await news.create_view("Mine", "IBM")
        answer = await news.page.request.get(f"{stack.url}/api/v2/configurations")
        [view] = (await answer.json())["configurations"]

        cable.disconnect()
        await news.expect_status("Reconnecting")
        response = await news.page.request.delete(f"{stack.url}/api/v2/configurations/{view['id']}")
        assert response.ok
        cable.reconnect()

        await news.expect_status("Live")
        await news.expect_view("All items")


@pytest.mark.slow
async def test_view_can_be_selected_by_keyboard(
    stack: Stack, news: NewsPage, unique_word: str
) -> None:
    await news.open_signed_in(stack.url, unique_word)
    await news.create_view("Mine", "IBM")

    await news.views.focus()
    await news.page.keyboard.press("ArrowUp")
    await news.expect_view("All items")
    await expect(news.views).to_be_focused()
    await news.page.keyboard.press("ArrowDown")

    await news.expect_view("Mine")
    await expect(news.views).to_be_focused()
