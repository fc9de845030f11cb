"""Where a connection begins, decided with the log's help: resume, reset or fresh."""

from collections.abc import Awaitable, Callable

from tapewire.log import Bounds, EventLog
from tapewire_services.edge.delivery import cursor
from tapewire_services.edge.delivery.cursor import (
    Cursor,
    FreshStart,
    ResetReason,
    ResetStart,
    ResumeStart,
    TimestampCursor,
)
from tapewire_services.edge.delivery.frames import StreamResetPayload
from tapewire_services.edge.ingest.log_tail import LogTail

CountEventsAfter = Callable[[int], Awaitable[int]]
"""How many events a reader would have to be sent that begins after a place."""


class NotReady(Exception):
    """What is asked for will be there in a moment: try again."""


class ResumePolicy:
    """Decides for every connection of a process."""

    def __init__(self, log: EventLog, log_tail: LogTail, replay_limit: int) -> None:
        self._log = log
        self._log_tail = log_tail
        self._replay_limit = replay_limit

    async def decide(
        self, last_event_id: str | None, count_events_after: CountEventsAfter
    ) -> FreshStart | ResumeStart | ResetStart:
        """How a reader that gave `requested` begins.

        The tape's own bounds suffice mostly. A place ahead of them, or in another incarnation of
        the log, is for the leader to judge: another process may have shown this client more than
        the tape has heard of yet. So is one before what the tape remembers: the log may have been
        trimmed since the tape asked.

        Raises:
            NotYet: the tape has still to find a new log.
            Unavailable: the log cannot be asked.
        """
        bounds = self._log_tail.bounds
        beginning = cursor.decide_start(last_event_id, bounds)
        if self._needs_leader_bounds(beginning):
            beginning = cursor.decide_start(last_event_id, await self._read_leader_bounds())
        if isinstance(beginning, TimestampCursor):
            beginning = await self._start_at_timestamp(
                beginning, last_event_id or "", count_events_after
            )
        elif isinstance(beginning, ResumeStart):
            beginning = await self._apply_replay_limit(
                beginning, last_event_id or "", count_events_after
            )
        if self._log_tail.epoch != bounds.epoch:
            raise NotReady("the log was made anew while it was asked")
        return beginning

    async def reset_payload(self, reset: ResetStart) -> StreamResetPayload:
        """What a reader is told of `reset`. Raises Unavailable."""
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
            raise NotReady("the tape does not follow the new log yet")
        return bounds

    async def _start_at_timestamp(
        self, timestamp: TimestampCursor, last_event_id: str, count_events_after: CountEventsAfter
    ) -> ResumeStart | ResetStart:
        """An older system's id may stand for any event of its millisecond: all of them come
        again."""
        bounds = await self._read_leader_bounds()
        after = await self._log.last_sequence_before(timestamp.time)
        if after + 1 == bounds.first and bounds.first > 1:
            return ResetStart(ResetReason.TRIMMED, last_event_id)
        return await self._apply_replay_limit(ResumeStart(after), last_event_id, count_events_after)

    async def _apply_replay_limit(
        self, resume: ResumeStart, last_event_id: str, count_events_after: CountEventsAfter
    ) -> ResumeStart | ResetStart:
        """Refuse a replay of more events than the limit; what the tape remembers never is."""
        if self._log_tail.covers(resume.after_sequence):
            return resume
        if await count_events_after(resume.after_sequence) > self._replay_limit:
            return ResetStart(ResetReason.LIMIT, last_event_id)
        return resume
