"""Events as Server-Sent Events: bytes that every parser reads alike. Pure.

A frame is ``event:``, ``data:`` (one line of JSON), ``id:``, ``retry:`` and a blank line. What
some parsers take for line ends is escaped, ids hold none of it. A dialect says how an event is
named and what of it is shown; `Encoder` makes each event's frame once, however many read it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from services.edge.cursor import Cursor
from services.edge.dialects import Dialect, Empty, Scene, Told
from tapewire.events import CODEC, Undecodable, UnknownType
from tapewire.log import Recorded

RETRY_MS = 5000
"""What a client waits before it connects again, when nothing else was said."""
KEEPALIVE = b": keepalive\n\n"
LIVE = b": live\n\n"
"""Says that everything up to now has been sent, to a reader who asked for that."""
CHECKPOINT = "checkpoint"

_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)


def frame(
    event: str, payload: Any, id_: Cursor | None = None, *, retry_ms: int = RETRY_MS
) -> bytes:
    """One event as bytes. `payload` is a struct or builtins."""
    data = CODEC.encode(payload)
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    named = b"" if id_ is None else b"id: %b\n" % str(id_).encode()
    return b"event: %b\ndata: %b\n%bretry: %d\n\n" % (event.encode(), data, named, retry_ms)


def retry(milliseconds: int) -> bytes:
    """A block that says only how long to wait before connecting again."""
    return b"retry: %d\n\n" % milliseconds


class StreamReset(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loss, said: everything between `requested_id` and the snapshot that follows."""

    reason: str
    requested_id: str
    first_available_id: str


class AuthExpired(msgspec.Struct, frozen=True):
    """The session of the stream ended; the last event."""

    reason: str


class Limited(msgspec.Struct, frozen=True):
    """The user has more than `limit` connections, and this one was the oldest; the last event."""

    reason: str
    limit: int


class Draining(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """This connection will be closed by a server that stops, in `closes_in_ms` milliseconds."""

    closes_in_ms: int


class Replayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of the past that was asked for has come, up to `until_id`."""

    until_id: str


class Encoder:
    """The frame of an event in a dialect, made once for all its readers.

    It remembers the frames of one event only: readers are served event by event.
    """

    def __init__(
        self,
        on_unreadable: Callable[[Recorded, Exception], None],
        retry_ms: int = RETRY_MS,
        scene: Scene | None = None,
    ) -> None:
        self._on_unreadable = on_unreadable
        self._retry_ms = retry_ms
        self._scene = scene or Empty()
        self._of: Recorded | None = None
        self._frames: dict[Dialect, bytes | None] = {}

    def encode(self, recorded: Recorded, epoch: str, dialect: Dialect) -> bytes | None:
        """None when `dialect` does not show the event."""
        if recorded is not self._of:
            self._of, self._frames = recorded, {}
        if dialect not in self._frames:
            told = self.tell(recorded, dialect)
            at = Cursor(epoch, recorded.sequence)
            self._frames[dialect] = None if told is None else self.frame(told, at)
        return self._frames[dialect]

    def tell(self, recorded: Recorded, dialect: Dialect) -> Told | None:
        """The event in a dialect, None when it is not shown."""
        try:
            return dialect(recorded.event, recorded.place.owner, self._scene)
        except (UnknownType, Undecodable) as error:
            self._on_unreadable(recorded, error)
            return None

    def frame(self, told: Told, at: Cursor | None = None) -> bytes:
        """What is told, as bytes."""
        return frame(*told, at, retry_ms=self._retry_ms)
