"""A connection's way: where it begins, a snapshot if it needs one, replay, and live delivery.

    decide → (reset) → snapshot → read the log until the tape remembers the rest → join → live
       ↑                                                                                  │
       └──────────────── fell behind, or the log was made anew ───────────────────────────┘

There is one loop for all of it, because a slow reader, a resuming one and one whose log went away
are the same thing: a position, and a log to read from it. Joining is one synchronous step: what the
tape remembers after the position goes into the outbox, and the hub continues from there. Newest-
wins values go along from the beginning, in lanes of their own (`going_along`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from tapewire.log import EVERYBODY, EventLog, LogError
from tapewire_services.edge.delivery import frames
from tapewire_services.edge.delivery.connection import CloseReason, Connection
from tapewire_services.edge.delivery.cursor import Cursor, ResetStart, ResumeStart
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_value_sources import LiveValueSources
from tapewire_services.edge.delivery.outbox import ValueSubscription
from tapewire_services.edge.delivery.replay import (
    ReplayPage,
    ReplayReader,
    followed_owners,
    subject_filters,
)
from tapewire_services.edge.delivery.resume_policy import NotReady, ResumePolicy
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.api_family import ConnectedPayload
from tapewire_services.edge.delivery.serializers.trading import is_urgent
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.ingest.log_tail import LogTail

INITIAL_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 2.0

T = TypeVar("T")

Write = Callable[[bytes], Awaitable[None]]
"""Hands bytes to the peer; returns when there is room for more."""

logger = structlog.get_logger("edge.follow")


class _ConnectionEnded(Exception):
    """The connection was told to end while it was reading."""


class CatchUpSubscriptions:
    """What every connection of a process follows with."""

    def __init__(
        self,
        *,
        log: EventLog,
        log_tail: LogTail,
        hub: Hub,
        live_values: LiveValueSources,
        snapshots: SnapshotReader,
        replay_slots: asyncio.Semaphore,
        now: Callable[[], datetime],
        retry_ms: int,
        keepalive_ms: int = 30_000,
        replay_limit: int,
    ) -> None:
        self.resume_policy = ResumePolicy(log, log_tail, replay_limit)
        self.log = log
        self.log_tail = log_tail
        self.hub = hub
        self.live_values = live_values
        self.snapshots = snapshots
        self.replay_slots = replay_slots
        self.now = now
        self.retry_ms = retry_ms
        self.keepalive_ms = keepalive_ms

    async def serve(
        self,
        connection: Connection,
        last_event_id: str | None,
        value_subscription: ValueSubscription,
        write: Write,
    ) -> None:
        """Write to `connection` from where `requested` says until it ends; `wants` is for its
        newest-wins values. Returns when the connection was told to end; to be cancelled when the
        peer is gone."""
        follower = _CatchUpSubscription(self, connection, write)
        with ExitStack() as going_along:
            await follower.send_opening()
            await follower.start_live_values(going_along, value_subscription)
            if connection.interest.is_lossless:
                await follower.follow_log(last_event_id)
            else:
                await follower.follow_values()


class _CatchUpSubscription:
    """One connection following."""

    def __init__(self, shared: CatchUpSubscriptions, connection: Connection, write: Write) -> None:
        self._shared = shared
        self._connection = connection
        self._write_chunk = write
        self._clock = asyncio.get_running_loop().time
        self._owners = followed_owners(connection)
        self._reader = ReplayReader(shared.log, subject_filters(connection), shared.replay_slots)
        self._epoch = ""
        self._live_sent = False

    async def send_opening(self) -> None:
        """The first bytes, before anything that could wait."""
        opening = self._connection.info
        hello = ConnectedPayload(
            client_id=opening.client_id,
            user_id=opening.owner,
            stream=opening.route.name,
            server_time=self._shared.now(),
            correlation_id=opening.correlation,
            keepalive_ms=self._shared.keepalive_ms,
        )
        first = self._render_frame(opening.route.family.connected_message(hello))
        await self._write(frames.render_retry(self._shared.retry_ms) + first)

    async def start_live_values(
        self, exit_stack: ExitStack, value_subscription: ValueSubscription
    ) -> None:
        """Join the lanes, and write what of their values a stream begins with."""
        told = self._shared.live_values.subscribe(exit_stack, self._connection, value_subscription)
        await self._write(self._render_frames(told))

    async def follow_values(self) -> None:
        """Newest-wins values alone."""
        self._announce_live()
        while not self._connection.outbox.has_ended:
            await self._write_next_chunk()
        await self._write_next_chunk()

    async def follow_log(self, last_event_id: str | None) -> None:
        """Everything of the owner, in order, from where `requested` says."""
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
            await self._write_next_chunk()

    async def _start(self, last_event_id: str | None) -> None:
        """Be at a position: the one asked for, or a snapshot's."""
        beginning = await self._retry_until_read(
            lambda: self._shared.resume_policy.decide(
                last_event_id, self._reader.count_events_after
            )
        )
        self._epoch = self._shared.log_tail.epoch
        if isinstance(beginning, ResumeStart):
            self._connection.position = beginning.after_sequence
            self._connection.last_sent_sequence = max(
                self._connection.last_sent_sequence, beginning.after_sequence
            )
            return
        if isinstance(beginning, ResetStart):
            await self._write(await self._retry_until_read(lambda: self._render_reset(beginning)))
        await self._write_snapshot()

    async def _render_reset(self, reset: ResetStart) -> bytes:
        told = await self._shared.resume_policy.reset_payload(reset)
        client = self._connection.info.client_id
        logger.info("stream reset", client=client, reason=told.reason, requested=told.requested_id)
        return self._render_frame(self._control_message("stream:reset", told))

    async def _write_snapshot(self) -> None:
        """The state at the tape's head, whose sequence is the snapshot's id."""
        told, bounds = await self._retry_until_read(
            partial(self._shared.snapshots.read_snapshot, self._connection)
        )
        self._epoch = bounds.epoch
        self._connection.position = self._connection.last_sent_sequence = bounds.last
        at = Cursor(bounds.epoch, bounds.last)
        await self._write(self._render_frames(told[:-1]) + self._render_frame(told[-1], at))

    async def _catch_up(self) -> bool:
        """Write from the log until the tape remembers the rest; False when that is impossible:
        the log was made anew meanwhile, or trimmed beyond the position."""
        tape, connection = self._shared.log_tail, self._connection
        while not tape.covers(connection.position):
            reached = tape.last_sequence
            lasts = await self._retry_until_read(self._reader.last_sequences)
            while connection.position < reached:
                stretch = await self._retry_until_read(partial(self._read_page, reached, lasts))
                if stretch is None or tape.epoch != self._epoch:
                    return False
                await self._write_page(stretch)
        return tape.epoch == self._epoch

    async def _replay_until(self, until: int) -> None:
        """Write the past up to `until`, say so, and end."""
        connection = self._connection
        lasts = await self._retry_until_read(self._reader.last_sequences)
        while connection.position < until:
            stretch = await self._retry_until_read(partial(self._read_page, until, lasts))
            if stretch is None:
                return
            await self._write_page(stretch)
        at = Cursor(self._epoch, until)
        told = self._control_message(
            "replay:complete", frames.ReplayCompletePayload(until_id=str(at))
        )
        farewell = self._render_frame(told, at)
        self._shared.hub.end(connection, CloseReason.DONE, self._clock(), farewell)
        self._raise_if_ended()

    async def _read_page(
        self, up_to_sequence: int, last_sequences: Sequence[int]
    ) -> ReplayPage | None:
        """What follows the position; None when the log was made anew or does not reach back to it
        any more: what it holds is no continuation."""
        position = self._connection.position
        stretch = await self._reader.read_page(position, up_to_sequence, last_sequences)
        if stretch.epoch != self._epoch or stretch.first_sequence > position + 1:
            self._shared.log_tail.request_check()
            return None
        if stretch.horizon <= position:
            raise NotReady(f"a replica lags behind {position}")
        return stretch

    async def _write_page(self, page: ReplayPage) -> None:
        connection, encode = self._connection, self._shared.hub.encode_frame
        made = [(one, encode(connection, one)) for one in page.events]
        shown = [(one, frame) for one, frame in made if frame is not None]
        if shown:
            connection.last_sent_sequence = shown[-1][0].sequence
        self._raise_if_ended()
        await self._write(b"".join(frame for _, frame in shown))
        connection.log_urgent_writes(one for one, _ in shown if is_urgent(one.event))
        connection.position = page.horizon

    async def _deliver_live(self) -> None:
        """Join the tape and write what the hub delivers, until behind or ended."""
        connection = self._connection
        connection.is_live = True
        for recorded in self._shared.log_tail.events_after(self._owners, connection.position):
            place = recorded.event_subject
            followed = (
                place.owner != EVERYBODY or place.domain in connection.interest.shared_domains
            )
            if connection.is_live and followed:
                self._shared.hub.deliver(connection, recorded)
        self._announce_live()
        try:
            while connection.is_live:
                await self._write_next_chunk()
                self._raise_if_ended()
        finally:
            connection.is_live = False
        if not connection.outbox.is_empty:
            await self._write_next_chunk()

    def _announce_live(self) -> None:
        """Once, to a client that leaves another connection for this one."""
        if self._connection.info.is_handover and not self._live_sent:
            self._live_sent = self._connection.outbox.put(frames.LIVE_COMMENT, urgent=True)

    async def _retry_until_read(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, again and again while the log is away; the peer is told now and then
        that it is still served."""
        delay = INITIAL_RETRY_SECONDS
        while True:
            self._raise_if_ended()
            try:
                return await read()
            except (LogError, NotReady) as error:
                client = self._connection.info.client_id
                logger.info("waits for the log", client=client, why=str(error))
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, MAX_RETRY_SECONDS)
            if not self._connection.outbox.is_empty:
                await self._write_next_chunk()

    def _render_frame(self, message: SseMessage, at: Cursor | None = None) -> bytes:
        return frames.render_frame(*message, at, retry_ms=self._shared.retry_ms)

    def _control_message(self, event_name: str, payload: msgspec.Struct) -> SseMessage:
        """What concerns the connection itself, in the words of its family."""
        return self._connection.route.family.control_message(
            event_name, payload, self._shared.now()
        )

    def _render_frames(self, messages: Sequence[SseMessage]) -> bytes:
        return b"".join(map(self._render_frame, messages))

    def _raise_if_ended(self) -> None:
        """Raises _Ended when the connection was told to end."""
        if self._connection.outbox.has_ended:
            raise _ConnectionEnded

    async def _write_next_chunk(self) -> None:
        """Write what waits in the outbox, as soon as it may leave."""
        chunk = await self._connection.outbox.next_chunk()
        pressing = self._connection.pop_urgent_events()
        await self._write(chunk)
        self._connection.log_urgent_writes(pressing)

    async def _write(self, chunk: bytes) -> None:
        """Hand over `chunk`, and let the hub's tick see how long that takes."""
        if not chunk:
            return
        self._connection.write_started_at = self._clock()
        await self._write_chunk(chunk)
        self._connection.last_write_at = self._clock()
        self._connection.write_started_at = None
