"""Writes the frames of one stream: its opening, messages, replayed events and outbox chunks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from tapewire.payloads.control import ConnectedPayload
from tapewire_services.edge.delivery import frames
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.control_messages import (
    CHECKPOINT,
    ControlMessage,
)

Write = Callable[[bytes], Awaitable[None]]
"""Hands bytes to the client; returns when there is room for more."""


class StreamWriter:
    """Renders messages for `connection` and writes them with `write`."""

    def __init__(
        self, connection: Connection, write: Write, now: Callable[[], datetime], retry_ms: int
    ) -> None:
        self._connection = connection
        self._write_chunk = write
        self._now = now
        self._retry_ms = retry_ms
        self._clock = asyncio.get_running_loop().time
        self.written_bytes = 0

    async def send_opening(self, keepalive_ms: int, prices_keepalive_ms: int) -> None:
        """Send the first bytes of the stream."""
        info = self._connection.info
        payload = ConnectedPayload(
            client_id=info.told_client_id,
            user_id=info.owner,
            stream=info.route.name,
            server_time=self._now(),
            correlation_id=info.correlation,
            keepalive_ms=keepalive_ms,
            prices_keepalive_ms=min(keepalive_ms, prices_keepalive_ms),
        )
        connected = self._render(info.route.family.connected_message(payload))
        await self.write(frames.render_retry(self._retry_ms) + connected)

    async def send(
        self,
        messages: Sequence[SseMessage],
        last: ControlMessage | None = None,
        event_id: Cursor | None = None,
    ) -> None:
        """Send messages without event ids, and then `last` with `event_id`, in one write."""
        ending = b"" if last is None else self.render_control_frame(last, event_id)
        await self.write(b"".join(map(self._render, messages)) + ending)

    async def send_snapshot(self, messages: Sequence[SseMessage], event_id: Cursor) -> None:
        """Send messages, the last one with `event_id`."""
        *others, last = messages
        await self.write(b"".join(map(self._render, others)) + self._render(last, event_id))

    def render_control_frame(
        self, message: ControlMessage, event_id: Cursor | None = None
    ) -> bytes:
        """The frame of a message about the stream itself, in the convention of its family."""
        family = self._connection.route.family
        return self._render(family.control_message(*message, self._now()), event_id)

    def render_checkpoint(self, event_id: Cursor) -> bytes:
        """The frame of an event that only moves the client's last event id."""
        return self._render(CHECKPOINT, event_id)

    async def write_next_chunk(self) -> None:
        """Write what waits in the outbox, as soon as it may leave."""
        chunk = await self._connection.outbox.next_chunk()
        urgent_events = self._connection.pop_urgent_events()
        await self.write(chunk)
        self._connection.log_urgent_writes(urgent_events)

    async def write(self, chunk: bytes) -> None:
        """Write `chunk`; the hub's tick watches how long that takes."""
        if not chunk:
            return
        self.written_bytes += len(chunk)
        self._connection.write_started(self._clock())
        await self._write_chunk(chunk)
        has_content = chunk != frames.PRICES_KEEPALIVE_COMMENT
        self._connection.write_finished(self._clock(), has_content=has_content)

    def _render(self, message: SseMessage, event_id: Cursor | None = None) -> bytes:
        return frames.render_frame(*message, event_id, retry_ms=self._retry_ms)
