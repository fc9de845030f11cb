"""The trading page against a scripted server: errors, retries, hostile text, small screens."""

import re
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.scripted_server import (
    IBM_QUOTE,
    ORIGIN,
    ScriptedAnswer,
    ScriptedServer,
    error_answer,
    stream_answer,
)
from tests.browser.trading_page import TradingPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def server(context: BrowserContext) -> ScriptedServer:
    made = ScriptedServer()
    await made.install(context)
    return made


@pytest.fixture
def trading_page(page: Page) -> TradingPage:
    return TradingPage(page)


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


async def _open_with_ticket(server: ScriptedServer, trading_page: TradingPage) -> None:
    server.sign_in_user("alice")
    await trading_page.open(ORIGIN)
    await expect(trading_page.ticket.get_by_label("Symbol")).to_have_value("IBM")


@pytest.mark.parametrize("status", [403, 404])
async def test_disabled_development_sign_in_shows_a_message(
    server: ScriptedServer, trading_page: TradingPage, status: int
) -> None:
    server.answer_call("POST /api/session", lambda _: error_answer(status, "switched off"))
    await trading_page.open(ORIGIN)

    await trading_page.sign_in("alice")

    alert = trading_page.page.get_by_role("alert").filter(has_text="switched off on this server")
    await expect(alert).to_be_visible()


async def test_rejected_user_name_shows_an_error_beside_its_field(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    server.answer_call(
        "POST /api/session", lambda _: error_answer(422, "too long", path="$.userId")
    )
    await trading_page.open(ORIGIN)

    await trading_page.sign_in("alice")

    await trading_page.expect_error_beside("User name", re.compile("too long"))


@pytest.mark.parametrize(
    ("path", "label"),
    [("qty", "Quantity"), ("$.limitPrice", "Limit price"), ("symbol", "Symbol")],
)
async def test_error_path_selects_the_field_that_shows_the_error(
    server: ScriptedServer, trading_page: TradingPage, path: str, label: str
) -> None:
    await _open_with_ticket(server, trading_page)
    server.answer_call("POST /api/orders", lambda _: error_answer(422, "no good", path=path))

    await trading_page.fill_ticket(limit="180")
    await trading_page.submit_ticket()

    await trading_page.expect_error_beside(label, re.compile("no good"))


@pytest.mark.parametrize("path", ["strategyId", "limitPrice", None])
async def test_error_without_a_visible_field_is_shown_below_the_form(
    server: ScriptedServer, trading_page: TradingPage, path: str | None
) -> None:
    await _open_with_ticket(server, trading_page)
    server.answer_call("POST /api/orders", lambda _: error_answer(422, "no good", path=path))

    await trading_page.fill_ticket()
    await trading_page.submit_ticket()

    await expect(trading_page.failure).to_have_text("no good")


async def test_invalid_quantity_is_rejected_before_sending(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    await _open_with_ticket(server, trading_page)

    for text in ("", "ten", "1e3", "1,000", "1234567890.1234567"):
        await trading_page.fill_ticket(qty=text)
        await trading_page.submit_ticket()
        await trading_page.expect_error_beside("Quantity", re.compile("Enter a number of shares"))

    assert server.request_bodies("POST /api/orders") == []


async def test_failed_submit_is_retried_with_the_same_client_order_id(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    answers: list[ScriptedAnswer] = [
        (201, make_order()),
        (*error_answer(503, "away")[:2], {"retry-after": "0"}),
        (*error_answer(503, "away")[:2], {"retry-after": "0"}),
    ]
    await _open_with_ticket(server, trading_page)
    server.answer_call(
        "POST /api/orders", lambda _: answers.pop() if len(answers) > 1 else answers[0]
    )

    await trading_page.fill_ticket(qty="10")
    await trading_page.submit_ticket()
    await expect(trading_page.note).to_have_text("Placed: Buy 10 IBM at the market.")
    await trading_page.submit_ticket()
    await expect(trading_page.note).to_have_text("Placed: Buy 10 IBM at the market.")

    sent = server.request_bodies("POST /api/orders")
    ids = [body.pop("clientOrderId") for body in sent]
    assert sent == [{"symbol": "IBM", "side": "buy", "type": "market", "qty": 10}] * 4
    assert ids[0] == ids[1] == ids[2] != ids[3]


async def test_submit_of_unknown_outcome_keeps_its_client_order_id(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    busy = (*error_answer(503, "come back in an hour")[:2], {"retry-after": "3600"})
    await _open_with_ticket(server, trading_page)
    server.answer_call("POST /api/orders", lambda _: busy)

    await trading_page.fill_ticket(qty="10")
    await trading_page.submit_ticket()
    await expect(trading_page.failure).to_have_text("come back in an hour")
    server.answer_call("POST /api/orders", lambda _: (201, make_order()))
    await trading_page.submit_ticket()
    await expect(trading_page.note).to_have_text("Placed: Buy 10 IBM at the market.")

    ids = [body["clientOrderId"] for body in server.request_bodies("POST /api/orders")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_markup_in_data_is_shown_as_text(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    markup = '<img src=x onerror="throw 1"><b>bold</b>'
    hostile = {**IBM_QUOTE, "symbol": markup}
    feed = ("price:update", {"initializing": True, "prices": [hostile]})
    server.answer_call("GET /api/stream/prices", lambda _: stream_answer(feed))
    rejected = make_order(symbol=markup, status="rejected", reason=markup)
    server.sign_in_user(markup, orders=[rejected])

    await trading_page.open(ORIGIN)

    await expect(trading_page.quotes.get_by_role("button")).to_have_text(markup)
    await expect(trading_page.orders.locator(".reason")).to_have_text(markup)
    await expect(trading_page.page.locator("#user")).to_have_text(markup)
    assert await trading_page.page.locator("main img, main b:has-text('bold')").count() == 0


async def test_rejected_cancel_shows_the_reason(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    server.sign_in_user("alice", orders=[make_order(orderId="a/b")])
    server.answer_call(
        "DELETE /api/orders/a%2Fb", lambda _: error_answer(409, "It is filled already.")
    )
    await trading_page.open(ORIGIN)

    await trading_page.orders.get_by_role("button", name="Cancel").click()

    notices = trading_page.page.get_by_role("log")
    await expect(notices).to_contain_text("Not canceled: Buy 10 IBM at the market.")
    await expect(notices).to_contain_text("It is filled already.")


async def test_an_order_shows_what_it_waits_for_until_it_no_longer_does(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    waiting = [
        make_order(orderId=reason, waiting=reason)
        for reason in ("stale_quote", "crossed", "no_offer", "no_quote", "of_another_version")
    ]
    ended = [
        make_order(orderId="o-filled", qty=20, filledQty=5, waiting="no_offer"),
        make_order(orderId="o-canceled", waiting="no_offer"),
    ]
    server.sign_in_user("alice")
    server.answer_call(
        "GET /api/stream/trading",
        lambda _: stream_answer(
            ("order:update", {"snapshot": True, "orders": [*waiting, *ended]}),
            ("order:fill", make_order(orderId="o-filled", qty=20, filledQty=10)),
            ("order:update", make_order(orderId="o-canceled", status="canceled", reason="by you")),
        ),
    )

    await trading_page.open(ORIGIN)

    reasons = trading_page.orders.locator(".reason")
    await expect(reasons).to_have_text(
        [
            "by you",
            "",
            "Waits: of_another_version",
            "Waits: there is no quote yet",
            "Waits: nothing is offered",
            "Waits: the bid is above the ask",
            "Waits: the quote is out of date",
        ]
    )


async def test_no_element_overflows_at_any_screen_width(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    long = make_order(
        type="limit", limitPrice=1234.5678, qty=12345, filledQty=2345, filledAvgPrice=1234.567891,
        status="partially_filled", reason="a reason that somebody took some time to write down",
    )  # fmt: skip
    server.sign_in_user("somebody-with-a-rather-long-user-name@example.com", orders=[long])
    for width in (320, 400, 800, 1100, 1280):
        await trading_page.page.set_viewport_size({"width": width, "height": 800})
        await trading_page.open(ORIGIN)
        await expect(trading_page.orders).to_have_count(1)

        sticking_out = await trading_page.page.evaluate(
            """() => [...document.querySelectorAll('.panel, header')].flatMap((panel) =>
                [...panel.querySelectorAll('*')].filter((part) =>
                    part.getClientRects().length > 0
                    && !part.closest('.sr-only')
                    && part.getBoundingClientRect().right
                       > Math.min(panel.getBoundingClientRect().right, innerWidth) + 0.5
                ).map((part) => part.className + ': ' + part.textContent.slice(0, 40)))"""
        )

        assert sticking_out == [], f"at {width} pixels"


async def test_the_quotes_that_the_server_calls_stale_are_marked(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    ibm = {**IBM_QUOTE, "stale": True, "age": 12.0}
    spy = {**IBM_QUOTE, "symbol": "SPY", "stale": False, "age": 0.1}
    aig = {**IBM_QUOTE, "symbol": "AIG"}
    server.answer_call(
        "GET /api/stream/prices",
        lambda _: stream_answer(
            ("price:update", {"initializing": True, "prices": [ibm, spy]}),
            ("price:stale", {**spy, "stale": True, "age": 4.0}),
            ("price:update", {**IBM_QUOTE, "price": 183}),
            ("price:update", aig),
        ),
    )
    await trading_page.open(ORIGIN)

    rows = trading_page.page.locator("#quotes tbody tr.stale")
    await expect(trading_page.page.locator("#quotes tbody tr")).to_have_count(3)
    await expect(rows).to_have_count(1)
    await expect(rows).to_have_attribute("data-symbol", "SPY")


async def test_the_ticket_says_that_its_quote_is_not_live(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    """The stream has ended, so no quote is."""
    await _open_with_ticket(server, trading_page)
    await expect(trading_page.page.locator("#touch")).to_have_text(
        re.compile("Not live since .*: Bid 181.99 · Ask 182.01")
    )


@pytest.mark.parametrize(
    ("buying_power", "text"),
    [
        (None, "Equity 1,000,250.50 · Cash -20.00"),
        (1500, "Equity 1,000,250.50 · Cash -20.00 · Buying power 1,500.00"),
    ],
)
async def test_the_account_is_one_line_that_is_not_live_without_its_stream(
    server: ScriptedServer, trading_page: TradingPage, buying_power: int | None, text: str
) -> None:
    """The stream has ended, and so have its prices."""
    account = {"equity": 1000250.5, "cash": -20, "buyingPower": buying_power, "stale": False}
    server.sign_in_user("alice")
    server.answer_call(
        "GET /api/stream/trading", lambda _: stream_answer(("account:update", account))
    )
    await trading_page.open(ORIGIN)
    line = trading_page.page.locator("#account-figures")
    await expect(line).to_have_text(f"Not live: {text}")
    await expect(line).to_have_class(re.compile("stale"))


DASH = "\N{EN DASH}"
COIN = {"price": 0.00001235, "bid": 0.00001234, "ask": 0.00001236, "change": -0.00000012}
SHOWN_QUOTES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("IBM", {}, ["182.00", "181.99", "182.01", "-0.50", "-0.27 %", "1,200"]),
    ("BTC/JPY", {"price": 15000000, "bid": 14999999.5, "change": 0}, ["15,000,000.00"]),
    ("COIN/USD", COIN, ["0.00001235", "0.00001234", "0.00001236", "-0.00000012"]),
    ("ODD", {"price": 1.00000001, "bid": 1.23456, "ask": 1e-8}, ["1.00000001", "1.23456",
     "0.00000001"]),
    ("OIL", {"price": -37.6, "bid": -37.63, "ask": -37.5}, ["-37.60", "-37.63", "-37.50"]),
    ("ONE-SIDED", {"bid": None}, ["182.00", DASH, "182.01"]),
    ("TINY", {"price": 1, "changePercent": 0.0008}, ["1.00", "181.99", "182.01", "-0.50",
     "+0.0008 %"]),
]  # fmt: skip


async def test_a_quote_shows_as_many_digits_as_its_numbers_have(
    server: ScriptedServer, trading_page: TradingPage
) -> None:
    quotes = [{**IBM_QUOTE, "symbol": symbol, **fields} for symbol, fields, _ in SHOWN_QUOTES]
    feed = ("price:update", {"initializing": True, "prices": quotes})
    server.answer_call("GET /api/stream/prices", lambda _: stream_answer(feed))
    await trading_page.open(ORIGIN)

    for symbol, _, texts in SHOWN_QUOTES:
        cells = trading_page.page.locator(f'tr[data-symbol="{symbol}"] td')
        for number, text in enumerate(texts):
            await expect(cells.nth(number)).to_have_text(text)


@pytest.mark.parametrize(
    ("fields", "limit", "estimate"),
    [
        ({"ask": 182.01}, "182.01", "18,201.00"),
        ({"ask": 0.00001236}, "0.00001236", "0.0012"),
        ({"ask": 1e-8}, "0.00000001", "0.000001"),
        ({"ask": 0.0000035}, "0.0000035", "0.00035"),
        ({"ask": 123456.12345678}, "123456.12345678", "12,345,612.35"),
        ({"ask": None}, "", DASH),
        ({"ask": -37.5}, "", DASH),
    ],
)
async def test_the_ticket_suggests_a_limit_that_it_sends_as_it_is(
    server: ScriptedServer,
    trading_page: TradingPage,
    fields: dict[str, Any],
    limit: str,
    estimate: str,
) -> None:
    feed = ("price:update", {"initializing": True, "prices": [{**IBM_QUOTE, **fields}]})
    server.answer_call("GET /api/stream/prices", lambda _: stream_answer(feed))
    server.answer_call("POST /api/orders", lambda _: (201, make_order(type="limit")))
    await _open_with_ticket(server, trading_page)

    await trading_page.ticket.get_by_role("radio", name="Limit").check()

    await expect(trading_page.ticket.get_by_label("Limit price")).to_have_value(limit)
    await expect(trading_page.page.locator("#estimate")).to_have_text(estimate)
    if limit:
        await trading_page.submit_ticket()
        await expect(trading_page.note).to_contain_text("Placed")
        [sent] = server.request_bodies("POST /api/orders")
        assert sent["limitPrice"] == fields["ask"]
