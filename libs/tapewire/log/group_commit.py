"""Group commit: combine atomic appends that arrive while another one is being stored.

The server stages each atomic batch in files. That takes milliseconds however small the batch is
(about 350 batches a second on a small disk), and a batch of twenty fills takes hardly longer than
one of one. Appends that arrive while a batch is being stored therefore become the next batch; a
single append waits for nothing. If a group is rejected, for example because one order changed
meanwhile, each of its appends is retried alone and gets its own result.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from tapewire.log.bounds import Bounds
from tapewire.log.ports import (
    PAGE_BYTES,
    PAGE_EVENTS,
    AlreadyStored,
    AppendRejected,
    Conflict,
    DeadlineExceeded,
    EventDraft,
    EventLog,
    LogError,
    Page,
    RecordedEvent,
    Subscription,
)
from tapewire.log.request_scope import current_scope, guard_append

MAX_GROUP_EVENTS = 128
"""Events of one group."""


class _PendingAppend:
    """The drafts of one caller, and the future of their result."""

    __slots__ = ("drafts", "result", "scope")

    def __init__(self, drafts: Sequence[EventDraft]) -> None:
        self.drafts = drafts
        self.scope = current_scope()
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def fail_if_late(self) -> bool:
        """Fail and return true if the deadline of its request has passed."""
        try:
            if self.scope is not None:
                self.scope.check()
        except DeadlineExceeded as error:
            self.fail(error)
            return True
        return False

    def succeed(self, last_sequence: int) -> None:
        if not self.result.done():
            self.result.set_result(last_sequence)

    def fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class GroupCommitLog:
    """An `EventLog` that combines appends of several events. Everything else goes to the log that
    it wraps."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._pending: deque[_PendingAppend] = deque()
        self._commit_task: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        """As `EventLog.append`. If the caller is cancelled, its events may still be stored."""
        if len(drafts) <= 1:
            return await self._log.append(drafts)
        append = _PendingAppend(drafts)
        with guard_append():
            self._pending.append(append)
            if self._commit_task is None:
                # The task works for many requests, so it has none of their contexts.
                self._commit_task = asyncio.create_task(
                    self._commit(), name="group commit", context=contextvars.Context()
                )
            return await append.result

    async def _commit(self) -> None:
        try:
            while self._pending:
                await self._append_in_time(self._next_group())
        finally:
            self._commit_task = None

    def _next_group(self) -> list[_PendingAppend]:
        group = [self._pending.popleft()]
        events = len(group[0].drafts)
        while self._pending and events + len(self._pending[0].drafts) <= MAX_GROUP_EVENTS:
            events += len(self._pending[0].drafts)
            group.append(self._pending.popleft())
        return group

    async def _append_in_time(self, group: list[_PendingAppend]) -> None:
        """Append those of `group` whose deadlines have not passed; the others fail."""
        in_time = [append for append in group if not append.fail_if_late()]
        if in_time:
            await self._append_group(in_time)

    async def _append_group(self, group: list[_PendingAppend]) -> None:
        try:
            last = await self._log.append([draft for append in group for draft in append.drafts])
        except (Conflict, AlreadyStored, AppendRejected) as refusal:
            if len(group) == 1:
                group[0].fail(refusal)
                return
            for append in group:
                await self._append_in_time([append])
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

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        return await self._log.next_sequence(filter, after)

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
        *,
        in_order: bool = False,
    ) -> Subscription:
        return await self._log.subscribe_durable(name, filter, handler, in_order=in_order)
