"""Prints every event as a line of JSON. The argument names the streams and the credentials."""

import asyncio
import json
import sys
from typing import Any

from snippet import follow

import tapewire

POLL_AFTER_SECONDS = 30.0
"""On a busy machine an edge may take more than two seconds for the first byte."""


def print_event(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def follow_one(stream: dict[str, Any]) -> None:
    async def seen(event: tapewire.StreamEvent) -> None:
        assert not isinstance(event.payload, dict), f"{event.type} has no type"
        print_event(
            {"path": stream["path"], "event": event.type, "data": event.text, "id": event.id}
        )

    await follow(
        stream["url"],
        seen,
        stream["id"],
        headers=stream["headers"],
        poll_after_seconds=POLL_AFTER_SECONDS,
        trust_env=False,
    )


async def follow_all() -> None:
    await asyncio.gather(*(follow_one(stream) for stream in json.loads(sys.argv[1])))


try:
    asyncio.run(follow_all())
except tapewire.AnotherUserSignedIn:
    print_event({"over": "409"})
except tapewire.SignedOut:
    print_event({"over": "401"})
except tapewire.StreamLimitReached:
    print_event({"over": "limit"})
except tapewire.StreamRejected as error:
    print_event({"over": str(error.status_code)})
