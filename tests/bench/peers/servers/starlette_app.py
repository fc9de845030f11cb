"""The peer itself: `python starlette_app.py PORT REDIS_PORT`, in its own environment.

It has one Redis subscription per process and a queue per client, which is the fastest design
without optimized writes. Most examples subscribe once per client.
"""

import asyncio
import contextlib
import sys
from collections import defaultdict
from collections.abc import AsyncIterator

import redis.asyncio
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

MAX_QUEUED_EVENTS = 10_000

clients: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def listen_to_redis(port: int) -> None:
    subscription = redis.asyncio.Redis(port=port, decode_responses=True).pubsub()
    await subscription.psubscribe("*")
    async for message in subscription.listen():
        if message["type"] == "pmessage":
            for queue in clients[message["channel"]]:
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(message["data"])


async def channel_events(channel: str) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED_EVENTS)
    clients[channel].add(queue)
    try:
        yield ServerSentEvent(event="connected", data="{}", sep="\n")
        number = 0
        while True:
            event, _, data = (await queue.get()).partition(" ")
            number += 1
            yield ServerSentEvent(event=event, data=data, id=str(number), sep="\n")
    finally:
        clients[channel].discard(queue)


async def stream_endpoint(request: Request) -> EventSourceResponse:
    return EventSourceResponse(channel_events(request.path_params["channel"]))


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(listen_to_redis(int(sys.argv[2])))
    yield
    task.cancel()


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/events/{channel}", stream_endpoint)], lifespan=lifespan),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        backlog=4096,
    )
