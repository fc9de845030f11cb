"""The whole service on the log in memory: processes that die, and a look into the log.

A `Process` is what `services.insights.__main__` wires, without NATS. VADER is the real one, asked
in the loop instead of in a thread, for the loop's time is virtual.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from services.insights.dashboards import Dashboards
from services.insights.domain.configurations import CONFIGURATIONS
from services.insights.listing import Listing
from services.insights.scoring import Vader
from services.insights.service import InsightsService
from tapewire.events import Configuration, ConfigurationEvent, Item, ItemAnalysed
from tapewire.log import (
    EVERYBODY,
    Entities,
    LogError,
    Overloaded,
    Recorded,
    Refusal,
    new_id,
    pattern,
    views,
)
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.log.projector import Projector
from tapewire.runtime import Context
from tapewire.runtime.contracts.configurations import (
    ChangeConfiguration,
    CreateConfiguration,
    DeleteConfiguration,
)
from tapewire.runtime.contracts.insights import (
    AskMetrics,
    ItemsReply,
    ListItems,
    LoadItems,
    LoadReply,
    MetricsReply,
    NewItem,
)
from tapewire.views import ConfigurationsView, ItemsView, MetricsView
from tests.unit.insights.spec import USER, at
from tests.unit.orders import virtual

T = TypeVar("T")
VADER = Vader()
KINDS = (ItemsView, MetricsView, ConfigurationsView)


class Prompt:
    """VADER, without a thread."""

    async def scores(self, texts: Sequence[str]) -> Sequence[Decimal]:
        return [VADER.score(text) for text in texts]


def clock() -> datetime:
    return at(asyncio.get_running_loop().time())


def context(command_id: str | None = None) -> Context:
    return Context(correlation="c", command_id=command_id or new_id(), traceparent=None)


class Process:
    """One process of the service."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self.log = MemoryLog(server, faults)
        self.views = MemoryValues(server, faults, stream="VIEWS", prefix="view")
        self.chance = random.Random(faults.seed if faults is not None else 0)
        self.service = InsightsService(self.log, self.views, Prompt(), clock)
        self.listing = Listing(self.log, self.views)
        configurations = Entities(self.log, CONFIGURATIONS)
        self.dashboards = Dashboards(self.log, self.views, configurations, clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> "Process":
        for kind in KINDS:
            projector = Projector(self.log, self.views, kind)
            filter_ = pattern(domain=kind.domain)
            await insist(lambda p=projector, f=filter_: self.log.react(p.reaction, f, p.note))  # type: ignore[misc]
            self.tasks.append(asyncio.create_task(projector.run()))
        return self

    async def kill(self) -> None:
        """The process is gone, whatever it was at."""
        self.log.kill()
        self.views.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a task died of."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def load(self, *items: NewItem, command_id: str | None = None) -> LoadReply:
        of, request = context(command_id), LoadItems(items=items)
        return await insist(lambda: self.service.load(request, of))

    async def metrics(self) -> MetricsReply:
        return await insist(lambda: self.service.metrics(AskMetrics(), context()))

    async def items(self, **asked: Any) -> ItemsReply:
        return await insist(lambda: self.listing.items(ListItems(**asked), context()))

    async def create(
        self, name: str = "Tech", command_id: str | None = None, **more: Any
    ) -> Configuration:
        fields = {"user_id": USER, "tickers": ("IBM",)} | more
        of, request = context(command_id), CreateConfiguration(name=name, **fields)
        return (await insist(lambda: self.dashboards.create(request, of))).configuration

    async def change(self, id_: str, command_id: str | None = None, **what: Any) -> Configuration:
        fields = {"user_id": USER} | what
        of, request = context(command_id), ChangeConfiguration(configuration_id=id_, **fields)
        return (await insist(lambda: self.dashboards.change(request, of))).configuration

    async def delete(
        self, id_: str, command_id: str | None = None, user: str = USER
    ) -> Configuration:
        request = DeleteConfiguration(user_id=user, configuration_id=id_)
        of = context(command_id)
        return (await insist(lambda: self.dashboards.delete(request, of))).configuration


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is answered, under one command id, as a gateway does."""
    while True:
        with contextlib.suppress(LogError, Overloaded):
            return await ask()
        await asyncio.sleep(0.2)


class Tally:
    """What the log says in the end."""

    def __init__(self, stored: list[Recorded]) -> None:
        self.stored = stored
        events = [one.event for one in stored]
        self.items: list[Item] = [one.item for one in events if isinstance(one, ItemAnalysed)]
        self.configurations: dict[str, ConfigurationEvent] = {
            one.configuration.id: one for one in events if isinstance(one, ConfigurationEvent)
        }

    def check(self) -> None:
        """No item is there twice."""
        times = Counter(item.id for item in self.items)
        assert [id_ for id_, count in times.items() if count > 1] == []
        for one in self.stored:
            if isinstance(one.event, ItemAnalysed):
                assert one.subject == f"ev._all.items.{one.event.item.id}"


async def tally(server: MemoryServer) -> Tally:
    """Read all, undisturbed."""
    log, stored = MemoryLog(server), list[Recorded]()
    more = True
    while more:
        page = await log.page("ev.>", after=stored[-1].sequence if stored else 0)
        stored += page.events
        more = page.more
    return Tally(stored)


async def checkpointed(server: MemoryServer) -> dict[str, int]:
    """The places of the checkpoints that there are."""
    values = await MemoryValues(server, stream="VIEWS", prefix="view").all()
    return {name: int(json.loads(data)["asOf"]) for name, data in values.items()}


async def folded(server: MemoryServer) -> MetricsView:
    """The counts, by a fold of the whole log without any checkpoint."""
    empty = MemoryValues(MemoryServer(), stream="VIEWS", prefix="view")
    view, _ = await views.load(MemoryLog(server), empty, MetricsView, EVERYBODY)
    return view


Story = Callable[[Process, MemoryServer], Awaitable[None]]


def play(story: Story) -> None:
    """The story of one process on a good day."""

    async def work() -> None:
        server = MemoryServer()
        process = await Process(server).start()
        await story(process, server)
        process.check()
        (await tally(server)).check()
        await process.kill()

    virtual.run(work())


async def refused(answer: Awaitable[object]) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await answer
    return refusal.value.code, refusal.value.path
