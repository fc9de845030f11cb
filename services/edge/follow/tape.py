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

from tapewire.log import Bounds, EventLog, LogError, Recorded, Subscription

REMEMBERED_EVENTS = 16_384
REMEMBERED_BYTES = 16 << 20
"""Payload bytes remembered; whichever bound is met first."""
POLL_SECONDS = 2.0
"""How often the leader is asked for what nobody told; half to one and a half of it, jittered."""
GRACE_SECONDS = 0.05
"""How long a message may still be on its way after the leader counted it."""
RETRY_FIRST_SECONDS = 0.05
RETRY_MOST_SECONDS = 2.0
HELD_EVENTS = 65_536
"""Later events held while a gap is mended; beyond, they are read from the log instead."""

EVERYTHING = "ev.>"

logger = structlog.get_logger("edge.tape")


class Tape:
    """Follow it by `run`; `on_event` is called in order, once a sequence."""

    def __init__(
        self,
        log: EventLog,
        on_event: Callable[[Recorded], None],
        on_restart: Callable[[], None],
        *,
        seed: int | None = None,
    ) -> None:
        self._log = log
        self._on_event = on_event
        self._on_restart = on_restart
        self._random = random.Random(seed)  # noqa: S311 - jitter
        self._look = asyncio.Event()
        self._held: dict[int, Recorded] = {}
        self._gaps = 0
        self._gaps_mended = 0
        self._recent: deque[Recorded] = deque()
        self._recent_bytes = 0
        self._of_owner: dict[str, deque[Recorded]] = {}
        self.epoch = ""
        self.first = 1
        self.head = 0
        self.floor = 0
        self.repairs = 0
        self.ready = asyncio.Event()

    @property
    def bounds(self) -> Bounds:
        """The log as far as the tape has followed it."""
        return Bounds(self.epoch, self.first, self.head)

    def covers(self, sequence: int) -> bool:
        """Whether everything after `sequence` is remembered, or still to come."""
        return self.floor <= sequence

    def since(self, owners: Iterable[str], sequence: int) -> list[Recorded]:
        """The remembered events of `owners` after `sequence`, in order."""
        later = [self._since(owner, sequence) for owner in owners]
        return later[0] if len(later) == 1 else [*merge(*later, key=_sequence)]

    def _since(self, owner: str, sequence: int) -> list[Recorded]:
        later = takewhile(
            lambda recorded: recorded.sequence > sequence, reversed(self._of_owner.get(owner, ()))
        )
        return [*later][::-1]

    def look(self) -> None:
        """Ask the leader soon whether something is missing."""
        self._look.set()

    async def run(self) -> None:
        """Follow until cancelled; faults of the log are waited out."""
        subscription = await self._subscribe()
        try:
            while True:
                await self._pause()
                await self._mend()
        finally:
            await subscription.close()

    async def _subscribe(self) -> Subscription:
        delay = RETRY_FIRST_SECONDS
        while True:
            subscription: Subscription | None = None
            try:
                subscription = await self._log.live(EVERYTHING, self._hear, self._on_gap)
                self._restart(await self._log.bounds())
            except LogError as error:
                logger.warning("cannot follow the log yet", error=str(error))
                if subscription is not None:
                    await subscription.close()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST_SECONDS)
            else:
                self.ready.set()
                return subscription

    def _restart(self, bounds: Bounds) -> None:
        """Begin at the end of the log, remembering nothing."""
        self.epoch, self.first = bounds.epoch, bounds.first
        self.head = self.floor = bounds.last
        if self._held:
            self._held.clear()
            self._look.set()
        self._recent.clear()
        self._recent_bytes = 0
        self._of_owner.clear()
        self._on_restart()

    def _on_gap(self, reason: str) -> None:
        """What comes after a gap may be of another log, made while nobody listened: it is held
        until the leader has said which log there is."""
        logger.info("events may be missing", reason=reason)
        self._gaps += 1
        self._look.set()

    def _hear(self, recorded: Recorded) -> None:
        if recorded.sequence == self.head + 1 and self._gaps == self._gaps_mended:
            self._accept(recorded)
            if self._held:
                self._release()
        elif recorded.sequence > self.head:
            if len(self._held) < HELD_EVENTS:
                self._held[recorded.sequence] = recorded
            self._look.set()
        elif self._gaps == self._gaps_mended and not self._knows(recorded):
            self._on_gap(f"another event came under sequence {recorded.sequence}")

    def _knows(self, recorded: Recorded) -> bool:
        """Whether this very event was passed on. What came late or twice was; what was not, or is
        forgotten, may be the word of a log that was made anew while nobody was disconnected."""
        place = recorded.sequence - self.floor - 1
        return place >= 0 and self._recent[place].meta.id == recorded.meta.id

    def _accept(self, recorded: Recorded) -> None:
        self.head = recorded.sequence
        self._remember(recorded)
        self._on_event(recorded)

    def _release(self) -> None:
        """Pass on what was held and follows now; drop what is known by now."""
        while (recorded := self._held.pop(self.head + 1, None)) is not None:
            self._accept(recorded)
        if self._held:
            self._held = {s: r for s, r in self._held.items() if s > self.head}

    def _remember(self, recorded: Recorded) -> None:
        owner = recorded.place.owner
        self._recent.append(recorded)
        self._recent_bytes += len(recorded.data)
        self._of_owner.setdefault(owner, deque()).append(recorded)
        while len(self._recent) > REMEMBERED_EVENTS or self._recent_bytes > REMEMBERED_BYTES:
            self._forget()

    def _forget(self) -> None:
        oldest = self._recent.popleft()
        self._recent_bytes -= len(oldest.data)
        self.floor = oldest.sequence
        owner = oldest.place.owner
        self._of_owner[owner].popleft()
        if not self._of_owner[owner]:
            del self._of_owner[owner]

    async def _pause(self) -> None:
        """Until something may be missing, or the timer says to ask."""
        try:
            async with asyncio.timeout(POLL_SECONDS * self._random.uniform(0.5, 1.5)):
                await self._look.wait()
        except TimeoutError:
            pass
        self._look.clear()

    async def _mend(self) -> None:
        """Read what is missing, until nothing is."""
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                known, gaps, held = self.head, self._gaps, [*self._held]
                bounds = await self._log.bounds()
                self._drop(sequence for sequence in held if sequence > bounds.last)
                await self._catch_up(bounds, known)
                self._gaps_mended = gaps
                if self._gaps == gaps:
                    self._release()
            except LogError as error:
                logger.warning("cannot read the log now", error=str(error), seconds=delay)
                self.ready.clear()
                await asyncio.sleep(delay * self._random.uniform(0.5, 1.5))
                delay = min(delay * 2, RETRY_MOST_SECONDS)
            else:
                self.ready.set()
                return

    def _drop(self, sequences: Iterable[int]) -> None:
        """Forget what was held from beyond the end of the log: late words of an earlier one."""
        for sequence in sequences:
            self._held.pop(sequence, None)

    async def _catch_up(self, bounds: Bounds, known: int) -> None:
        """Be where the leader said that the log ends. `known` is the head from before it was
        asked: an event that came with the answer may be later than the answer."""
        if bounds.epoch != self.epoch or bounds.last < known:
            logger.warning("the log was made anew", epoch=bounds.epoch, last=bounds.last)
            self._restart(bounds)
            return
        self.first = bounds.first
        if bounds.last > self.head:
            await asyncio.sleep(GRACE_SECONDS)
        if bounds.last > self.head:
            self.repairs += 1
            logger.info("reads what was missed", after=self.head, until=bounds.last)
        while self.head < bounds.last:
            page = await self._log.page(EVERYTHING, after=self.head)
            now = await self._log.bounds()
            if now.epoch != self.epoch or now.first > self.head + 1:
                logger.warning("the log does not continue here", after=self.head, first=now.first)
                self._restart(now)
                return
            if not page.events:
                self._skip(bounds)
                return
            for recorded in page.events:
                if recorded.sequence > self.head:
                    self._accept(recorded)

    def _skip(self, bounds: Bounds) -> None:
        """The log counts further than it holds: its last events were deleted, or a replica lags;
        the next look decides."""
        if bounds.first > bounds.last:
            self._restart(bounds)


def _sequence(recorded: Recorded) -> int:
    return recorded.sequence
