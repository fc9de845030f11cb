"""The page against the running system, as its user lives through it."""

import asyncio
import os
import re
import signal
import uuid

import pytest
from playwright.async_api import Page, expect

from tests.browser.cable import plugged_into
from tests.browser.conftest import OpenPage
from tests.browser.desk import Desk
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECOVERY_MS = 120_000
"""Patience: the page is itself again half a minute after a fault (FEATURES D7), on a machine that
has nothing else to do."""


@pytest.fixture
def user() -> str:
    """Nobody else's, so that tests share a running system and nothing more."""
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture
def desk(page: Page) -> Desk:
    return Desk(page)


async def _orders_of(desk: Desk, url: str) -> dict[str, str]:
    """What the server knows: order id to status."""
    answer = await desk.page.request.get(f"{url}/api/orders")
    return {order["orderId"]: order["status"] for order in (await answer.json())["orders"]}


async def test_quotes_move_without_signing_in(stack: Stack, desk: Desk) -> None:
    await desk.open(stack.url)

    await desk.expect_moving_quotes(seconds=60)
    await expect(desk.prices).to_have_attribute("data-state", "live")
    await expect(desk.trading).to_contain_text("signed out")


async def test_a_market_order_fills(stack: Stack, desk: Desk, user: str) -> None:
    await desk.signed_in(stack.url, user)

    row = await desk.place(qty="10")

    await expect(row).to_have_attribute("data-status", "filled")
    await expect(row.locator(".filled-words")).to_have_text("10 / 10")
    await expect(row.locator(".average")).to_have_text(re.compile(r"^[0-9,]+\.[0-9]{2,4}$"))
    await expect(desk.executions.first).to_contain_text("Bought")


async def test_a_limit_order_waits_until_it_is_canceled(
    stack: Stack, desk: Desk, user: str
) -> None:
    await desk.signed_in(stack.url, user)

    row = await desk.place(qty="10", limit="0.01")
    await expect(row).to_have_attribute("data-status", "new")
    await row.get_by_role("button", name="Cancel").click()

    await expect(row).to_have_attribute("data-status", "canceled")
    await expect(row.get_by_role("button")).to_have_count(0)
    await expect(row.locator(".filled-words")).to_have_text("0 / 10")


async def test_a_limit_order_beyond_the_touch_fills(stack: Stack, desk: Desk, user: str) -> None:
    await desk.signed_in(stack.url, user)

    row = await desk.place(side="Sell", qty="10", limit="0.01")

    await expect(row).to_have_attribute("data-status", "filled")


@pytest.mark.parametrize("qty", ["0", "-5"])
async def test_a_bad_quantity_is_an_error_beside_its_field(
    stack: Stack, desk: Desk, user: str, qty: str
) -> None:
    await desk.signed_in(stack.url, user)

    await desk.fill_ticket(qty=qty)
    await desk.submit()

    await desk.expect_error_beside("Quantity", re.compile(r"\w+"))
    assert await _orders_of(desk, stack.url) == {}


async def test_orders_survive_a_reload(stack: Stack, desk: Desk, user: str) -> None:
    await desk.signed_in(stack.url, user)
    await desk.place(limit="0.01")
    await desk.place(limit="0.02")
    before = await desk.order_ids()

    await desk.page.reload()

    await expect(desk.orders).to_have_count(2)
    assert sorted(await desk.order_ids()) == sorted(before)


async def test_every_tab_of_a_user_sees_every_order(
    stack: Stack, open_page: OpenPage, user: str
) -> None:
    here, there = Desk(await open_page()), Desk(await open_page())
    await here.signed_in(stack.url, user)
    await there.open(stack.url)
    await expect(there.trading).to_have_attribute("data-state", "live")

    await here.place(limit="0.01")

    await expect(there.orders).to_have_count(1)


async def test_what_happens_while_the_cable_is_pulled_is_there_afterwards(
    stack: Stack, desk: Desk, user: str
) -> None:
    async with plugged_into(int(stack.url.rpartition(":")[2])) as (cable, near):
        await desk.signed_in(near, user)
        await desk.place(limit="0.01")
        symbol = await desk.ticket.get_by_label("Symbol").input_value()

        cable.pull()
        await expect(desk.trading).to_have_attribute("data-state", "reconnecting")
        await expect(desk.prices).to_have_attribute("data-state", "reconnecting")
        for _ in range(3):
            wish = {"symbol": symbol, "side": "buy", "type": "limit", "qty": 1, "limitPrice": 0.01}
            answer = await desk.page.request.post(f"{stack.url}/api/orders", data=wish)
            assert answer.status == 201
        cable.plug_in()

        await expect(desk.orders).to_have_count(4, timeout=RECOVERY_MS)
        await expect(desk.trading).to_have_attribute("data-state", "live")
        await expect(desk.prices).to_have_attribute("data-state", "live", timeout=RECOVERY_MS)


async def test_nothing_is_lost_when_the_message_server_is_killed(
    stack: Stack, desk: Desk, user: str
) -> None:
    await desk.signed_in(stack.url, user)
    await desk.place(limit="0.01")
    filled = await desk.place(qty="10")
    await expect(filled).to_have_attribute("data-status", "filled")
    killed = stack.nats_pid()

    os.kill(killed, signal.SIGKILL)
    await desk.fill_ticket(qty="7")
    # Again and again, as its user would: all of these are one order.
    async with asyncio.timeout(RECOVERY_MS / 1000):
        while not (await desk.note.inner_text()).startswith("Placed: Buy 7 "):
            await desk.submit()
            await desk.page.wait_for_function(
                "() => !document.querySelector('#ticket-fields').disabled",
                timeout=RECOVERY_MS,
            )

    await asyncio.to_thread(stack.pid, "nats", other_than=killed)
    await expect(desk.orders).to_have_count(3, timeout=RECOVERY_MS)
    await expect(desk.page.locator('tr[data-status="filled"]')).to_have_count(2)
    known = await _orders_of(desk, stack.url)
    assert sorted(await desk.order_ids()) == sorted(known)
    await expect(desk.trading).to_have_attribute("data-state", "live", timeout=RECOVERY_MS)
    await expect(desk.prices).to_have_attribute("data-state", "live", timeout=RECOVERY_MS)
    await desk.expect_moving_quotes(seconds=RECOVERY_MS / 1000)
    afterwards = await desk.place(qty="10")
    await expect(afterwards).to_have_attribute("data-status", "filled")


async def test_signing_out_closes_the_stream_on_every_tab(
    stack: Stack, open_page: OpenPage, user: str
) -> None:
    here, there = Desk(await open_page()), Desk(await open_page())
    await here.signed_in(stack.url, user)
    await here.place(limit="0.01")
    await there.open(stack.url)
    await expect(there.orders).to_have_count(1)

    await here.page.get_by_role("button", name="Sign out").click()

    for desk in (here, there):
        await expect(desk.trading).to_have_attribute("data-state", "signed-out")
        await expect(desk.orders).to_have_count(0)
        await expect(desk.page.get_by_label("User name")).to_be_visible()
    await expect(there.page.get_by_role("alert")).to_contain_text("Your session has ended")
    assert (await here.page.request.get(f"{stack.url}/api/session")).status == 401
