"""The terminal's panels for admins against the running system: services, connections, the journal,
and the explanation of one event from its command to the screen."""

import re
import signal
import uuid
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import new_context, page_opener
from tests.browser.filled_account import AccountApi
from tests.browser.terminal_page import TerminalPage
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until_async

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

SERVICES = ("prices", "orders", "positions", "strategies", "insights", "alerts", "edge")
RECORD_TEXTS_SCRIPT = """(panel) => {
    window.seenTexts = new Set();
    new MutationObserver(() => window.seenTexts.add(panel.innerText))
        .observe(panel, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture
def user() -> str:
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture
def api(context: BrowserContext, stack: Stack) -> AccountApi:
    return AccountApi(context, stack.url)


@pytest_asyncio.fixture(loop_scope="session")
async def terminal(page: Page, stack: Stack, api: AccountApi, user: str) -> TerminalPage:
    """The page for operations, open for an admin."""
    await page.set_viewport_size({"width": 1600, "height": 1000})
    await api.sign_in(user, "admin")
    made = TerminalPage(page)
    await made.open(stack.url, "/operations")
    await made.expect_status("Live")
    return made


async def test_users_who_are_no_admins_are_told_so(stack: Stack, page: Page, user: str) -> None:
    terminal = TerminalPage(page)
    await terminal.open_signed_in(stack.url, user, "/operations")

    for panel in ("services", "connections", "journal", "explain"):
        await expect(terminal.panel(panel)).to_contain_text("For admins")
    await terminal.panel("services").get_by_role("button", name="Sign in as somebody else").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_services_shows_each_process_and_the_one_that_replaces_it(
    stack: Stack, terminal: TerminalPage
) -> None:
    services = terminal.panel("services")
    processes = services.get_by_role("table", name="Services")
    lags = services.get_by_role("table", name="How far behind the journal they are")
    for service in SERVICES:
        row = processes.get_by_role("row").filter(has_text=service)
        await expect(row.first).to_contain_text("Running")
    names = await lags.locator("tbody tr").all_inner_texts()
    assert len(names) == len({tuple(name.split("\t")[:2]) for name in names})
    await expect(lags.get_by_role("row").filter(has_text="ev.*.orders.>").first).to_be_visible()

    await terminal.show_panel("Strategies")
    strategies = terminal.panel("strategies")
    await expect(strategies).to_contain_text("Service: Running")
    await strategies.evaluate(RECORD_TEXTS_SCRIPT)
    stopped = stack.kill("strategies", signal.SIGTERM)
    stack.pid("strategies", other_than=stopped)

    row = processes.get_by_role("row").filter(has_text="strategies")
    await expect(row.filter(has_not_text=f"-{stopped}")).to_contain_text("Running")
    await expect(strategies).to_contain_text("Service: Running")
    seen = await terminal.page.evaluate("() => [...window.seenTexts].join()")
    assert re.search("Service: (Stopped|Starting)", seen)


async def test_connections_are_counted_by_stream_and_user(
    stack: Stack, terminal: TerminalPage, context: BrowserContext, user: str
) -> None:
    connections = terminal.panel("connections")
    by_user = connections.get_by_role("table", name="By user").get_by_role("row")
    await expect(by_user.filter(has_text=user)).to_contain_text("1")
    streams = connections.get_by_role("table", name="By stream")
    await expect(streams.get_by_role("row").filter(has_text="topics")).to_be_visible()
    processes = connections.get_by_role("table", name="Processes of the edge")
    await expect(processes).to_contain_text("follows the journal")
    await expect(connections).to_contain_text(re.compile("No connection is slow|Slowest readers"))

    browser = context.browser
    assert browser is not None
    other = f"other{user}"
    async with new_context(browser) as elsewhere, page_opener(elsewhere) as open_elsewhere:
        await TerminalPage(await open_elsewhere()).open_signed_in(stack.url, other, "/strategies")
        await expect(by_user.filter(has_text=other)).to_contain_text("1")
    await expect(by_user.filter(has_text=other)).to_have_count(0)


async def test_the_journal_grows_with_each_event(terminal: TerminalPage, api: AccountApi) -> None:
    journal = terminal.panel("journal")
    await expect(journal).to_contain_text(re.compile("No event is parked|could not handle"))
    count = journal.locator("dt:text-is('Events') + dd")
    size = journal.locator("dt:text-is('Size') + dd")
    await expect(size).to_have_text(re.compile(r"[1-9].* of [1-9].*B"))
    before = _number(await count.inner_text())

    await api.place_limit_order("IBM")

    await journal.get_by_role("button", name="Ask now").click()

    async def has_grown() -> bool:
        return _number(await count.inner_text()) > before

    await wait_until_async("the journal has more events", has_grown)


async def test_an_order_is_followed_from_its_command_to_the_screen(
    terminal: TerminalPage, api: AccountApi, user: str
) -> None:
    order = await api.place_limit_order("IBM")
    found = await _find_event(api, user, order)
    explain = terminal.panel("explain")
    await expect(explain.get_by_role("textbox", name="User")).to_have_value(user)

    await explain.get_by_role("textbox", name="Event").fill(found["id"])
    await terminal.page.keyboard.press("Enter")

    answer = explain.get_by_role("region", name="The explanation")
    await expect(answer.get_by_role("status")).to_have_text(
        "It was sent on 1 of the user's connections."
    )
    await expect(answer).to_contain_text(f"of {user}, orders {order}")
    await expect(answer).to_contain_text(found["event"]["correlationId"])
    await expect(answer).to_contain_text("/api/stream as order:")
    table = answer.get_by_role("table", name=f"Connections of {user}")
    await expect(table.get_by_role("row").nth(1)).to_contain_text("sent")

    # A user who may not see it, and one without a connection.
    await explain.get_by_role("textbox", name="User").fill(f"other{user}")
    await explain.get_by_role("button", name="Explain", exact=True).click()
    await expect(answer.get_by_role("status")).to_contain_text(user)
    await expect(answer.get_by_role("status")).not_to_contain_text("was sent")


@pytest.mark.parametrize(
    ("field", "text"), [("Event", "no id"), ("Event", ""), ("User", "")], ids=str
)
async def test_what_cannot_be_explained_is_said_beside_its_field(
    terminal: TerminalPage, field: str, text: str
) -> None:
    explain = terminal.panel("explain")
    await explain.get_by_role("textbox", name="Event").fill("1")
    await explain.get_by_role("textbox", name=field).fill(text)
    await explain.get_by_role("button", name="Explain", exact=True).click()

    await expect(explain.get_by_role("textbox", name=field)).to_have_accessible_description(
        re.compile(r"\w")
    )
    await expect(explain.get_by_role("region", name="The explanation")).to_have_count(0)


async def _find_event(api: AccountApi, user: str, order: str) -> dict[str, Any]:
    """The explanation of the newest event of an order."""
    newest = int((await api.get("/api/orders"))["asOf"].rpartition("-")[2])
    for sequence in range(newest, 0, -1):
        found = await api.get(f"/api/operations/explain?user={user}&event={sequence}")
        if found["event"] is not None and found["event"]["entity"] == order:
            return found
    raise AssertionError(f"no event of the order {order}")


def _number(text: str) -> int:
    return int(text.replace(",", ""))
