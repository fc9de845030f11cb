"""Serves one connection: where it starts, a snapshot if it needs one, replay, and live delivery.

    decide start → (reset) → snapshot → replay until the log tail covers the rest → join → live
          ↑                                                                                  │
          └───────────────── fell behind, or the log was recreated ──────────────────────────┘

One loop serves slow, resuming and fresh readers alike: each has a position, and a log to read from
it. Joining is one synchronous step: the events that the log tail buffers after the position go into
the outbox, and the hub continues from there. Newest-wins values are sent from the beginning, by
conflation groups (`live_values`). A long-poll is a connection that is closed once it is live and
something was written. Start reading at `StreamSession.follow_log`.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from tapewire.log import EVERYBODY, EventLog, LogError
from tapewire.log.backoff import jittered
from tapewire_services.edge.delivery import frames
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import Cursor, ResetStart, ResumeStart
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_values import LiveValues
from tapewire_services.edge.delivery.replay import (
    ReplayPage,
    ReplayReader,
    followed_owners,
    subject_filters,
)
from tapewire_services.edge.delivery.resume_policy import ResumePolicy
from tapewire_services.edge.delivery.serializers.control_messages import (
    replay_complete_message,
    reset_message,
)
from tapewire_services.edge.delivery.serializers.trading import is_urgent
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.stream_writer import StreamWriter
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady

INITIAL_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 2.0
MAX_POLL_BYTES = 256 << 10
"""A poll that reads so much from the log is answered before it is live."""

T = TypeVar("T")

logger = structlog.get_logger("edge.catch_up")


class _ConnectionEnded(Exception):
    """The connection was closed while the log was read."""


class StreamParts(NamedTuple):
    """What the sessions of a process share. `replay_slots` bounds concurrent reads of the log."""

    log: EventLog
    log_tail: LogTail
    hub: Hub
    live_values: LiveValues
    snapshots: SnapshotReader
    resume_policy: ResumePolicy
    replay_slots: asyncio.Semaphore
    rng: random.Random


class StreamSession:
    """The service of one connection."""

    def __init__(self, shared: StreamParts, connection: Connection, writer: StreamWriter) -> None:
        self._shared = shared
        self._connection = connection
        self._writer = writer
        self._owners = followed_owners(connection)
        self._reader = ReplayReader(shared.log, subject_filters(connection), shared.replay_slots)
        self._epoch = ""
        self._live_sent = False
        self._clock = asyncio.get_running_loop().time
        poll = connection.info.poll
        self._poll_ends_at = None if poll is None else self._clock() + poll.wait_seconds

    async def follow_values(self) -> None:
        """Send newest-wins values only, until the connection ends."""
        self._announce_live()
        with self._poll_timer():
            while not self._connection.outbox.has_ended:
                self._end_answered_poll()
                await self._writer.write_next_chunk()
        await self._writer.write_next_chunk()

    async def follow_log(self, last_event_id: str | None) -> None:
        """Send all events of the connection in order, starting after `last_event_id`, until it
        ends."""
        try:
            while True:
                await self._retry_until_read(
                    partial(self._shared.live_values.wait_until_loaded, self._connection)
                )
                await self._start(last_event_id)
                if self._connection.info.until_sequence is not None:
                    await self._replay_until(self._connection.info.until_sequence)
                elif await self._catch_up():
                    await self._deliver_live()
                last_event_id = str(Cursor(self._epoch, self._connection.position))
        except _ConnectionEnded:
            await self._writer.write_next_chunk()

    async def _start(self, last_event_id: str | None) -> None:
        """Resume after `last_event_id`, or start at a snapshot."""
        start = await self._retry_until_read(
            lambda: self._shared.resume_policy.decide(
                last_event_id, self._reader.count_events_after
            )
        )
        self._epoch = self._shared.log_tail.epoch
        if isinstance(start, ResumeStart):
            self._connection.resume_after(start.after_sequence)
            return
        if isinstance(start, ResetStart):
            await self._writer.write(
                await self._retry_until_read(lambda: self._render_reset(start))
            )
        await self._write_snapshot()

    async def _render_reset(self, reset: ResetStart) -> bytes:
        payload = await self._shared.resume_policy.reset_payload(reset)
        logger.info(
            "stream.reset",
            client_id=self._connection.info.client_id,
            reason=payload.reason,
            requested_id=payload.requested_id,
        )
        return self._writer.render_control_frame(reset_message(payload))

    async def _write_snapshot(self) -> None:
        """Write the state at the end of the log tail; that sequence is the snapshot's event id."""
        messages, bounds = await self._retry_until_read(
            partial(self._shared.snapshots.read_snapshot, self._connection)
        )
        self._epoch = bounds.epoch
        self._connection.start_at_snapshot(bounds.last)
        await self._writer.send_snapshot(messages, Cursor(bounds.epoch, bounds.last))

    async def _catch_up(self) -> bool:
        """Write from the log until the log tail covers the rest. Return False when that is
        impossible: the log was recreated meanwhile, or trimmed beyond the position."""
        log_tail, connection = self._shared.log_tail, self._connection
        while not log_tail.covers(connection.position):
            end = log_tail.last_sequence
            last_sequences = await self._retry_until_read(self._reader.last_sequences)
            while connection.position < end:
                page = await self._retry_until_read(partial(self._read_page, end, last_sequences))
                if page is None or log_tail.epoch != self._epoch:
                    return False
                await self._write_page(page)
        return log_tail.epoch == self._epoch

    async def _replay_until(self, until: int) -> None:
        """Write the events up to `until`, report that all were sent, and close the connection."""
        connection = self._connection
        last_sequences = await self._retry_until_read(self._reader.last_sequences)
        while connection.position < until:
            page = await self._retry_until_read(partial(self._read_page, until, last_sequences))
            if page is None:
                return
            await self._write_page(page)
        event_id = Cursor(self._epoch, until)
        message = replay_complete_message(str(event_id))
        farewell = self._writer.render_control_frame(message, event_id)
        connection.close(CloseReason.DONE, self._clock(), farewell)
        self._raise_if_ended()

    async def _read_page(
        self, up_to_sequence: int, last_sequences: Sequence[int]
    ) -> ReplayPage | None:
        """Read what follows the position. Return None when the log does not continue there: it was
        recreated, or trimmed beyond it."""
        position = self._connection.position
        page = await self._reader.read_page(position, up_to_sequence, last_sequences)
        if page.epoch != self._epoch or page.first_sequence > position + 1:
            self._shared.log_tail.request_check()
            return None
        if page.horizon <= position:
            raise NotReady(f"a replica lags behind {position}")
        return page

    async def _write_page(self, page: ReplayPage) -> None:
        connection, shown = self._connection, []
        for recorded in page.events:
            connection.observe(recorded)
            frame = self._shared.hub.encode_frame(connection, recorded)
            if frame is not None:
                shown.append((recorded, frame))
        if shown:
            connection.sent(shown[-1][0].sequence)
        self._raise_if_ended()
        await self._writer.write(b"".join(frame for _, frame in shown))
        connection.log_urgent_writes(one for one, _ in shown if is_urgent(one.event))
        connection.advance(page.horizon)
        if connection.info.poll is not None and self._writer.written_bytes >= MAX_POLL_BYTES:
            connection.close(CloseReason.POLLED, self._clock())

    async def _deliver_live(self) -> None:
        """Join the log tail and write what the hub delivers, until the connection falls behind or
        ends."""
        connection = self._connection
        connection.go_live()
        for recorded in self._shared.log_tail.events_after(self._owners, connection.position):
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
                    self._raise_if_ended()
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
                Cursor(self._epoch, connection.position),
            )
            checkpoint = self._writer.render_checkpoint(cursor) if is_outdated else b""
            connection.close(CloseReason.POLLED, self._clock(), checkpoint)

    async def _retry_until_read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Call `read` until the log answers, and write what the outbox holds meanwhile: keepalives
        show the client that it is still served."""
        delay = INITIAL_RETRY_SECONDS
        while True:
            self._raise_if_ended()
            try:
                return await read()
            except (LogError, NotReady) as error:
                client_id = self._connection.info.client_id
                logger.info("stream.waiting_for_log", client_id=client_id, error=str(error))
            await asyncio.sleep(jittered(delay, self._shared.rng))
            delay = min(delay * 2, MAX_RETRY_SECONDS)
            if not self._connection.outbox.is_empty:
                await self._writer.write_next_chunk()

    def _raise_if_ended(self) -> None:
        """Raise _ConnectionEnded when the connection was closed."""
        if self._connection.outbox.has_ended:
            raise _ConnectionEnded
