"""The edge: `python -m services.edge`."""

import asyncio
import gc
from datetime import UTC, datetime

from services.edge import gateway, server
from services.edge.access import Sessions
from services.edge.follow import Board, Followers, Tape
from services.edge.http.app import Health, application
from services.edge.http.streams import Streams
from services.edge.hub import Hub, Reason, auth_expired
from tapewire.runtime import App, run

TICK_SECONDS = 0.5
REST_SECONDS = 10.0
"""A stream silent for so long holds no compressor: most connections wait most of the time."""

COLLECT_OBJECTS = 20_000
"""New objects between two looks for garbage; Python's 700 is a look, at every connection now and
then, for each few deliveries. What streams leave behind is freed by counting references."""


def now() -> datetime:
    return datetime.now(UTC)


async def wiring(app: App) -> None:
    settings = app.settings
    clock = asyncio.get_running_loop().time

    # 1. Who is connected.
    hub = Hub(
        keepalive_seconds=settings.keepalive_interval,
        write_seconds=settings.write_seconds,
        retry_ms=settings.retry_ms,
    )
    tick = min(TICK_SECONDS, settings.keepalive_interval / 4)
    app.spawn(server.look_after(hub, now, tick), name="tick")

    # 2. What happens: the log's end, and the market.
    tape = Tape(app.log, hub.publish, lambda: hub.restart(tape.epoch))
    board = Board(app.market, settings.flush_ms / 1000, retry_ms=settings.retry_ms)
    app.spawn(tape.run(), name="tape")
    app.spawn(board.run(), name="board")
    await tape.ready.wait()

    # 3. Who may see it.
    sessions = Sessions(app.sessions, now, settings.session_hours)

    def ended(key: str) -> None:
        for connection in hub.connections():
            if connection.opening.session == key:
                farewell = auth_expired(Reason.REVOKED)
                hub.end(connection, Reason.REVOKED, clock(), farewell)

    def open_keys() -> list[str]:
        return [c.opening.session for c in hub.connections() if c.opening.session is not None]

    app.spawn(sessions.watch(ended, open_keys), name="sessions")

    # 4. How it is followed, served and asked.
    followers = Followers(
        log=app.log,
        views=app.views,
        tape=tape,
        hub=hub,
        board=board,
        now=now,
        retry_ms=settings.retry_ms,
        keepalive_ms=round(settings.keepalive_interval * 1000),
        replay_limit=settings.replay_limit,
        replays_at_once=settings.replays_at_once,
    )
    streams = Streams(followers=followers, hub=hub, sessions=sessions, settings=settings, now=now)
    app.spawn(server.regularly(streams.rest, REST_SECONDS), name="rest")
    rest = gateway.Gateway(
        requests=app.requests, sessions=sessions, board=board, settings=settings, now=now
    )

    def health() -> Health:
        word = "ok" if tape.ready.is_set() else "degraded"
        if streams.draining:
            word = "stopping"
        return Health(status=word, connections=len(hub), users=hub.owners())

    # 5. Sockets, last: from here on clients come, and at the end they are the first to go.
    http = server.EdgeServer(
        application(streams, gateway.routes(rest), health), server.listening_socket(settings)
    )
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS, 20, 20)
    await http.start()
    app.spawn(http.run_ticks(), name="http")
    app.on_stop(lambda: server.drain(http, streams, hub, settings.drain_seconds))


if __name__ == "__main__":
    run("edge", wiring)
