"""The dashboard and the bell against a scripted server: refusals, hostile text, small screens."""

import re
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.board import Bell, Board
from tests.browser.desk import Desk
from tests.browser.scripted import ORIGIN, ScriptedServer, error, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = '<img src=x onerror="throw 1"><b>bold</b>'
LONG = "somebody-with-a-rather-long-name-that-has-no-spaces-anywhere@example.com"
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


def an_item(id_: str = "i-1", **changed: Any) -> dict[str, Any]:
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
    return {**item, **changed}


def a_notification(id_: str = "n-1", **changed: Any) -> dict[str, Any]:
    notification = {
        "id": id_,
        "type": "message",
        "title": "Margin",
        "message": "Add funds",
        "payload": {},
        "is_read": False,
        "created_at": "2026-01-05T14:30:00Z",
    }
    return {**notification, **changed}


def show(server: ScriptedServer, *items: dict[str, Any], more: Any = ()) -> None:
    """These items are listed, newest last, and the stream brings metrics and `more`."""
    listed = {"items": items, "as_of": "e-1", "more": False, "reset": False}
    server.on("GET /api/v2/items", lambda _: (200, listed))
    server.on("GET /api/v2/stream", lambda _: stream(("metrics", METRICS), *more))


def let_in(
    server: ScriptedServer,
    user: str,
    *notifications: dict[str, Any],
    views: list[dict[str, Any]] | None = None,
) -> None:
    server.let_in(user)
    unread = sum(not one["is_read"] for one in notifications)
    listed = {"notifications": notifications, "unread": unread, "as_of": "e-1"}
    server.on("GET /api/notifications", lambda _: (200, listed))
    begun = ("notification:unread", {"unread": unread, "timestamp": METRICS["timestamp"]})
    server.on("GET /api/sse/notifications", lambda _: stream(begun))
    kept = {"configurations": views or [], "as_of": "e-1"}
    server.on("GET /api/v2/configurations", lambda _: (200, kept))


@pytest_asyncio.fixture(loop_scope="module")
async def server(context: BrowserContext) -> ScriptedServer:
    made = ScriptedServer()
    await made.serve(context)
    show(made)
    return made


@pytest.fixture
def board(page: Page) -> Board:
    return Board(page)


async def test_numbers_sentiments_and_tags_are_shown(server: ScriptedServer, board: Board) -> None:
    show(server)

    await board.open(ORIGIN)

    await expect(board.page.locator("#total")).to_have_text("1,234,567")
    await expect(board.page.locator("#per-hour")).to_have_text("14.38")
    await expect(board.page.locator(".sentiments [data-sentiment=positive]")).to_have_text(
        re.compile(r"Positive\s*700,000\s+57 %")
    )
    tags = board.page.locator("#tags li")
    await expect(tags).to_have_text([re.compile(r"earnings\s*60"), re.compile(r"chips\s*20")])
    await expect(board.page.locator("#tags .more")).to_have_text("and 7 of other tags")
    bars = await board.page.locator("#shares i").evaluate_all("all => all.map(i => i.clientWidth)")
    assert bars[0] > bars[1] > bars[2] > 0


async def test_data_becomes_text_whatever_it_looks_like(
    server: ScriptedServer, board: Board
) -> None:
    hostile = an_item(
        title=MARKUP, source=MARKUP, tickers=[MARKUP], tags=[MARKUP], url="javascript:throw 1"
    )
    counted = {**METRICS, "tags": {MARKUP: 3, "__proto__": 2, "constructor": 1}}
    show(server, hostile, more=[("metrics", counted)])
    view = {"id": '"]<b>', "name": MARKUP, "tickers": [MARKUP], "tags": [MARKUP]}
    notification = a_notification(id_='"]<b>', title=MARKUP, message=MARKUP, type=MARKUP)
    let_in(server, MARKUP, notification, views=[view])

    await board.open(ORIGIN)
    bell = Bell(board.page)
    await bell.open()

    await expect(board.items.locator(".item-title")).to_have_text(MARKUP)
    await expect(board.items.locator(".item-more")).to_contain_text(MARKUP)
    await expect(board.page.locator("#tags li").first).to_contain_text(MARKUP)
    await expect(bell.lines).to_contain_text([MARKUP])
    await expect(board.views.locator(".view").last).to_contain_text(MARKUP)
    assert await board.page.locator("main img, main b:text-is('bold'), main a").count() == 0
    assert await bell.inbox.locator("img, b").count() == 0
    await board.page.keyboard.press("Escape")
    await board.page.locator("[data-change]").click()
    await expect(board.form.get_by_label("Name")).to_have_value(MARKUP)


async def test_a_toast_is_text_and_stays_longer_for_what_is_bad(
    server: ScriptedServer, board: Board
) -> None:
    let_in(server, "alice")
    bad = a_notification(title=MARKUP, type="strategy_error")
    begun = ("notification:unread", {"unread": 0, "timestamp": METRICS["timestamp"]})
    server.on("GET /api/sse/notifications", lambda _: stream(begun, ("notification", bad)))

    await board.open(ORIGIN)

    toast = Bell(board.page).toasts.locator(".notice")
    await expect(toast).to_have_text(f"{MARKUP}: Add funds")
    await expect(toast).to_have_attribute("data-kind", "bad")


async def test_only_links_to_documents_are_links(server: ScriptedServer, board: Board) -> None:
    show(server, an_item(url="https://example.com/a?b=c"))

    await board.open(ORIGIN)

    link = board.items.get_by_role("link", name="The board meets")
    await expect(link).to_have_attribute("href", "https://example.com/a?b=c")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_an_item_that_comes_twice_is_shown_once(server: ScriptedServer, board: Board) -> None:
    brought = [("new_item", an_item("i-2", title="Second")), ("new_item", an_item("i-1"))]
    show(server, an_item("i-0", title="Zeroth"), an_item("i-1"), more=brought * 2)

    await board.open(ORIGIN)

    await expect(board.items).to_have_count(3)
    assert await board.titles() == ["Second", "The board meets", "Zeroth"]


@pytest.mark.parametrize(
    ("path", "label"), [("name", "Name"), ("tickers[3]", "Tickers"), ("tags", "Tags")]
)
async def test_what_is_wrong_with_a_view_stands_beside_its_field(
    server: ScriptedServer, board: Board, path: str, label: str
) -> None:
    let_in(server, "alice")
    server.on("POST /api/v2/configurations", lambda _: error(422, "no good", path=path))
    await board.open(ORIGIN)

    await board.page.get_by_role("button", name="New view").click()
    await board.save_view("Mine", "IBM")

    field = board.form.get_by_label(label)
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description("no good")
    await expect(field).to_be_focused()


async def test_a_view_without_name_or_tickers_is_not_sent(
    server: ScriptedServer, board: Board
) -> None:
    let_in(server, "alice")
    await board.open(ORIGIN)

    await board.page.get_by_role("button", name="New view").click()
    await board.save_view(" ", "IBM")
    await expect(board.form).to_contain_text("Enter a name.")
    await board.save_view("Mine", " , ")
    await expect(board.form).to_contain_text("Enter at least one ticker.")

    assert server.bodies("POST /api/v2/configurations") == []
    await board.page.keyboard.press("Escape")
    await expect(board.form).to_be_hidden()
    await expect(board.page.get_by_role("button", name="New view")).to_be_focused()


async def test_a_list_that_cannot_be_read_is_an_alert_in_the_bell(
    server: ScriptedServer, board: Board
) -> None:
    let_in(server, "alice")
    server.on("GET /api/notifications", lambda _: error(503, "The alerts service is away"))
    await board.open(ORIGIN)

    bell = Bell(board.page)
    await bell.open()

    await expect(bell.inbox.get_by_role("alert")).to_contain_text("The alerts service is away")


async def test_the_desktop_is_not_offered_where_browsers_do_not_allow_it(
    server: ScriptedServer, board: Board
) -> None:
    """Plain HTTP to another machine: no permission can be had there."""
    let_in(server, "alice", a_notification())
    await board.open(ORIGIN)

    bell = Bell(board.page)
    await bell.open()

    await expect(bell.lines).to_have_count(1)
    await expect(board.page.get_by_role("button", name="Show on the desktop too")).to_be_hidden()


@pytest.mark.parametrize("page_path", ["/", "/dashboard"])
@pytest.mark.parametrize("width", [320, 800])
async def test_nothing_sticks_out_on_any_screen(
    server: ScriptedServer, board: Board, width: int, page_path: str
) -> None:
    item = an_item(title=LONG * 3, source=LONG, tickers=[LONG] * 3, tags=[LONG] * 3)
    counted = {**METRICS, "tags": {LONG: 3}}
    show(server, item, more=[("metrics", counted)])
    view = {"id": "v", "name": LONG, "tickers": ["A" * 16] * 50, "tags": [LONG]}
    let_in(server, LONG, a_notification(title=LONG, message=LONG * 3), views=[view])
    await board.page.set_viewport_size({"width": width, "height": 800})
    await board.page.goto(ORIGIN + page_path)
    bell = Bell(board.page)
    await bell.open()
    await expect(bell.lines).to_have_count(1)
    if page_path == "/":
        await expect(Desk(board.page).trading).to_have_attribute("data-state", "reconnecting")
    else:
        await expect(board.items).to_have_count(1)
        await expect(board.strip).to_be_visible()

    sticking_out = await board.page.evaluate(
        """() => [...document.querySelectorAll('.panel, .strip, header')].flatMap((panel) =>
            [...panel.querySelectorAll('*')].filter((part) =>
                part.getClientRects().length > 0
                && !part.closest('.sr-only')
                && !(panel.matches('header') && part.closest('.panel'))
                && (part.getBoundingClientRect().left < -0.5 || part.getBoundingClientRect().right
                   > Math.min(panel.getBoundingClientRect().right, innerWidth) + 0.5)
            ).map((part) => part.className + ': ' + part.textContent.slice(0, 40)))"""
    )

    assert sticking_out == []
