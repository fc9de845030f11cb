"""Events as frames of a Server-Sent Events stream, in bytes that every parser reads alike. Pure.

A frame is ``event:``, ``data:`` (one line of JSON), ``id:``, ``retry:`` and a blank line. The
characters that some parsers take for line ends are escaped in the data; names and ids contain none.
A serializer names an event and selects what of it is shown; `FrameEncoder` renders each event once
per serializer, however many connections read it.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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
"""Default reconnection time of clients, in milliseconds."""
KEEPALIVE_COMMENT = b": keepalive\n\n"
PRICES_KEEPALIVE_COMMENT = b": prices\n\n"
"""Sent on an idle stream that shows prices: its client notices when the server stands still."""
LIVE_COMMENT = b": live\n\n"
"""Notifies a client that asked for it that all earlier events have been sent."""

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
    """Return one frame. `payload` is a struct or a builtin value."""
    data = CODEC.encode(payload)
    for raw, escaped in _LINE_END_ESCAPES:
        if raw in data:
            data = data.replace(raw, escaped)
    id_line = b"" if event_id is None else b"id: %b\n" % str(event_id).encode()
    return b"event: %b\ndata: %b\n%bretry: %d\n\n" % (event_name.encode(), data, id_line, retry_ms)


class ParsedFrame(NamedTuple):
    """One block of a stream of this module. `data` is JSON. A comment has neither an event nor a
    `retry_ms`."""

    event: str | None
    data: bytes
    event_id: str | None
    retry_ms: int | None


def parse_frames(chunk: bytes) -> Iterator[ParsedFrame]:
    """The blocks of `chunk`, which `render_frame` and the like have made."""
    for block in chunk.split(b"\n\n"):
        if not block:
            continue
        fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        event, event_id, retry = (fields.get(name) for name in (b"event", b"id", b"retry"))
        yield ParsedFrame(
            event.decode() if event is not None else None,
            fields.get(b"data", b"null"),
            event_id.decode() if event_id is not None else None,
            int(retry) if retry is not None else None,
        )


def render_retry(milliseconds: int) -> bytes:
    """Return a block that only sets the client's reconnection time."""
    return b"retry: %d\n\n" % milliseconds


class FrameEncoder:
    """Renders the frame of an event once per serializer, for all its readers.

    It caches the frames of one event only, because the hub delivers event by event.
    `on_undecodable` is called for an event that cannot be decoded.
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
        """Return the frame of `recorded`, with its id; None when `serializer` does not show it."""
        if recorded is not self._current_event:
            self._current_event, self._frames = recorded, {}
        if serializer not in self._frames:
            message = self.serialize(recorded, serializer)
            event_id = Cursor(epoch, recorded.sequence)
            self._frames[serializer] = (
                None if message is None else self.render_frame(message, event_id)
            )
        return self._frames[serializer]

    def serialize(self, recorded: RecordedEvent, serializer: Serializer) -> SseMessage | None:
        """Return the name and payload of `recorded`; None when `serializer` does not show it."""
        try:
            return serializer(recorded.event, recorded.event_subject.owner, self._pricing)
        except (UnknownType, Undecodable) as error:
            self._on_undecodable(recorded, error)
            return None

    def render_frame(self, message: SseMessage, event_id: Cursor | None = None) -> bytes:
        """Return the frame of `message`."""
        return render_frame(*message, event_id, retry_ms=self._retry_ms)
