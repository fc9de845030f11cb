"""The dashboard and the bell against a scripted server: errors, hostile text, small screens."""

import re
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.dashboard_page import DashboardPage, NotificationBell
from tests.browser.scripted_server import ORIGIN, ScriptedServer, error_answer, stream_answer
from tests.browser.trading_page import TradingPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE_MARKUP = '<img src=x onerror="throw 1"><b>bold</b>'
LONG_USER_ID = "somebody-with-a-rather-long-name-that-has-no-spaces-anywhere@example.com"
METRICS = {
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


def script_dashboard(
    server: ScriptedServer, *items: dict[str, Any], extra_events: Any = ()
) -> None:
    """Script a list of `items`, newest last, and a stream of metrics followed by `extra_events`."""
    listed = {"items": items, "as_of": "e-1", "more": False, "reset": False}
    server.answer_call("GET /api/v2/items", lambda _: (200, listed))
    server.answer_call(
        "GET /api/v2/stream", lambda _: stream_answer(("metrics", METRICS), *extra_events)
    )


def script_sign_in(
    server: ScriptedServer,
    user: str,
    *notifications: dict[str, Any],
    views: list[dict[str, Any]] | None = None,
) -> None:
    server.sign_in_user(user)
    unread = sum(not one["is_read"] for one in notifications)
    listed = {"notifications": notifications, "unread": unread, "as_of": "e-1"}
    server.answer_call("GET /api/notifications", lambda _: (200, listed))
    begun = ("notification:unread", {"unread": unread, "timestamp": METRICS["timestamp"]})
    server.answer_call("GET /api/sse/notifications", lambda _: stream_answer(begun))
    body = {"configurations": views or [], "as_of": "e-1"}
    server.answer_call("GET /api/v2/configurations", lambda _: (200, body))


@pytest_asyncio.fixture(loop_scope="session")
async def server(context: BrowserContext) -> ScriptedServer:
    made = ScriptedServer()
    await made.install(context)
    script_dashboard(made)
    return made


@pytest.fixture
def dashboard(page: Page) -> DashboardPage:
    return DashboardPage(page)


async def test_numbers_sentiments_and_tags_are_shown(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    script_dashboard(server)

    await dashboard.open(ORIGIN)

    await expect(dashboard.page.locator("#total")).to_have_text("1,234,567")
    await expect(dashboard.page.locator("#per-hour")).to_have_text("14.38")
    await expect(dashboard.page.locator(".sentiments [data-sentiment=positive]")).to_have_text(
        re.compile(r"Positive\s*700,000\s+57 %")
    )
    tags = dashboard.page.locator("#tags li")
    await expect(tags).to_have_text([re.compile(r"earnings\s*60"), re.compile(r"chips\s*20")])
    await expect(dashboard.page.locator("#tags .more")).to_have_text("and 7 of other tags")
    bars = await dashboard.page.locator("#shares i").evaluate_all(
        "all => all.map(i => i.clientWidth)"
    )
    assert bars[0] > bars[1] > bars[2] > 0


async def test_markup_in_data_is_shown_as_text(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    hostile = make_item(
        title=HOSTILE_MARKUP,
        source=HOSTILE_MARKUP,
        tickers=[HOSTILE_MARKUP],
        tags=[HOSTILE_MARKUP],
        url="javascript:throw 1",
    )
    counted = {**METRICS, "tags": {HOSTILE_MARKUP: 3, "__proto__": 2, "constructor": 1}}
    script_dashboard(server, hostile, extra_events=[("metrics", counted)])
    view = {
        "id": '"]<b>',
        "name": HOSTILE_MARKUP,
        "tickers": [HOSTILE_MARKUP],
        "tags": [HOSTILE_MARKUP],
    }
    notification = make_notification(
        id_='"]<b>', title=HOSTILE_MARKUP, message=HOSTILE_MARKUP, type=HOSTILE_MARKUP
    )
    script_sign_in(server, HOSTILE_MARKUP, notification, views=[view])

    await dashboard.open(ORIGIN)
    bell = NotificationBell(dashboard.page)
    await bell.open()

    await expect(dashboard.items.locator(".item-title")).to_have_text(HOSTILE_MARKUP)
    await expect(dashboard.items.locator(".item-more")).to_contain_text(HOSTILE_MARKUP)
    await expect(dashboard.page.locator("#tags li").first).to_contain_text(HOSTILE_MARKUP)
    await expect(bell.lines).to_contain_text([HOSTILE_MARKUP])
    await expect(dashboard.views.locator(".view").last).to_contain_text(HOSTILE_MARKUP)
    assert await dashboard.page.locator("main img, main b:text-is('bold'), main a").count() == 0
    assert await bell.inbox.locator("img, b").count() == 0
    await dashboard.page.keyboard.press("Escape")
    await dashboard.page.locator("[data-change]").click()
    await expect(dashboard.form.get_by_label("Name")).to_have_value(HOSTILE_MARKUP)


async def test_error_toast_is_plain_text_and_marked_as_bad(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    script_sign_in(server, "alice")
    bad = make_notification(title=HOSTILE_MARKUP, type="strategy_error")
    begun = ("notification:unread", {"unread": 0, "timestamp": METRICS["timestamp"]})
    server.answer_call(
        "GET /api/sse/notifications", lambda _: stream_answer(begun, ("notification", bad))
    )

    await dashboard.open(ORIGIN)

    toast = NotificationBell(dashboard.page).toasts.locator(".notice")
    await expect(toast).to_have_text(f"{HOSTILE_MARKUP}: Add funds")
    await expect(toast).to_have_attribute("data-kind", "bad")


async def test_item_links_open_without_opener_and_referrer(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    script_dashboard(server, make_item(url="https://example.com/a?b=c"))

    await dashboard.open(ORIGIN)

    link = dashboard.items.get_by_role("link", name="The board meets")
    await expect(link).to_have_attribute("href", "https://example.com/a?b=c")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_item_received_twice_is_shown_once(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    brought = [("new_item", make_item("i-2", title="Second")), ("new_item", make_item("i-1"))]
    script_dashboard(
        server, make_item("i-0", title="Zeroth"), make_item("i-1"), extra_events=brought * 2
    )

    await dashboard.open(ORIGIN)

    await expect(dashboard.items).to_have_count(3)
    assert await dashboard.item_titles() == ["Second", "The board meets", "Zeroth"]


async def test_corrected_item_is_replaced_where_it_stands_and_retracted_one_is_gone(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    changes = [
        ("item:corrected", make_item("i-1", title="First, corrected")),
        ("item:retracted", {"id": "i-0", "reason": "a hoax"}),
        ("new_item", make_item("i-0", title="Zeroth")),
        ("item:corrected", make_item("i-9", title="Never seen here")),
    ]
    script_dashboard(
        server,
        make_item("i-0", title="Zeroth"),
        make_item("i-1", title="First"),
        make_item("i-2", title="Second"),
        extra_events=changes,
    )

    await dashboard.open(ORIGIN)

    await expect(dashboard.items).to_have_count(2)
    await expect(dashboard.items.last).to_contain_text("First, corrected")
    assert await dashboard.item_titles() == ["Second", "First, corrected"]


@pytest.mark.parametrize(
    ("path", "label"), [("name", "Name"), ("tickers[3]", "Tickers"), ("tags", "Tags")]
)
async def test_view_error_is_shown_beside_its_field(
    server: ScriptedServer, dashboard: DashboardPage, path: str, label: str
) -> None:
    script_sign_in(server, "alice")
    server.answer_call(
        "POST /api/v2/configurations", lambda _: error_answer(422, "no good", path=path)
    )
    await dashboard.open(ORIGIN)

    await dashboard.page.get_by_role("button", name="New view").click()
    await dashboard.save_view("Mine", "IBM")

    field = dashboard.form.get_by_label(label)
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description("no good")
    await expect(field).to_be_focused()


async def test_a_view_without_name_or_tickers_is_not_sent(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    script_sign_in(server, "alice")
    await dashboard.open(ORIGIN)

    await dashboard.page.get_by_role("button", name="New view").click()
    await dashboard.save_view(" ", "IBM")
    await expect(dashboard.form).to_contain_text("Enter a name.")
    await dashboard.save_view("Mine", " , ")
    await expect(dashboard.form).to_contain_text("Enter at least one ticker.")

    assert server.request_bodies("POST /api/v2/configurations") == []
    await dashboard.page.keyboard.press("Escape")
    await expect(dashboard.form).to_be_hidden()
    await expect(dashboard.page.get_by_role("button", name="New view")).to_be_focused()


async def test_unavailable_notification_list_shows_an_alert_in_the_bell(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    script_sign_in(server, "alice")
    server.answer_call(
        "GET /api/notifications", lambda _: error_answer(503, "The alerts service is away")
    )
    await dashboard.open(ORIGIN)

    bell = NotificationBell(dashboard.page)
    await bell.open()

    await expect(bell.inbox.get_by_role("alert")).to_contain_text("The alerts service is away")


async def test_desktop_notifications_are_not_offered_on_an_insecure_origin(
    server: ScriptedServer, dashboard: DashboardPage
) -> None:
    """A page served over plain HTTP from another machine cannot get the permission."""
    script_sign_in(server, "alice", make_notification())
    await dashboard.open(ORIGIN)

    bell = NotificationBell(dashboard.page)
    await bell.open()

    await expect(bell.lines).to_have_count(1)
    await expect(
        dashboard.page.get_by_role("button", name="Show on the desktop too")
    ).to_be_hidden()


@pytest.mark.parametrize("page_path", ["/", "/dashboard"])
async def test_no_element_overflows_at_any_screen_width(
    server: ScriptedServer, dashboard: DashboardPage, page_path: str
) -> None:
    item = make_item(
        title=LONG_USER_ID * 3,
        source=LONG_USER_ID,
        tickers=[LONG_USER_ID] * 3,
        tags=[LONG_USER_ID] * 3,
    )
    counted = {**METRICS, "tags": {LONG_USER_ID: 3}}
    script_dashboard(server, item, extra_events=[("metrics", counted)])
    view = {"id": "v", "name": LONG_USER_ID, "tickers": ["A" * 16] * 50, "tags": [LONG_USER_ID]}
    script_sign_in(
        server,
        LONG_USER_ID,
        make_notification(title=LONG_USER_ID, message=LONG_USER_ID * 3),
        views=[view],
    )
    for width in (320, 800):
        await dashboard.page.set_viewport_size({"width": width, "height": 800})
        await dashboard.page.goto(ORIGIN + page_path)
        bell = NotificationBell(dashboard.page)
        await bell.open()
        await expect(bell.lines).to_have_count(1)
        if page_path == "/":
            await expect(TradingPage(dashboard.page).trading).to_have_attribute(
                "data-state", "reconnecting"
            )
        else:
            await expect(dashboard.items).to_have_count(1)
            await expect(dashboard.strip).to_be_visible()

        sticking_out = await dashboard.page.evaluate(
            """() => [...document.querySelectorAll('.panel, .strip, header')].flatMap((panel) =>
                [...panel.querySelectorAll('*')].filter((part) =>
                    part.getClientRects().length > 0
                    && !part.closest('.sr-only')
                    && !(panel.matches('header') && part.closest('.panel'))
                    && (part.getBoundingClientRect().left < -0.5
                       || part.getBoundingClientRect().right
                       > Math.min(panel.getBoundingClientRect().right, innerWidth) + 0.5)
                ).map((part) => part.className + ': ' + part.textContent.slice(0, 40)))"""
        )

        assert sticking_out == [], f"at {width} pixels"
