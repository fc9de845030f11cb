"""The edge: `python -m services.edge`."""

import asyncio
import gc
from datetime import UTC, datetime

from services.edge import gateway, server, testing
from services.edge.access import Sessions, Tickets, open_entrance
from services.edge.comings import Comings
from services.edge.drain import drain
from services.edge.engine import Engine
from services.edge.feeds import feeds
from services.edge.http.admission import Admission
from services.edge.http.app import Health, SseHealth, application
from services.edge.http.streams import Streams
from services.edge.limits import Attempts
from services.edge.rollcall import Rollcall
from tapewire.events import CATALOGUE
from tapewire.runtime import App, run
from tapewire.runtime.broadcast import Broadcast

TICK_SECONDS = 0.5
REST_SECONDS = 10.0
"""A stream silent for so long holds no compressor: most connections wait most of the time."""

COLLECT_OBJECTS = 4_000
"""New objects between two looks for garbage. Python's 700 costs a sixth of the time where every
user has events of their own; with 20,000 what closed connections leave piles up for too long."""


def now() -> datetime:
    return datetime.now(UTC)


async def wiring(app: App) -> None:
    settings = app.settings
    table = feeds(CATALOGUE)

    # 1. What streams are served with: the log's end, the market, and who is connected here.
    engine = Engine(
        log=app.log,
        views=app.views,
        market=app.market,
        valuations=app.valuations_of,
        own_values=app.own_values,
        settings=settings,
        now=now,
    )
    for name, work in engine.work().items():
        app.spawn(work, name=name)
    tick = min(TICK_SECONDS, settings.keepalive_interval / 4)
    app.spawn(server.look_after(engine.hub, now, tick), name="tick")
    await engine.tape.ready.wait()
    app.check(lambda: None if engine.tape.ready.is_set() else "does not follow the log")

    # 2. Who is connected elsewhere, and who came there.
    broadcast, most = Broadcast(app.wire), settings.max_user_connections
    rollcall = Rollcall(broadcast, app.instance, most, lambda client: engine.crowded(client, most))
    engine.totals = rollcall.roster.totals
    app.on_stop(rollcall.leave)
    app.spawn(rollcall.run(), name="rollcall")
    comings = Comings(broadcast, app.instance, Attempts(settings.connect_rate))
    app.spawn(comings.run(), name="comings")
    app.spawn(engine.counts.run(lambda: rollcall.roster.version), name="counts")
    app.on_stop((await testing.hear(broadcast, engine.hub)).close)

    # 3. Who may see what.
    sessions = Sessions(app.sessions, now, settings.session_hours)
    tickets = Tickets(app.tickets, now, settings.ticket_seconds)
    entrance = open_entrance(
        settings,
        sessions=sessions,
        tickets=tickets,
        now=now,
        clock=asyncio.get_running_loop().time,
        on_stop=app.on_stop,
    )
    app.spawn(sessions.watch(engine.revoked, engine.sessions), name="sessions")

    # 4. How it is served and asked.
    streams = Streams(
        followers=engine.followers,
        hub=engine.hub,
        admission=Admission(
            log=app.log,
            tape=engine.tape,
            entrance=entrance,
            attempt=comings.take,
            settings=settings,
        ),
        settings=settings,
        now=now,
        rollcall=rollcall,
    )
    app.spawn(server.regularly(streams.rest, REST_SECONDS), name="rest")

    def health() -> Health:
        word = "ok" if engine.tape.ready.is_set() else "degraded"
        if streams.draining:
            word = "stopping"
        return Health(
            status=word,
            connections=len(engine.hub),
            users=engine.hub.owners(),
            sse=SseHealth(
                status=word,
                total_connections=engine.totals().clients,
                listener_active=engine.tape.ready.is_set(),
            ),
        )

    rest = gateway.Gateway(
        requests=app.requests,
        sessions=sessions,
        tickets=tickets,
        entrance=entrance,
        board=engine.board,
        settings=settings,
        now=now,
        engine=engine,
        broadcast=broadcast,
        health=health,
    )

    # 5. Sockets, last: from here on clients come, and at the end they are the first to go.
    http = server.EdgeServer(
        application(streams, table, gateway.routes(rest), health, settings.origins),
        server.listening_socket(settings),
        settings.drain_seconds,
        settings.request_seconds,
    )
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS)
    await http.start()
    app.spawn(http.run_ticks(), name="http")
    app.on_stop(lambda: drain(http, streams, engine.hub, settings.drain_seconds, now))


if __name__ == "__main__":
    run("edge", wiring)
