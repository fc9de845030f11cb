"""The edge service: streams, REST API and pages. Run it by `python -m tapewire_services.edge`.

`wiring` builds the process in the order of an event's way: exchange with other edge processes, the
engine between log and streams, authentication, HTTP. Clients can connect once everything else runs,
and are disconnected before anything else stops.
"""

import asyncio
import gc
from collections.abc import Sequence
from datetime import UTC, datetime

from tapewire.events import CATALOGUE
from tapewire.log import new_id
from tapewire.log.backoff import new_rng
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_growth import GrowthMeter
from tapewire.log.splits import SplitFollower
from tapewire.runtime import App, run
from tapewire.runtime.broadcast import Broadcast
from tapewire.runtime.contracts import bars
from tapewire_services.edge.auth import SessionStore, TicketStore, build_authenticator
from tapewire_services.edge.cluster.admin_test_event import AdminTestEventBroadcast
from tapewire_services.edge.cluster.distributed_rate_limiter import (
    CALLS_TOPIC,
    DistributedRateLimiter,
)
from tapewire_services.edge.cluster.limits import RateLimiter
from tapewire_services.edge.cluster.presence_sync import PresenceSync
from tapewire_services.edge.cluster.process_reports import ReportExchange
from tapewire_services.edge.cluster.stream_changes import StreamChangeExchange
from tapewire_services.edge.delivery.stream_routes import StreamRoute, build_stream_routes
from tapewire_services.edge.drain import drain
from tapewire_services.edge.engine import PRICES_KEEPALIVE_SHARE, Engine
from tapewire_services.edge.http import server
from tapewire_services.edge.http.admission import StreamAdmission
from tapewire_services.edge.http.app import create_app
from tapewire_services.edge.http.controllers import ControllerContext
from tapewire_services.edge.http.event_explainer import EventExplainer, OperatorSources
from tapewire_services.edge.http.health import read_health
from tapewire_services.edge.http.held import serve_held
from tapewire_services.edge.http.listener import raise_descriptor_limit
from tapewire_services.edge.http.process_reporter import ProcessReporter
from tapewire_services.edge.http.stream_changes import StreamChanger
from tapewire_services.edge.http.streams import StreamHandler
from tapewire_services.edge.http.uvicorn_compat import EdgeServer
from tapewire_services.edge.ingest.feed_faults import FeedFaultReader

MAX_TICK_SECONDS = 0.5
NEWEST_BARS_TIMEOUT_SECONDS = 1.0
COMPRESSOR_IDLE_SECONDS = 10.0
"""A stream that is silent for so long holds no compressor. Most streams are silent mostly."""

GC_THRESHOLD_OBJECTS = 4_000
"""New objects between garbage collections. Python's default of 700 costs a sixth of the CPU time
where every user has events of their own; with 20,000 the memory of closed connections piles up."""


def now() -> datetime:
    return datetime.now(UTC)


async def wiring(app: App) -> None:
    """Build and start the edge."""
    settings = app.settings
    engine = _start_engine(app)
    await engine.log_tail.ready.wait()
    app.add_health_check(
        lambda: None if engine.log_tail.ready.is_set() else "does not follow the log"
    )

    broadcast = Broadcast(app.connection)
    presence_sync = PresenceSync(broadcast, engine.presence, app.instance)
    app.on_stop(presence_sync.announce_stopped)
    app.spawn(presence_sync.run(engine.close_over_limit), name="presence")
    attempts = DistributedRateLimiter(broadcast, app.instance, RateLimiter(settings.connect_rate))
    app.spawn(attempts.run(), name="attempts")
    calls = DistributedRateLimiter(
        broadcast, app.instance, RateLimiter(settings.call_rate), CALLS_TOPIC
    )
    app.spawn(calls.run(), name="calls")
    test_events = AdminTestEventBroadcast(broadcast)
    app.spawn(test_events.run(engine.broadcast_test_event), name="test-events")
    changer = StreamChanger(
        engine.hub, engine.quote_feed, engine.presence, StreamChangeExchange(broadcast)
    )
    app.spawn(changer.run(), name="stream-changes")

    sessions = SessionStore(app.sessions, now, settings.session_hours)
    tickets = TicketStore(app.tickets, now, settings.ticket_seconds)
    authenticator = build_authenticator(
        settings,
        session_store=sessions,
        ticket_store=tickets,
        now=now,
        clock=asyncio.get_running_loop().time,
        on_stop=app.on_stop,
    )
    app.spawn(sessions.watch(engine.close_session, engine.open_session_ids), name="sessions")

    streams = StreamHandler(
        stream_service=engine.stream_service,
        hub=engine.hub,
        admission=StreamAdmission(
            log=app.log,
            log_tail=engine.log_tail,
            authenticator=authenticator,
            count_attempt=attempts.try_acquire,
            settings=settings,
        ),
        settings=settings,
        now=now,
        presence_sync=presence_sync,
    )
    app.spawn(
        server.run_periodically(streams.release_idle_compressors, COMPRESSOR_IDLE_SECONDS),
        name="compressors",
    )
    growth_meter = GrowthMeter(app.connection)
    app.spawn(growth_meter.run(), name="journal growth")
    feed_faults = FeedFaultReader(app.views)
    app.spawn(feed_faults.run(), name="feed faults")
    reports = ReportExchange(
        broadcast, app.instance, ProcessReporter(engine, app.instance).make_report
    )
    app.spawn(reports.run(), name="process-reports")
    failed_events = JetStreamFailedEventStore(app.connection)
    routes = build_stream_routes(CATALOGUE)
    explainer = EventExplainer(
        log=app.log,
        routes=routes,
        presence=engine.presence,
        reports=reports,
        requests=app.requests,
        find_failed=failed_events.find,
    )
    context = ControllerContext(
        requests=app.requests,
        count_call=calls.try_acquire,
        sessions=sessions,
        tickets=tickets,
        authenticator=authenticator,
        settings=settings,
        now=now,
        engine=engine,
        test_events=test_events,
        streams=changer,
        operator_sources=OperatorSources(
            log=app.log,
            views=app.views,
            failed_events=failed_events,
            reports=reports,
            requests=app.requests,
            explainer=explainer,
        ),
        get_health=lambda: read_health(engine, streams, app.find_readiness_problem()),
        get_journal=app.journal_extent,
        get_growth=lambda: growth_meter.growth,
        get_feed_faults=lambda: feed_faults.counts,
    )
    await _start_http(app, engine, streams, routes, context)


def _start_engine(app: App) -> Engine:
    """The engine, whose tasks run."""

    async def get_newest_bars(request: bars.GetNewestBars) -> bars.NewestBars:
        return await app.requests.request(
            bars.SERVICE,
            bars.NEWEST,
            request,
            bars.NewestBars,
            correlation=new_id(),
            timeout_seconds=NEWEST_BARS_TIMEOUT_SECONDS,
        )

    engine = Engine(
        instance=app.instance,
        log=app.log,
        views=app.views,
        quotes=app.quotes,
        user_valuations=app.user_valuations,
        declared_values=app.declared_values,
        last_quotes=app.last_quotes,
        probe=app.quotes.bounds,
        get_newest_bars=get_newest_bars,
        settings=app.settings,
        now=now,
    )
    for name, task in engine.background_tasks().items():
        app.spawn(task, name=name)
    splits = SplitFollower(app.log, engine.quote_feed.add_split, new_rng())
    app.spawn(splits.run(), name="splits")
    tick = min(
        MAX_TICK_SECONDS,
        app.settings.keepalive_interval / 4,
        app.settings.stale_seconds * PRICES_KEEPALIVE_SHARE / 2,
    )
    app.spawn(server.run_hub_ticks(engine.hub, now, tick), name="hub-tick")
    return engine


async def _start_http(
    app: App,
    engine: Engine,
    streams: StreamHandler,
    routes: Sequence[StreamRoute],
    context: ControllerContext,
) -> None:
    """Start to accept clients, and drain them first when the process stops."""
    settings = app.settings
    raise_descriptor_limit(settings.max_connections)
    http = EdgeServer(
        create_app(streams, routes, context),
        server.open_listening_socket(settings),
        settings.drain_seconds,
        settings.request_seconds,
    )
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    await http.start()
    app.spawn(http.run_ticks(), name="http")

    async def stop_serving() -> None:
        """Drain; at once if the edge must hold, since its streams show what may not be true."""
        if not app.is_suspended:
            server.close_inherited_socket(settings)
        seconds = 0.0 if app.is_suspended else settings.drain_seconds
        await drain(http, streams, engine.hub, seconds, now)

    app.on_stop(stop_serving)


if __name__ == "__main__":
    run("edge", wiring, hold_server=serve_held)
