"""Corrections and retractions of items: lists, counts and polls follow, and each is done once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import Item, ItemCorrected, ItemRetracted, Sentiment
from tapewire.log import CommandRejected
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.insights import ItemReply, PutItem, RetractItem
from tapewire.views import ItemHistory
from tests.harness.insights_process import (
    InsightsProcess,
    fold_metrics,
    read_log_summary,
    running_process,
)
from tests.harness.item_builders import START, at, new_item
from tests.harness.memory_process import make_context

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[InsightsProcess]:
    async with running_process(server) as process:
        yield process


async def put(
    process: InsightsProcess, title: str, command_id: str | None = None, **more: Any
) -> ItemReply:
    request = PutItem(**{"title": title, "source": "Wire", "id": "n1"} | more)
    return await process.service.put(request, make_context(command_id))


async def retract(
    process: InsightsProcess, id_: str = "n1", command_id: str | None = None
) -> ItemReply:
    return await process.service.retract(
        RetractItem(id=id_, reason="a hoax"), make_context(command_id)
    )


async def listed(process: InsightsProcess, **arguments: Any) -> list[str]:
    return [item.title for item in (await process.items(**arguments)).items]


async def test_an_item_is_corrected_in_its_place(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(new_item("First"), new_item("Other"))
    assert (await put(process, "Profit rises", tags=("a",))).created
    await process.load(new_item("Last"))
    corrected = await put(process, "Profit falls", tags=("b",), timestamp=at(-7200), reason="typo")
    assert (corrected.created, corrected.changed) == (False, True)
    assert corrected.item.sentiment is Sentiment.NEGATIVE
    assert await listed(process) == ["First", "Other", "Profit falls", "Last"]
    metrics = (await process.metrics()).metrics
    assert (metrics.total, metrics.positive, metrics.negative) == (4, 0, 1)
    assert [(one.tag, one.count) for one in metrics.tags] == [("b", 1)]
    assert (metrics.last_hour, metrics.last_day) == (3, 4)
    event = (await read_log_summary(server)).stored[-1].event
    assert isinstance(event, ItemCorrected)
    assert (event.number, event.previous.title, event.reason) == (2, "Profit rises", "typo")


async def test_the_same_content_again_changes_nothing(
    process: InsightsProcess, server: MemoryServer
) -> None:
    first = await put(process, "Profit rises", text="Sales rose, too", tickers=("IBM",))
    again = await put(process, "Profit rises", tickers=("ibm",))
    assert (again.created, again.changed, again.item) == (False, False, first.item)
    assert len((await read_log_summary(server)).stored) == 1


async def test_a_correction_keeps_what_it_does_not_give(process: InsightsProcess) -> None:
    await put(process, "Title", score=Decimal("0.75"), timestamp=at(-60))
    corrected = (await put(process, "Title", tickers=("IBM",))).item
    assert (str(corrected.score), corrected.timestamp) == ("0.75", START - timedelta(seconds=60))
    assert (await put(process, "Profit slumps")).item.sentiment is Sentiment.NEGATIVE


async def test_a_retracted_item_is_gone_for_good(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await process.load(new_item("First"))
    added = await put(process, "Merger agreed", tags=("m",), tickers=("IBM",))
    assert (await retract(process)).item.retracted
    assert await listed(process) == ["First"]
    metrics = (await process.metrics()).metrics
    assert (metrics.total, metrics.tags, metrics.last_hour) == (1, (), 1)
    again = await process.service.add(new_item("Merger agreed", id="n1"), make_context())
    assert (again.created, again.item.retracted) == (False, True)
    with pytest.raises(CommandRejected) as refused:
        await put(process, "Merger agreed after all")
    assert (refused.value.code, refused.value.path) == ("not_found", "id")
    assert not (await retract(process)).changed
    event = (await read_log_summary(server)).stored[-1].event
    assert isinstance(event, ItemRetracted)
    assert (event.previous, event.reason) == (added.item, "a hoax")


async def test_polls_say_what_was_corrected_and_retracted(process: InsightsProcess) -> None:
    mine = await process.create("Tech", tickers=("IBM",))
    await put(process, "A", tickers=("IBM",))
    await put(process, "B", id="n2", tickers=("IBM",))
    start = await process.items()
    await put(process, "A, corrected", tickers=("IBM",))
    await put(process, "B", id="n2", tickers=("SPY",))
    since = {"since": start.as_of, "epoch": start.epoch}
    for all_items in (True, False):
        of = {} if all_items else {"user_id": "alice", "configuration_id": mine.id}
        reply = await process.items(**since, **of)
        assert [one.title for one in reply.items] == ["A, corrected", "B"][: 1 + all_items]
        assert reply.retracted == ([] if all_items else ["n2"])
    await retract(process)
    assert (await process.items(**since)).retracted == ["n1"]


async def test_an_unknown_item_can_be_neither_corrected_nor_retracted(
    process: InsightsProcess, server: MemoryServer
) -> None:
    for work in (put(process, "A", must_exist=True), retract(process)):
        with pytest.raises(CommandRejected) as refused:
            await work
        assert refused.value.code == "not_found"
    with pytest.raises(CommandRejected) as invalid:
        await put(process, "A", reason="x" * 201)
    assert (invalid.value.code, invalid.value.path) == ("invalid", "reason")
    assert (await read_log_summary(server)).stored == []


async def test_a_repeated_command_takes_effect_once(
    process: InsightsProcess, server: MemoryServer
) -> None:
    assert (await put(process, "A", "c1")).created
    assert (await put(process, "A", "c1")).created
    for _ in range(2):
        assert (await put(process, "B", "c2")).changed
    for _ in range(2):
        assert (await retract(process, command_id="c3")).changed
    assert len((await read_log_summary(server)).stored) == 3


async def test_corrections_at_the_same_time_follow_each_other(
    process: InsightsProcess, server: MemoryServer
) -> None:
    await put(process, "Title")
    await asyncio.gather(*[put(process, f"Title {number}") for number in range(5)])
    events = [one.event for one in (await read_log_summary(server)).stored]
    assert len(events) == 6
    states: list[Item] = [event.item for event in events]  # type: ignore[attr-defined]
    previous = [event.previous for event in events if isinstance(event, ItemCorrected)]
    assert previous == states[:-1]
    view = await fold_metrics(server)
    assert view.metrics(START).total == 1


async def test_an_item_of_a_stored_block_is_corrected(
    process: InsightsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ItemHistory, "block_rows", 8)
    await put(process, "Early", timestamp=at(-60))
    for number in range(5):
        await process.load(*[new_item(f"{number}-{one}") for one in range(10)])
        await asyncio.sleep(120)
    await put(process, "Early, corrected")
    await asyncio.sleep(120)
    titles = await listed(process, limit=100)
    assert (titles[0], len(titles)) == ("Early, corrected", 51)
    await retract(process)
    assert len(await listed(process, limit=100)) == 50
