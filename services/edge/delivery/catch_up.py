"""Serves one connection: where it starts, a snapshot if it needs one, replay, and live delivery.

    decide start → (reset) → snapshot → replay until the log tail covers the rest → join → live
          ↑                                                                                  │
          └───────────────── fell behind, or the log was recreated ──────────────────────────┘

One loop serves slow, resuming and fresh readers alike: each has a position, and a log to read from
it. Joining is one synchronous step: the events that the log tail buffers after the position go into
the outbox, and the hub continues from there. Newest-wins values are sent from the beginning, by
conflation groups (`live_values`). A long-poll is a connection that is closed once it is live and
something was written. What a connection shows can change while it is open (`content_change`).
Start reading at `StreamSession.run`.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial

import structlog

from tapewire.log import EVERYBODY
from tapewire.log.light_objects import ExitList
from tapewire_services.edge.delivery import frames
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.content_change import ContentChange
from tapewire_services.edge.delivery.cursor import Cursor, ResetStart, ResumeStart
from tapewire_services.edge.delivery.log_replay import ConnectionEnded, LogReplay, StreamParts
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.control_messages import (
    replay_complete_message,
    reset_message,
)
from tapewire_services.edge.delivery.stream_writer import StreamWriter

logger = structlog.get_logger("edge.catch_up")


class StreamSession:
    """The service of one connection."""

    def __init__(self, shared: StreamParts, connection: Connection, writer: StreamWriter) -> None:
        self._shared = shared
        self._connection = connection
        self._writer = writer
        self._replay = LogReplay(shared, connection, writer)
        self._values = ExitList()
        self._live_sent = False
        self._clock = asyncio.get_running_loop().time
        poll = connection.info.poll
        self._poll_ends_at = None if poll is None else self._clock() + poll.wait_seconds

    async def run(self, last_event_id: str | None) -> None:
        """Serve the connection until it ends, starting after `last_event_id`."""
        connection = self._connection
        with self._values:
            await self._writer.send(self._subscribe_to_values(connection.content.values))
            try:
                while True:
                    if connection.interest.is_lossless:
                        await self._follow_log(last_event_id)
                    else:
                        await self._follow_values()
                    last_event_id = str(Cursor(self._replay.epoch, connection.position))
            except ConnectionEnded:
                await self._writer.write_next_chunk()

    def _subscribe_to_values(self, requested: ValueSubscription) -> list[SseMessage]:
        """Receive the newest-wins values of the connection's topics from now on. Return the
        messages to begin with."""
        self._values.end()
        return self._shared.live_values.subscribe(self._connection, requested, self._values)

    async def _change_content(self) -> None:
        """Show what the client asked for last. Made for each change: most streams never change."""
        change = ContentChange(
            self._shared, self._connection, self._writer, self._replay, self._subscribe_to_values
        )
        await change.apply()

    async def _follow_values(self) -> None:
        """Send newest-wins values, until the connection ends or is to show something else."""
        self._announce_live()
        with self._poll_timer():
            while not self._connection.has_pending_change:
                self._end_answered_poll()
                await self._writer.write_next_chunk()
                self._replay.raise_if_ended()
        await self._change_content()

    async def _follow_log(self, last_event_id: str | None) -> None:
        """Send all events of the connection in order, starting after `last_event_id`, until it
        ends, or shows no events any more."""
        connection = self._connection
        while connection.interest.is_lossless:
            await self._replay.retry_until_read(
                partial(self._shared.live_values.wait_until_loaded, connection)
            )
            await self._start(last_event_id)
            if connection.info.until_sequence is not None:
                await self._replay_until(connection.info.until_sequence)
            elif await self._replay.catch_up():
                if not connection.has_pending_change:
                    await self._deliver_live()
                if connection.has_pending_change:
                    await self._change_content()
            last_event_id = str(Cursor(self._replay.epoch, connection.position))

    async def _start(self, last_event_id: str | None) -> None:
        """Resume after `last_event_id`, or start at a snapshot."""
        start = await self._replay.retry_until_read(
            lambda: self._shared.resume_policy.decide(
                last_event_id, self._replay.reader.count_events_after
            )
        )
        self._replay.epoch = self._shared.log_tail.epoch
        if isinstance(start, ResumeStart):
            self._connection.resume_after(start.after_sequence)
            return
        if isinstance(start, ResetStart):
            await self._writer.write(
                await self._replay.retry_until_read(lambda: self._render_reset(start))
            )
        await self._write_snapshot()

    async def _render_reset(self, reset: ResetStart) -> bytes:
        payload = await self._shared.resume_policy.reset_payload(reset)
        self._shared.resume_policy.reset_counts[payload.reason] += 1
        logger.info(
            "stream.reset",
            client_id=self._connection.info.client_id,
            reason=payload.reason,
            requested_id=payload.requested_id,
        )
        return self._writer.render_control_frame(reset_message(payload))

    async def _write_snapshot(self) -> None:
        """Write the state at the end of the log tail; that sequence is the snapshot's event id."""
        messages, bounds = await self._replay.retry_until_read(
            partial(
                self._shared.snapshots.read_snapshot, self._connection, self._connection.interest
            )
        )
        self._replay.epoch = bounds.epoch
        self._connection.start_at_snapshot(bounds.last)
        await self._writer.send_snapshot(messages, Cursor(bounds.epoch, bounds.last))

    async def _replay_until(self, until: int) -> None:
        """Write the events up to `until`, report that all were sent, and close the connection."""
        connection = self._connection
        if not await self._replay.write_up_to(until):
            return
        event_id = Cursor(self._replay.epoch, until)
        message = replay_complete_message(str(event_id))
        farewell = self._writer.render_control_frame(message, event_id)
        connection.close(CloseReason.DONE, self._clock(), farewell)
        self._replay.raise_if_ended()

    async def _deliver_live(self) -> None:
        """Join the log tail and write what the hub delivers, until the connection falls behind or
        ends."""
        connection = self._connection
        connection.go_live()
        for recorded in self._shared.log_tail.events_after(
            self._replay.owners, connection.position
        ):
            subject = recorded.event_subject
            is_followed = (
                subject.owner != EVERYBODY or subject.domain in connection.interest.shared_domains
            )
            if connection.is_live and is_followed:
                self._shared.hub.deliver(connection, recorded)
        self._announce_live()
        try:
            with self._poll_timer():
                while connection.is_live:
                    self._end_answered_poll()
                    await self._writer.write_next_chunk()
                    self._replay.raise_if_ended()
        finally:
            connection.leave_live()
        if not connection.outbox.is_empty:
            await self._writer.write_next_chunk()

    def _announce_live(self) -> None:
        """Notify a client with another open connection that this one is live; once."""
        if self._connection.info.is_handover and not self._live_sent:
            self._live_sent = self._connection.outbox.put(frames.LIVE_COMMENT, urgent=True)

    @contextlib.contextmanager
    def _poll_timer(self) -> Iterator[None]:
        """Interrupt the outbox at the end of a poll's time."""
        if self._poll_ends_at is None:
            yield
            return
        timer = asyncio.get_running_loop().call_at(
            self._poll_ends_at, self._connection.outbox.interrupt
        )
        try:
            yield
        finally:
            timer.cancel()

    def _end_answered_poll(self) -> None:
        """Close a poll that is live, when all that there is was written or its time is over. Its
        client's event id must not go stale."""
        connection = self._connection
        if self._poll_ends_at is None or not connection.outbox.is_empty:
            return
        if self._writer.written_bytes or self._clock() >= self._poll_ends_at:
            is_outdated, cursor = (
                connection.is_id_outdated,
                Cursor(self._replay.epoch, connection.position),
            )
            checkpoint = self._writer.render_checkpoint(cursor) if is_outdated else b""
            connection.close(CloseReason.POLLED, self._clock(), checkpoint)
