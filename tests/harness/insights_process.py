"""The whole insights service on the log in memory: processes that can be killed, and a summary of
the log.

An `InsightsProcess` is wired as in `tapewire_services.insights.__main__`, without NATS. It scores
with the real scorer, in the event loop instead of in a thread, because the loop's time is virtual.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from tapewire.events import Configuration, ConfigurationEvent, Item, ItemAnalysed
from tapewire.log import (
    EVERYBODY,
    CommandHandler,
    RecordedEvent,
    pattern,
    view_checkpoints,
)
from tapewire.log.checkpoint import decode_checkpoint
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import ViewCheckpointer
from tapewire.runtime.contracts.configurations import (
    ChangeConfiguration,
    CreateConfiguration,
    DeleteConfiguration,
)
from tapewire.runtime.contracts.insights import (
    GetMetrics,
    ItemsReply,
    ListItems,
    LoadItems,
    LoadReply,
    MetricsReply,
    NewItem,
)
from tapewire.views import ConfigurationsView, ItemHistory, MetricsView
from tapewire_services.insights.configurations_service import ConfigurationsService
from tapewire_services.insights.domain.configurations import CONFIGURATION_DECIDER
from tapewire_services.insights.item_changer import ItemChanger
from tapewire_services.insights.item_queries import ItemQueries
from tapewire_services.insights.item_writer import ItemWriter
from tapewire_services.insights.scoring import MarketScorer
from tapewire_services.insights.service import InsightsService
from tests.harness.item_builders import START, USER
from tests.harness.memory_process import (
    MemoryProcess,
    make_clock,
    make_context,
    retry_until_answered,
)
from tests.harness.recorded_log import read_events

T = TypeVar("T")
SCORER = MarketScorer()
VIEW_TYPES: tuple[Any, ...] = (MetricsView, ConfigurationsView)


class SynchronousScorer:
    """The scorer without a thread."""

    async def score_texts(self, texts: Sequence[str]) -> Sequence[Decimal]:
        return [SCORER.score_text(text) for text in texts]


clock = make_clock(START)


class InsightsProcess(MemoryProcess):
    """One process of the service."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        super().__init__(server, faults)
        self.service = InsightsService(
            self.log,
            self.views,
            ItemWriter(self.log),
            ItemChanger(self.log, self.views),
            SynchronousScorer(),
            clock,
        )
        self.item_queries = ItemQueries(self.log, self.views)
        configurations = CommandHandler(self.log, CONFIGURATION_DECIDER)
        self.configurations = ConfigurationsService(self.log, self.views, configurations, clock)

    async def start(self) -> "InsightsProcess":
        for kind in (*VIEW_TYPES, ItemHistory):
            is_history = kind is ItemHistory
            projector = ViewCheckpointer(
                self.log,
                self.views,
                None if is_history else kind,
                ItemHistory if is_history else None,
            )
            filter_ = pattern(domain=kind.domain)
            await retry_until_answered(
                partial(
                    self.log.subscribe_durable, projector.durable_name, filter_, projector.handle
                )
            )
            self.spawn(projector.run())
        return self

    async def load(self, *items: NewItem, command_id: str | None = None) -> LoadReply:
        of, request = make_context(command_id), LoadItems(items=items)
        return await retry_until_answered(lambda: self.service.load(request, of))

    async def metrics(self) -> MetricsReply:
        return await retry_until_answered(
            lambda: self.service.metrics(GetMetrics(), make_context())
        )

    async def items(self, **arguments: Any) -> ItemsReply:
        return await retry_until_answered(
            lambda: self.item_queries.items(ListItems(**arguments), make_context())
        )

    async def create(
        self, name: str = "Tech", command_id: str | None = None, **more: Any
    ) -> Configuration:
        fields = {"user_id": USER, "tickers": ("IBM",)} | more
        of, request = make_context(command_id), CreateConfiguration(name=name, **fields)
        return (
            await retry_until_answered(lambda: self.configurations.create(request, of))
        ).configuration

    async def change(self, id_: str, command_id: str | None = None, **what: Any) -> Configuration:
        fields = {"user_id": USER} | what
        of, request = make_context(command_id), ChangeConfiguration(configuration_id=id_, **fields)
        return (
            await retry_until_answered(lambda: self.configurations.change(request, of))
        ).configuration

    async def delete(
        self, id_: str, command_id: str | None = None, user: str = USER
    ) -> Configuration:
        request = DeleteConfiguration(user_id=user, configuration_id=id_)
        of = make_context(command_id)
        return (
            await retry_until_answered(lambda: self.configurations.delete(request, of))
        ).configuration


class LogSummary:
    """The items and configurations of the log."""

    def __init__(self, stored: list[RecordedEvent]) -> None:
        self.stored = stored
        events = [one.event for one in stored]
        self.items: list[Item] = [one.item for one in events if isinstance(one, ItemAnalysed)]
        self.configurations: dict[str, ConfigurationEvent] = {
            one.configuration.id: one for one in events if isinstance(one, ConfigurationEvent)
        }

    def check_no_duplicates(self) -> None:
        """Assert that no item occurs twice."""
        times = Counter(item.id for item in self.items)
        assert [id_ for id_, count in times.items() if count > 1] == []
        for one in self.stored:
            if isinstance(one.event, ItemAnalysed):
                assert one.subject == f"ev._all.items.{one.event.item.id}"


async def read_log_summary(server: MemoryServer) -> LogSummary:
    """Read the whole log without faults."""
    return LogSummary(await read_events(MemoryEventLog(server)))


async def read_checkpoint_sequences(server: MemoryServer) -> dict[str, int]:
    """The sequences of the stored checkpoints."""
    values = await MemoryLatestValueStore(server, stream="VIEWS", prefix="view").get_all()
    return {name: decode_checkpoint(data).as_of for name, data in values.items()}


async def fold_metrics(server: MemoryServer) -> MetricsView:
    """The metrics, folded from the whole log without a checkpoint."""
    empty = MemoryLatestValueStore(MemoryServer(), stream="VIEWS", prefix="view")
    view, _ = await view_checkpoints.load(MemoryEventLog(server), empty, MetricsView, EVERYBODY)
    return view


@asynccontextmanager
async def running_process(server: MemoryServer) -> AsyncIterator[InsightsProcess]:
    """Run one process. At the end, check that none of its tasks failed and that the log holds no
    item twice."""
    process = await InsightsProcess(server).start()
    yield process
    process.raise_task_errors()
    (await read_log_summary(server)).check_no_duplicates()
    await process.kill()
