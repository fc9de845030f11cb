"""Where a connection begins, decided with the log's help: resume, reset or fresh."""

from collections.abc import Awaitable, Callable

from services.edge import cursor
from services.edge.cursor import Cursor, Fresh, Moment, Reset, ResetReason, Resume
from services.edge.follow.tape import Tape
from services.edge.frames import StreamReset
from tapewire.log import Bounds, EventLog

Behind = Callable[[int], Awaitable[int]]
"""How many events a reader would have to be sent that begins after a place."""


class NotYet(Exception):
    """What is asked for will be there in a moment: try again."""


class Beginnings:
    """Decides for every connection of a process."""

    def __init__(self, log: EventLog, tape: Tape, replay_limit: int) -> None:
        self._log = log
        self._tape = tape
        self._replay_limit = replay_limit

    async def decide(self, requested: str | None, behind: Behind) -> Fresh | Resume | Reset:
        """How a reader that gave `requested` begins.

        The tape's own bounds suffice mostly. A place ahead of them, or in another incarnation of
        the log, is for the leader to judge: another process may have shown this client more than
        the tape has heard of yet. So is one before what the tape remembers: the log may have been
        trimmed since the tape asked.

        Raises:
            NotYet: the tape has still to find a new log.
            Unavailable: the log cannot be asked.
        """
        bounds = self._tape.bounds
        beginning = cursor.decide(requested, bounds)
        if self._is_for_the_leader(beginning):
            beginning = cursor.decide(requested, await self._leader())
        if isinstance(beginning, Moment):
            beginning = await self._at(beginning, requested or "", behind)
        elif isinstance(beginning, Resume):
            beginning = await self._within_limit(beginning, requested or "", behind)
        if self._tape.epoch != bounds.epoch:
            raise NotYet("the log was made anew while it was asked")
        return beginning

    async def refused(self, reset: Reset) -> StreamReset:
        """What a reader is told of `reset`. Raises Unavailable."""
        bounds = await self._log.bounds()
        return StreamReset(
            reason=reset.reason.value,
            requested_id=reset.requested[: cursor.MOST_CHARACTERS],
            first_available_id=str(Cursor(self._tape.epoch, bounds.first)),
        )

    def _is_for_the_leader(self, beginning: cursor.Beginning) -> bool:
        if isinstance(beginning, Resume):
            return not self._tape.covers(beginning.after)
        return isinstance(beginning, Reset) and beginning.reason is not ResetReason.MALFORMED

    async def _leader(self) -> Bounds:
        bounds = await self._log.bounds()
        if self._tape.epoch != bounds.epoch:
            self._tape.look()
            raise NotYet("the tape does not follow the new log yet")
        return bounds

    async def _at(self, moment: Moment, requested: str, behind: Behind) -> Resume | Reset:
        """An older system's id may stand for any event of its millisecond: all of them come
        again."""
        bounds = await self._leader()
        after = await self._log.before(moment.time)
        if after + 1 == bounds.first and bounds.first > 1:
            return Reset(ResetReason.TRIMMED, requested)
        return await self._within_limit(Resume(after), requested, behind)

    async def _within_limit(self, resume: Resume, requested: str, behind: Behind) -> Resume | Reset:
        """Refuse a replay of more events than the limit; what the tape remembers never is."""
        if self._tape.covers(resume.after):
            return resume
        if await behind(resume.after) > self._replay_limit:
            return Reset(ResetReason.LIMIT, requested)
        return resume
