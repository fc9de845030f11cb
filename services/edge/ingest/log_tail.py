"""The tape: the end of the log, followed live, without a gap and in order.

One subscription a process hears every event as it is stored. Sequences of the log have no holes, so
the next one is known, and a lost message is noticed by the one after it (docs/adr/0002). A lost
*last* message, a lost connection and a new incarnation of the log are noticed by asking the leader
for its bounds, after every gap that NATS tells of and on a timer. Whatever is missing is read from
the log before anything later is passed on.

The tape remembers its last events, by owner: a connection that is not further behind than that
joins live delivery from memory, without a read.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from heapq import merge
from itertools import takewhile

import structlog

from tapewire.log import Bounds, EventLog, LogError, RecordedEvent, Subscription

MAX_BUFFERED_EVENTS = 16_384
MAX_BUFFERED_BYTES = 16 << 20
"""Payload bytes remembered; whichever bound is met first."""
POLL_INTERVAL_SECONDS = 2.0
"""How often the leader is asked for what nobody told; half to one and a half of it, jittered."""
DELIVERY_GRACE_SECONDS = 0.05
"""How long a message may still be on its way after the leader counted it."""
INITIAL_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 2.0
MAX_HELD_EVENTS = 65_536
"""Later events held while a gap is mended; beyond, they are read from the log instead."""

ALL_EVENTS_SUBJECT = "ev.>"

logger = structlog.get_logger("edge.tape")


class LogTail:
    """Follow it by `run`; `on_event` is called in order, once a sequence."""

    def __init__(
        self,
        log: EventLog,
        on_event: Callable[[RecordedEvent], None],
        on_log_recreated: Callable[[], None],
        *,
        seed: int | None = None,
    ) -> None:
        self._log = log
        self._on_event = on_event
        self._on_log_recreated = on_log_recreated
        self._rng = random.Random(seed)  # noqa: S311 - jitter
        self._check_requested = asyncio.Event()
        self._held_events: dict[int, RecordedEvent] = {}
        self._gap_count = 0
        self._repaired_gap_count = 0
        self._buffered_events: deque[RecordedEvent] = deque()
        self._buffered_bytes = 0
        self._buffered_by_owner: dict[str, deque[RecordedEvent]] = {}
        self.epoch = ""
        self.first_sequence = 1
        self.last_sequence = 0
        self.last_evicted_sequence = 0
        self.repair_count = 0
        self.ready = asyncio.Event()

    @property
    def bounds(self) -> Bounds:
        """The log as far as the tape has followed it."""
        return Bounds(self.epoch, self.first_sequence, self.last_sequence)

    def covers(self, sequence: int) -> bool:
        """Whether everything after `sequence` is remembered, or still to come."""
        return self.last_evicted_sequence <= sequence

    def events_after(self, owners: Iterable[str], after: int) -> list[RecordedEvent]:
        """The remembered events of `owners` after `sequence`, in order."""
        later = [self._owner_events_after(owner, after) for owner in owners]
        return later[0] if len(later) == 1 else [*merge(*later, key=_sequence)]

    def _owner_events_after(self, owner: str, after: int) -> list[RecordedEvent]:
        later = takewhile(
            lambda recorded: recorded.sequence > after,
            reversed(self._buffered_by_owner.get(owner, ())),
        )
        return [*later][::-1]

    def request_check(self) -> None:
        """Ask the leader soon whether something is missing."""
        self._check_requested.set()

    async def run(self) -> None:
        """Follow until cancelled; faults of the log are waited out."""
        subscription = await self._subscribe()
        try:
            while True:
                await self._wait_for_check()
                await self._repair()
        finally:
            await subscription.close()

    async def _subscribe(self) -> Subscription:
        delay = INITIAL_RETRY_SECONDS
        while True:
            subscription: Subscription | None = None
            try:
                subscription = await self._log.subscribe(
                    ALL_EVENTS_SUBJECT, self._receive, self._on_gap
                )
                self._reset(await self._log.bounds())
            except LogError as error:
                logger.warning("cannot follow the log yet", error=str(error))
                if subscription is not None:
                    await subscription.close()
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_RETRY_SECONDS)
            else:
                self.ready.set()
                return subscription

    def _reset(self, bounds: Bounds) -> None:
        """Begin at the end of the log, remembering nothing."""
        self.epoch, self.first_sequence = bounds.epoch, bounds.first
        self.last_sequence = self.last_evicted_sequence = bounds.last
        if self._held_events:
            self._held_events.clear()
            self._check_requested.set()
        self._buffered_events.clear()
        self._buffered_bytes = 0
        self._buffered_by_owner.clear()
        self._on_log_recreated()

    def _on_gap(self, reason: str) -> None:
        """What comes after a gap may be of another log, made while nobody listened: it is held
        until the leader has said which log there is."""
        logger.info("events may be missing", reason=reason)
        self._gap_count += 1
        self._check_requested.set()

    def _receive(self, recorded: RecordedEvent) -> None:
        if (
            recorded.sequence == self.last_sequence + 1
            and self._gap_count == self._repaired_gap_count
        ):
            self._accept(recorded)
            if self._held_events:
                self._release_held()
        elif recorded.sequence > self.last_sequence:
            if len(self._held_events) < MAX_HELD_EVENTS:
                self._held_events[recorded.sequence] = recorded
            self._check_requested.set()
        elif self._gap_count == self._repaired_gap_count and not self._is_duplicate(recorded):
            self._on_gap(f"another event came under sequence {recorded.sequence}")

    def _is_duplicate(self, recorded: RecordedEvent) -> bool:
        """Whether this very event was passed on. What came late or twice was; what was not, or is
        forgotten, may be the word of a log that was made anew while nobody was disconnected."""
        place = recorded.sequence - self.last_evicted_sequence - 1
        return place >= 0 and self._buffered_events[place].metadata.id == recorded.metadata.id

    def _accept(self, recorded: RecordedEvent) -> None:
        self.last_sequence = recorded.sequence
        self._buffer(recorded)
        self._on_event(recorded)

    def _release_held(self) -> None:
        """Pass on what was held and follows now; drop what is known by now."""
        while (recorded := self._held_events.pop(self.last_sequence + 1, None)) is not None:
            self._accept(recorded)
        if self._held_events:
            self._held_events = {
                s: r for s, r in self._held_events.items() if s > self.last_sequence
            }

    def _buffer(self, recorded: RecordedEvent) -> None:
        owner = recorded.event_subject.owner
        self._buffered_events.append(recorded)
        self._buffered_bytes += len(recorded.data)
        self._buffered_by_owner.setdefault(owner, deque()).append(recorded)
        while (
            len(self._buffered_events) > MAX_BUFFERED_EVENTS
            or self._buffered_bytes > MAX_BUFFERED_BYTES
        ):
            self._evict_oldest()

    def _evict_oldest(self) -> None:
        oldest = self._buffered_events.popleft()
        self._buffered_bytes -= len(oldest.data)
        self.last_evicted_sequence = oldest.sequence
        owner = oldest.event_subject.owner
        self._buffered_by_owner[owner].popleft()
        if not self._buffered_by_owner[owner]:
            del self._buffered_by_owner[owner]

    async def _wait_for_check(self) -> None:
        """Until something may be missing, or the timer says to ask."""
        try:
            async with asyncio.timeout(POLL_INTERVAL_SECONDS * self._rng.uniform(0.5, 1.5)):
                await self._check_requested.wait()
        except TimeoutError:
            pass
        self._check_requested.clear()

    async def _repair(self) -> None:
        """Read what is missing, until nothing is."""
        delay = INITIAL_RETRY_SECONDS
        while True:
            try:
                known, gaps, held = self.last_sequence, self._gap_count, [*self._held_events]
                bounds = await self._log.bounds()
                self._discard_held(sequence for sequence in held if sequence > bounds.last)
                await self._catch_up(bounds, known)
                self._repaired_gap_count = gaps
                if self._gap_count == gaps:
                    self._release_held()
            except LogError as error:
                logger.warning("cannot read the log now", error=str(error), seconds=delay)
                self.ready.clear()
                await asyncio.sleep(delay * self._rng.uniform(0.5, 1.5))
                delay = min(delay * 2, MAX_RETRY_SECONDS)
            else:
                self.ready.set()
                return

    def _discard_held(self, sequences: Iterable[int]) -> None:
        """Forget what was held from beyond the end of the log: late words of an earlier one."""
        for sequence in sequences:
            self._held_events.pop(sequence, None)

    async def _catch_up(self, bounds: Bounds, known_sequence: int) -> None:
        """Be where the leader said that the log ends. `known` is the head from before it was
        asked: an event that came with the answer may be later than the answer."""
        if bounds.epoch != self.epoch or bounds.last < known_sequence:
            logger.warning("the log was made anew", epoch=bounds.epoch, last=bounds.last)
            self._reset(bounds)
            return
        self.first_sequence = bounds.first
        if bounds.last > self.last_sequence:
            await asyncio.sleep(DELIVERY_GRACE_SECONDS)
        if bounds.last > self.last_sequence:
            self.repair_count += 1
            logger.info("reads what was missed", after=self.last_sequence, until=bounds.last)
        while self.last_sequence < bounds.last:
            page = await self._log.page(ALL_EVENTS_SUBJECT, after=self.last_sequence)
            now = await self._log.bounds()
            if now.epoch != self.epoch or now.first > self.last_sequence + 1:
                logger.warning(
                    "the log does not continue here", after=self.last_sequence, first=now.first
                )
                self._reset(now)
                return
            if not page.events:
                self._reset_if_empty(bounds)
                return
            for recorded in page.events:
                if recorded.sequence > self.last_sequence:
                    self._accept(recorded)

    def _reset_if_empty(self, bounds: Bounds) -> None:
        """The log counts further than it holds: its last events were deleted, or a replica lags;
        the next look decides."""
        if bounds.first > bounds.last:
            self._reset(bounds)


def _sequence(recorded: RecordedEvent) -> int:
    return recorded.sequence
