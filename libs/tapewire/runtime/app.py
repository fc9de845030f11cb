"""`App`: what a service's wiring is given.

An `App` holds the event log, the value stores, the request client and the leases of one process.
Whatever the wiring registers (tasks, leased work, endpoints, clean-up) ends with the service, in
reverse order. `tapewire.runtime.service_process` creates it. Start at `App`.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import nats.errors
import structlog

from tapewire.log import EVERYBODY, LogError, RecordedEvent, encode_token, pattern
from tapewire.log.backoff import new_rng, retry
from tapewire.log.history_store import HistoryType
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.durable_subscription import DurableSubscription
from tapewire.log.jetstream.journal_guard import JournalGuard
from tapewire.log.jetstream.journal_record import JournalExtent
from tapewire.log.jetstream.streams import MARKET, SESSIONS, TICKETS, VIEWS
from tapewire.log.last_quotes import CHECKPOINT_NAME as LAST_QUOTES
from tapewire.log.last_quotes import read_last_quotes
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.splits import SplitFollower
from tapewire.log.view_checkpointer import ViewCheckpointer
from tapewire.log.view_checkpoints import View, ViewType
from tapewire.runtime import requests
from tapewire.runtime.agents import AgentStatusReporter, HealthCheck
from tapewire.runtime.leases import Leases
from tapewire.runtime.requests import Endpoint, RequestClient
from tapewire.runtime.settings import Settings


class App:
    """The parts that a service is wired from. `close` undoes what was registered, in reverse
    order. Leases are kept over `lease_connection`, by default over `connection`."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        connection: NatsConnection,
        *,
        lease_connection: NatsConnection | None = None,
        guard: JournalGuard | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.connection = connection
        self.instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        self.log = JetStreamEventLog(connection, guard)
        self.quotes = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="px", live_prefix="live.px"
        )
        self.valuations = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="mk", live_prefix="live.mk"
        )
        self.declared_values = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="val", live_prefix="live.val"
        )
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.last_quotes = JetStreamLatestValueStore(
            connection, stream=VIEWS, prefix=f"view.{EVERYBODY}.{LAST_QUOTES}"
        )
        self.sessions = JetStreamLatestValueStore(
            connection, stream=SESSIONS, prefix="$KV.sessions"
        )
        self.tickets = JetStreamLatestValueStore(connection, stream=TICKETS, prefix="$KV.tickets")
        self.heartbeats = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="hb", live_prefix="live.hb"
        )
        self.requests = RequestClient(connection)
        self.leases = Leases(
            lease_connection or connection, self.instance, work_connection=connection
        )
        self.logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
        self.is_ready = False
        self.status_reporter = AgentStatusReporter(
            self.log,
            self.heartbeats,
            name,
            self.instance,
            heartbeat_seconds=settings.agent_heartbeat,
        )
        self._on_ready = on_ready
        self._guard = guard
        self._readiness_checks: list[HealthCheck] = []
        self.is_suspended = False
        """Whether the service stops only because it must hold, and may start again."""
        self._stop_requested = asyncio.Event()
        self.failure: BaseException | None = None
        self._cleanup = contextlib.AsyncExitStack()

    def user_valuations(self, user: str) -> JetStreamLatestValueStore:
        """The valuations of one user's positions."""
        name = encode_token(user)
        return JetStreamLatestValueStore(
            self.connection, stream=MARKET, prefix=f"mk.{name}", live_prefix=f"live.mk.{name}"
        )

    async def follow_quotes(self) -> QuoteCache:
        """The newest quote of every symbol, kept current until the service stops. Raises
        LogError."""
        quote_cache = QuoteCache(
            self.quotes,
            last_quotes=lambda: read_last_quotes(self.last_quotes),
            probe=self.quotes.bounds,
            stale_seconds=self.settings.stale_seconds,
        )
        splits = SplitFollower(self.log, quote_cache.add_split, new_rng())
        await splits.start()
        self.on_stop(splits.close)
        await quote_cache.start()
        self.on_stop(quote_cache.close)
        self.spawn(splits.run(), name="splits")
        self.spawn(quote_cache.run(), name="quotes")
        return quote_cache

    def on_stop(self, cleanup: Callable[[], Awaitable[Any]]) -> None:
        """Call `cleanup` when the service stops, before everything that was registered earlier."""
        self._cleanup.push_async_callback(cleanup)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` beside the service until it stops. If `work` fails, the service stops with its
        error."""
        task = asyncio.create_task(work, name=name)

        def on_done(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and done.exception() is not None:
                self.logger.error("service.task_failed", name=name, exc_info=done.exception())
                self.failure = done.exception()
                self._stop_requested.set()

        async def cancel() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

        task.add_done_callback(on_done)
        self.on_stop(cancel)
        return task

    def is_journal_nearly_full(self) -> bool:
        """Whether commands that add exposure must be refused."""
        return self._guard is not None and self._guard.is_nearly_full

    def journal_extent(self) -> JournalExtent | None:
        """The extent of the journal, a few seconds ago; None before the first check."""
        journal = None if self._guard is None else self._guard.journal
        return None if journal is None else journal.extent

    def add_readiness_check(self, check: HealthCheck) -> None:
        """Report the service as degraded, and as not ready, while `check` returns a reason."""
        self._readiness_checks.append(check)
        self.add_health_check(check)

    def find_readiness_problem(self) -> str | None:
        """Why the service is not ready, by its readiness checks; None if it is."""
        return "; ".join(found for check in self._readiness_checks if (found := check())) or None

    def add_health_check(self, check: HealthCheck) -> None:
        """Report the service as degraded while `check` returns a reason. It is called with every
        heartbeat."""
        self.status_reporter.health_checks.append(check)

    def run_leased(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        endpoints: Mapping[str, Endpoint[Any]] | None = None,
    ) -> None:
        """Run `work` while this process holds the lease `name`; stand by for the lease otherwise.

        `endpoints` are served only by the process that holds the lease.
        """

        async def work_and_serve() -> None:
            server = await self._serve_leased_requests(endpoints or {})
            try:
                await work()
            finally:
                await server.close()

        self.spawn(
            self.leases.run_while_held(name, work_and_serve if endpoints else work),
            name=f"lease {name}",
        )

    async def checkpoint_views(
        self,
        view_type: ViewType[View] | None = None,
        history_type: HistoryType[Any] | None = None,
    ) -> None:
        """Write checkpoints of the views of `view_type`, of the histories of `history_type`, or of
        both if they are of one domain, together with all other processes."""
        checkpointer = ViewCheckpointer(self.log, self.views, view_type, history_type)
        await self.subscribe_durable(
            checkpointer.durable_name, pattern(domain=checkpointer.domain), checkpointer.handle
        )
        self.spawn(checkpointer.run(), name=checkpointer.durable_name)

    async def subscribe_durable(
        self,
        name: str,
        filter_: str,
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> None:
        """Handle events of the journal together with all other processes, until the service stops
        (`EventLog.subscribe_durable`). Its health says how many are parked."""
        subscription = await self.log.subscribe_durable(name, filter_, handler)
        self.on_stop(subscription.close)
        self.add_health_check(lambda: _describe_parked(subscription))

    async def _serve_leased_requests(
        self, endpoints: Mapping[str, Endpoint[Any]]
    ) -> requests.RequestServer:
        """Serve as soon as the connection allows it; the lease is held already."""
        return await retry(
            lambda: requests.serve_requests(self.connection, self.name, endpoints),
            new_rng(),
            self.logger,
            "requests.serve_failed",
            errors=(LogError, nats.errors.Error),
        )

    async def serve_requests(self, endpoints: Mapping[str, Endpoint[Any]]) -> None:
        """Answer requests to ``svc.{name}.{verb}`` until the service stops."""
        server = await requests.serve_requests(self.connection, self.name, endpoints)
        self.on_stop(server.close)

    def stop(self) -> None:
        """Ask the service to stop."""
        self._stop_requested.set()

    def suspend(self) -> None:
        """Ask the service to stop because it must hold."""
        self.is_suspended = True
        self._stop_requested.set()

    async def run_until_stopped(self) -> None:
        """Report that the service is ready, and wait until it is asked to stop.

        Raises:
            BaseException: the error of a spawned task.
        """
        self.is_ready = True
        self.status_reporter.report_ready()
        self.logger.info("service.ready", instance=self.instance)
        self._on_ready()
        await self._stop_requested.wait()
        self.is_ready = False
        self.logger.info("service.stopping")
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Undo everything that was registered, in reverse order."""
        await self._cleanup.aclose()


def _describe_parked(subscription: DurableSubscription) -> str | None:
    count = subscription.parked_count
    return f"{count} events of {subscription.name} are parked" if count else None
