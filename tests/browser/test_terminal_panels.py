"""The terminal's panels against the running system, by what they show.

Further panels: orders and the ticket in test_terminal.py, news items and views in
test_dashboard.py, notifications in test_notification_bell.py, those for admins in
test_terminal_operations.py.
"""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, Page, ViewportSize, expect

from tests.browser.conftest import OpenPage
from tests.browser.filled_account import SLOW_RULE, AccountApi, fill_account
from tests.browser.page_event_publisher import open_page_event_publisher
from tests.browser.terminal_page import TerminalPage
from tests.harness.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDE_SIZE: ViewportSize = {"width": 1600, "height": 1000}
PHONE_SIZE: ViewportSize = {"width": 390, "height": 844}
SYMBOL = "IBM"


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture(loop_scope="session")
async def terminal(page: Page) -> TerminalPage:
    await page.set_viewport_size(WIDE_SIZE)
    return TerminalPage(page)


@pytest.fixture
def api(context: BrowserContext, stack: Stack) -> AccountApi:
    """The calls of whoever is signed in on the pages."""
    return AccountApi(context, stack.url)


class StrategiesPanel:
    """What a person does in the panel of strategies."""

    def __init__(self, terminal: TerminalPage) -> None:
        self.page = terminal.page
        self.panel = terminal.panel("strategies")
        self.rows = terminal.rows("strategies")
        self.dialog = terminal.page.get_by_role("dialog")
        self.question = terminal.page.get_by_role("alertdialog")

    def row(self, name: str) -> Locator:
        return self.rows.filter(has=self.page.get_by_role("rowheader", name=name, exact=True))

    def status(self, name: str) -> Locator:
        return self.row(name).locator('[data-column="status"]')

    async def fill_form(self, **fields: str) -> None:
        """Fill in the open form; the names of fields are written with underscores."""
        for label, text in fields.items():
            await self.dialog.get_by_label(label.replace("_", " ").capitalize()).fill(text)

    async def create(self, **fields: str) -> None:
        await self.panel.get_by_role("button", name="New strategy").click()
        await self.fill_form(**fields)
        await self.submit("Create the strategy")
        await expect(self.dialog).to_have_count(0)

    async def submit(self, label: str) -> None:
        await self.dialog.get_by_role("button", name=label).click()

    async def press(self, action: str, name: str) -> None:
        await self.row(name).get_by_role("button", name=f"{action} {name}", exact=True).click()

    async def answer(self, label: str) -> None:
        await self.question.get_by_role("button", name=label).click()
        await expect(self.question).to_have_count(0)


async def test_panels_of_strategies_and_operations_are_full_of_what_there_is(
    stack: Stack, api: AccountApi, terminal: TerminalPage, user: str
) -> None:
    await api.sign_in(user, "admin")
    async with open_page_event_publisher(stack.nats_url) as publisher:
        await fill_account(api, publisher, user, SYMBOL)

    await terminal.open(stack.url, "/strategies")
    for table in ("strategies", "decisions", "alert-rules", "alerts"):
        rows = terminal.page.locator(f'[data-table="{table}"] tbody tr')
        await expect(rows.nth(2)).to_be_visible()
    await terminal.open(stack.url, "/operations")
    for panel in ("services", "connections", "journal"):
        await expect(terminal.panel(panel)).to_contain_text("Ask now")


@pytest.mark.slow
class TestStrategies:
    async def test_one_is_created_started_changed_stopped_and_deleted(
        self, stack: Stack, terminal: TerminalPage, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        strategies = StrategiesPanel(terminal)
        await expect(strategies.panel).to_contain_text("No strategies yet")
        await expect(strategies.panel).to_contain_text("Service: Running")

        await strategies.create(name="Averages", long_average="900", quantity="3")
        await expect(strategies.status("Averages")).to_have_text("Not started")
        await strategies.press("Start", "Averages")
        await expect(strategies.status("Averages")).to_have_text("Running")

        await strategies.press("Change", "Averages")
        await expect(strategies.dialog.get_by_label("Long average")).to_have_value("900")
        await strategies.fill_form(name="Better", quantity="7")
        await strategies.submit("Change the strategy")
        await strategies.row("Better").click()
        details = strategies.panel.get_by_role("region", name="Better")
        await expect(details).to_contain_text("7 shares an order")
        await expect(details).to_contain_text("the average of 3 prices rises above that of 900")

        await strategies.press("Stop", "Better")
        await expect(strategies.question).to_contain_text("It holds nothing")
        await strategies.answer("Stop the strategy")
        await expect(strategies.status("Better")).to_have_text("Stopped")
        await strategies.press("Start", "Better")  # a pause has an end
        await expect(strategies.status("Better")).to_have_text("Running")
        await strategies.press("Stop", "Better")
        await strategies.answer("Stop the strategy")
        await strategies.press("Delete", "Better")
        await strategies.answer("Delete the strategy")
        await expect(strategies.status("Better").filter(has_text="Stopped")).to_have_count(0)
        await expect(strategies.row("Better").get_by_role("button")).to_have_count(0)

    async def test_decisions_orders_and_executions_appear_live_under_its_name(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        by_hand = await api.place_limit_order(SYMBOL)
        decisions = terminal.rows("decisions")
        await expect(terminal.panel("decisions")).to_contain_text("No decisions yet")

        strategy = await api.create_strategy(SYMBOL, "Averages", maxTrades=1)
        await api.create_strategy(SYMBOL, "Another")
        await api.start_strategy(strategy)

        acted = decisions.filter(has_text="Averages: acted on it")
        await expect(acted).to_have_count(1)
        await expect(acted).to_contain_text(re.compile(rf"(Buy|Sell) {SYMBOL}"))
        await expect(acted.locator('[data-column="reasoning"]')).to_have_text(
            re.compile(r"the average of 2 prices, [\d,.]+, (rose above|fell below) that of 5")
        )
        await expect(acted.locator('[data-column="confidence"]')).to_have_text(
            re.compile(r"\d+\s%")
        )
        panel = terminal.panel("decisions")
        await panel.get_by_role("radio", name="Acted on").check(force=True)
        await expect(decisions).to_have_count(1)
        await panel.get_by_label("Strategy", exact=True).select_option("Another")
        await expect(panel).to_contain_text("No decision matches")
        await panel.get_by_role("button", name="Show all decisions").click()
        await expect(decisions.nth(1)).to_be_visible()
        await expect(StrategiesPanel(terminal).status("Averages")).to_have_text("Completed")

        await terminal.page.set_viewport_size({"width": 2400, "height": 1200})
        await terminal.page.get_by_role("link", name="Trade").click()
        await terminal.show_panel("Executions")
        placed = terminal.orders.filter(has_text="Averages")
        await expect(placed).to_have_count(1)
        await expect(placed).to_contain_text("Filled")
        await expect(terminal.row("blotter", by_hand)).to_contain_text("You")
        await expect(terminal.executions.first).to_contain_text("Averages")

    async def test_a_stop_can_close_the_position(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        strategies = StrategiesPanel(terminal)
        quick = await api.create_strategy(SYMBOL, "Quick", maxTrades=1, stopLoss=_loss(90))
        await api.start_strategy(quick)
        holds = strategies.row("Quick").locator('[data-column="position"]')
        await expect(holds).to_have_text(re.compile("[+-]1"))

        await strategies.press("Stop", "Quick")
        await expect(strategies.question).to_contain_text(re.compile(f"It holds -?1 {SYMBOL}"))
        await strategies.question.get_by_label("Close the position at the market").check()
        await strategies.answer("Stop the strategy")

        await expect(holds).to_have_text("0")
        await expect(strategies.status("Quick")).to_have_text(re.compile("Stopped|Completed"))

    async def test_what_the_server_refuses_is_said_beside_its_field(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        strategies = StrategiesPanel(terminal)
        await strategies.panel.get_by_role("button", name="New strategy").click()

        for field, text, words in (
            ("Short average", "9", "fewer prices"),
            ("Long average", "1001", "4 to 1000, not 1001"),
            ("Complete after", "1000001", "1000000"),
            ("Gain that closes the position", "0.00001", "decimal"),
        ):
            await strategies.dialog.get_by_label(field).fill(text)
            await strategies.submit("Create the strategy")
            wrong = strategies.dialog.get_by_label(field)
            await expect(wrong).to_have_accessible_description(re.compile(words))
            await expect(wrong).to_be_focused()
            await wrong.fill({"Short average": "3", "Long average": "9"}.get(field, ""))

        assert (await api.get("/api/strategies"))["strategies"] == []
        await strategies.submit("Create the strategy")
        await expect(strategies.rows).to_have_count(1)

    async def test_a_phone_has_every_action_in_the_details(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.page.set_viewport_size(PHONE_SIZE)
        await api.sign_in(user)
        await api.create_strategy(SYMBOL, "Waits", rule=SLOW_RULE)
        await terminal.open(stack.url, "/strategies")
        strategies = StrategiesPanel(terminal)

        await strategies.row("Waits").click()
        details = strategies.panel.get_by_role("region", name="Waits")
        await details.get_by_role("button", name="Start Waits").click()
        await expect(strategies.status("Waits")).to_have_text("Running")
        await details.get_by_role("button", name="Stop Waits").click()
        await strategies.answer("Stop the strategy")
        await expect(strategies.status("Waits")).to_have_text("Stopped")
        await details.get_by_role("button", name="Show its decisions").click()
        decisions = terminal.panel("decisions")
        await expect(decisions).to_be_in_viewport()
        chosen = decisions.get_by_label("Strategy", exact=True).locator("option:checked")
        await expect(chosen).to_have_text("Waits")

    async def test_a_demo_strategy_is_the_next_step_of_an_empty_panel(
        self, stack: Stack, terminal: TerminalPage, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")

        await terminal.panel("strategies").get_by_role("button", name="Start a demo").click()

        await expect(terminal.rows("strategies")).to_contain_text("Running")
        await expect(terminal.rows("decisions").first).to_be_visible()


@pytest.mark.slow
class TestAlertRules:
    async def test_a_rule_is_armed_fires_is_armed_again_and_deleted(
        self, stack: Stack, terminal: TerminalPage, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        page, panel = terminal.page, terminal.panel("alerts")
        rules = page.locator('[data-table="alert-rules"] tbody tr')
        alerts = page.locator('[data-table="alerts"] tbody tr')
        symbol = await page.locator(".search-symbol").inner_text()

        await panel.get_by_role("button", name="New rule").click()
        form = page.get_by_role("dialog")
        await form.get_by_label("Price", exact=False).last.fill("0.02")
        await form.get_by_label("How loud").select_option("Error")
        await form.get_by_role("button", name="Arm the rule").click()

        await expect(form).to_have_count(0)
        await expect(rules).to_contain_text(f"Price of {symbol} above 0.02")
        await expect(rules).to_contain_text("Triggered")
        await expect(alerts).to_have_count(1)
        await expect(alerts).to_contain_text(re.compile(rf"{symbol} is at [\d,.]+, above 0.02"))
        await expect(alerts).to_contain_text("Error")
        await expect(terminal.messages).to_contain_text(f"Urgent alert: {symbol}")
        await rules.get_by_role("button", name="Arm again").click()
        await expect(alerts).to_have_count(2)
        await expect(rules).to_contain_text("Triggered")
        await rules.get_by_role("button", name="Delete").click()
        await expect(rules).to_have_count(0)
        await expect(panel).to_contain_text("No alert rules yet")
        await expect(alerts).to_have_count(2)

    @pytest.mark.parametrize("kind", ["Order rejected", "Move in percent"])
    async def test_rules_of_other_kinds_fire(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str, kind: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        page = terminal.page
        await terminal.panel("alerts").get_by_role("button", name="New rule").click()
        form = page.get_by_role("dialog")
        await form.get_by_label("When").select_option(kind)
        if kind == "Order rejected":
            await form.get_by_role("button", name="Any symbol").click()
        else:
            await form.get_by_label("Move, up or down").fill("0.001")
        await form.get_by_role("button", name="Arm the rule").click()
        await expect(form).to_have_count(0)
        if kind == "Order rejected":
            await expect(terminal.panel("alerts")).to_contain_text("An order for any symbol is")
            await api.place_limit_order(SYMBOL, qty=1_000_000, limitPrice=100_000)

        await expect(page.locator('[data-table="alerts"] tbody tr')).to_have_count(1)

    async def test_what_the_server_refuses_is_said_beside_its_field(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user, "/strategies")
        await terminal.panel("alerts").get_by_role("button", name="New rule").click()
        form = terminal.page.get_by_role("dialog")
        await form.get_by_label("When").select_option("Move in percent")

        for field, text, words in (
            ("Within", "86401", "1 to 86400, not 86401"),
            ("Within", "0", r"\d"),
            ("Move, up or down", "", r"\w"),
        ):
            good = await form.get_by_label(field).input_value()
            await form.get_by_label(field).fill(text)
            await form.get_by_role("button", name="Arm the rule").click()
            wrong = form.get_by_label(field)
            await expect(wrong).to_have_attribute("aria-invalid", "true")
            await expect(wrong).to_have_accessible_description(re.compile(words))
            await wrong.fill(good)

        assert (await api.get("/api/alerts/rules"))["rules"] == []


@pytest.mark.slow
class TestReplay:
    async def test_the_slider_shows_orders_and_positions_of_its_time(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user)
        waiting = await api.place_limit_order(SYMBOL)
        await expect(terminal.row("blotter", waiting)).to_be_visible()
        await api.wait_for_order(await api.place_order(SYMBOL, qty=12), "filled")
        await expect(terminal.positions.first).to_contain_text("+12")
        await terminal.show_panel("Replay")
        replay = terminal.panel("replay")
        await expect(replay).to_contain_text("Choose a period")
        slider = replay.get_by_role("slider", name="Time")
        orders = replay.get_by_role("region", name="Orders at that time").get_by_role("listitem")
        positions = replay.get_by_role("region", name="Positions at that time")

        await replay.get_by_role("button", name="Load").click()
        await expect(orders).to_have_count(2)
        await expect(positions.get_by_role("row").filter(has_text=SYMBOL)).to_contain_text("+12")
        await slider.fill("1")
        await expect(orders).to_have_count(1)
        await expect(orders).to_contain_text(f"Buy 5 {SYMBOL} at 0.01")
        await expect(positions).to_contain_text("None")

        # The past stays as it was while the present goes on.
        await api.delete(f"/api/orders/{waiting}")
        await terminal.expect_order(terminal.row("blotter", waiting), "canceled")
        await replay.get_by_role("button", name="One on").click()
        await expect(slider).to_have_value("2")
        open_order = orders.filter(has_text="Buy 5")
        await slider.fill((await slider.get_attribute("max")) or "")
        await expect(open_order).to_contain_text("Open")

        await replay.get_by_role("button", name="Play", exact=True).click()
        await expect(slider).to_have_value(re.compile("^[1-3]$"))
        await replay.get_by_role("button", name="Pause").click()
        await replay.get_by_role("button", name="Back to live").click()
        await expect(slider).to_have_count(0)
        await expect(replay.get_by_role("button", name="Load")).to_be_focused()
        await replay.get_by_role("button", name="Load").click()
        await expect(open_order).to_contain_text("Canceled")

    async def test_a_period_has_what_happened_in_it_alone(
        self, stack: Stack, terminal: TerminalPage, api: AccountApi, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user)
        await api.create_price_rule(SYMBOL, 0.01)
        await api.wait_for_count("/api/alerts", "alerts", 1)
        await terminal.show_panel("Replay")
        replay = terminal.panel("replay")
        now = datetime.now(UTC)

        for until, words in ((now - timedelta(days=2), "Nothing happened"), (None, "Alert rule")):
            text = "" if until is None else until.strftime("%Y-%m-%dT%H:%M:%S")
            await replay.get_by_label("until").fill(text)
            await replay.get_by_role("button", name="Load").click()
            await expect(replay).to_contain_text(words)
        events = replay.get_by_role("region", name="What happened")
        await expect(events).to_contain_text(f"Alert rule triggered: Price of {SYMBOL} above")
        await expect(events).not_to_contain_text("rule:update")


@pytest.mark.slow
class TestMarket:
    async def test_panels_follow_the_symbol_the_filter_the_stars_and_the_sort(
        self, stack: Stack, terminal: TerminalPage
    ) -> None:
        await terminal.open(stack.url)
        await expect(terminal.quotes.nth(2)).to_be_visible()
        symbols = await terminal.quotes.evaluate_all("rows => rows.map((row) => row.dataset.key)")
        watchlist, page = terminal.watchlist, terminal.page

        await watchlist.get_by_label("Filter symbols").fill(symbols[1].lower())
        await expect(terminal.quotes.first).to_have_attribute("data-key", symbols[1])
        await watchlist.get_by_label("Filter symbols").fill("none such")
        await expect(watchlist).to_contain_text("No symbol matches “none such”")
        await watchlist.get_by_role("button", name="Show all symbols").click()
        await expect(terminal.quotes).to_have_count(len(symbols))

        await watchlist.get_by_role("button", name="Symbol", exact=True).click()
        await expect(watchlist.get_by_role("columnheader", name="Symbol")).to_have_attribute(
            "aria-sort", "ascending"
        )
        await watchlist.get_by_role("button", name="Symbol", exact=True).click()
        await expect(terminal.quotes.first).to_have_attribute("data-key", max(symbols))

        for symbol in symbols[:2]:
            await watchlist.get_by_role("button", name=f"{symbol} on the watchlist").click()
        await watchlist.get_by_role("radio", name="Starred 2").check(force=True)
        await expect(terminal.quotes).to_have_count(2)
        await page.reload()
        await expect(terminal.quotes).to_have_count(2)
        await watchlist.get_by_role("radio", name="All").check(force=True)
        await expect(terminal.quotes).to_have_count(len(symbols))

    async def test_the_chart_follows_the_symbol_and_tells_in_words_and_rows(
        self, stack: Stack, terminal: TerminalPage
    ) -> None:
        await terminal.open(stack.url)
        page, chart = terminal.page, terminal.panel("chart")
        await terminal.row("watchlist", SYMBOL).click()
        summary = chart.locator("summary")
        await expect(summary).to_contain_text(
            re.compile(rf"{SYMBOL} is (up|down|unchanged).*traded")
        )
        await summary.click()
        await expect(chart.get_by_role("row").nth(1)).to_be_visible()
        for interval in ("1 s", "5 min", "1 day"):
            await chart.get_by_role("radio", name=interval).check(force=True)
            await expect(summary).to_contain_text(SYMBOL)
        for control in ("Older", "Zoom in", "Zoom out", "Newest"):
            await chart.get_by_role("button", name=control).click()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.get_by_role("combobox", name="Symbol").fill("AAPL")
        await page.get_by_role("option", name="AAPL", exact=True).click()
        await expect(summary).to_contain_text("AAPL")
        await expect(page.locator(".search-symbol")).to_have_text("AAPL")


@pytest.mark.slow
class TestAccount:
    async def test_a_position_is_in_every_panel_of_the_account_and_is_closed(
        self, stack: Stack, terminal: TerminalPage, user: str
    ) -> None:
        await terminal.open_signed_in(stack.url, user)
        account, ticket = terminal.panel("account"), terminal.ticket
        await expect(account).to_contain_text("1,000,000.00")

        bought = await terminal.place_order(qty="12")
        await terminal.expect_order(bought, "filled")
        position = terminal.positions.first
        await expect(position.locator('[data-column="quantity"]')).to_have_text("+12")
        exposure = account.locator("dt:text-is('Gross exposure') + dd")
        await expect(exposure).to_have_text(re.compile(r"[1-9]"))

        await position.get_by_role("button", name="Close the position").click()
        await expect(ticket.get_by_label("Quantity")).to_have_value("12")
        await expect(ticket.get_by_role("radio", name="Sell", exact=True)).to_be_checked()
        await terminal.submit_ticket()
        await expect(terminal.positions).to_have_count(0)
        await expect(exposure).to_have_text("0.00")
        await terminal.panel("positions").get_by_label("Show 1 closed").check()
        await expect(terminal.positions).to_have_count(1)

        await terminal.show_panel("Executions")
        await expect(terminal.executions).to_have_count(2)
        sides = terminal.executions.locator('[data-column="side"]')
        assert await sides.all_inner_texts() == ["Sell", "Buy"]


@pytest.mark.slow
async def test_pages_of_a_phone_do_not_scroll_past_their_end(
    stack: Stack, api: AccountApi, open_page: OpenPage, user: str
) -> None:
    """Texts for screen readers, which are laid out without a size, must not lengthen the page."""
    terminal = TerminalPage(await open_page())
    await terminal.page.set_viewport_size(PHONE_SIZE)
    await api.sign_in(user, "admin")
    async with open_page_event_publisher(stack.nats_url) as publisher:
        await fill_account(api, publisher, user, SYMBOL)
    for path in ("/", "/#trade", "/#positions", "/strategies", "/dashboard", "/operations"):
        await terminal.open(stack.url, path)
        await terminal.expect_status("Live")
        await expect(terminal.page.locator(".panel-loading")).to_have_count(0)
        size = await terminal.page.evaluate(
            "() => { const {scrollHeight, clientHeight} = document.documentElement;"
            " return scrollHeight - clientHeight; }"
        )
        assert size <= 0, f"{path} is {size} px too long"


def _loss(percent: float) -> dict[str, object]:
    return {"kind": "fixed", "percent": percent}
