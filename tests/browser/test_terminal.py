"""The terminal's trading page against the running system, as its user sees it."""

import asyncio
import os
import re
import signal
import uuid
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.network_link import run_network_link
from tests.browser.terminal_page import TerminalPage
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
def terminal(page: Page) -> TerminalPage:
    return TerminalPage(page)


async def _order_statuses(terminal: TerminalPage, url: str) -> dict[str, str]:
    """The status of each order on the server, by order id."""
    answer = await terminal.page.request.get(f"{url}/api/orders")
    return {order["orderId"]: order["status"] for order in (await answer.json())["orders"]}


async def test_quotes_update_without_sign_in(stack: Stack, terminal: TerminalPage) -> None:
    await terminal.open(stack.url)

    await terminal.expect_moving_quotes()
    await terminal.expect_status("Live")
    await expect(terminal.ticket).to_contain_text("Sign in to use this panel")


async def test_a_market_order_fills(stack: Stack, terminal: TerminalPage, user: str) -> None:
    await terminal.open_signed_in(stack.url, user)

    row = await terminal.place_order(qty="10")

    await terminal.expect_order(row, "filled")
    await row.locator(".terms").click()
    await expect(terminal.panel("blotter")).to_contain_text("10 of 10")
    await expect(terminal.note).to_contain_text("filled")
    await expect(terminal.positions.first).to_contain_text("+10")
    await terminal.show_panel("Executions")
    await expect(terminal.executions.first).to_contain_text("Buy")


async def test_limit_order_stays_open_until_canceled(
    stack: Stack, terminal: TerminalPage, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)

    row = await terminal.place_order(qty="10", limit="0.01")
    await terminal.expect_order(row, "new")
    await terminal.cancel(row)

    await terminal.expect_order(row, "canceled")
    await expect(row.get_by_role("button")).to_have_count(0)
    await expect(terminal.panel("blotter")).to_contain_text("0 of 10")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"stop": "0.01", "time_in_force": "day", "reduce_only": True},
         "market, stop 0.01, day order, reduce only"),
        ({"stop": "0.02", "limit": "0.01", "confirms": True}, "limit 0.01, stop 0.02"),
    ],
    ids=["stop", "stop limit"],
)  # fmt: skip
async def test_the_terms_of_an_order_are_shown_until_it_is_canceled(
    stack: Stack, terminal: TerminalPage, user: str, terms: dict[str, Any], words: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    bought = await terminal.place_order(qty="10")
    await terminal.expect_order(bought, "filled")

    row = await terminal.place_order(side="Sell", qty="10", **terms)

    await expect(row.locator(".terms")).to_have_text(words)
    await terminal.expect_order(row, "new")
    await expect(row).to_contain_text("Waits for its stop price")
    await terminal.cancel(row)
    await terminal.expect_order(row, "canceled")


@pytest.mark.slow
async def test_an_order_is_changed(stack: Stack, terminal: TerminalPage, user: str) -> None:
    await terminal.open_signed_in(stack.url, user)
    row = await terminal.place_order(qty="10", limit="0.01")

    await row.get_by_role("button", name=re.compile("^Change")).click()
    dialog = terminal.page.get_by_role("dialog")
    await dialog.get_by_label("Limit price").fill("0.02")
    await dialog.get_by_label("Quantity").fill("7")
    await dialog.get_by_role("button", name="Change the order").click()

    await expect(dialog).to_be_hidden()
    await expect(row.locator(".terms")).to_have_text("limit 0.02")
    await expect(terminal.panel("blotter")).to_contain_text("0 of 7")


@pytest.mark.parametrize("qty", ["0", "1.000,5"])
async def test_invalid_quantity_shows_an_error_beside_its_field(
    stack: Stack, terminal: TerminalPage, user: str, qty: str
) -> None:
    await terminal.open_signed_in(stack.url, user)

    await terminal.fill_ticket(qty=qty)
    await terminal.submit_ticket()

    await terminal.expect_error_beside("Quantity", re.compile(r"\w+"))
    await expect(terminal.ticket.get_by_label("Quantity")).to_be_focused()
    assert await _order_statuses(terminal, stack.url) == {}


async def test_a_large_order_is_asked_about_before_it_is_sent(
    stack: Stack, terminal: TerminalPage, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    await expect(terminal.panel("account")).to_contain_text("Equity")

    await terminal.fill_ticket(qty="1000000")
    await terminal.submit_ticket()
    question = terminal.page.get_by_role("alertdialog")
    await expect(question).to_contain_text("of your equity")
    await question.get_by_role("button", name="Do not place it").click()

    await expect(question).to_be_hidden()
    assert await _order_statuses(terminal, stack.url) == {}
    await terminal.submit_ticket()
    await question.get_by_role("button", name="Buy 1,000,000").click()
    await expect(terminal.orders).to_have_count(1)


async def test_orders_executions_and_the_ticket_survive_a_reload_and_a_walk_through_the_pages(
    stack: Stack, terminal: TerminalPage, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    filled = await terminal.place_order(qty="10")
    await terminal.expect_order(filled, "filled")
    await terminal.place_order(limit="0.01")
    await terminal.show_panel("Executions")
    await expect(terminal.executions).to_have_count(1)
    await terminal.panel("blotter").get_by_role("radio", name="Open").check(force=True)
    await terminal.fill_ticket(qty="123", limit="0.03")
    before = await terminal.order_ids()

    async def expect_everything() -> None:
        await expect(terminal.orders).to_have_count(1)
        assert await terminal.order_ids() == before
        await expect(terminal.executions).to_have_count(1)
        await expect(terminal.ticket.get_by_label("Quantity")).to_have_value("123")
        await expect(terminal.ticket.get_by_label("Limit price")).to_have_value("0.03")

    await terminal.page.reload()
    await expect_everything()
    await terminal.page.get_by_role("link", name="News").click()
    await expect(terminal.panel("items")).to_be_visible()
    await terminal.page.go_back()
    await expect_everything()


async def test_every_tab_of_a_user_sees_every_order(
    stack: Stack, open_page: OpenPage, user: str
) -> None:
    here, there = TerminalPage(await open_page()), TerminalPage(await open_page())
    await here.open_signed_in(stack.url, user)
    await there.open(stack.url)
    await there.expect_user(user)

    await here.place_order(limit="0.01")

    await expect(there.orders).to_have_count(1)


@pytest.mark.slow
async def test_order_changes_of_an_outage_appear_after_reconnecting(
    stack: Stack, terminal: TerminalPage, user: str
) -> None:
    async with run_network_link(int(stack.url.rpartition(":")[2])) as (cable, near):
        await terminal.open_signed_in(near, user)
        await terminal.place_order(limit="0.01")
        symbol = await terminal.ticket.locator(".symbol-button > span").first.inner_text()

        cable.disconnect()
        await terminal.expect_status("Reconnecting")
        await expect(terminal.touch).to_contain_text("Not live")
        for _ in range(3):
            wish = {"symbol": symbol, "side": "buy", "type": "limit", "qty": 1, "limitPrice": 0.01}
            answer = await terminal.page.request.post(f"{stack.url}/api/orders", data=wish)
            assert answer.status == 201
        cable.reconnect()

        await expect(terminal.orders).to_have_count(4, timeout=RECOVERY_TIMEOUT_MS)
        await terminal.expect_status("Live", timeout=RECOVERY_TIMEOUT_MS)


@pytest.mark.slow
async def test_no_order_is_lost_when_the_message_server_is_killed(
    stack: Stack, terminal: TerminalPage, user: str
) -> None:
    await terminal.open_signed_in(stack.url, user)
    await terminal.place_order(limit="0.01")
    filled = await terminal.place_order(qty="10")
    await terminal.expect_order(filled, "filled")
    killed = stack.nats_pid()

    os.kill(killed, signal.SIGKILL)
    await terminal.fill_ticket(qty="7")
    # The user submits several times; all of these submissions are one order.
    async with asyncio.timeout(RECOVERY_TIMEOUT_MS / 1000):
        while not (await terminal.note.inner_text()).startswith("Buy 7 "):
            await terminal.submit_ticket()
            await expect(terminal.ticket.locator("button[type=submit]")).not_to_have_text(
                "Sending…", timeout=RECOVERY_TIMEOUT_MS
            )

    await asyncio.to_thread(stack.pid, "nats", other_than=killed)
    await expect(terminal.orders).to_have_count(3, timeout=RECOVERY_TIMEOUT_MS)
    known = await _order_statuses(terminal, stack.url)
    assert sorted(await terminal.order_ids()) == sorted(known)
    await terminal.expect_status("Live", timeout=RECOVERY_TIMEOUT_MS)
    await terminal.expect_moving_quotes(seconds=RECOVERY_TIMEOUT_MS / 1000)
    afterwards = await terminal.place_order(qty="10")
    await terminal.expect_order(afterwards, "filled")


async def test_sign_out_closes_every_tab(stack: Stack, open_page: OpenPage, user: str) -> None:
    here, there = TerminalPage(await open_page()), TerminalPage(await open_page())
    await here.open_signed_in(stack.url, user)
    await here.place_order(limit="0.01")
    await there.open(stack.url)
    await expect(there.orders).to_have_count(1)

    await here.sign_out()

    for tab in (here, there):
        await tab.expect_user("")
        await expect(tab.orders).to_have_count(0)
        await tab.expect_moving_quotes()
    assert (await here.page.request.get(f"{stack.url}/api/session")).status == 401


@pytest.mark.parametrize("name", [pytest.param("prices", marks=pytest.mark.slow), "edge-0"])
async def test_frozen_prices_do_not_look_live(
    stack: Stack, terminal: TerminalPage, user: str, name: str
) -> None:
    """The edge says so of a feed that stands still; of an edge that does, the page finds out."""
    await terminal.open_signed_in(stack.url, user)
    await terminal.expect_moving_quotes()
    await expect(terminal.touch).not_to_contain_text("Not live")

    pid = stack.kill(name, signal.SIGSTOP)
    try:
        await expect(terminal.touch).to_contain_text("Not live", timeout=STALE_TIMEOUT_MS)
        if name == "edge-0":
            await terminal.expect_status(re.compile("Not live|Reconnecting"))
    finally:
        os.kill(pid, signal.SIGCONT)

    await terminal.expect_status("Live")
    await expect(terminal.touch).not_to_contain_text("Not live")
