"""Asks NATS for the figures of `tapewire top`, each as often as it changes and costs.

What does not answer keeps its last value, and `Sample.nats_problem` says so.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from tapewire.cli.rates import RateMeter
from tapewire.cli.top.edge_figures import EdgeReader, EdgeUnreachable
from tapewire.cli.top.samples import Lag, PlayedFeed, Sample
from tapewire.events import AgentStatusChanged
from tapewire.log import (
    EVERYBODY,
    CommandRejected,
    LogError,
    RecordedEvent,
    new_id,
    view_checkpoints,
)
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_growth import measure_growth
from tapewire.log.jetstream.journal_record import read_extent
from tapewire.log.jetstream.provisioning import find_hold_reasons
from tapewire.log.jetstream.stream_reads import bounds, last_sequence, last_stored_at
from tapewire.log.jetstream.streams import EVENTS, MARKET, VIEWS
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts.progress import (
    NOTIFICATION_PROGRESS,
    PROGRESS,
    GetProgress,
    Progress,
)
from tapewire.runtime.contracts.request import RequestStruct
from tapewire.views import AgentsView

STEADY_SECONDS = 4.0
"""The interval of figures that cost a request to each service."""
SLOW_SECONDS = 20.0
"""The interval of figures that cost many requests."""
SAMPLE_TIMEOUT_SECONDS = 6.0
REQUEST_SECONDS = 2.0
"""How long a service may take to answer."""
PROGRESS_REQUESTS = (
    ("orders", PROGRESS),
    ("positions", PROGRESS),
    ("strategies", PROGRESS),
    ("alerts", PROGRESS),
    ("alerts", NOTIFICATION_PROGRESS),
)
ORDERS_FILTER = "ev.*.orders.>"
ORDER_PLACED = "order.placed."
QUOTES = "px.>"

Refresh = Callable[[], Awaitable[None]]


class GetFeedStatus(RequestStruct, frozen=True, kw_only=True):
    """`svc.prices.status`."""


class _FeedOfStatus(msgspec.Struct):
    name: str
    malformed: int
    ended: bool


class _PricesStatus(msgspec.Struct):
    playing: bool
    symbols: list[str]
    feed: _FeedOfStatus


class Sampler:
    """Takes samples over `connection`, and of the edge if there is one. Call `start` first."""

    def __init__(
        self, connection: NatsConnection, edge: EdgeReader | None, edge_problem: str | None
    ) -> None:
        self._connection = connection
        self._requests = RequestClient(connection)
        self._edge = edge
        self._edge_problem = edge_problem
        self._log = JetStreamEventLog(connection)
        self._views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self._failed = JetStreamFailedEventStore(connection)
        self._orders_placed = 0
        self._meters = {name: RateMeter() for name in ("events", "orders", "quotes")}
        self._sample = Sample(taken_at=datetime.now(UTC))
        self._due: dict[Refresh, float] = {}

    async def start(self) -> None:
        """Begin to count orders. Raises Unavailable."""
        await self._log.subscribe(ORDERS_FILTER, self._count_order, lambda _reason: None)

    def _count_order(self, recorded: RecordedEvent) -> None:
        if recorded.tag.startswith(ORDER_PLACED):
            self._orders_placed += 1

    async def read(self) -> Sample:
        """Ask for everything that is due, and return all that is known."""
        now = time.monotonic()
        intervals: dict[Refresh, float] = {
            self._read_agents: 0.0,
            self._read_journal: 0.0,
            self._read_market: 0.0,
            self._read_edge: 0.0,
            self._read_feed: STEADY_SECONDS,
            self._read_lags: STEADY_SECONDS,
            self._read_parked: STEADY_SECONDS,
            self._read_hold_reasons: STEADY_SECONDS,
            self._read_growth: SLOW_SECONDS,
        }
        due = [each for each in intervals if now >= self._due.get(each, 0.0)]
        for each in due:
            self._due[each] = now + intervals[each]
        problems = await asyncio.gather(*(self._refresh(each) for each in due))
        self._sample.taken_at = datetime.now(UTC)
        self._sample.nats_problem = next(filter(None, problems), None)
        if self._sample.nats_problem is None:
            self._sample.answered_at = self._sample.taken_at
        rate = self._meters["orders"].add(time.monotonic(), self._orders_placed)
        self._sample.orders_per_second = rate
        return msgspec.structs.replace(self._sample)

    async def _refresh(self, refresh: Refresh) -> str | None:
        """Why NATS did not answer; None if it did."""
        try:
            async with asyncio.timeout(SAMPLE_TIMEOUT_SECONDS):
                await refresh()
        except LogError as error:
            self._due.pop(refresh, None)
            return str(error)
        except TimeoutError:
            return f"no answer from NATS in {SAMPLE_TIMEOUT_SECONDS:g} s"
        return None

    async def _read_agents(self) -> None:
        view, _ = await view_checkpoints.load(self._log, self._views, AgentsView, EVERYBODY)
        found: list[AgentStatusChanged] = view.agents()
        self._sample.agents = found

    async def _read_journal(self) -> None:
        self._sample.extent = extent = await read_extent(self._connection)
        if extent is not None:
            rate = self._meters["events"].add(time.monotonic(), extent.bounds.last)
            self._sample.events_per_second = rate

    async def _read_growth(self) -> None:
        extent = await read_extent(self._connection)
        if extent is not None:
            self._sample.growth = await measure_growth(self._connection, extent, datetime.now(UTC))

    async def _read_market(self) -> None:
        self._sample.quoted_at = await last_stored_at(self._connection, MARKET, QUOTES)
        last = (await bounds(self._connection, MARKET)).last
        self._sample.quotes_per_second = self._meters["quotes"].add(time.monotonic(), last)

    async def _read_feed(self) -> None:
        try:
            found = await self._requests.request(
                "prices",
                "status",
                GetFeedStatus(),
                _PricesStatus,
                correlation=new_id(),
                timeout_seconds=REQUEST_SECONDS,
            )
        except (RequestTimeout, CommandRejected):
            self._sample.feed = None
            return
        if found.playing:  # else it is a standby
            self._sample.feed = PlayedFeed(
                name=found.feed.name,
                symbol_count=len(found.symbols),
                has_ended=found.feed.ended,
                fault_count=found.feed.malformed,
            )

    async def _read_lags(self) -> None:
        found = await asyncio.gather(*(self._read_lag(*each) for each in PROGRESS_REQUESTS))
        self._sample.lags = {name: lag for name, lag in found if lag is not None}

    async def _read_lag(self, service: str, verb: str) -> tuple[str, Lag | None]:
        name = service if verb == PROGRESS else f"{service} {verb}"
        try:
            progress = await self._requests.request(
                service,
                verb,
                GetProgress(),
                Progress,
                correlation=new_id(),
                timeout_seconds=REQUEST_SECONDS,
            )
        except (RequestTimeout, CommandRejected):
            return name, None
        behind = {
            filter_: max(0, await last_sequence(self._connection, EVENTS, filter_) - handled)
            for filter_, handled in progress.taken.items()
        }
        return name, Lag(busy=progress.busy, behind=behind)

    async def _read_parked(self) -> None:
        stored = await self._failed.get_all()
        self._sample.parked = [each.event for each in stored if each.event.is_parked]

    async def _read_hold_reasons(self) -> None:
        self._sample.hold_reasons = await find_hold_reasons(self._connection)

    async def _read_edge(self) -> None:
        self._sample.edge_problem = self._edge_problem
        if self._edge is None:
            return
        try:
            self._sample.edge = await self._edge.read()
        except EdgeUnreachable as error:
            self._sample.edge_problem = str(error)
