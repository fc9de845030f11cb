"""The page against a scripted server: refusals, retries, hostile text, small screens."""

import re
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.desk import Desk
from tests.browser.scripted import IBM, ORIGIN, Answer, ScriptedServer, error, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def server(context: BrowserContext) -> ScriptedServer:
    made = ScriptedServer()
    await made.serve(context)
    return made


@pytest.fixture
def desk(page: Page) -> Desk:
    return Desk(page)


def an_order(**changed: Any) -> dict[str, Any]:
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
    return {**order, **changed}


async def _with_ticket(server: ScriptedServer, desk: Desk) -> None:
    server.let_in("alice")
    await desk.open(ORIGIN)
    await expect(desk.ticket.get_by_label("Symbol")).to_have_value("IBM")


@pytest.mark.parametrize("status", [403, 404])
async def test_a_server_without_the_development_sign_in_is_said_to_be_one(
    server: ScriptedServer, desk: Desk, status: int
) -> None:
    server.on("POST /api/session", lambda _: error(status, "switched off"))
    await desk.open(ORIGIN)

    await desk.sign_in("alice")

    said = desk.page.get_by_role("alert").filter(has_text="switched off on this server")
    await expect(said).to_be_visible()


async def test_a_refused_user_name_is_an_error_beside_its_field(
    server: ScriptedServer, desk: Desk
) -> None:
    server.on("POST /api/session", lambda _: error(422, "too long", path="$.userId"))
    await desk.open(ORIGIN)

    await desk.sign_in("alice")

    await desk.expect_error_beside("User name", re.compile("too long"))


@pytest.mark.parametrize(
    ("path", "label"),
    [("qty", "Quantity"), ("$.limitPrice", "Limit price"), ("symbol", "Symbol")],
)
async def test_the_path_of_an_error_says_beside_which_field_it_stands(
    server: ScriptedServer, desk: Desk, path: str, label: str
) -> None:
    await _with_ticket(server, desk)
    server.on("POST /api/orders", lambda _: error(422, "no good", path=path))

    await desk.fill_ticket(limit="180")
    await desk.submit()

    await desk.expect_error_beside(label, re.compile("no good"))


@pytest.mark.parametrize("path", ["strategyId", "limitPrice", None])
async def test_an_error_of_no_visible_field_stands_below_the_form(
    server: ScriptedServer, desk: Desk, path: str | None
) -> None:
    await _with_ticket(server, desk)
    server.on("POST /api/orders", lambda _: error(422, "no good", path=path))

    await desk.fill_ticket()
    await desk.submit()

    await expect(desk.failure).to_have_text("no good")


async def test_what_is_no_number_is_refused_before_it_is_sent(
    server: ScriptedServer, desk: Desk
) -> None:
    await _with_ticket(server, desk)

    for text in ("", "ten", "1e3", "1,000", "1234567890.1234567"):
        await desk.fill_ticket(qty=text)
        await desk.submit()
        await desk.expect_error_beside("Quantity", re.compile("Enter a number of shares"))

    assert server.bodies("POST /api/orders") == []


async def test_a_submit_that_fails_on_the_way_is_repeated_with_the_same_client_order_id(
    server: ScriptedServer, desk: Desk
) -> None:
    answers: list[Answer] = [
        (201, an_order()),
        (*error(503, "away")[:2], {"retry-after": "0"}),
        (*error(503, "away")[:2], {"retry-after": "0"}),
    ]
    await _with_ticket(server, desk)
    server.on("POST /api/orders", lambda _: answers.pop() if len(answers) > 1 else answers[0])

    await desk.fill_ticket(qty="10")
    await desk.submit()
    await expect(desk.note).to_have_text("Placed: Buy 10 IBM at the market.")
    await desk.submit()
    await expect(desk.note).to_have_text("Placed: Buy 10 IBM at the market.")

    sent = server.bodies("POST /api/orders")
    ids = [body.pop("clientOrderId") for body in sent]
    assert sent == [{"symbol": "IBM", "side": "buy", "type": "market", "qty": 10}] * 4
    assert ids[0] == ids[1] == ids[2] != ids[3]


async def test_a_submit_of_unknown_outcome_keeps_its_client_order_id_for_the_next_try(
    server: ScriptedServer, desk: Desk
) -> None:
    busy = (*error(503, "come back in an hour")[:2], {"retry-after": "3600"})
    await _with_ticket(server, desk)
    server.on("POST /api/orders", lambda _: busy)

    await desk.fill_ticket(qty="10")
    await desk.submit()
    await expect(desk.failure).to_have_text("come back in an hour")
    server.on("POST /api/orders", lambda _: (201, an_order()))
    await desk.submit()
    await expect(desk.note).to_have_text("Placed: Buy 10 IBM at the market.")

    ids = [body["clientOrderId"] for body in server.bodies("POST /api/orders")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_data_becomes_text_whatever_it_looks_like(server: ScriptedServer, desk: Desk) -> None:
    markup = '<img src=x onerror="throw 1"><b>bold</b>'
    hostile = {**IBM, "symbol": markup}
    feed = ("price:update", {"initializing": True, "prices": [hostile]})
    server.on("GET /api/stream/prices", lambda _: stream(feed))
    rejected = an_order(symbol=markup, status="rejected", reason=markup)
    server.let_in(markup, orders=[rejected])

    await desk.open(ORIGIN)

    await expect(desk.quotes.get_by_role("button")).to_have_text(markup)
    await expect(desk.orders.locator(".reason")).to_have_text(markup)
    await expect(desk.page.locator("#user")).to_have_text(markup)
    assert await desk.page.locator("main img, main b:has-text('bold')").count() == 0


async def test_an_order_that_cannot_be_canceled_any_more_says_why(
    server: ScriptedServer, desk: Desk
) -> None:
    server.let_in("alice", orders=[an_order(orderId="a/b")])
    server.on("DELETE /api/orders/a%2Fb", lambda _: error(409, "It is filled already."))
    await desk.open(ORIGIN)

    await desk.orders.get_by_role("button", name="Cancel").click()

    notices = desk.page.get_by_role("log")
    await expect(notices).to_contain_text("Not canceled: Buy 10 IBM at the market.")
    await expect(notices).to_contain_text("It is filled already.")


@pytest.mark.parametrize("width", [320, 400, 800, 1100, 1280])
async def test_nothing_sticks_out_on_any_screen(
    server: ScriptedServer, desk: Desk, width: int
) -> None:
    long = an_order(
        type="limit", limitPrice=1234.5678, qty=12345, filledQty=2345, filledAvgPrice=1234.567891,
        status="partially_filled", reason="a reason that somebody took some time to write down",
    )  # fmt: skip
    server.let_in("somebody-with-a-rather-long-user-name@example.com", orders=[long])
    await desk.page.set_viewport_size({"width": width, "height": 800})
    await desk.open(ORIGIN)
    await expect(desk.orders).to_have_count(1)

    sticking_out = await desk.page.evaluate(
        """() => [...document.querySelectorAll('.panel, header')].flatMap((panel) =>
            [...panel.querySelectorAll('*')].filter((part) =>
                part.getClientRects().length > 0
                && !part.closest('.sr-only')
                && part.getBoundingClientRect().right
                   > Math.min(panel.getBoundingClientRect().right, innerWidth) + 0.5
            ).map((part) => part.className + ': ' + part.textContent.slice(0, 40)))"""
    )

    assert sticking_out == []
