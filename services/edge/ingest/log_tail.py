"""The log tail: the end of the log, followed live, in order and without a gap.

One subscription per process receives every event as it is stored. Sequences of the log have no
gaps, so the next sequence is known, and a lost message is noticed when the following one arrives
(docs/adr/0002). A lost *last* message, a lost connection and a recreated log are noticed by asking
the leader for the bounds of the log: after every gap that NATS reports, and on a timer. Whatever is
missing is read from the log before any later event is passed on.

The tail buffers its last events by owner. A connection that is not further behind than the buffer
joins live delivery without reading the log. Start reading at `LogTail.run`.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from tapewire.events import UserErased
from tapewire.log import Bounds, EventLog, LatestValueStore, LogError, RecordedEvent, Subscription
from tapewire.log.backoff import jittered, retry, wait_for_event
from tapewire.log.view_checkpoints import View, ViewType, apply_event, load
from tapewire_services.edge.ingest.tail_buffer import TailBuffer

POLL_INTERVAL_SECONDS = 2.0
"""Mean time between two requests for the log's bounds; jittered by half."""
DELIVERY_GRACE_SECONDS = 0.05
"""How long a message may still be under way after the leader counted it."""
INITIAL_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 2.0
MAX_HELD_EVENTS = 65_536
"""Later events held while a gap is repaired; further ones are read from the log."""
ALL_EVENTS_SUBJECT = "ev.>"

EventListener = Callable[[RecordedEvent], object]
V = TypeVar("V", bound=View)

logger = structlog.get_logger("edge.log_tail")


class NotReady(Exception):
    """The data asked for will be available in a moment; try again."""


class LogTail:
    """Run it with `run`; subscribers receive every event once, in order."""

    def __init__(self, log: EventLog, *, seed: int | None = None) -> None:
        self._log = log
        self._rng = random.Random(seed)  # noqa: S311 - jitter
        self._listeners: list[tuple[str | None, EventListener]] = []
        self._listeners_by_domain: dict[str, list[EventListener]] = {}
        self._listeners_of_all_domains: list[EventListener] = []
        self._recreated_listeners: list[Callable[[], None]] = []
        self._check_requested = asyncio.Event()
        self._held_events: dict[int, RecordedEvent] = {}
        self._gap_count = self._repaired_gap_count = 0
        self._buffer = TailBuffer()
        self.epoch = ""
        self._earlier_epochs: tuple[tuple[str, int], ...] = ()
        self.first_sequence = 1
        self.last_sequence = 0
        self.repair_count = 0
        self.ready = asyncio.Event()
        """Set while the tail follows the log."""

    @property
    def bounds(self) -> Bounds:
        """The bounds of the log as followed."""
        return Bounds(self.epoch, self.first_sequence, self.last_sequence, self._earlier_epochs)

    def subscribe(self, on_event: EventListener, *, domain: str | None = None) -> None:
        """Call `on_event` with every event of `domain` (None: of all domains), in order.

        Listeners are called in the order of their subscription.
        """
        self._listeners.append((domain, on_event))
        self._listeners_of_all_domains = [one for of, one in self._listeners if of is None]
        self._listeners_by_domain = {
            name: [one for of, one in self._listeners if of in (None, name)]
            for name in {of for of, _ in self._listeners if of is not None}
        }

    def subscribe_recreated(self, on_recreated: Callable[[], None]) -> None:
        """Call `on_recreated` when the tail restarts at the end of the log: at first, after the log
        was recreated, and when events in between were trimmed."""
        self._recreated_listeners.append(on_recreated)

    def covers(self, sequence: int) -> bool:
        """Whether every event after `sequence` is buffered or still to come."""
        return self._buffer.last_evicted_sequence <= sequence

    def events_after(self, owners: Iterable[str], after: int) -> list[RecordedEvent]:
        """The buffered events of `owners` after the sequence `after`, in order."""
        return self._buffer.events_after(owners, after)

    def forget_user(self, erasure: UserErased) -> None:
        """Remove the erased user from the buffer: a stream that resumes is not sent the events."""
        self._buffer.forget_user(erasure)

    async def load_view(
        self, checkpoints: LatestValueStore, view_type: ViewType[V], owner: str
    ) -> V:
        """Load a view of `owner` as of the end of the tail. Raises LogError.

        The caller resumes without a pause, so it receives every later event.
        """
        while True:
            bounds = self.bounds
            view, _ = await load(self._log, checkpoints, view_type, owner, bounds=bounds)
            if self.epoch == bounds.epoch and self.covers(bounds.last):
                break
        for recorded in self.events_after((owner,), bounds.last):
            if recorded.event_subject.domain == view_type.domain:
                apply_event(view, recorded)
        return view

    def request_check(self) -> None:
        """Ask the leader soon whether something is missing."""
        self._check_requested.set()

    async def run(self) -> None:
        """Follow the log until cancelled; wait while it is unavailable."""
        subscription = await retry(
            self._subscribe_to_log, self._rng, logger, "log_tail.subscribe_failed"
        )
        try:
            while True:
                await wait_for_event(self._check_requested, POLL_INTERVAL_SECONDS, self._rng)
                self._check_requested.clear()
                await self._repair()
        finally:
            await subscription.close()

    async def _subscribe_to_log(self) -> Subscription:
        """Subscribe and restart at the end of the log. Raises LogError."""
        subscription = await self._log.subscribe(ALL_EVENTS_SUBJECT, self._receive, self._on_gap)
        try:
            self._reset(await self._log.bounds())
        except LogError:
            await subscription.close()
            raise
        self.ready.set()
        return subscription

    def _reset(self, bounds: Bounds) -> None:
        """Restart at the end of the log with an empty buffer."""
        self.epoch, self.first_sequence = bounds.epoch, bounds.first
        self._earlier_epochs = bounds.earlier
        self.last_sequence = bounds.last
        if self._held_events:
            self._held_events.clear()
            self._check_requested.set()
        self._buffer.reset(bounds.last)
        for listener in self._recreated_listeners:
            listener()

    def _on_gap(self, reason: str) -> None:
        """Hold events after a gap until the leader has confirmed which log they belong to: it may
        have been recreated meanwhile."""
        logger.info("log_tail.gap_reported", reason=reason)
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
        elif self._gap_count == self._repaired_gap_count and not self._buffer.has(recorded):
            # It was not passed on before, or has left the buffer: it may belong to a log that was
            # recreated without a disconnection.
            self._on_gap(f"a different event arrived under sequence {recorded.sequence}")

    def _accept(self, recorded: RecordedEvent) -> None:
        self.last_sequence = recorded.sequence
        self._buffer.append(recorded)
        self._dispatch(recorded)

    def _dispatch(self, recorded: RecordedEvent) -> None:
        for listener in self._listeners_by_domain.get(
            recorded.event_subject.domain, self._listeners_of_all_domains
        ):
            listener(recorded)

    def _release_held(self) -> None:
        """Pass on the held events that follow now, and drop earlier ones."""
        while (recorded := self._held_events.pop(self.last_sequence + 1, None)) is not None:
            self._accept(recorded)
        if self._held_events:
            self._held_events = {
                s: r for s, r in self._held_events.items() if s > self.last_sequence
            }

    async def _repair(self) -> None:
        """Read the missing events until none are missing."""
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
                logger.warning("log_tail.repair_failed", error=str(error), seconds=delay)
                self.ready.clear()
                await asyncio.sleep(jittered(delay, self._rng))
                delay = min(delay * 2, MAX_RETRY_SECONDS)
            else:
                self.ready.set()
                return

    def _discard_held(self, sequences: Iterable[int]) -> None:
        """Drop held events from beyond the end of the log: late messages of an earlier log."""
        for sequence in sequences:
            self._held_events.pop(sequence, None)

    async def _catch_up(self, bounds: Bounds, known_sequence: int) -> None:
        """Read up to the end of the log as the leader reported it. `known_sequence` is the tail's
        end before the request: an event that arrived with the reply may be later than the reply."""
        if bounds.epoch != self.epoch or bounds.last < known_sequence:
            logger.warning("log_tail.log_recreated", epoch=bounds.epoch, sequence=bounds.last)
            self._reset(bounds)
            return
        self.first_sequence = bounds.first
        if bounds.last > self.last_sequence:
            await asyncio.sleep(DELIVERY_GRACE_SECONDS)
        if bounds.last > self.last_sequence:
            self.repair_count += 1
            logger.info("log_tail.repair_started", after=self.last_sequence, until=bounds.last)
        while self.last_sequence < bounds.last:
            page = await self._log.page(ALL_EVENTS_SUBJECT, after=self.last_sequence)
            now = await self._log.bounds()
            if now.epoch != self.epoch or now.first > self.last_sequence + 1:
                logger.warning("log_tail.log_trimmed", after=self.last_sequence, first=now.first)
                self._reset(now)
                return
            if not page.events:
                self._reset_if_empty(bounds)
                return
            for recorded in page.events:
                if recorded.sequence > self.last_sequence:
                    self._accept(recorded)

    def _reset_if_empty(self, bounds: Bounds) -> None:
        """The log's last events cannot be read: they were deleted, or a replica lags. Reset only if
        the log is empty; otherwise the next check decides."""
        if bounds.first > bounds.last:
            self._reset(bounds)
