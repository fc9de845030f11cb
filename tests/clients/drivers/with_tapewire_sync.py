"""Prints every event as a line of JSON. The argument names the streams and the credentials."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from snippet import follow

import tapewire

STREAMS = json.loads(sys.argv[1])
PRINT_LOCK = Lock()
POLL_AFTER_SECONDS = 30.0
"""On a busy machine an edge may take more than two seconds for the first byte."""


def print_event(event: dict[str, Any]) -> None:
    with PRINT_LOCK:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def follow_one(stream: dict[str, Any]) -> None:
    def seen(event: tapewire.StreamEvent) -> None:
        assert not isinstance(event.payload, dict), f"{event.type} has no type"
        print_event(
            {"path": stream["path"], "event": event.type, "data": event.text, "id": event.id}
        )

    follow(
        stream["url"],
        seen,
        stream["id"],
        headers=stream["headers"],
        poll_after_seconds=POLL_AFTER_SECONDS,
        trust_env=False,
    )


with ThreadPoolExecutor(len(STREAMS)) as threads:
    try:
        for done in [threads.submit(follow_one, stream) for stream in STREAMS]:
            done.result()
    except tapewire.AnotherUserSignedIn:
        print_event({"over": "409"})
    except tapewire.SignedOut:
        print_event({"over": "401"})
    except tapewire.StreamLimitReached:
        print_event({"over": "limit"})
    except tapewire.StreamRejected as error:
        print_event({"over": str(error.status_code)})
