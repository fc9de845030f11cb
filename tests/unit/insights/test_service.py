"""The replies of the service, without faults."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import Sentiment
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.ports import PAGE_EVENTS
from tapewire.runtime.contracts.configurations import GetConfiguration, ListConfigurations
from tapewire.runtime.contracts.insights import MAX_LISTED_ITEMS, ListItems, LoadItems, NewItem
from tapewire_services.insights.configurations_service import MAX_CONFIGURATIONS_PER_USER
from tapewire_services.insights.item_changer import ItemChanger
from tapewire_services.insights.item_queries import MAX_PAGES
from tapewire_services.insights.item_writer import ItemWriter
from tapewire_services.insights.service import InsightsService
from tests.harness.insights_process import (
    InsightsProcess,
    clock,
    fold_metrics,
    read_checkpoint_sequences,
    read_log_summary,
)
from tests.harness.item_builders import USER, new_item
from tests.harness.memory_process import await_rejection, make_context

pytestmark = pytest.mark.virtual_time


def new_items(count: int, first: int = 0, **more: Any) -> list[NewItem]:
    return [new_item(f"Story {number}", **more) for number in range(first, first + count)]


async def test_an_item_is_added_once_and_repeats_return_the_first(
    process: InsightsProcess, server: MemoryServer
) -> None:
    first = await process.service.add(new_item("A great win", tags=("a",)), make_context())
    assert first.created
    assert first.item.sentiment is Sentiment.POSITIVE
    again = await process.service.add(new_item(" A  great win", tags=("b",)), make_context())
    assert (again.created, again.item) == (False, first.item)
    assert len((await read_log_summary(server)).items) == 1


async def test_a_repeated_command_has_the_same_reply(
    process: InsightsProcess,
) -> None:
    """After a lost reply, the caller must not learn that another command created the item."""
    for _again in range(2):
        assert (await process.service.add(new_item("A"), make_context("command"))).created
        reply = await process.load(new_item("B"), new_item("C"), command_id="load")
        assert (reply.added, reply.there) == (2, 0)


async def test_an_item_is_recognized_after_the_deduplication_window(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(*new_items(5))
    await asyncio.sleep(600)
    assert (await process.load(*new_items(8))).added == 3
    assert not (await process.service.add(new_item("Story 0"), make_context())).created
    assert len((await read_log_summary(server)).items) == 8


async def test_a_load_adds_new_items_and_rejects_only_invalid_ones(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(new_item("Old"))
    reply = await process.load(
        new_item("Old"),
        new_item(""),
        new_item("New"),
        new_item("New"),
        new_item("N", score=Decimal(2)),
        new_item("Newer"),
    )
    assert (reply.added, reply.there) == (2, 2)
    assert [(one.index, one.path) for one in reply.refused] == [(1, "title"), (4, "score")]
    assert [one.title for one in (await read_log_summary(server)).items] == [
        "Old",
        "New",
        "Newer",
    ]


async def test_a_load_keeps_the_order_of_its_items(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(*[new_item(title) for title in "ABCADEBF"])
    assert [one.title for one in (await read_log_summary(server)).items] == [*"ABCDEF"]


async def test_a_load_is_appended_as_one_batch(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(*new_items(100))
    times = {one.time for one in (await read_log_summary(server)).stored}
    assert len(times) == 1


@pytest.mark.parametrize("count", [0, 101])
async def test_the_number_of_items_of_a_load_is_limited(
    count: int, process: InsightsProcess, server: MemoryServer
) -> None:
    request = LoadItems(items=tuple(new_items(count)))
    assert await await_rejection(process.service.load(request, make_context())) == (
        "invalid",
        "items",
    )
    assert (await read_log_summary(server)).stored == []


class OutOfRangeScorer:
    """A scorer that returns an invalid score."""

    async def score_texts(self, _: object) -> list[Decimal]:
        return [Decimal(7)]


@pytest.mark.usefixtures("process")
async def test_an_invalid_score_stores_nothing(server: MemoryServer) -> None:
    log, values = (
        MemoryEventLog(server),
        MemoryLatestValueStore(server, stream="VIEWS", prefix="view"),
    )
    service = InsightsService(
        log, values, ItemWriter(log), ItemChanger(log, values), OutOfRangeScorer(), clock
    )
    with pytest.raises(ValueError, match="not 7"):
        await service.add(new_item(), make_context())
    with pytest.raises(ValueError, match="zip"):
        await service.load(LoadItems(items=(new_item("A"), new_item("B"))), make_context())
    assert (await service.add(new_item(sentiment=Sentiment.NEUTRAL), make_context())).created
    assert len((await read_log_summary(server)).stored) == 1


async def test_counts_are_exact_with_and_without_a_checkpoint(
    process: InsightsProcess, server: MemoryServer
) -> None:
    for number in range(7):
        await process.load(*new_items(40, number * 40, tags=("a", f"t{number}")))
        await asyncio.sleep(5)
        reply = await process.metrics()
        assert reply.metrics.total == reply.as_of == (number + 1) * 40
        assert reply.metrics == (await fold_metrics(server)).metrics(clock())
    # There is a checkpoint after at least 64 new events, which are two loads.
    assert await read_checkpoint_sequences(server) == {
        "_all.items-history": 240,
        "_all.metrics": 240,
    }
    assert reply.metrics.tags[0].count == 280


async def test_the_newest_items_are_listed_in_order_up_to_the_limit(
    process: InsightsProcess,
) -> None:
    await process.load(*new_items(5))
    reply = await process.items(limit=2)
    assert [one.title for one in reply.items] == ["Story 3", "Story 4"]
    assert (reply.as_of, reply.more, reply.reset) == (5, False, False)


async def test_polling_returns_each_new_item_once_and_in_order(process: InsightsProcess) -> None:
    await process.load(*new_items(3))
    page = await process.items(limit=1)
    seen: list[str] = []
    for number in range(6):
        await process.load(*new_items(20, 10 + 20 * number))
        await process.create(f"noise {number}")
        while True:
            page = await process.items(limit=7, since=page.as_of, epoch=page.epoch)
            seen += [one.title for one in page.items]
            if not page.more:
                break
    assert seen == [f"Story {number}" for number in range(10, 130)]
    idle = await process.items(since=page.as_of, epoch=page.epoch)
    assert (idle.items, idle.as_of, idle.more) == ([], page.as_of, False)


async def test_an_invalid_position_is_reset_to_the_newest_items(
    process: InsightsProcess, server: MemoryServer
) -> None:
    for number in range(3):
        await process.load(*new_items(100, 100 * number))
    now = await process.items(limit=1)
    ahead = await process.items(since=now.as_of + 1, epoch=now.epoch)
    foreign = await process.items(since=1, epoch="another")
    server.journal.trim(150)
    trimmed = await process.items(since=100, epoch=now.epoch, limit=MAX_LISTED_ITEMS)
    for reply in (ahead, foreign, trimmed):
        assert reply.reset
        assert reply.items[-1].title == "Story 299"
    assert not (await process.items(since=150, epoch=now.epoch)).reset


async def test_a_configuration_filters_items(process: InsightsProcess) -> None:
    configuration = await process.create(tickers=("IBM",), tags=("news",))
    mine = {"user_id": USER, "configuration_id": configuration.id}
    start = await process.items()
    await process.load(
        new_item("yes", tickers=("SPY", "IBM"), tags=("news",)),
        new_item("no ticker", tickers=("SPY",), tags=("news",)),
        new_item("no tag", tickers=("IBM",)),
    )
    newest = await process.items(**mine)
    later = await process.items(since=start.as_of, epoch=start.epoch, **mine)
    for reply in (newest, later):
        assert [one.title for one in reply.items] == ["yes"]
        assert reply.as_of == 4
    for user, id_ in ((USER, "unknown"), ("bob", configuration.id)):
        request = ListItems(user_id=user, configuration_id=id_)
        assert await await_rejection(process.item_queries.items(request, make_context())) == (
            "not_found",
            None,
        )


async def test_a_rare_matching_item_is_found_in_bounded_steps(process: InsightsProcess) -> None:
    configuration = await process.create(tickers=("RARE",))
    many = MAX_PAGES * PAGE_EVENTS + 300
    for first in range(0, many, 100):
        await process.load(*new_items(min(100, many - first), first))
    await process.load(new_item("found", tickers=("rare",)))
    page, request_count = await process.items(), 0
    page, found = type(page)(items=[], as_of=0, epoch=page.epoch, more=True), []
    while page.more:
        page = await process.items(
            since=page.as_of, epoch=page.epoch, user_id=USER, configuration_id=configuration.id
        )
        found += page.items
        request_count += 1
    assert [one.title for one in found] == ["found"]
    assert request_count == 2


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"since": -1, "epoch": "e"}, "since"),
        ({"since": 1}, "epoch"),
        ({"configuration_id": "k"}, "userId"),
        ({"configuration_id": "k", "user_id": ""}, "userId"),
    ],
)
async def test_invalid_list_arguments_are_rejected_with_their_field(
    arguments: dict[str, Any], path: str, process: InsightsProcess
) -> None:
    request = ListItems(**arguments)
    assert await await_rejection(process.item_queries.items(request, make_context())) == (
        "invalid",
        path,
    )


async def test_a_configuration_is_created_changed_listed_and_deleted(
    process: InsightsProcess,
) -> None:
    one = await process.create("One", "first")
    assert await process.create("One", "first") == one
    two = await process.create("Two", tickers=("spy",))
    changed = await process.change(one.id, name="New", tags=("a",))
    assert (changed.name, changed.tickers, changed.tags) == ("New", ("IBM",), ("a",))
    listed = await process.configurations.list(ListConfigurations(user_id=USER), make_context())
    assert listed.configurations == [changed, two]
    assert (await process.delete(two.id)).name == "Two"
    request = GetConfiguration(user_id=USER, configuration_id=one.id)
    assert (await process.configurations.get(request, make_context())).configuration == changed
    deleted_request = GetConfiguration(user_id=USER, configuration_id=two.id)
    assert await await_rejection(process.configurations.get(deleted_request, make_context())) == (
        "not_found",
        None,
    )
    assert (await await_rejection(process.delete(two.id)))[0] == "not_found"


async def test_another_users_configuration_is_not_found(
    process: InsightsProcess, server: MemoryServer
) -> None:
    configuration = await process.create()
    request = GetConfiguration(user_id="bob", configuration_id=configuration.id)
    assert await await_rejection(process.configurations.get(request, make_context())) == (
        "not_found",
        None,
    )
    assert await await_rejection(process.delete(configuration.id, user="bob")) == (
        "not_found",
        None,
    )
    assert await await_rejection(process.change(configuration.id, user_id="bob", name="Mine")) == (
        "not_found",
        None,
    )
    for bad in ("", "x" * 65, "*", ">"):
        assert (await await_rejection(process.delete(bad)))[0] == "not_found"
    assert len((await read_log_summary(server)).stored) == 1
    for user in ("", "u" * 129, "_all"):
        nobody = ListConfigurations(user_id=user)
        assert await await_rejection(process.configurations.list(nobody, make_context())) == (
            "invalid",
            "userId",
        )
        assert (await await_rejection(process.create(user_id=user)))[0] == "invalid"


async def test_the_number_of_configurations_of_a_user_is_limited(process: InsightsProcess) -> None:
    for number in range(MAX_CONFIGURATIONS_PER_USER):
        configuration = await process.create(f"C {number}", f"command {number}")
    assert (await await_rejection(process.create("one more")))[0] == "conflict"
    assert (
        await process.create("again", f"command {MAX_CONFIGURATIONS_PER_USER - 1}") == configuration
    )
    await process.delete(configuration.id)
    await process.create("now there is room")


async def test_older_items_are_listed_by_cursor(process: InsightsProcess) -> None:
    """All of them, also with a configuration that few items match."""
    rare = await process.create(tickers=("RARE",))
    for number in range(5):
        await process.load(*new_items(60, 60 * number, tickers=("IBM",)))
        await process.load(new_item(f"rare {number}", tickers=("RARE",)))
    titles, reply = list[str](), await process.items(limit=70)
    while True:
        titles = [item.title for item in reply.items] + titles
        if reply.next is None:
            break
        reply = await process.items(limit=70, cursor=reply.next)
    assert len(titles) == len(set(titles)) == 305
    assert (titles[0], titles[-1]) == ("Story 0", "rare 4")
    mine = {"user_id": USER, "configuration_id": rare.id, "limit": 2}
    first = await process.items(**mine)
    second = await process.items(**mine, cursor=first.next)
    third = await process.items(**mine, cursor=second.next)
    found = [item.title for page in (third, second, first) for item in page.items]
    assert found == [f"rare {number}" for number in range(5)]
    request = ListItems(since=1, epoch=first.epoch, cursor=first.next)
    assert await await_rejection(process.item_queries.items(request, make_context())) == (
        "invalid",
        "cursor",
    )
