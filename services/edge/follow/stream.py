"""A connection's way: where it begins, a snapshot if it needs one, replay, and live delivery.

    decide → (reset) → snapshot → read the log until the tape remembers the rest → join → live
       ↑                                                                                  │
       └──────────────── fell behind, or the log was made anew ───────────────────────────┘

There is one loop for all of it, because a slow reader, a resuming one and one whose log went away
are the same thing: a position, and a log to read from it. Joining is one synchronous step: what the
tape remembers after the position goes into the outbox, and the hub continues from there.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from services.edge import cursor, frames
from services.edge.cursor import Cursor, Reset, Resume
from services.edge.follow.beginning import Beginnings, NotYet
from services.edge.follow.board import MOST_RATE, Board
from services.edge.follow.tape import Tape
from services.edge.follow.values import ValueBoard
from services.edge.hub import Connection, Hub
from services.edge.lanes import Wants
from tapewire.events import Delivery
from tapewire.log import Bounds, EventLog, LogError, Page, Values, pattern
from tapewire.log.views import load
from tapewire.views import OrdersView

RETRY_FIRST_SECONDS = 0.05
RETRY_MOST_SECONDS = 2.0
READ_EVENTS = 256
READ_BYTES = 256 << 10
"""A page of a replay, and so about what a replaying connection holds in memory."""

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
        views: Values,
        tape: Tape,
        hub: Hub,
        board: Board,
        values: ValueBoard,
        now: Callable[[], datetime],
        retry_ms: int,
        keepalive_ms: int = 30_000,
        replay_limit: int,
        replays_at_once: int,
    ) -> None:
        self.beginnings = Beginnings(log, tape, replay_limit)
        self.log = log
        self.views = views
        self.tape = tape
        self.hub = hub
        self.board = board
        self.values = values
        self.now = now
        self.retry_ms = retry_ms
        self.keepalive_ms = keepalive_ms
        self.replays = asyncio.Semaphore(replays_at_once)

    async def serve(
        self, connection: Connection, requested: str | None, wants: Wants | None, write: Write
    ) -> None:
        """Write to `connection` from where `requested` says until it ends; `wants` is for
        newest-wins feeds. Returns when the connection was told to end; to be cancelled when the
        peer is gone."""
        follower = _Follower(self, connection, write)
        await follower.open()
        if connection.feed.delivery is Delivery.NEWEST_WINS:
            await follower.follow_board(wants or Wants(None, MOST_RATE))
        else:
            with self.values.shown(connection):
                await follower.follow_tape(requested)


class _Follower:
    """One connection following."""

    def __init__(self, shared: Followers, connection: Connection, write: Write) -> None:
        self._shared = shared
        self._connection = connection
        self._write_out = write
        self._clock = asyncio.get_running_loop().time
        self._owner = connection.opening.owner or ""
        self._filter = pattern(owner=self._owner) if self._owner else ""
        self._epoch = ""

    async def open(self) -> None:
        """The first bytes, before anything that could wait."""
        opening = self._connection.opening
        connected = frames.Connected(
            client_id=opening.client,
            user_id=opening.owner,
            stream=opening.feed.name,
            server_time=self._shared.now(),
            correlation_id=opening.correlation,
            keepalive_ms=self._shared.keepalive_ms,
        )
        await self._write(frames.retry(self._shared.retry_ms) + self._frame("connected", connected))

    async def follow_board(self, wants: Wants) -> None:
        """All newest values, then what changes."""
        board, outbox = self._shared.board, self._connection.outbox
        snapshot = frames.PricesSnapshot(
            initializing=True, prices=board.prices(wants.symbols), timestamp=self._shared.now()
        )
        board.join(outbox, wants)
        try:
            await self._write(self._frame("price:update", snapshot))
            while not outbox.ended:
                await self._write(await outbox.take())
        finally:
            board.leave(outbox, wants)
        await self._write(await outbox.take())

    async def follow_tape(self, requested: str | None) -> None:
        """Everything of the owner, in order, from where `requested` says."""
        try:
            while True:
                await self._begin(requested)
                if await self._read():
                    await self._live()
                requested = str(Cursor(self._epoch, self._connection.position))
        except _Ended:
            await self._write(await self._connection.outbox.take())

    async def _begin(self, requested: str | None) -> None:
        """Be at a position: the one asked for, or a snapshot's."""
        beginning = await self._patiently(
            lambda: self._shared.beginnings.decide(requested, self._filter)
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
        tape = self._shared.tape
        bounds = await self._shared.log.bounds()
        logger.info(
            "stream reset",
            client=self._connection.opening.client,
            reason=reset.reason.value,
            requested=reset.requested[: cursor.MOST_CHARACTERS],
        )
        told = frames.StreamReset(
            reason=reset.reason.value,
            requested_id=reset.requested[: cursor.MOST_CHARACTERS],
            first_available_id=str(Cursor(tape.epoch, bounds.first)),
        )
        return self._frame("stream:reset", told)

    async def _snapshot(self) -> None:
        """The state at the tape's head, whose sequence is the snapshot's id."""
        view, bounds = await self._patiently(self._load)
        self._epoch = bounds.epoch
        self._connection.position = self._connection.told = bounds.last
        snapshot = frames.OrdersSnapshot(
            snapshot=True, orders=view.orders(), timestamp=self._shared.now()
        )
        at = Cursor(bounds.epoch, bounds.last)
        await self._write(self._frame("order:update", snapshot, at))

    async def _load(self) -> tuple[OrdersView, Bounds]:
        async with self._shared.replays:
            bounds = self._shared.tape.bounds
            try:
                loaded = await load(
                    self._shared.log, self._shared.views, OrdersView, self._owner, bounds=bounds
                )
            except LogError:
                self._shared.tape.look()  # newer bounds may be all it takes
                raise
        if self._shared.tape.epoch != bounds.epoch:
            raise NotYet("the log was made anew while a snapshot was read")
        return loaded

    async def _read(self) -> bool:
        """Write from the log until the tape remembers the rest; False when that is impossible:
        the log was made anew meanwhile, or trimmed beyond the position."""
        tape, connection = self._shared.tape, self._connection
        while not tape.covers(connection.position):
            reached = tape.head
            last = await self._patiently(lambda: self._shared.log.last(self._filter))
            more = True
            while more:
                page = await self._patiently(partial(self._next_page, last))
                if page is None or tape.epoch != self._epoch:
                    return False
                await self._write_page(page)
                more = connection.position < last
            connection.position = max(connection.position, reached)
        return tape.epoch == self._epoch

    async def _next_page(self, last: int) -> Page | None:
        """What follows the position, nothing when that is `last`; None when the log was made
        anew or does not reach back to it any more: what it holds is no continuation."""
        page, position = Page([], 0), self._connection.position
        async with self._shared.replays:
            if position < last:
                page = await self._shared.log.page(
                    self._filter, after=position, limit=READ_EVENTS, max_bytes=READ_BYTES
                )
            bounds = await self._shared.log.bounds()
        if bounds.epoch != self._epoch or bounds.first > position + 1:
            self._shared.tape.look()
            return None
        if position < last and not page.events:
            raise NotYet(f"a replica lags behind {position}")
        return page

    async def _write_page(self, page: Page) -> None:
        made = []
        for recorded in page.events:
            shown = self._shared.hub.encode(self._connection, recorded)
            if shown is not None:
                made.append(shown)
                self._connection.told = recorded.sequence
        self._go_on()
        await self._write(b"".join(made))
        if page.events:
            self._connection.position = page.events[-1].sequence

    async def _live(self) -> None:
        """Join the tape and write what the hub delivers, until behind or ended."""
        connection, outbox = self._connection, self._connection.outbox
        connection.live = True
        for recorded in self._shared.tape.since(self._owner, connection.position):
            if connection.live:
                self._shared.hub.deliver(connection, recorded)
        try:
            while connection.live:
                await self._write(await outbox.take())
                self._go_on()
        finally:
            connection.live = False
        if not outbox.empty:
            await self._write(await outbox.take())

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, again and again while the log is away; the peer is told now and then
        that it is still served."""
        delay = RETRY_FIRST_SECONDS
        while True:
            self._go_on()
            try:
                return await read()
            except (LogError, NotYet) as error:
                logger.info(
                    "waits for the log", client=self._connection.opening.client, why=str(error)
                )
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, RETRY_MOST_SECONDS)
            if not self._connection.outbox.empty:
                await self._write(await self._connection.outbox.take())

    def _frame(self, event: str, payload: msgspec.Struct, at: Cursor | None = None) -> bytes:
        return frames.frame(event, payload, at, retry_ms=self._shared.retry_ms)

    def _go_on(self) -> None:
        """Raises _Ended when the connection was told to end."""
        if self._connection.outbox.ended:
            raise _Ended

    async def _write(self, chunk: bytes) -> None:
        """Hand over `chunk`, and let the hub's tick see how long that takes."""
        if not chunk:
            return
        self._connection.writing_since = self._clock()
        await self._write_out(chunk)
        self._connection.written_at = self._clock()
        self._connection.writing_since = None
