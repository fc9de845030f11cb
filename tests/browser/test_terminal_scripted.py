"""The terminal's trading page against a scripted server: errors, retries, hostile text, numbers,
small screens."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.scripted_server import (
    IBM_QUOTE,
    ScriptedAnswer,
    ScriptedServer,
    error_answer,
    price_events,
    run_scripted_server,
)
from tests.browser.terminal_page import TerminalPage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

MARKUP = '<img src=x onerror="throw 1"><b>bold</b>'
ACCOUNT = {
    "startingBalance": 1_000_000, "cash": -20, "equity": 1_000_250.5, "grossExposure": 0,
    "netExposure": 0, "realizedPnL": 250.5, "unrealizedPnL": 0, "fees": 0, "buyingPower": None,
    "stale": False, "unpriced": 0, "timestamp": "2026-01-05T14:30:00Z", "asOf": "e-1",
}  # fmt: skip
STICKING_OUT_SCRIPT = """() => {
    const isShortened = (part) => {
        for (let box = part.parentElement; box; box = box.parentElement) {
            if (getComputedStyle(box).textOverflow === 'ellipsis') return true;
        }
        return false;
    };
    return [...document.querySelectorAll('.panel, .strip, header')].flatMap((panel) =>
        [...panel.querySelectorAll('*')].filter((part) =>
            part.getClientRects().length > 0
            && !part.closest('.sr-only, [popover], .table-scroller > *')
            && part.getBoundingClientRect().right
               > Math.min(panel.getBoundingClientRect().right, innerWidth) + 0.5
            && !isShortened(part)
        ).map((part) => part.className + ': ' + part.textContent.slice(0, 40)));
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[ScriptedServer]:
    async with run_scripted_server() as made:
        made.openings["account"] = [("account:update", ACCOUNT)]
        yield made


@pytest.fixture
def terminal(page: Page) -> TerminalPage:
    return TerminalPage(page)


def make_order(**changes: Any) -> dict[str, Any]:
    order = {
        "orderId": "o-1",
        "clientOrderId": "c-1",
        "symbol": "IBM",
        "side": "buy",
        "type": "market",
        "qty": 10,
        "limitPrice": None,
        "status": "new",
        "filledQty": 0,
        "filledAvgPrice": None,
        "strategyId": None,
        "reason": None,
        "timestamp": "2026-01-05T14:30:00Z",
    }
    return {**order, **changes}


async def _open(server: ScriptedServer, terminal: TerminalPage, user: str = "alice") -> None:
    """Open the page of a signed-in user with the ticket for IBM."""
    server.openings.setdefault("orders", [])
    if not server.openings["orders"]:
        server.sign_in_user(user)
    await terminal.open(server.url)
    await expect(terminal.touch).to_contain_text("181.99")
    await expect(terminal.panel("account")).to_contain_text("Equity")


async def test_the_path_of_an_error_selects_the_field_that_shows_it(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    await _open(server, terminal)
    for path, label in [("qty", "Quantity"), ("$.limitPrice", "Limit price")]:
        answer = error_answer(422, f"no good: {path}", path=path)
        server.answer_always("POST /api/orders", answer)

        await terminal.fill_ticket(limit="180")
        await terminal.submit_ticket()

        await terminal.expect_error_beside(label, re.compile("no good"))
        await expect(terminal.ticket.get_by_label(label)).to_be_focused()


async def test_an_error_without_a_visible_field_is_shown_below_the_form(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    await _open(server, terminal)
    for number, path in enumerate(["strategyId", "limitPrice", "side", None]):
        answer = error_answer(422, f"no good {number}", path=path)
        server.answer_always("POST /api/orders", answer)

        await terminal.fill_ticket()
        await terminal.submit_ticket()

        await expect(terminal.failure).to_contain_text(f"no good {number}")


async def test_a_failed_submission_is_repeated_with_the_same_client_order_id(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    away: ScriptedAnswer = (*error_answer(503, "away")[:2], {"retry-after": "0"})
    answers: list[ScriptedAnswer] = [(201, make_order()), away, away]
    await _open(server, terminal)
    server.answer_call(
        "POST /api/orders", lambda _: answers.pop() if len(answers) > 1 else answers[0]
    )

    await terminal.fill_ticket(qty="10")
    for count in (3, 4):
        await terminal.submit_ticket()
        await expect(terminal.ticket.locator("button[type=submit]")).to_have_text("Buy IBM")
        assert len(server.request_bodies("POST /api/orders")) == count

    sent = server.request_bodies("POST /api/orders")
    ids = [body.pop("clientOrderId") for body in sent]
    assert sent == [{"symbol": "IBM", "side": "buy", "type": "market", "qty": 10}] * 4
    assert ids[0] == ids[1] == ids[2] != ids[3]


async def test_a_submission_of_unknown_outcome_keeps_its_client_order_id(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    busy: ScriptedAnswer = (
        *error_answer(503, "come back in an hour")[:2], {"retry-after": "3600"}
    )  # fmt: skip
    await _open(server, terminal)
    server.answer_always("POST /api/orders", busy)

    await terminal.fill_ticket(qty="10")
    await terminal.submit_ticket()
    await expect(terminal.failure).to_contain_text("come back in an hour")
    server.answer_always("POST /api/orders", (201, make_order()))
    await terminal.submit_ticket()
    await expect(terminal.failure).to_have_count(0)

    ids = [body["clientOrderId"] for body in server.request_bodies("POST /api/orders")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_markup_in_data_is_shown_as_text(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    hostile = {**IBM_QUOTE, "symbol": MARKUP}
    server.openings["prices"] = price_events(hostile)
    rejected = make_order(symbol=MARKUP, status="rejected", reason=MARKUP)
    server.sign_in_user(MARKUP, orders=[rejected])

    await terminal.open(server.url)

    await expect(terminal.quotes).to_contain_text(MARKUP)
    await expect(terminal.orders.locator(".reason")).to_have_text(MARKUP)
    await terminal.expect_user(MARKUP)
    assert await terminal.page.locator("main img, main b:text-is('bold')").count() == 0


async def test_a_rejected_cancel_shows_the_reason(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    server.sign_in_user("alice", orders=[make_order(orderId="a/b")])
    server.answer_always("DELETE /api/orders/a%2Fb", error_answer(409, "It is filled already."))
    await terminal.open(server.url)

    await terminal.cancel(terminal.orders)

    await expect(terminal.messages).to_contain_text("Not canceled: Buy 10 IBM at the market")
    await expect(terminal.messages).to_contain_text("It is filled already.")


async def test_an_order_shows_what_it_waits_for_until_it_no_longer_does(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    words = {
        "stale_quote": "Waits: the quote is out of date",
        "crossed": "Waits: the bid is above the ask",
        "no_offer": "Waits: nothing is offered",
        "no_quote": "Waits: there is no quote yet",
        "of_another_version": "Waits: of_another_version",
    }
    waiting = [make_order(orderId=reason, waiting=reason) for reason in words]
    partly = make_order(orderId="partly", qty=20, filledQty=5, waiting="no_offer")
    server.sign_in_user("alice", orders=[*waiting, partly])
    await terminal.open(server.url)
    for reason, text in words.items():
        await expect(terminal.row("blotter", reason).locator(".reason")).to_have_text(text)

    filled = make_order(orderId="partly", qty=20, filledQty=10, status="partially_filled")
    fill = {**filled, "fillQty": 5, "fillPrice": 1, "tradeId": "t", "number": 1}
    server.send("order:fill", fill)
    canceled = make_order(orderId="crossed", status="canceled", reason="by you")
    server.send("order:update", canceled)

    await expect(terminal.row("blotter", "partly").locator(".reason")).to_have_count(0)
    await expect(terminal.row("blotter", "crossed").locator(".reason")).to_have_text("by you")


async def test_quotes_are_marked_when_the_server_calls_them_stale_and_no_longer_by_a_new_price(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    ibm = {**IBM_QUOTE, "stale": True, "age": 12.0}
    spy = {**IBM_QUOTE, "symbol": "SPY"}
    server.openings["prices"] = price_events(ibm, spy)
    server.sign_in_user("alice")
    await terminal.open(server.url)
    await expect(terminal.touch).to_contain_text("Not live")

    update = {**IBM_QUOTE, "price": 183, "timestamp": "2026-01-05T14:31:00Z"}
    server.send("price:update", {name: update[name] for name in update if name != "stale"})
    server.send("price:stale", {**spy, "stale": True, "age": 4.0})

    await expect(terminal.row("watchlist", "SPY")).to_have_attribute("data-stale", "true")
    await expect(terminal.row("watchlist", "IBM")).not_to_have_attribute("data-stale", "true")
    await expect(terminal.touch).not_to_contain_text("Not live")


async def test_the_account_is_not_live_without_its_stream(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    await _open(server, terminal)
    account = terminal.panel("account")
    await expect(account.locator(".figures")).to_contain_text("not limited")
    await expect(account).not_to_contain_text("Not live")
    server.send("account:update", {**ACCOUNT, "buyingPower": 1500})
    await expect(account.locator(".figures")).to_contain_text("1,500.00")
    await expect(account.locator(".figures")).to_contain_text("1,000,250.50")

    server.end_streams()

    await expect(account).to_contain_text("Not live: as of")
    await expect(account.locator(".figures")).to_have_attribute("data-live", "false")
    await expect(account.locator(".figures")).to_contain_text("1,000,250.50")


COIN = {"price": 0.00001235, "bid": 0.00001234, "ask": 0.00001236, "change": -0.00000012}
SHOWN_QUOTES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("IBM", {}, ["182.00", "181.99", "182.01"]),
    ("BTC/JPY", {"price": 15000000, "bid": 14999999.5, "change": 0}, ["15,000,000.00"]),
    ("COIN/USD", COIN, ["0.00001235", "0.00001234", "0.00001236"]),
    ("ODD", {"price": 1.00000001, "bid": 1.23456, "ask": 1e-8}, ["1.00000001", "1.23456",
     "0.00000001"]),
    ("OIL", {"price": -37.6, "bid": -37.63, "ask": -37.5}, ["-37.60", "-37.63", "-37.50"]),
]  # fmt: skip


async def test_a_quote_shows_as_many_digits_as_its_numbers_have(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    quotes = [{**IBM_QUOTE, "symbol": symbol, **fields} for symbol, fields, _ in SHOWN_QUOTES]
    server.openings["prices"] = price_events(*quotes)
    await terminal.page.set_viewport_size({"width": 3200, "height": 900})  # for all columns
    await terminal.open(server.url)

    for symbol, _, texts in SHOWN_QUOTES:
        row = terminal.row("watchlist", symbol)
        for text in texts:
            await expect(row).to_contain_text(text)


async def test_the_ticket_suggests_a_limit_that_it_sends_as_it_is(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    server.answer_always("POST /api/orders", (201, make_order(type="limit")))
    await _open(server, terminal)
    await terminal.ticket.get_by_label("Quantity").fill("100")
    limit = terminal.ticket.get_by_label("Limit price")
    for second, (ask, suggestion) in enumerate(
        [
            (182.01, "182.01"),
            (0.00001236, "0.00001236"),
            (1e-8, "0.00000001"),
            (0.0000035, "0.0000035"),
            (123456.12345678, "123456.12345678"),
            (-37.5, ""),
        ],
        start=10,
    ):
        moved = {**IBM_QUOTE, "ask": ask, "timestamp": f"2026-01-05T14:30:{second}Z"}
        server.send("price:update", moved)
        await expect(terminal.touch).to_contain_text(f"{ask:,.8f}".rstrip("0").rstrip("."))
        await terminal.ticket.get_by_role("radio", name="Limit", exact=True).check(force=True)
        await expect(limit).to_have_value(suggestion)
        if suggestion:
            before = len(server.request_bodies("POST /api/orders"))
            await terminal.submit_ticket()
            question = terminal.page.get_by_role("alertdialog")
            if ask > 100_000:
                await question.get_by_role("button", name="Buy 100").click()
            await expect(terminal.ticket.locator("button[type=submit]")).to_have_text("Buy IBM")
            sent = server.request_bodies("POST /api/orders")
            assert [body["limitPrice"] for body in sent[before:]] == [ask]
            await limit.fill("")
        await terminal.ticket.get_by_role("radio", name="Market", exact=True).check(force=True)


async def test_nothing_sticks_out_of_its_panel_at_any_width(
    server: ScriptedServer, terminal: TerminalPage
) -> None:
    long = make_order(
        type="limit", limitPrice=1234.5678, qty=12345, filledQty=2345, filledAvgPrice=1234.567891,
        status="partially_filled", reason="a reason that somebody took some time to write down",
    )  # fmt: skip
    server.sign_in_user("somebody-with-a-rather-long-user-name@example.com", orders=[long])
    for width in (320, 400, 800, 1100, 1280):
        await terminal.page.set_viewport_size({"width": width, "height": 800})
        await terminal.open(server.url, "/#trade")
        await terminal.page.reload()
        await expect(terminal.orders).to_have_count(1)

        found = await terminal.page.evaluate(STICKING_OUT_SCRIPT)
        page_width = await terminal.page.evaluate("() => document.documentElement.scrollWidth")

        assert found == [], f"at {width} pixels"
        assert page_width <= width
