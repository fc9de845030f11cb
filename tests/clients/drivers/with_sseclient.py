"""Prints every event as a line of JSON. The argument names the streams and the credentials."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import httpx
from snippet import ConnectionLimitReached, follow

STREAMS = json.loads(sys.argv[1])
PRINT_LOCK = Lock()


def print_event(event: dict[str, Any]) -> None:
    with PRINT_LOCK:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def follow_one(stream: dict[str, Any]) -> None:
    def seen(event: Any) -> None:
        print_event(
            {"path": stream["path"], "event": event.event, "data": event.data, "id": event.id}
        )

    follow(stream["url"], seen, stream["id"], headers=stream["headers"], trust_env=False)


with ThreadPoolExecutor(len(STREAMS)) as threads:
    try:
        for done in [threads.submit(follow_one, stream) for stream in STREAMS]:
            done.result()
    except httpx.HTTPStatusError as error:
        print_event({"over": str(error.response.status_code)})
    except ConnectionLimitReached:
        print_event({"over": "limit"})
