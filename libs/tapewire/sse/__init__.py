"""Reads the edge's event streams over HTTP: `tapewire.stream` and `tapewire.sync.stream`.

    async with tapewire.stream("http://127.0.0.1:8000/api/stream/prices") as events:
        async for event in events:
            print(event.type, event.data)

`event_stream` and `sync_stream` are the iterators. `reader` reconnects and resumes. One response is
read by `stream_connection` or `polling_connection`. `handover` opens the next connection before the
current one ends, and `event_buffer` keeps what the caller has not read. `protocol` has the
decisions, without I/O. Start at `event_stream`, then `reader`.
"""

from tapewire.sse.errors import (
    AnotherUserSignedIn,
    SignedOut,
    StreamEnded,
    StreamLimitReached,
    StreamRejected,
)
from tapewire.sse.event import StreamEvent
from tapewire.sse.event_stream import EventStream, stream
from tapewire.sse.state import StreamState

__all__ = [
    "AnotherUserSignedIn",
    "EventStream",
    "SignedOut",
    "StreamEnded",
    "StreamEvent",
    "StreamLimitReached",
    "StreamRejected",
    "StreamState",
    "stream",
]
