"""The dashboard against the running system: live, reconnecting, polling, and live again."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.board import Board
from tests.browser.cable import plugged_into
from tests.browser.conftest import OpenPage
from tests.browser.newsroom import Newsroom, newsroom
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTED_MS = 5_000
RECOVERY_MS = 30_000
"""Promises of FEATURES D7."""
STREAMS = "**/api/v2/**stream"


@pytest_asyncio.fixture(loop_scope="module")
async def news(stack: Stack) -> AsyncIterator[Newsroom]:
    async with newsroom(stack.nats_url) as made:
        yield made


@pytest.fixture
def board(page: Page) -> Board:
    return Board(page)


@pytest.fixture
def fresh() -> str:
    """A word that nothing else in the system has."""
    return f"w{uuid.uuid4().hex[:10]}"


def _port(stack: Stack) -> int:
    return int(stack.url.rpartition(":")[2])


async def test_connected_within_five_seconds_with_numbers_and_items(
    stack: Stack, board: Board, news: Newsroom, fresh: str
) -> None:
    older = await news.publish(f"{fresh} was there before", "IBM")

    await board.open(stack.url)

    await board.expect_connected(within_ms=CONNECTED_MS)
    await expect(board.item(older)).to_be_visible()
    total = board.page.locator("#total")
    before = int((await total.inner_text()).replace(",", ""))
    newer = await news.publish(f"{fresh}: a wonderful, great success", "IBM", tags=(fresh,))
    await expect(board.items.first).to_have_attribute("data-item-id", newer)
    await expect(board.item(newer).locator(".chip")).to_have_text("positive")
    await expect(total).to_have_text(f"{before + 1:,}")
    assert (await board.titles()).index(f"{fresh} was there before") == 1


async def test_a_lost_stream_is_tried_again_then_polled_for_then_streamed_again(
    stack: Stack, context: BrowserContext, board: Board, news: Newsroom, fresh: str
) -> None:
    """The whole way of D7, with every item once. The page's time is moved by hand."""
    await board.page.clock.install()
    await board.note_states()
    async with plugged_into(_port(stack)) as (cable, near):
        await board.open(near)
        await board.expect_connected()
        await news.publish(f"{fresh} 1 streamed", "IBM")
        await expect(board.items.first).to_contain_text(f"{fresh} 1")

        # A proxy, say, that lets calls through and no streams.
        await context.route(STREAMS, lambda route: route.abort())
        cable.pull()
        await board.saw("reconnecting")
        await news.publish(f"{fresh} 2 unseen", "IBM")
        cable.plug_in()
        await board.pass_time_while("live", "connecting", "reconnecting")

        await board.expect_state("polling")
        await expect(board.strip).to_contain_text("No live stream: polling instead.")
        await expect(board.strip).to_contain_text("New items are asked for every 5 seconds.")
        await expect(board.items.first).to_contain_text(f"{fresh} 2")
        await news.publish(f"{fresh} 3 polled", "IBM")
        await board.page.clock.fast_forward(6_000)
        await expect(board.items.first).to_contain_text(f"{fresh} 3")
        assert await board.feed.get_attribute("data-state") == "polling"

        await context.unroute(STREAMS)
        await news.publish(f"{fresh} 4 between", "IBM")
        await board.pass_time_while("polling")
        await board.expect_connected()
        await news.publish(f"{fresh} 5 streamed", "IBM")
        await expect(board.items.first).to_contain_text(f"{fresh} 5")

        shown = [title for title in await board.titles() if title.startswith(fresh)]
        assert [title.split()[1] for title in shown] == ["5", "4", "3", "2", "1"]
        states = await board.states()
        waits = [seen["wait"] for seen in states if seen["state"] == "reconnecting"]
        tries = [seen["text"] for seen in states if seen["state"] == "reconnecting"]
        assert tries[:2] == ["Try 1 of 2", "Try 2 of 2"]
        assert 0 < waits[0] < waits[1]


@pytest.mark.slow
async def test_a_server_that_is_away_is_said_to_be_and_found_again(
    stack: Stack, board: Board, news: Newsroom, fresh: str
) -> None:
    await board.page.clock.install()
    async with plugged_into(_port(stack)) as (cable, near):
        await board.open(near)
        await board.expect_connected()

        cable.pull()
        await board.pass_time_while("live", "connecting", "reconnecting")
        await board.expect_state("failing")
        await expect(board.strip).to_contain_text("The server does not answer.")
        await news.publish(f"{fresh} meanwhile", "IBM")
        cable.plug_in()
        # One poll is answered, and the stream is not waited for any longer.
        await board.page.clock.fast_forward(6_000)

        await board.expect_connected()
        await expect(board.items.first).to_contain_text(f"{fresh} meanwhile")


async def test_connected_again_within_thirty_seconds_of_the_return_of_a_killed_edge(
    stack: Stack, board: Board, news: Newsroom, fresh: str
) -> None:
    await board.note_states()
    await board.open(stack.url)
    await board.expect_connected()

    killed = stack.kill("edge-0")
    await board.saw("reconnecting")
    item = await news.publish(f"{fresh} while it was down", "IBM")
    await asyncio.to_thread(stack.pid, "edge-0", other_than=killed)

    await board.expect_connected(within_ms=RECOVERY_MS)
    await expect(board.item(item)).to_have_count(1)
    assert await board.titles() == list(dict.fromkeys(await board.titles()))


async def test_a_user_keeps_changes_and_deletes_views_and_sees_only_their_items(
    stack: Stack, board: Board, news: Newsroom, fresh: str
) -> None:
    ibm, ko = fresh.upper()[:8] + "A", fresh.upper()[:8] + "B"
    first = await news.publish(f"{fresh} about {ibm}", ibm)
    other = await news.publish(f"{fresh} about {ko}", ko)
    await board.open(stack.url)
    await board.sign_in(fresh)
    await board.expect_connected()
    await expect(board.item(other)).to_be_visible()

    await board.page.get_by_role("button", name="New view").click()
    await board.save_view("Mine", f"${ibm.lower()}")
    await expect(board.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(board.items).to_have_count(1)
    await board.expect_connected()
    second = await news.publish(f"{fresh} more about {ibm}", ibm)
    third = await news.publish(f"{fresh} both", ko, ibm)
    await expect(board.items).to_have_count(3)

    await board.page.reload()
    await expect(board.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(board.items).to_have_count(3)
    await board.expect_connected()

    await board.page.get_by_role("button", name="Change Mine").click()
    await board.save_view("Theirs", ko)
    await expect(board.items).to_have_count(2)
    await expect(board.item(other)).to_be_visible()
    await expect(board.item(third)).to_be_visible()
    await expect(board.page.locator("#items-note")).to_have_text("of “Theirs”")

    await board.page.get_by_role("button", name="Change Theirs").click()
    await board.page.get_by_role("button", name="Delete view").click()
    await board.page.get_by_role("button", name="Press again to delete").click()
    await expect(board.page.get_by_role("radio")).to_have_count(1)
    await expect(board.page.get_by_role("radio", name="All items")).to_be_checked()
    for id_ in (first, second, third, other):
        await expect(board.item(id_)).to_be_visible()
    answer = await board.page.request.get(f"{stack.url}/api/v2/configurations")
    assert (await answer.json())["configurations"] == []


@pytest.mark.slow
async def test_a_view_that_is_polled_for_has_only_its_items(
    stack: Stack, context: BrowserContext, board: Board, news: Newsroom, fresh: str
) -> None:
    ticker = fresh.upper()[:9]
    await context.route(STREAMS, lambda route: route.abort())
    await board.page.clock.install()
    await board.open(stack.url)
    await board.sign_in(fresh)
    await board.page.get_by_role("button", name="New view").click()
    await board.save_view("Mine", ticker)
    await expect(board.page.locator("#items-note")).to_have_text("of “Mine”")
    await board.pass_time_while("connecting", "reconnecting")
    await board.expect_state("polling")

    await news.publish(f"{fresh} for nobody here", "IBM")
    wanted = await news.publish(f"{fresh} for them", ticker)
    await board.page.clock.fast_forward(6_000)

    await expect(board.item(wanted)).to_be_visible()
    await expect(board.items).to_have_count(1)


async def _with_a_view(stack: Stack, board: Board, user: str) -> None:
    await board.open(stack.url)
    await board.sign_in(user)
    await board.page.get_by_role("button", name="New view").click()
    await board.save_view("Mine", "IBM")
    await expect(board.page.get_by_role("radio", name="Mine")).to_be_checked()
    await board.expect_connected()


@pytest.mark.slow
async def test_a_view_that_another_tab_deletes_gives_way_to_all_items(
    stack: Stack, open_page: OpenPage, fresh: str
) -> None:
    here = Board(await open_page())
    await _with_a_view(stack, here, fresh)
    there = Board(await open_page())
    await there.open(stack.url)
    await there.page.get_by_role("radio", name="Mine").check()

    await here.page.bring_to_front()  # pages behind others turn slowly
    await here.page.get_by_role("button", name="Change Mine").click()
    await here.page.get_by_role("button", name="Delete view").click()
    await here.page.get_by_role("button", name="Press again to delete").click()

    await expect(there.page.get_by_role("log")).to_contain_text("This view is no more")
    await expect(there.page.get_by_role("radio")).to_have_count(1)
    await expect(there.page.get_by_role("radio", name="All items")).to_be_checked()
    await there.expect_connected()


@pytest.mark.slow
async def test_a_view_that_is_no_more_when_its_stream_comes_back_gives_way_too(
    stack: Stack, board: Board, fresh: str
) -> None:
    async with plugged_into(_port(stack)) as (cable, near):
        await board.page.clock.install()
        await board.note_states()
        await board.open(near)
        await board.sign_in(fresh)
        await board.page.get_by_role("button", name="New view").click()
        await board.save_view("Mine", "IBM")
        await board.expect_connected()
        answer = await board.page.request.get(f"{stack.url}/api/v2/configurations")
        [view] = (await answer.json())["configurations"]
        gone = await board.page.request.delete(f"{stack.url}/api/v2/configurations/{view['id']}")
        assert gone.ok

        cable.pull()
        await board.saw("reconnecting")
        cable.plug_in()
        await board.pass_time_while("reconnecting")

        await expect(board.page.get_by_role("log")).to_contain_text("This view is no more")
        await expect(board.page.get_by_role("radio", name="All items")).to_be_checked()
        await board.expect_connected()


@pytest.mark.slow
async def test_a_view_is_chosen_by_keyboard(stack: Stack, board: Board, fresh: str) -> None:
    await _with_a_view(stack, board, fresh)
    everything = board.page.get_by_role("radio", name="All items")

    await board.page.get_by_role("radio", name="Mine").focus()
    await board.page.keyboard.press("ArrowUp")
    await expect(everything).to_be_checked()
    await expect(everything).to_be_focused()
    await board.page.keyboard.press("ArrowDown")

    await expect(board.page.get_by_role("radio", name="Mine")).to_be_checked()
    await expect(board.page.get_by_role("radio", name="Mine")).to_be_focused()
