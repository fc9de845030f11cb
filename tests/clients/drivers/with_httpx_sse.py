"""Prints every event as a line of JSON. The argument names the streams and the credentials."""

import asyncio
import json
import sys
from typing import Any

import httpx
from snippet import ConnectionLimitReached, follow


def print_event(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def follow_one(stream: dict[str, Any]) -> None:
    async def seen(event: Any) -> None:
        print_event(
            {"path": stream["path"], "event": event.event, "data": event.data, "id": event.id}
        )

    await follow(stream["url"], seen, stream["id"], headers=stream["headers"], trust_env=False)


async def follow_all() -> None:
    await asyncio.gather(*(follow_one(stream) for stream in json.loads(sys.argv[1])))


try:
    asyncio.run(follow_all())
except httpx.HTTPStatusError as error:
    print_event({"over": str(error.response.status_code)})
except ConnectionLimitReached:
    print_event({"over": "limit"})
