"""The edge: `python -m tapewire_services.edge`."""

import asyncio
import gc
from datetime import UTC, datetime

from tapewire.events import CATALOGUE
from tapewire.runtime import App, run
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.auth import SessionStore, TicketStore, build_authenticator
from tapewire_services.edge.cluster.distributed_rate_limiter import DistributedRateLimiter
from tapewire_services.edge.cluster.limits import RateLimiter
from tapewire_services.edge.cluster.presence_sync import PresenceSync
from tapewire_services.edge.delivery import admin_test_event
from tapewire_services.edge.delivery.stream_routes import build_stream_routes
from tapewire_services.edge.drain import drain
from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http import controllers, server
from tapewire_services.edge.http.admission import StreamAdmission
from tapewire_services.edge.http.app import Health, SseHealth, create_app
from tapewire_services.edge.http.streams import StreamHandler

MAX_TICK_SECONDS = 0.5
COMPRESSOR_IDLE_SECONDS = 10.0
"""A stream silent for so long holds no compressor: most connections wait most of the time."""

GC_THRESHOLD_OBJECTS = 4_000
"""New objects between two looks for garbage. Python's 700 costs a sixth of the time where every
user has events of their own; with 20,000 what closed connections leave piles up for too long."""


def now() -> datetime:
    return datetime.now(UTC)


async def wire(app: App) -> None:
    settings = app.settings
    table = build_stream_routes(CATALOGUE)

    # 1. What streams are served with: the log's end, the market, and who is connected here.
    engine = Engine(
        instance=app.instance,
        log=app.log,
        views=app.views,
        quotes=app.quotes,
        user_valuations=app.user_valuations,
        declared_values=app.declared_values,
        settings=settings,
        now=now,
    )
    for name, work in engine.background_tasks().items():
        app.spawn(work, name=name)
    tick = min(MAX_TICK_SECONDS, settings.keepalive_interval / 4)
    app.spawn(server.run_hub_ticks(engine.hub, now, tick), name="tick")
    await engine.log_tail.ready.wait()
    app.add_health_check(
        lambda: None if engine.log_tail.ready.is_set() else "does not follow the log"
    )

    # 2. Who is connected elsewhere, and who came there.
    broadcast = Broadcast(app.connection)
    rollcall = PresenceSync(broadcast, engine.presence, app.instance)
    app.on_stop(rollcall.announce_stopped)
    app.spawn(rollcall.run(), name="rollcall")
    comings = DistributedRateLimiter(broadcast, app.instance, RateLimiter(settings.connect_rate))
    app.spawn(comings.run(), name="comings")
    app.on_stop((await admin_test_event.subscribe_test_events(broadcast, engine.hub)).close)

    # 3. Who may see what.
    sessions = SessionStore(app.sessions, now, settings.session_hours)
    tickets = TicketStore(app.tickets, now, settings.ticket_seconds)
    entrance = build_authenticator(
        settings,
        session_store=sessions,
        ticket_store=tickets,
        now=now,
        clock=asyncio.get_running_loop().time,
        on_stop=app.on_stop,
    )
    app.spawn(sessions.watch(engine.close_session, engine.open_session_ids), name="sessions")

    # 4. How it is served and asked.
    streams = StreamHandler(
        stream_service=engine.stream_service,
        hub=engine.hub,
        admission=StreamAdmission(
            log=app.log,
            log_tail=engine.log_tail,
            authenticator=entrance,
            count_attempt=comings.try_acquire,
            settings=settings,
        ),
        settings=settings,
        now=now,
        presence_sync=rollcall,
    )
    app.spawn(
        server.run_periodically(streams.release_idle_compressors, COMPRESSOR_IDLE_SECONDS),
        name="rest",
    )

    def health() -> Health:
        word = "ok" if engine.log_tail.ready.is_set() else "degraded"
        if streams.is_draining:
            word = "stopping"
        return Health(
            status=word,
            connections=len(engine.hub),
            users=engine.hub.owner_count(),
            sse=SseHealth(
                status=word,
                total_connections=engine.totals().connection_count,
                listener_active=engine.log_tail.ready.is_set(),
            ),
        )

    rest = controllers.ControllerContext(
        requests=app.requests,
        sessions=sessions,
        tickets=tickets,
        authenticator=entrance,
        quote_feed=engine.quote_feed,
        settings=settings,
        now=now,
        engine=engine,
        broadcast=broadcast,
        get_health=health,
    )

    # 5. Sockets, last: from here on clients come, and at the end they are the first to go.
    http = server.EdgeServer(
        create_app(streams, table, controllers.routes(rest), health, settings.origins),
        server.open_listening_socket(settings),
        settings.drain_seconds,
        settings.request_seconds,
    )
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    await http.start()
    app.spawn(http.run_ticks(), name="http")
    app.on_stop(lambda: drain(http, streams, engine.hub, settings.drain_seconds, now))


if __name__ == "__main__":
    run("edge", wire)
