"""Reads the log for one connection and writes what it shows, from its position on.

`LogReplay.catch_up` ends where the log tail covers the rest, `LogReplay.write_up_to` at a sequence.
Both keep trying while the log cannot be read.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from tapewire.log import EventLog, LogError
from tapewire.log.backoff import jittered
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_values import LiveValues
from tapewire_services.edge.delivery.replay import (
    ReplayPage,
    ReplayReader,
    followed_owners,
    subject_filters,
)
from tapewire_services.edge.delivery.resume_policy import ResumePolicy
from tapewire_services.edge.delivery.serializers.trading import is_urgent
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.stream_writer import StreamWriter
from tapewire_services.edge.delivery.topics import Interest
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady

INITIAL_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 2.0
MAX_POLL_BYTES = 256 << 10
"""A poll that reads so much from the log is answered before it is live."""

T = TypeVar("T")

logger = structlog.get_logger("edge.catch_up")


class ConnectionEnded(Exception):
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


class LogReplay:
    """The reads of one connection. `epoch` is that of its position."""

    def __init__(self, shared: StreamParts, connection: Connection, writer: StreamWriter) -> None:
        self._shared = shared
        self._connection = connection
        self._writer = writer
        self.epoch = ""
        self._update_filters()

    def change_interest(self, interest: Interest) -> None:
        """Show `interest` from now on."""
        self._shared.hub.change_interest(self._connection, interest)
        self._update_filters()

    def _update_filters(self) -> None:
        self.owners = followed_owners(self._connection)
        self.reader = ReplayReader(
            self._shared.log, subject_filters(self._connection), self._shared.replay_slots
        )

    async def catch_up(self) -> bool:
        """Write from the log until the log tail covers the rest. Return False when that is
        impossible: the log was recreated meanwhile, or trimmed beyond the position."""
        log_tail, connection = self._shared.log_tail, self._connection
        while not log_tail.covers(connection.position):
            end = log_tail.last_sequence
            if not await self.write_up_to(end):
                return False
        return log_tail.epoch == self.epoch

    async def write_up_to(self, end: int) -> bool:
        """Write from the log up to `end`, which is stored. Return False as `catch_up` does."""
        last_sequences = await self.retry_until_read(self.reader.last_sequences)
        while self._connection.position < end:
            page = await self.retry_until_read(partial(self._read_page, end, last_sequences))
            if page is None or self._shared.log_tail.epoch != self.epoch:
                return False
            await self._write_page(page)
        return True

    async def _read_page(
        self, up_to_sequence: int, last_sequences: Sequence[int]
    ) -> ReplayPage | None:
        """Read what follows the position. Return None when the log does not continue there: it was
        recreated, or trimmed beyond it."""
        position = self._connection.position
        page = await self.reader.read_page(position, up_to_sequence, last_sequences)
        if page.epoch != self.epoch or page.first_sequence > position + 1:
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
        self.raise_if_ended()
        await self._writer.write(b"".join(frame for _, frame in shown))
        connection.log_urgent_writes(one for one, _ in shown if is_urgent(one.event))
        connection.advance(page.horizon)
        if connection.info.poll is not None and self._writer.written_bytes >= MAX_POLL_BYTES:
            connection.close(CloseReason.POLLED, asyncio.get_running_loop().time())

    async def retry_until_read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Call `read` until the log answers, and write what the outbox holds meanwhile: keepalives
        show the client that it is still served."""
        delay = INITIAL_RETRY_SECONDS
        while True:
            self.raise_if_ended()
            try:
                return await read()
            except (LogError, NotReady) as error:
                client_id = self._connection.info.client_id
                logger.info("stream.waiting_for_log", client_id=client_id, error=str(error))
            await asyncio.sleep(jittered(delay, self._shared.rng))
            delay = min(delay * 2, MAX_RETRY_SECONDS)
            if not self._connection.outbox.is_empty:
                await self._writer.write_next_chunk()

    def raise_if_ended(self) -> None:
        """Raise ConnectionEnded when the connection was closed."""
        if self._connection.outbox.has_ended:
            raise ConnectionEnded
