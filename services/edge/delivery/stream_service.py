"""Serves every connection of a process: its opening, its newest-wins values, and its events."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

from tapewire.log import EventLog
from tapewire_services.edge.delivery.catch_up import StreamSession
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_values import LiveValues
from tapewire_services.edge.delivery.log_replay import StreamParts
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
        prices_keepalive_ms: int = 30_000,
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
        self._prices_keepalive_ms = prices_keepalive_ms

    def current_id(self) -> str | None:
        """The event id of the end of the log; None while that is not known."""
        log_tail = self.parts.log_tail
        if not log_tail.ready.is_set():
            return None
        return str(Cursor(log_tail.epoch, log_tail.last_sequence))

    async def serve(self, connection: Connection, last_event_id: str | None, write: Write) -> None:
        """Write to `connection` until it ends, starting after `last_event_id`.

        Returns when the connection was closed; the caller cancels it when the client has
        disconnected.
        """
        writer = StreamWriter(connection, write, self._now, self._retry_ms)
        session = StreamSession(self.parts, connection, writer)
        if connection.info.poll is None or last_event_id is None:
            await writer.send_opening(self._keepalive_ms, self._prices_keepalive_ms)
        await session.run(last_event_id)
