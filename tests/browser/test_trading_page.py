"""The trading page against the running system, as its user sees it."""

import asyncio
import os
import re
import signal
import uuid

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.network_link import run_network_link
from tests.browser.trading_page import TradingPage
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECOVERY_TIMEOUT_MS = 120_000
"""The page recovers within half a minute after a fault (FEATURES D7) on a machine that has nothing
else to do; this timeout allows for a busy one."""
STALE_TIMEOUT_MS = 8_000
"""Quotes are stale after four seconds; this timeout allows for a busy machine."""


@pytest.fixture
def user() -> str:
    """A user name that no other test uses, so tests can share one running system."""
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture
def trading_page(page: Page) -> TradingPage:
    return TradingPage(page)


async def _order_statuses(trading_page: TradingPage, url: str) -> dict[str, str]:
    """The status of each order on the server, by order id."""
    answer = await trading_page.page.request.get(f"{url}/api/orders")
    return {order["orderId"]: order["status"] for order in (await answer.json())["orders"]}


async def test_quotes_update_without_sign_in(stack: Stack, trading_page: TradingPage) -> None:
    await trading_page.open(stack.url)

    await trading_page.expect_moving_quotes(seconds=60)
    await expect(trading_page.prices).to_have_attribute("data-state", "live")
    await expect(trading_page.trading).to_contain_text("signed out")


async def test_a_market_order_fills(stack: Stack, trading_page: TradingPage, user: str) -> None:
    await trading_page.open_signed_in(stack.url, user)

    row = await trading_page.place_order(qty="10")

    await expect(row).to_have_attribute("data-status", "filled")
    await expect(row.locator(".filled-words")).to_have_text("10 / 10")
    await expect(row.locator(".average")).to_have_text(re.compile(r"^[0-9,]+\.[0-9]{2,4}$"))
    await expect(trading_page.executions.first).to_contain_text("Bought")


async def test_limit_order_stays_open_until_canceled(
    stack: Stack, trading_page: TradingPage, user: str
) -> None:
    await trading_page.open_signed_in(stack.url, user)

    row = await trading_page.place_order(qty="10", limit="0.01")
    await expect(row).to_have_attribute("data-status", "new")
    await row.get_by_role("button", name="Cancel").click()

    await expect(row).to_have_attribute("data-status", "canceled")
    await expect(row.get_by_role("button")).to_have_count(0)
    await expect(row.locator(".filled-words")).to_have_text("0 / 10")


async def test_a_stop_order_and_its_terms_are_shown_until_it_is_canceled(
    stack: Stack, trading_page: TradingPage, user: str
) -> None:
    await trading_page.open_signed_in(stack.url, user)

    await trading_page.place_order(qty="10")
    row = await trading_page.place_order(
        side="Sell", qty="10", stop="0.01", time_in_force="day", reduce_only=True
    )
    await expect(row.locator(".terms")).to_have_text("market, stop 0.01, day, reduce only")
    await expect(row).to_have_attribute("data-status", "new")
    await row.get_by_role("button", name="Cancel").click()

    await expect(row).to_have_attribute("data-status", "canceled")


async def test_a_limit_order_beyond_the_touch_fills(
    stack: Stack, trading_page: TradingPage, user: str
) -> None:
    await trading_page.open_signed_in(stack.url, user)

    row = await trading_page.place_order(side="Sell", qty="10", limit="0.01")

    await expect(row).to_have_attribute("data-status", "filled")


@pytest.mark.parametrize("qty", ["0", "-5"])
async def test_invalid_quantity_shows_an_error_beside_its_field(
    stack: Stack, trading_page: TradingPage, user: str, qty: str
) -> None:
    await trading_page.open_signed_in(stack.url, user)

    await trading_page.fill_ticket(qty=qty)
    await trading_page.submit_ticket()

    await trading_page.expect_error_beside("Quantity", re.compile(r"\w+"))
    assert await _order_statuses(trading_page, stack.url) == {}


async def test_orders_survive_a_reload(stack: Stack, trading_page: TradingPage, user: str) -> None:
    await trading_page.open_signed_in(stack.url, user)
    await trading_page.place_order(limit="0.01")
    await trading_page.place_order(limit="0.02")
    before = await trading_page.order_ids()

    await trading_page.page.reload()

    await expect(trading_page.orders).to_have_count(2)
    assert sorted(await trading_page.order_ids()) == sorted(before)


async def test_every_tab_of_a_user_sees_every_order(
    stack: Stack, open_page: OpenPage, user: str
) -> None:
    here, there = TradingPage(await open_page()), TradingPage(await open_page())
    await here.open_signed_in(stack.url, user)
    await there.open(stack.url)
    await expect(there.trading).to_have_attribute("data-state", "live")

    await here.place_order(limit="0.01")

    await expect(there.orders).to_have_count(1)


async def test_order_changes_of_an_outage_appear_after_reconnecting(
    stack: Stack, trading_page: TradingPage, user: str
) -> None:
    async with run_network_link(int(stack.url.rpartition(":")[2])) as (cable, near):
        await trading_page.open_signed_in(near, user)
        await trading_page.place_order(limit="0.01")
        symbol = await trading_page.ticket.get_by_label("Symbol").input_value()

        cable.disconnect()
        await expect(trading_page.trading).to_have_attribute("data-state", "reconnecting")
        await expect(trading_page.prices).to_have_attribute("data-state", "reconnecting")
        for _ in range(3):
            wish = {"symbol": symbol, "side": "buy", "type": "limit", "qty": 1, "limitPrice": 0.01}
            answer = await trading_page.page.request.post(f"{stack.url}/api/orders", data=wish)
            assert answer.status == 201
        cable.reconnect()

        await expect(trading_page.orders).to_have_count(4, timeout=RECOVERY_TIMEOUT_MS)
        await expect(trading_page.trading).to_have_attribute("data-state", "live")
        await expect(trading_page.prices).to_have_attribute(
            "data-state", "live", timeout=RECOVERY_TIMEOUT_MS
        )


async def test_no_order_is_lost_when_the_message_server_is_killed(
    stack: Stack, trading_page: TradingPage, user: str
) -> None:
    await trading_page.open_signed_in(stack.url, user)
    await trading_page.place_order(limit="0.01")
    filled = await trading_page.place_order(qty="10")
    await expect(filled).to_have_attribute("data-status", "filled")
    killed = stack.nats_pid()

    os.kill(killed, signal.SIGKILL)
    await trading_page.fill_ticket(qty="7")
    # The user submits several times; all of these submissions are one order.
    async with asyncio.timeout(RECOVERY_TIMEOUT_MS / 1000):
        while not (await trading_page.note.inner_text()).startswith("Placed: Buy 7 "):
            await trading_page.submit_ticket()
            await trading_page.page.wait_for_function(
                "() => !document.querySelector('#ticket-fields').disabled",
                timeout=RECOVERY_TIMEOUT_MS,
            )

    await asyncio.to_thread(stack.pid, "nats", other_than=killed)
    await expect(trading_page.orders).to_have_count(3, timeout=RECOVERY_TIMEOUT_MS)
    await expect(trading_page.page.locator('tr[data-status="filled"]')).to_have_count(2)
    known = await _order_statuses(trading_page, stack.url)
    assert sorted(await trading_page.order_ids()) == sorted(known)
    await expect(trading_page.trading).to_have_attribute(
        "data-state", "live", timeout=RECOVERY_TIMEOUT_MS
    )
    await expect(trading_page.prices).to_have_attribute(
        "data-state", "live", timeout=RECOVERY_TIMEOUT_MS
    )
    await trading_page.expect_moving_quotes(seconds=RECOVERY_TIMEOUT_MS / 1000)
    afterwards = await trading_page.place_order(qty="10")
    await expect(afterwards).to_have_attribute("data-status", "filled")


async def test_sign_out_closes_the_stream_on_every_tab(
    stack: Stack, open_page: OpenPage, user: str
) -> None:
    here, there = TradingPage(await open_page()), TradingPage(await open_page())
    await here.open_signed_in(stack.url, user)
    await here.place_order(limit="0.01")
    await there.open(stack.url)
    await expect(there.orders).to_have_count(1)

    await here.page.get_by_role("button", name="Sign out").click()

    for tab in (here, there):
        await expect(tab.trading).to_have_attribute("data-state", "signed-out")
        await expect(tab.orders).to_have_count(0)
        await expect(tab.page.get_by_label("User name")).to_be_visible()
    await expect(there.page.get_by_role("alert")).to_contain_text("Your session has ended")
    assert (await here.page.request.get(f"{stack.url}/api/session")).status == 401


@pytest.mark.parametrize("name", ["prices", "edge-0"])
async def test_frozen_prices_do_not_look_live(
    stack: Stack, trading_page: TradingPage, user: str, name: str
) -> None:
    """The edge says so of a feed that stands still; of an edge that does, the page finds out."""
    await trading_page.open_signed_in(stack.url, user)
    await trading_page.expect_moving_quotes(seconds=60)
    await expect(trading_page.prices).to_have_attribute("data-state", "live")
    touch = trading_page.page.locator("#touch")
    await expect(touch).not_to_contain_text("Not live")

    pid = stack.kill(name, signal.SIGSTOP)
    try:
        await expect(trading_page.prices).to_have_attribute(
            "data-state", re.compile("stale|reconnecting"), timeout=STALE_TIMEOUT_MS
        )
        await expect(touch).to_contain_text("Not live since")
        await expect(trading_page.page.locator("#quotes-note")).to_contain_text("Not live")
    finally:
        os.kill(pid, signal.SIGCONT)

    await expect(trading_page.prices).to_have_attribute("data-state", "live")
    await expect(touch).not_to_contain_text("Not live")
