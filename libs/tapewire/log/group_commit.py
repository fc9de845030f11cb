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

from tapewire.log.ports import (
    PAGE_BYTES,
    PAGE_EVENTS,
    AlreadyStored,
    AppendRejected,
    Bounds,
    Conflict,
    EventDraft,
    EventLog,
    LogError,
    Page,
    RecordedEvent,
    Subscription,
)

MAX_GROUP_EVENTS = 128
"""Events of one group at the most."""


class _PendingAppend:
    """One caller's drafts, and what became of them."""

    __slots__ = ("drafts", "result")

    def __init__(self, drafts: Sequence[EventDraft]) -> None:
        self.drafts = drafts
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def succeed(self, last_sequence: int) -> None:
        if not self.result.done():
            self.result.set_result(last_sequence)

    def fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class GroupCommitLog:
    """An `EventLog` like the one that it is made of, but for how it appends several events."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._pending: deque[_PendingAppend] = deque()
        self._commit_task: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        """As `EventLog.append`. A caller that is canceled may find its events stored later."""
        if len(drafts) <= 1:
            return await self._log.append(drafts)
        append = _PendingAppend(drafts)
        self._pending.append(append)
        if self._commit_task is None:
            self._commit_task = asyncio.create_task(self._commit(), name="group commit")
        return await append.result

    async def _commit(self) -> None:
        try:
            while self._pending:
                await self._append_group(self._next_group())
        finally:
            self._commit_task = None

    def _next_group(self) -> list[_PendingAppend]:
        group = [self._pending.popleft()]
        events = len(group[0].drafts)
        while self._pending and events + len(self._pending[0].drafts) <= MAX_GROUP_EVENTS:
            events += len(self._pending[0].drafts)
            group.append(self._pending.popleft())
        return group

    async def _append_group(self, group: list[_PendingAppend]) -> None:
        try:
            last = await self._log.append([draft for append in group for draft in append.drafts])
        except (Conflict, AlreadyStored, AppendRejected) as refusal:
            if len(group) == 1:
                group[0].fail(refusal)
                return
            for append in group:
                await self._append_group([append])
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

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        return await self._log.last_events(subjects)

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        return await self._log.last_sequence(filter)

    async def bounds(self) -> Bounds:
        return await self._log.bounds()

    async def last_sequence_before(self, moment: datetime) -> int:
        return await self._log.last_sequence_before(moment)

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        return await self._log.subscribe(filter, on_event, on_gap)

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> Subscription:
        return await self._log.subscribe_durable(name, filter, handler)
