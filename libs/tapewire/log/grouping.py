"""Atomic appends of many orders at once, committed together.

An atomic batch costs the server milliseconds however small it is, because it stages each one in
files (some 350 a second on a small disk), while one of twenty fills costs hardly more than one of
one. So while a batch is being stored, the appends that come gather and go as the next batch. Alone,
an append waits for nothing. When a group is refused, for one order that changed meanwhile, each of
its appends is tried by itself, so that every one gets its own answer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from tapewire.log.port import (
    PAGE_BYTES,
    PAGE_EVENTS,
    AlreadyStored,
    Bounds,
    Conflict,
    Draft,
    EventLog,
    LogError,
    Page,
    Recorded,
    Refused,
    Subscription,
)

GROUP_EVENTS = 128
"""Events of one group at the most."""


class _Append:
    """One caller's drafts, and what became of them."""

    __slots__ = ("drafts", "stored")

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = drafts
        self.stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def succeed(self, last: int) -> None:
        if not self.stored.done():
            self.stored.set_result(last)

    def fail(self, error: BaseException) -> None:
        if not self.stored.done():
            self.stored.set_exception(error)


class GroupedLog:
    """An `EventLog` like the one that it is made of, but for how it appends several events."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: deque[_Append] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[Draft]) -> int:
        """As `EventLog.append`. A caller that is canceled may find its events stored later."""
        if len(drafts) <= 1:
            return await self._log.append(drafts)
        append = _Append(drafts)
        self._waiting.append(append)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name="group commit")
        return await append.stored

    async def _commit(self) -> None:
        try:
            while self._waiting:
                await self._store(self._next())
        finally:
            self._committing = None

    def _next(self) -> list[_Append]:
        group = [self._waiting.popleft()]
        events = len(group[0].drafts)
        while self._waiting and events + len(self._waiting[0].drafts) <= GROUP_EVENTS:
            events += len(self._waiting[0].drafts)
            group.append(self._waiting.popleft())
        return group

    async def _store(self, group: list[_Append]) -> None:
        try:
            last = await self._log.append([draft for append in group for draft in append.drafts])
        except (Conflict, AlreadyStored, Refused) as refusal:
            if len(group) == 1:
                group[0].fail(refusal)
                return
            for append in group:
                await self._store([append])
        except LogError as error:
            for append in group:
                append.fail(type(error)(*error.args))
        except BaseException as error:
            for append in group:
                append.fail(error)
            raise
        else:
            for append in reversed(group):
                append.succeed(last)
                last -= len(append.drafts)

    async def page(
        self,
        filter: str,  # noqa: A002
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        return await self._log.page(filter, after=after, limit=limit, max_bytes=max_bytes)

    async def newest(self, subjects: Sequence[str]) -> list[Recorded]:
        return await self._log.newest(subjects)

    async def last(self, filter: str) -> int:  # noqa: A002
        return await self._log.last(filter)

    async def bounds(self) -> Bounds:
        return await self._log.bounds()

    async def before(self, moment: datetime) -> int:
        return await self._log.before(moment)

    async def live(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[Recorded], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        return await self._log.live(filter, on_event, on_gap)

    async def react(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[Recorded], Awaitable[None]],
    ) -> Subscription:
        return await self._log.react(name, filter, handler)
