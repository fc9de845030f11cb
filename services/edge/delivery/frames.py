"""Events as Server-Sent Events: bytes that every parser reads alike. Pure.

A frame is ``event:``, ``data:`` (one line of JSON), ``id:``, ``retry:`` and a blank line. What
some parsers take for line ends is escaped, ids hold none of it. A dialect says how an event is
named and what of it is shown; `Encoder` makes each event's frame once, however many read it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from tapewire.events import CODEC, Undecodable, UnknownType
from tapewire.log import RecordedEvent
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers import (
    EmptyPricingContext,
    PricingContext,
    Serializer,
    SseMessage,
)

DEFAULT_RETRY_MS = 5000
"""What a client waits before it connects again, when nothing else was said."""
KEEPALIVE_COMMENT = b": keepalive\n\n"
LIVE_COMMENT = b": live\n\n"
"""Says that everything up to now has been sent, to a reader who asked for that."""
CHECKPOINT_EVENT = "checkpoint"

_LINE_END_ESCAPES = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)


def render_frame(
    event_name: str,
    payload: Any,
    event_id: Cursor | None = None,
    *,
    retry_ms: int = DEFAULT_RETRY_MS,
) -> bytes:
    """One event as bytes. `payload` is a struct or builtins."""
    data = CODEC.encode(payload)
    for raw, escaped in _LINE_END_ESCAPES:
        if raw in data:
            data = data.replace(raw, escaped)
    named = b"" if event_id is None else b"id: %b\n" % str(event_id).encode()
    return b"event: %b\ndata: %b\n%bretry: %d\n\n" % (event_name.encode(), data, named, retry_ms)


def render_retry(milliseconds: int) -> bytes:
    """A block that says only how long to wait before connecting again."""
    return b"retry: %d\n\n" % milliseconds


class StreamResetPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loss, said: everything between `requested_id` and the snapshot that follows."""

    reason: str
    requested_id: str
    first_available_id: str


class AuthExpiredPayload(msgspec.Struct, frozen=True):
    """The session of the stream ended; the last event."""

    reason: str


class ConnectionLimitPayload(msgspec.Struct, frozen=True):
    """The user has more than `limit` connections, and this one was the oldest; the last event."""

    reason: str
    limit: int


class StreamDrainingPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """This connection will be closed by a server that stops, in `closes_in_ms` milliseconds."""

    closes_in_ms: int


class ReplayCompletePayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of the past that was asked for has come, up to `until_id`."""

    until_id: str


class FrameEncoder:
    """The frame of an event in a dialect, made once for all its readers.

    It remembers the frames of one event only: readers are served event by event.
    """

    def __init__(
        self,
        on_undecodable: Callable[[RecordedEvent, Exception], None],
        retry_ms: int = DEFAULT_RETRY_MS,
        pricing: PricingContext | None = None,
    ) -> None:
        self._on_undecodable = on_undecodable
        self._retry_ms = retry_ms
        self._pricing = pricing or EmptyPricingContext()
        self._current_event: RecordedEvent | None = None
        self._frames: dict[Serializer, bytes | None] = {}

    def encode(self, recorded: RecordedEvent, epoch: str, serializer: Serializer) -> bytes | None:
        """None when `dialect` does not show the event."""
        if recorded is not self._current_event:
            self._current_event, self._frames = recorded, {}
        if serializer not in self._frames:
            told = self.serialize(recorded, serializer)
            at = Cursor(epoch, recorded.sequence)
            self._frames[serializer] = None if told is None else self.render_frame(told, at)
        return self._frames[serializer]

    def serialize(self, recorded: RecordedEvent, serializer: Serializer) -> SseMessage | None:
        """The event in a dialect, None when it is not shown."""
        try:
            return serializer(recorded.event, recorded.event_subject.owner, self._pricing)
        except (UnknownType, Undecodable) as error:
            self._on_undecodable(recorded, error)
            return None

    def render_frame(self, message: SseMessage, at: Cursor | None = None) -> bytes:
        """What is told, as bytes."""
        return render_frame(*message, at, retry_ms=self._retry_ms)
