"""Serves every connection of a process: its opening, its newest-wins values, and its events."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

from tapewire.log import EventLog
from tapewire_services.edge.delivery.catch_up import StreamParts, StreamSession
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_values import LiveValues
from tapewire_services.edge.delivery.resume_policy import ResumePolicy
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.stream_writer import StreamWriter, Write
from tapewire_services.edge.ingest.log_tail import LogTail


class StreamService:
    """Serves every connection of a process."""

    def __init__(
        self,
        *,
        log: EventLog,
        log_tail: LogTail,
        hub: Hub,
        live_values: LiveValues,
        snapshots: SnapshotReader,
        replay_slots: asyncio.Semaphore,
        now: Callable[[], datetime],
        retry_ms: int,
        keepalive_ms: int = 30_000,
        replay_limit: int,
        rng: random.Random,
    ) -> None:
        resume_policy = ResumePolicy(log, log_tail, replay_limit)
        self.parts = StreamParts(
            log, log_tail, hub, live_values, snapshots, resume_policy, replay_slots, rng
        )
        self._now = now
        self._retry_ms = retry_ms
        self._keepalive_ms = keepalive_ms

    def current_id(self) -> str | None:
        """The event id of the end of the log; None while that is not known."""
        log_tail = self.parts.log_tail
        if not log_tail.ready.is_set():
            return None
        return str(Cursor(log_tail.epoch, log_tail.last_sequence))

    async def serve(
        self,
        connection: Connection,
        last_event_id: str | None,
        value_subscription: ValueSubscription,
        write: Write,
    ) -> None:
        """Write to `connection` until it ends, starting after `last_event_id`.

        `value_subscription` selects its newest-wins values. Returns when the connection was closed;
        the caller cancels it when the client has disconnected.
        """
        writer = StreamWriter(connection, write, self._now, self._retry_ms)
        session = StreamSession(self.parts, connection, writer)
        if connection.info.poll is None or not connection.info.poll.resumes:
            await writer.send_opening(self._keepalive_ms)
        with self.parts.live_values.subscribe(connection, value_subscription) as messages:
            await writer.send(messages)
            if connection.interest.is_lossless:
                await session.follow_log(last_event_id)
            else:
                await session.follow_values()
