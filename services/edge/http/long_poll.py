"""Long-polling: a stream in pieces, for clients behind proxies that hold a stream back.

A poll is a connection that ends after its first flush (`delivery.catch_up`). Its frames are
collected and sent as one JSON document, from whose `lastEventId` the next poll, or a stream,
continues. Start reading at `PollResponse.serve`.
"""

import asyncio

import msgspec
from litestar.types import Receive, Send

from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.compression import GzipStream
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.frames import parse_frames
from tapewire_services.edge.delivery.serializers.control_messages import CHECKPOINT, RESET_EVENT
from tapewire_services.edge.delivery.stream_service import StreamService
from tapewire_services.edge.http.admission import AdmittedStream
from tapewire_services.edge.http.client_disconnect import run_until_disconnect
from tapewire_services.edge.http.errors import stream_error, unavailable
from tapewire_services.edge.http.raw_responses import (
    Headers,
    send_error,
    send_json,
    send_retry,
    spread_retry_ms,
)
from tapewire_services.edge.http.stream_request import StreamRequest

VALUES_INTERVAL_SECONDS = 1.0
"""Polls of a stream with newest-wins values, each of which is answered with the newest, are at
least so far apart."""
GRACE_SECONDS = 1.0
"""A poll that cannot read the log is answered so long after its time."""

_ENCODER = msgspec.json.Encoder()


class PolledEvent(msgspec.Struct, frozen=True):
    """An event as on the stream; `id` is None where the stream sends none."""

    id: str | None
    event: str
    data: msgspec.Raw


class PollDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a poll. The next one is sent after `retry` milliseconds, with `last_event_id`
    as its `Last-Event-ID`."""

    events: list[PolledEvent]
    last_event_id: str | None
    retry: int

    def to_json(self) -> bytes:
        return _ENCODER.encode(self)


async def delay_resume(send: Send, headers: Headers, request: StreamRequest, seconds: int) -> None:
    """Ask a client that resumes too often to come back, after `seconds` to twice as long."""
    retry_ms = spread_retry_ms(seconds)
    if not request.is_poll:
        await send_retry(send, headers, retry_ms)
        return
    document = PollDocument(events=[], last_event_id=request.last_event_id, retry=retry_ms)
    await send_json(send, headers, document.to_json())


class PollResponse:
    """The response to one poll: `serve` collects its frames, and `send` sends them."""

    def __init__(
        self, connection: Connection, admitted: AdmittedStream, stream_service: StreamService
    ) -> None:
        self._connection = connection
        self._admitted = admitted
        self._stream_service = stream_service
        self._chunks: list[bytes] = []
        self._error: Exception | None = None

    async def serve(self, receive: Receive) -> None:
        """Collect frames until the poll is answered, or its client disconnects."""
        connection, admitted = self._connection, self._admitted
        poll = connection.info.poll
        timeout_seconds = GRACE_SECONDS + (0.0 if poll is None else poll.wait_seconds)
        serving = self._stream_service.serve(connection, admitted.last_event_id, self._write)
        following = await run_until_disconnect(serving, receive, timeout_seconds)
        if not following.cancelled() and isinstance(error := following.exception(), Exception):
            self._error = error
        reason = CloseReason.POLLED if self._error is None else CloseReason.FAILED
        connection.close(reason, asyncio.get_running_loop().time())
        if connection.outbox.has_ended:  # it has not if the connection was cut
            self._chunks.append(await connection.outbox.next_chunk())

    async def send(self, send: Send, headers: Headers, gzip: GzipStream | None) -> None:
        """Send the document, or the error that ended the poll."""
        if self._error is not None:
            await send_error(send, headers, stream_error(self._error))
            return
        document = self._document()
        if self._lacks_snapshot(document):
            await send_error(send, headers, unavailable("The event log is away; poll again"))
        else:
            await send_json(send, headers, document.to_json(), gzip)

    def _lacks_snapshot(self, document: PollDocument) -> bool:
        """Whether the snapshot that a stream begins with could not be read in time. Its client
        would take an answer without it for everything that there is."""
        return (
            document.last_event_id is None
            and self._connection.close_reason is CloseReason.POLLED
            and self._connection.interest.is_lossless
            and all(one.event != RESET_EVENT for one in document.events)
        )

    def _document(self) -> PollDocument:
        """The document of the collected frames."""
        events, retry_ms = list[PolledEvent](), self._interval_ms()
        last_event_id = self._admitted.last_event_id
        for frame in parse_frames(b"".join(self._chunks)):
            # A reset without the snapshot that follows it: the next poll must bring that.
            last_event_id = None if frame.event == RESET_EVENT else frame.event_id or last_event_id
            if frame.event is None:
                is_farewell = self._connection.close_reason is CloseReason.DRAIN
                retry_ms = frame.retry_ms or 0 if is_farewell else retry_ms
            elif frame.event != CHECKPOINT[0]:
                events.append(PolledEvent(frame.event_id, frame.event, msgspec.Raw(frame.data)))
        if not self._connection.interest.is_lossless:
            # A stream of newest-wins values has no ids, but a poll must be known to continue.
            last_event_id = self._stream_service.current_id() or last_event_id
        return PollDocument(events=events, last_event_id=last_event_id, retry=retry_ms)

    def _interval_ms(self) -> int:
        """Milliseconds until the next poll: values are not asked for more often than the client
        wants them."""
        route, interest = self._connection.route, self._connection.interest
        if not interest.live_values and not route.declared_value_tags:
            return 0
        max_rate = self._connection.content.values.max_rate
        return round(max(VALUES_INTERVAL_SECONDS, 1 / max_rate) * 1000)

    async def _write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
