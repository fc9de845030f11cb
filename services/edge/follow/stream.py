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

from services.edge import frames
from services.edge.connection import Connection, Reason
from services.edge.cursor import Cursor, Reset, Resume
from services.edge.dialects import Told
from services.edge.dialects.family import Hello
from services.edge.dialects.trading import urgent
from services.edge.follow.along import Along
from services.edge.follow.beginning import Beginnings, NotYet
from services.edge.follow.reading import Reader, Stretch, filters, owners
from services.edge.follow.snapshots import Snapshots
from services.edge.follow.tape import Tape
from services.edge.hub import Hub
from services.edge.lanes import Wants
from tapewire.log import EVERYBODY, EventLog, LogError

RETRY_FIRST_SECONDS = 0.05
RETRY_MOST_SECONDS = 2.0

T = TypeVar("T")

Write = Callable[[bytes], Awaitable[None]]
"""Hands bytes to the peer; returns when there is room for more."""

logger = structlog.get_logger("edge.follow")


class _Ended(Exception):
    """The connection was told to end while it was reading."""


class Followers:
    """What every connection of a process follows with."""

    def __init__(
        self,
        *,
        log: EventLog,
        tape: Tape,
        hub: Hub,
        along: Along,
        snapshots: Snapshots,
        replays: asyncio.Semaphore,
        now: Callable[[], datetime],
        retry_ms: int,
        keepalive_ms: int = 30_000,
        replay_limit: int,
    ) -> None:
        self.beginnings = Beginnings(log, tape, replay_limit)
        self.log = log
        self.tape = tape
        self.hub = hub
        self.along = along
        self.snapshots = snapshots
        self.replays = replays
        self.now = now
        self.retry_ms = retry_ms
        self.keepalive_ms = keepalive_ms

    async def serve(
        self, connection: Connection, requested: str | None, wants: Wants, write: Write
    ) -> None:
        """Write to `connection` from where `requested` says until it ends; `wants` is for its
        newest-wins values. Returns when the connection was told to end; to be cancelled when the
        peer is gone."""
        follower = _Follower(self, connection, write)
        with ExitStack() as going_along:
            await follower.open()
            await follower.begin_along(going_along, wants)
            if connection.interest.lossless:
                await follower.follow_tape(requested)
            else:
                await follower.follow_values()


class _Follower:
    """One connection following."""

    def __init__(self, shared: Followers, connection: Connection, write: Write) -> None:
        self._shared = shared
        self._connection = connection
        self._write_out = write
        self._clock = asyncio.get_running_loop().time
        self._owners = owners(connection)
        self._reader = Reader(shared.log, filters(connection), shared.replays)
        self._epoch = ""
        self._said_live = False

    async def open(self) -> None:
        """The first bytes, before anything that could wait."""
        opening = self._connection.opening
        hello = Hello(
            client_id=opening.client,
            user_id=opening.owner,
            stream=opening.feed.name,
            server_time=self._shared.now(),
            correlation_id=opening.correlation,
            keepalive_ms=self._shared.keepalive_ms,
        )
        first = self._frame(opening.feed.family.hello(hello))
        await self._write(frames.retry(self._shared.retry_ms) + first)

    async def begin_along(self, going_along: ExitStack, wants: Wants) -> None:
        """Join the lanes, and write what of their values a stream begins with."""
        told = self._shared.along.join(going_along, self._connection, wants)
        await self._write(self._joined(told))

    async def follow_values(self) -> None:
        """Newest-wins values alone."""
        self._say_live()
        while not self._connection.outbox.ended:
            await self._write_waiting()
        await self._write_waiting()

    async def follow_tape(self, requested: str | None) -> None:
        """Everything of the owner, in order, from where `requested` says."""
        try:
            while True:
                await self._patiently(partial(self._shared.along.known, self._connection))
                await self._begin(requested)
                if self._connection.opening.until is not None:
                    await self._replay(self._connection.opening.until)
                elif await self._read():
                    await self._live()
                requested = str(Cursor(self._epoch, self._connection.position))
        except _Ended:
            await self._write_waiting()

    async def _begin(self, requested: str | None) -> None:
        """Be at a position: the one asked for, or a snapshot's."""
        beginning = await self._patiently(
            lambda: self._shared.beginnings.decide(requested, self._reader.behind)
        )
        self._epoch = self._shared.tape.epoch
        if isinstance(beginning, Resume):
            self._connection.position = beginning.after
            self._connection.told = max(self._connection.told, beginning.after)
            return
        if isinstance(beginning, Reset):
            await self._write(await self._patiently(lambda: self._reset(beginning)))
        await self._snapshot()

    async def _reset(self, reset: Reset) -> bytes:
        told = await self._shared.beginnings.refused(reset)
        client = self._connection.opening.client
        logger.info("stream reset", client=client, reason=told.reason, requested=told.requested_id)
        return self._frame(self._says("stream:reset", told))

    async def _snapshot(self) -> None:
        """The state at the tape's head, whose sequence is the snapshot's id."""
        told, bounds = await self._patiently(partial(self._shared.snapshots.take, self._connection))
        self._epoch = bounds.epoch
        self._connection.position = self._connection.told = bounds.last
        at = Cursor(bounds.epoch, bounds.last)
        await self._write(self._joined(told[:-1]) + self._frame(told[-1], at))

    async def _read(self) -> bool:
        """Write from the log until the tape remembers the rest; False when that is impossible:
        the log was made anew meanwhile, or trimmed beyond the position."""
        tape, connection = self._shared.tape, self._connection
        while not tape.covers(connection.position):
            reached = tape.head
            lasts = await self._patiently(self._reader.lasts)
            while connection.position < reached:
                stretch = await self._patiently(partial(self._stretch, reached, lasts))
                if stretch is None or tape.epoch != self._epoch:
                    return False
                await self._write_stretch(stretch)
        return tape.epoch == self._epoch

    async def _replay(self, until: int) -> None:
        """Write the past up to `until`, say so, and end."""
        connection = self._connection
        lasts = await self._patiently(self._reader.lasts)
        while connection.position < until:
            stretch = await self._patiently(partial(self._stretch, until, lasts))
            if stretch is None:
                return
            await self._write_stretch(stretch)
        at = Cursor(self._epoch, until)
        told = self._says("replay:complete", frames.Replayed(until_id=str(at)))
        farewell = self._frame(told, at)
        self._shared.hub.end(connection, Reason.DONE, self._clock(), farewell)
        self._go_on()

    async def _stretch(self, upto: int, lasts: Sequence[int]) -> Stretch | None:
        """What follows the position; None when the log was made anew or does not reach back to it
        any more: what it holds is no continuation."""
        position = self._connection.position
        stretch = await self._reader.stretch(position, upto, lasts)
        if stretch.epoch != self._epoch or stretch.first > position + 1:
            self._shared.tape.look()
            return None
        if stretch.horizon <= position:
            raise NotYet(f"a replica lags behind {position}")
        return stretch

    async def _write_stretch(self, stretch: Stretch) -> None:
        connection, encode = self._connection, self._shared.hub.encode
        made = [(one, encode(connection, one)) for one in stretch.events]
        shown = [(one, frame) for one, frame in made if frame is not None]
        if shown:
            connection.told = shown[-1][0].sequence
        self._go_on()
        await self._write(b"".join(frame for _, frame in shown))
        connection.log_urgent(one for one, _ in shown if urgent(one.event))
        connection.position = stretch.horizon

    async def _live(self) -> None:
        """Join the tape and write what the hub delivers, until behind or ended."""
        connection = self._connection
        connection.live = True
        for recorded in self._shared.tape.since(self._owners, connection.position):
            place = recorded.place
            followed = place.owner != EVERYBODY or place.domain in connection.interest.shared
            if connection.live and followed:
                self._shared.hub.deliver(connection, recorded)
        self._say_live()
        try:
            while connection.live:
                await self._write_waiting()
                self._go_on()
        finally:
            connection.live = False
        if not connection.outbox.empty:
            await self._write_waiting()

    def _say_live(self) -> None:
        """Once, to a client that leaves another connection for this one."""
        if self._connection.opening.succeeds and not self._said_live:
            self._said_live = self._connection.outbox.put(frames.LIVE, urgent=True)

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, again and again while the log is away; the peer is told now and then
        that it is still served."""
        delay = RETRY_FIRST_SECONDS
        while True:
            self._go_on()
            try:
                return await read()
            except (LogError, NotYet) as error:
                client = self._connection.opening.client
                logger.info("waits for the log", client=client, why=str(error))
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, RETRY_MOST_SECONDS)
            if not self._connection.outbox.empty:
                await self._write_waiting()

    def _frame(self, told: Told, at: Cursor | None = None) -> bytes:
        return frames.frame(*told, at, retry_ms=self._shared.retry_ms)

    def _says(self, name: str, told: msgspec.Struct) -> Told:
        """What concerns the connection itself, in the words of its family."""
        return self._connection.feed.family.says(name, told, self._shared.now())

    def _joined(self, told: Sequence[Told]) -> bytes:
        return b"".join(map(self._frame, told))

    def _go_on(self) -> None:
        """Raises _Ended when the connection was told to end."""
        if self._connection.outbox.ended:
            raise _Ended

    async def _write_waiting(self) -> None:
        """Write what waits in the outbox, as soon as it may leave."""
        chunk = await self._connection.outbox.take()
        pressing = self._connection.take_urgent()
        await self._write(chunk)
        self._connection.log_urgent(pressing)

    async def _write(self, chunk: bytes) -> None:
        """Hand over `chunk`, and let the hub's tick see how long that takes."""
        if not chunk:
            return
        self._connection.writing_since = self._clock()
        await self._write_out(chunk)
        self._connection.written_at = self._clock()
        self._connection.writing_since = None
