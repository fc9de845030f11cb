"""Decides where a stream starts: it resumes, is reset, or starts with a snapshot.

`cursor.decide_start` decides by the bounds of the log; this module obtains the bounds that suffice,
looks up timestamps, and limits the length of a replay. Start reading at `ResumePolicy.decide`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

from tapewire.log import Bounds, EventLog
from tapewire.payloads.control import StreamResetPayload
from tapewire_services.edge.delivery import cursor
from tapewire_services.edge.delivery.cursor import (
    Cursor,
    FreshStart,
    ResetReason,
    ResetStart,
    ResumeStart,
    TimestampCursor,
)
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady

CountEventsAfter = Callable[[int], Awaitable[int]]
"""How many events a stream would send that starts after a sequence."""


class ResumePolicy:
    """Decides for every connection of a process. A replay has at most `replay_limit` events."""

    def __init__(self, log: EventLog, log_tail: LogTail, replay_limit: int) -> None:
        self._log = log
        self._log_tail = log_tail
        self._replay_limit = replay_limit
        self.reset_counts: Counter[str] = Counter()
        """How many streams could not resume, by reason."""

    async def decide(
        self, last_event_id: str | None, count_events_after: CountEventsAfter
    ) -> FreshStart | ResumeStart | ResetStart:
        """Decide where the stream of a client with `last_event_id` starts.

        The log tail's own bounds usually suffice. The leader decides about a sequence ahead of
        them or in another incarnation of the log, because another process may have sent the client
        more than this tail has received; and about a sequence before the tail's buffer, because the
        log may have been trimmed since.

        Raises:
            NotReady: the log tail does not follow the newest log yet.
            Unavailable: the log cannot be reached.
        """
        bounds = self._log_tail.bounds
        start = cursor.decide_start(last_event_id, bounds)
        if self._needs_leader_bounds(start):
            start = cursor.decide_start(last_event_id, await self._read_leader_bounds())
        if isinstance(start, TimestampCursor):
            start = await self._start_at_timestamp(start, last_event_id or "", count_events_after)
        elif isinstance(start, ResumeStart):
            start = await self._apply_replay_limit(start, last_event_id or "", count_events_after)
        if self._log_tail.epoch != bounds.epoch:
            raise NotReady("the log was recreated during the decision")
        return start

    async def reset_payload(self, reset: ResetStart) -> StreamResetPayload:
        """The payload that reports `reset` to the client. Raises Unavailable."""
        bounds = await self._log.bounds()
        return StreamResetPayload(
            reason=reset.reason.value,
            requested_id=reset.requested_id[: cursor.MAX_ID_CHARACTERS],
            first_available_id=str(Cursor(self._log_tail.epoch, bounds.first)),
        )

    def _needs_leader_bounds(self, start: cursor.StreamStart) -> bool:
        if isinstance(start, ResumeStart):
            return not self._log_tail.covers(start.after_sequence)
        return isinstance(start, ResetStart) and start.reason is not ResetReason.MALFORMED

    async def _read_leader_bounds(self) -> Bounds:
        bounds = await self._log.bounds()
        if self._log_tail.epoch != bounds.epoch:
            self._log_tail.request_check()
            raise NotReady("the log tail does not follow the new log yet")
        return bounds

    async def _start_at_timestamp(
        self, timestamp: TimestampCursor, last_event_id: str, count_events_after: CountEventsAfter
    ) -> ResumeStart | ResetStart:
        """Start before the first event of the millisecond: an id of the older system may stand for
        any event in it."""
        bounds = await self._read_leader_bounds()
        after = await self._log.last_sequence_before(timestamp.time)
        if after + 1 == bounds.first and bounds.first > 1:
            return ResetStart(ResetReason.TRIMMED, last_event_id)
        return await self._apply_replay_limit(ResumeStart(after), last_event_id, count_events_after)

    async def _apply_replay_limit(
        self, resume: ResumeStart, last_event_id: str, count_events_after: CountEventsAfter
    ) -> ResumeStart | ResetStart:
        """Reset instead of replaying more events than the limit. Buffered events have no limit."""
        if self._log_tail.covers(resume.after_sequence):
            return resume
        if await count_events_after(resume.after_sequence) > self._replay_limit:
            return ResetStart(ResetReason.LIMIT, last_event_id)
        return resume
