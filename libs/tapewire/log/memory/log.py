"""The journal as one process sees it: `MemoryLog`, an `EventLog` over a `MemoryServer`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from tapewire.events import CODEC
from tapewire.log.memory.connection import Connection, Feed, Listening
from tapewire.log.memory.faults import Faults
from tapewire.log.memory.reactions import Member
from tapewire.log.memory.server import MemoryServer
from tapewire.log.port import (
    BATCH_EVENTS,
    PAGE_BYTES,
    PAGE_EVENTS,
    Bounds,
    Conflict,
    Draft,
    Page,
    Recorded,
    Refused,
    Subscription,
)

PAYLOAD_BYTES = 1 << 20
"""What a server takes as one message at the most, headers included (its default)."""
HEADER_BYTES = 100
"""About what the headers of an event take."""
LAG_EVENTS = 16
"""Events that a lagging replica is behind at the most."""


class MemoryLog:
    """One process's log. `faults` is what goes wrong between it and the server."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self._server = server
        self._connection = Connection(server, faults)
        self._members: list[Member] = []

    async def append(self, drafts: Sequence[Draft]) -> int:
        """As `EventLog.append`."""
        if not drafts:
            raise Refused("an append holds at least one event")
        if len(drafts) > BATCH_EVENTS:
            raise Refused(f"{len(drafts)} events in one append: at most {BATCH_EVENTS}")
        payloads = [CODEC.encode(draft.event) for draft in drafts]
        if any(len(payload) + HEADER_BYTES > PAYLOAD_BYTES for payload in payloads):
            raise Refused(f"an event of more than {PAYLOAD_BYTES} bytes, headers included")
        faults = self._connection.faults

        def arrive() -> int:
            if drafts[0].expect is not None and faults.hit(faults.conflict):
                raise Conflict(f"{drafts[0].subject} is being written to by another batch")
            return self._server.append(drafts, payloads)

        return await self._connection.write(arrive)

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """As `EventLog.page`."""
        return await self._connection.read(
            lambda: self._server.journal.page(
                filter, after=after, limit=limit, max_bytes=max_bytes, upto=self._seen()
            )
        )

    async def newest(self, subjects: Sequence[str]) -> list[Recorded]:
        """As `EventLog.newest`."""
        return await self._connection.read(
            lambda: self._server.journal.newest(subjects, upto=self._seen())
        )

    async def last(self, filter: str) -> int:  # noqa: A002
        """As `EventLog.last`."""
        return await self._connection.read(lambda: self._server.journal.last_of(filter))

    async def before(self, moment: datetime) -> int:
        """As `EventLog.before`."""
        return await self._connection.read(lambda: self._server.journal.before(moment))

    async def bounds(self) -> Bounds:
        """As `EventLog.bounds`."""

        def arrive() -> Bounds:
            journal = self._server.journal
            return Bounds(epoch=journal.epoch, first=journal.first, last=journal.last)

        return await self._connection.read(arrive)

    async def live(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[Recorded], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        """As `EventLog.live`."""
        await self._connection.ready()
        feed = Feed(on_event, on_gap, self._connection.faults)
        self._server.listen(filter, feed)
        self._connection.subscribe(feed)
        return Listening(self._connection, feed, lambda: self._server.ignore(filter, feed))

    async def react(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[Recorded], Awaitable[None]],
    ) -> Subscription:
        """As `EventLog.react`."""
        reaction = await self._connection.read(lambda: self._server.reaction(name, filter))
        member = Member(reaction, self._connection, handler)
        self._members.append(member)
        return member

    def _seen(self) -> int:
        """The last event that the replica knows which answers."""
        faults, last = self._connection.faults, self._server.journal.last
        return last - faults.random.randrange(LAG_EVENTS + 1) if faults.hit(faults.lag) else last

    def sever(self, seconds: float) -> None:
        """Break the connection for `seconds`: requests fail, live messages are lost."""
        self._connection.sever(seconds)

    def kill(self) -> None:
        """The process dies: nothing is called back, nothing is given back to the server."""
        for member in self._members:
            member.kill()
        self._connection.close()
