"""Reads and asserts what several suites expect of a stream or an error response."""

import json
from collections.abc import Sequence
from typing import Any

from tapewire.log import RecordedEvent
from tests.harness.sse import Frame, SseStream

UNAUTHORIZED = {
    "error": "Unauthorized",
    "message": "No valid session found",
    "statusCode": 401,
}


async def read_refusal(answer: SseStream) -> tuple[int, Any]:
    """Read an error response to its end; return its status and its parsed body."""
    assert answer.header("content-type") == "application/json"
    body = json.loads(await answer.body())
    await answer.close()
    return answer.status, body


async def read_through(stream: SseStream, sequence: int) -> list[int]:
    """Read on to `sequence`; return the sequences of the frames that came with an id."""
    before = len(stream.frames)
    await stream.read_until(
        f"sequence {sequence}", lambda frame: frame.id is not None and frame.sequence >= sequence
    )
    return [frame.sequence for frame in stream.frames[before:] if frame.id is not None]


async def assert_reset(stream: SseStream, reason: str, requested_id: str) -> tuple[Frame, Frame]:
    """Read and return the reset, and the snapshot that follows it directly."""
    reset, snapshot = await stream.read(), await stream.read()
    assert reset.event == "stream:reset"
    assert reset.id is None
    assert (reset.data["reason"], reset.data["requestedId"]) == (reason, requested_id)
    assert snapshot.data["snapshot"] is True
    assert snapshot.id is not None
    return reset, snapshot


def sequences(recorded: Sequence[RecordedEvent]) -> list[int]:
    return [event.sequence for event in recorded]
