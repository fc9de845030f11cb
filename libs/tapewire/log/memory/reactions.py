"""Durable reactions: who has handled which event, and what is to be handed out again.

`Reaction` is the server's part and outlives processes. `Member` is one process's part: it takes
an event, has it handled, and acknowledges it, one at a time.
"""

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from tapewire.log.memory.connection import Connection
from tapewire.log.memory.journal import Journal
from tapewire.log.port import Recorded

RETRY_SECONDS = 0.5
"""After this long an event is handed out again whose handler raised."""

_logger = logging.getLogger(__name__)


class Stored(Protocol):
    """What a reaction needs of the server."""

    ack: float
    journal: Journal


class Reaction:
    """One durable consumer: everything its filter takes is handed out until acknowledged."""

    def __init__(self, server: Stored, filter_: str) -> None:
        self._server = server
        self._filter = filter_
        self._after = 0
        self._again: deque[tuple[int, int]] = deque()
        self._waiting: deque[Member] = deque()

    def wait(self, member: "Member") -> None:
        """Hand an event to `member`, now or later: who waited longest gets the next one."""
        self._waiting.append(member)
        self.wake()

    def leave(self, member: "Member") -> None:
        """Hand nothing to `member` any more."""
        if member in self._waiting:
            self._waiting.remove(member)

    def wake(self) -> None:
        """Hand out what there is, as far as somebody waits who can be reached."""
        while (member := next((one for one in self._waiting if one.reachable), None)) is not None:
            recorded = self._next()
            if recorded is None:
                return
            self._waiting.remove(member)
            member.take(recorded)

    def _next(self) -> Recorded | None:
        journal = self._server.journal
        while self._again:
            sequence, times = self._again.popleft()
            recorded = journal.at(sequence)
            if recorded is not None:
                recorded = copy.copy(recorded)
                recorded.delivered = times + 1
                return recorded
        page = journal.page(
            self._filter, after=self._after, limit=1, max_bytes=1, upto=journal.last
        )
        self._after = page.events[0].sequence if page.events else journal.last
        return page.events[0] if page.events else None

    def again(self, recorded: Recorded, seconds: float) -> None:
        """Hand `recorded` out again after `seconds`."""
        loop = asyncio.get_running_loop()
        handed = recorded.sequence, recorded.delivered
        loop.call_later(seconds, self._return, self._server.journal.epoch, handed)

    def abandoned(self, recorded: Recorded) -> None:
        """Its process died, or the acknowledgement got lost: only time tells the server."""
        self.again(recorded, self._server.ack)

    def _return(self, epoch: str, handed: tuple[int, int]) -> None:
        if epoch == self._server.journal.epoch:
            self._again.append(handed)
            self.wake()

    def begin_again(self) -> None:
        """The log was made anew."""
        self._after = 0
        self._again.clear()


class Member:
    """A process that reacts."""

    def __init__(
        self,
        reaction: Reaction,
        connection: Connection,
        handler: Callable[[Recorded], Awaitable[None]],
    ) -> None:
        self._reaction = reaction
        self._connection = connection
        self._handler = handler
        self._holding: Recorded | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._taken = asyncio.Event()

    @property
    def reachable(self) -> bool:
        """Whether the server can hand anything to it."""
        return self._connection.up

    def take(self, recorded: Recorded) -> None:
        """The server hands `recorded` to this process."""
        self._holding = recorded
        self._taken.set()

    async def _run(self) -> None:
        while True:
            self._reaction.wait(self)
            await self._taken.wait()
            self._taken.clear()
            if self._holding is not None:
                await self._handle(self._holding)
            self._holding = None

    async def _handle(self, recorded: Recorded) -> None:
        faults = self._connection.faults
        await asyncio.sleep(faults.time(faults.delay))
        try:
            await self._handler(recorded)
        except Exception:
            _logger.warning("%r is handed out again: its handler raised", recorded, exc_info=True)
            self._reaction.again(recorded, RETRY_SECONDS)
            return
        if not self._connection.up or faults.hit(faults.redeliver):
            self._reaction.abandoned(recorded)

    async def close(self) -> None:
        """Stop, and give back what is being handled."""
        self._stop()
        if self._task is not asyncio.current_task():
            await asyncio.gather(self._task, return_exceptions=True)
        if self._holding is not None:
            self._reaction.again(self._holding, 0)
            self._holding = None

    def kill(self) -> None:
        """Die: nobody tells the server."""
        self._stop()
        if self._holding is not None:
            self._reaction.abandoned(self._holding)
            self._holding = None

    def _stop(self) -> None:
        self._reaction.leave(self)
        self._task.cancel()
