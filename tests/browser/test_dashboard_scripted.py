"""The terminal's news and inbox against a scripted server: errors, hostile text, odd numbers, small
screens."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.news_page import Inbox, NewsPage
from tests.browser.scripted_server import ScriptedServer, error_answer, run_scripted_server
from tests.browser.test_terminal_scripted import MARKUP, STICKING_OUT_SCRIPT

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

LONG_USER_ID = "somebody-with-a-rather-long-name-that-has-no-spaces-anywhere@example.com"
METRICS: dict[str, Any] = {
    "total": 1_234_567,
    "positive": 700_000,
    "neutral": 500_000,
    "negative": 34_567,
    "tags": {"earnings": 60, "chips": 20},
    "other_tags": 7,
    "rates": {"last_hour": 12, "last_day": 345, "per_hour": 14.38},
    "timestamp": "2026-01-05T14:30:00Z",
}


def make_item(id_: str = "i-1", **changes: Any) -> dict[str, Any]:
    item = {
        "id": id_,
        "title": "The board meets",
        "source": "wire",
        "url": None,
        "tickers": ["IBM"],
        "tags": ["governance"],
        "sentiment": "neutral",
        "score": 0.01,
        "timestamp": "2026-01-05T14:30:00Z",
    }
    return {**item, **changes}


def make_notification(id_: str = "n-1", **changes: Any) -> dict[str, Any]:
    notification = {
        "id": id_,
        "type": "message",
        "title": "Margin",
        "message": "Add funds",
        "payload": {},
        "is_read": False,
        "created_at": "2026-01-05T14:30:00Z",
    }
    return {**notification, **changes}


def script_sign_in(
    server: ScriptedServer,
    user: str,
    *notifications: dict[str, Any],
    views: tuple[dict[str, Any], ...] = (),
) -> None:
    """Script a user who has these notifications and views."""
    server.sign_in_user(user)
    unread = sum(not one["is_read"] for one in notifications)
    server.openings["notifications"] = [("notification:unread", {"unread": unread})]
    server.answer_list("notifications", "notifications", *notifications, unread=unread)
    server.answer_list("v2/configurations", "configurations", *views)


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[ScriptedServer]:
    async with run_scripted_server() as made:
        made.openings["item-metrics"] = [("item:metrics", METRICS)]
        yield made


@pytest.fixture
def news(page: Page) -> NewsPage:
    return NewsPage(page)


async def test_numbers_sentiments_and_tags_are_shown(
    server: ScriptedServer, news: NewsPage
) -> None:
    await news.open(server.url)

    await expect(news.metrics.locator("dt:text-is('Items') + dd")).to_have_text("1,234,567")
    await expect(news.metrics).to_contain_text("14.38 an hour")
    rows = news.metrics.locator("tbody tr")
    await expect(rows.nth(0)).to_have_text(re.compile(r"Positive\s*700,000\s*57\s%"))
    await expect(rows.nth(3)).to_have_text(re.compile(r"#earnings\s*60"))
    await expect(rows.nth(4)).to_have_text(re.compile(r"#chips\s*20"))
    widths = await news.metrics.locator("tbody .metric-bar > span").evaluate_all(
        "all => all.slice(0, 3).map(span => span.getBoundingClientRect().width)"
    )
    assert widths[0] > widths[1] > widths[2] > 0


async def test_markup_in_data_is_shown_as_text(server: ScriptedServer, news: NewsPage) -> None:
    hostile = make_item(
        title=MARKUP, source=MARKUP, tickers=[MARKUP], tags=[MARKUP], url="javascript:throw 1"
    )
    server.answer_list("v2/items", "items", hostile)
    counted = {**METRICS, "tags": {MARKUP: 3, "__proto__": 2, "constructor": 1}}
    server.openings["item-metrics"] = [("item:metrics", counted)]
    view = {"id": '"]<b>', "name": MARKUP, "tickers": [MARKUP], "tags": [MARKUP]}
    notification = make_notification('"]<b>', title=MARKUP, message=MARKUP, type=MARKUP)
    script_sign_in(server, MARKUP, notification, views=(view,))
    await news.open(server.url)
    inbox = Inbox(news.page)

    await expect(news.items.locator(".item-title")).to_have_text(MARKUP)
    await expect(news.items).to_contain_text(f"#{MARKUP}")
    await expect(news.metrics.locator("tbody tr").nth(3)).to_contain_text(MARKUP)
    await expect(inbox.entries).to_contain_text(MARKUP)
    await expect(news.views.locator("option").last).to_have_text(MARKUP)
    server.send("notification", make_notification("n-2", title=MARKUP, message=MARKUP))
    await expect(inbox.toasts.locator(".toast-title")).to_have_text(MARKUP)
    assert await news.page.locator("main img, main b:text-is('bold')").count() == 0
    assert await news.page.locator("main a[href^='javascript'], .toast img").count() == 0
    await news.views.select_option(MARKUP)
    await news.panel("items").get_by_role("button", name="Change").click()
    await expect(news.dialog.get_by_label("Name")).to_have_value(MARKUP)
    assert await news.dialog.locator("img, b").count() == 0


async def test_items_are_shown_once_corrected_where_they_stand_and_retracted_ones_are_gone(
    server: ScriptedServer, news: NewsPage
) -> None:
    server.answer_list(
        "v2/items",
        "items",
        make_item("i-0", title="Zeroth"),
        make_item("i-1", title="First", url="https://example.com/a?b=c"),
    )
    await news.open(server.url)
    await expect(news.items).to_have_count(2)
    link = news.items.get_by_role("link", name="First")
    await expect(link).to_have_attribute("href", "https://example.com/a?b=c")
    await expect(link).to_have_attribute("rel", re.compile("noopener noreferrer"))

    for event, data in [
        ("new_item", make_item("i-2", title="Second")),
        ("new_item", make_item("i-2", title="Second")),
        ("item:corrected", make_item("i-1", title="First, corrected")),
        ("item:retracted", {"id": "i-0", "reason": "a hoax"}),
        ("new_item", make_item("i-0", title="Zeroth")),
    ]:
        server.send(event, data)

    await expect(news.item("i-1")).to_contain_text("First, corrected")
    await expect(news.item("i-0")).to_have_count(0)
    assert await news.item_titles() == ["Second", "First, corrected"]


async def test_an_error_of_a_view_is_shown_beside_its_field_and_an_empty_one_is_not_sent(
    server: ScriptedServer, news: NewsPage
) -> None:
    script_sign_in(server, "alice")
    await news.open(server.url)
    opener = news.panel("items").get_by_role("button", name="New view")
    await opener.click()

    await news.save_view(" ", "IBM")
    await expect(news.dialog).to_contain_text("Enter a name.")
    await expect(news.dialog.get_by_label("Name")).to_be_focused()
    await news.save_view("Mine", " , ")
    await expect(news.dialog).to_contain_text("Enter at least one ticker.")
    assert server.request_bodies("POST /api/v2/configurations") == []
    for path, label in (("name", "Name"), ("tickers[3]", "Tickers"), ("$.tags", "Tags")):
        answer = error_answer(422, f"no good: {path}", path=path)
        server.answer_always("POST /api/v2/configurations", answer)
        await news.save_view("Mine", "IBM")
        field = news.dialog.get_by_label(label)
        await expect(field).to_have_accessible_description(
            re.compile(re.escape(f"no good: {path}"))
        )
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_be_focused()

    await news.page.keyboard.press("Escape")
    await expect(news.dialog).to_have_count(0)
    await expect(opener).to_be_focused()


async def test_lists_that_are_unavailable_say_why(server: ScriptedServer, news: NewsPage) -> None:
    script_sign_in(server, "alice")
    for path, service in (("notifications", "alerts"), ("v2/items", "insights")):
        answer = error_answer(403, f"The {service} service says no")
        server.answer_always(f"GET /api/{path}", answer)
    await news.open(server.url)

    await expect(Inbox(news.page).panel).to_contain_text("The alerts service says no")
    await expect(news.panel("items")).to_contain_text("The insights service says no")


async def test_nothing_sticks_out_of_its_panel_at_any_width(
    server: ScriptedServer, news: NewsPage
) -> None:
    long = [LONG_USER_ID] * 3
    item = make_item(title=LONG_USER_ID * 3, source=LONG_USER_ID, tickers=long, tags=long)
    server.answer_list("v2/items", "items", item)
    server.openings["item-metrics"] = [("item:metrics", {**METRICS, "tags": {LONG_USER_ID: 3}})]
    view = {"id": "v", "name": LONG_USER_ID, "tickers": ["A" * 16] * 50, "tags": [LONG_USER_ID]}
    notification = make_notification(title=LONG_USER_ID, message=LONG_USER_ID * 3)
    script_sign_in(server, LONG_USER_ID, notification, views=(view,))
    for width in (320, 800, 1280):
        await news.page.set_viewport_size({"width": width, "height": 800})
        await news.open(server.url)
        await expect(news.items).to_have_count(1)
        await expect(Inbox(news.page).entries).to_have_count(1)

        found = await news.page.evaluate(STICKING_OUT_SCRIPT)
        page_width = await news.page.evaluate("() => document.documentElement.scrollWidth")

        assert found == [], f"at {width} pixels"
        assert page_width <= width
