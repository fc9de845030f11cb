"""The way between one process and the server, with everything that goes wrong on it.

A `Connection` carries requests (`read`, `write`) and feeds (`Feed`, one a live subscription). A
feed hands on in order, as one socket does; what breaks the order is the server sending late.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from tapewire.log.memory.faults import CALM, Faults
from tapewire.log.port import LogError, Unavailable, Uncertain

T = TypeVar("T")


class Gap:
    """Stands in a feed where something is missing."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class Reachable(Protocol):
    """What a connection knows of the server."""

    @property
    def up(self) -> bool: ...
    def attach(self, connection: "Connection") -> None: ...
    def detach(self, connection: "Connection") -> None: ...
    def outage(self, seconds: float) -> None: ...
    def wake(self) -> None: ...


class Feed(Generic[T]):
    """One live subscription, from the server's hand to the call-back."""

    def __init__(
        self, on_item: Callable[[T], None], on_gap: Callable[[str], None], faults: Faults
    ) -> None:
        self._on_item = on_item
        self._on_gap = on_gap
        self._faults = faults
        self._queue: deque[T | Gap] = deque()
        self._due = 0.0
        self._open = True
        self.interested = False

    def offer(self, item: T) -> None:
        """The server sends `item`."""
        if not (self._open and self.interested):
            return
        faults = self._faults
        if faults.hit(faults.lost):
            return
        if faults.hit(faults.gap):
            self._push(Gap("slow consumer: messages were dropped"))
        elif faults.hit(faults.late):
            self._push_later(item)
        else:
            self._push(item)
            if faults.hit(faults.again):
                self._push_later(item)

    def _push_later(self, item: T) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._faults.time(self._faults.lateness), self._push_if, item)

    def _push_if(self, item: T) -> None:
        if self.interested:
            self._push(item)

    def _push(self, entry: T | Gap) -> None:
        # Every entry schedules one step and every step takes the oldest entry, so the order stays
        # whatever order the loop gives to timers of one instant.
        loop = asyncio.get_running_loop()
        self._queue.append(entry)
        if self._faults.delay > 0:
            self._due = max(self._due, loop.time() + self._faults.time(self._faults.delay))
            loop.call_at(self._due, self._step)
        else:
            loop.call_soon(self._step)

    def _step(self) -> None:
        if not (self._open and self._queue):
            return
        entry = self._queue.popleft()
        if isinstance(entry, Gap):
            self._on_gap(entry.why)
        else:
            self._on_item(entry)

    def cut(self) -> None:
        """The connection breaks: what was on its way is lost, and what is sent meanwhile."""
        self.interested = False
        self._queue.clear()

    def mend(self, why: str) -> None:
        """The connection is there again: subscribed anew, and the gap told before anything."""
        self.interested = True
        self._push(Gap(why))

    def end(self) -> None:
        """No call-back from now on."""
        self._open = False
        self._queue.clear()


class Connection:
    """What one process has of the server."""

    def __init__(self, server: Reachable, faults: Faults | None) -> None:
        self._server = server
        self.faults = CALM if faults is None else faults
        self._feeds: list[Feed[Any]] = []
        self._held = False
        self._closed = False
        server.attach(self)

    @property
    def up(self) -> bool:
        """Whether requests reach the server."""
        return self._server.up and not self._held and not self._closed

    async def read(self, operation: Callable[[], T]) -> T:
        """Ask the server. Raises Unavailable."""
        self._depart()
        await self._travel()
        self._arrive()
        result = operation()
        await self._travel()
        self._require()
        return result

    async def write(self, operation: Callable[[], T]) -> T:
        """Have the server store something.

        Raises:
            Unavailable: nothing was stored.
            Uncertain: it was stored, or not, or will be.
            LogError: what `operation` raises.
        """
        self._depart()
        faults = self.faults
        if faults.hit(faults.outage):
            self._server.outage(faults.time(faults.broken))
        await self._travel()
        if not self.up or faults.hit(faults.lost_append):
            raise await self._given_up()
        if faults.hit(faults.late_append):
            loop = asyncio.get_running_loop()
            loop.call_later(faults.patience + faults.time(faults.lateness), self._late, operation)
            raise await self._given_up()
        self._arrive()
        result = operation()
        await self._travel()
        if not self.up or faults.hit(faults.lost_ack):
            raise await self._given_up()
        return result

    def send(self, operation: Callable[[], object]) -> None:
        """Send without waiting: it arrives later, or gets lost."""
        faults = self.faults
        if self.up and not faults.hit(faults.lost_append):
            self._arrive()
            operation()

    def _late(self, operation: Callable[[], object]) -> None:
        if not self._server.up:
            return
        try:
            operation()
        except LogError:
            return  # the answer that nobody waits for any more

    async def _given_up(self) -> Uncertain:
        await asyncio.sleep(self.faults.patience)
        return Uncertain("no answer in time: read before deciding again")

    def _depart(self) -> None:
        self._require()
        faults = self.faults
        if faults.hit(faults.unavailable):
            raise Unavailable("not connected at the moment: try again")
        if faults.hit(faults.breaks):
            self.sever(faults.time(faults.broken))

    def _require(self) -> None:
        if not self.up:
            raise Unavailable("the server is away: try again when it is back")

    def _arrive(self) -> None:
        self._require()
        for feed in self._feeds:
            feed.interested = True

    async def _travel(self) -> None:
        await asyncio.sleep(self.faults.time(self.faults.delay))

    async def ready(self) -> None:
        """Raises Unavailable when a subscription cannot begin now."""
        self._depart()
        await asyncio.sleep(0)
        self._require()

    def subscribe(self, feed: Feed[T]) -> None:
        """Let the server know of the interest: at the latest with the next request."""
        self._feeds.append(feed)
        if not self.faults.delay:
            feed.interested = self.up
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self.faults.time(self.faults.delay), self._interest, feed)

    def _interest(self, feed: Feed[T]) -> None:
        if self.up:
            feed.interested = True

    def unsubscribe(self, feed: Feed[T]) -> None:
        """The opposite of `subscribe`; no call-back from now on."""
        feed.end()
        if feed in self._feeds:
            self._feeds.remove(feed)

    def sever(self, seconds: float) -> None:
        """Break the connection for `seconds`."""
        if self._held or self._closed:
            return
        self._held = True
        self.cut()
        asyncio.get_running_loop().call_later(seconds, self._unhold)

    def _unhold(self) -> None:
        self._held = False
        self.mend()

    def cut(self) -> None:
        """The server, or the way to it, is gone."""
        for feed in self._feeds:
            feed.cut()

    def mend(self) -> None:
        """The server may be there again."""
        if self.up:
            for feed in self._feeds:
                feed.mend("reconnected to the server")
            self._server.wake()

    def close(self) -> None:
        """For good: all feeds end. Closing twice is nothing."""
        self._closed = True
        for feed in self._feeds:
            feed.end()
        self._feeds.clear()
        self._server.detach(self)


class Listening(Generic[T]):
    """A live subscription: `leave` tells the server to forget it."""

    def __init__(self, connection: Connection, feed: Feed[T], leave: Callable[[], None]) -> None:
        self._connection = connection
        self._feed = feed
        self._leave = leave

    async def close(self) -> None:
        """As `Subscription.close`."""
        self._connection.unsubscribe(self._feed)
        self._leave()
