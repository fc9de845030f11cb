"""Following the log in order: what one process does at a time, under a lease.

A `Consumer` is given every event that a filter takes, page by page, in the order of the log. The
truth is read from a cursor, so nothing is missed; a live subscription only says when to read, and a
jittered timer mends what it loses. Cursor and state are checkpointed together to VIEWS, so the next
holder of the lease takes again only what came after, and what it does must bear being done twice.
Start at `follow`.
"""

import asyncio
import random
from collections.abc import Callable, MutableMapping, Sequence
from typing import Protocol

import structlog

from tapewire.log.backoff import Backoff, jittered, new_rng
from tapewire.log.checkpoint import (
    Checkpoint,
    read_checkpoint,
    restore_state,
    shared_checkpoint_key,
    write_checkpoint,
)
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    Bounds,
    EventLog,
    LatestValueStore,
    LogError,
    Page,
    RecordedEvent,
    Subscription,
)

POLL_INTERVAL_SECONDS = 2.0
"""How often the log is read although nothing was heard; half to one and a half of it."""
CHECKPOINT_INTERVAL_SECONDS = 1.0
MIN_CHECKPOINT_EVENTS = 64
"""Events since the last checkpoint that make another worth while."""

logger = structlog.get_logger("tapewire.follower")


class EventConsumer(Protocol):
    """Takes events and keeps a state. Made anew for each time of following."""

    def restore_state(self, state: bytes) -> None:
        """Be as when `save` gave `state`. Raises ValueError for what is none."""

    def serialize_state(self) -> bytes:
        """The state as JSON."""

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        """Take a page. A LogError has the same page taken again, later."""

    async def on_caught_up(self) -> None:
        """Everything that the log held at the start has been taken; called once."""


class _LogRecreated(Exception):
    """The log was made anew: what is known of it is void."""


async def follow(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    filter_: str,
    checkpoint_name: str,
    make_consumer: Callable[[], EventConsumer],
    rng: random.Random | None = None,
    last_handled_sequences: MutableMapping[str, int] | None = None,
) -> None:
    """Give a consumer of `make` everything of `filter_` until cancelled; a new one whenever the log
    was made anew. `name` is where the checkpoint is kept. `places` is told, under `filter_`, the
    sequence of the last event that was taken: not before the consumer has caught up."""
    last_handled_sequences = {} if last_handled_sequences is None else last_handled_sequences
    while True:
        last_handled_sequences.pop(filter_, None)
        follower = _Follower(
            log,
            checkpoint_store,
            filter_,
            checkpoint_name,
            make_consumer(),
            rng or new_rng(),
            last_handled_sequences,
        )
        try:
            await follower.run()
        except _LogRecreated as another:
            logger.warning("begins anew", follower=checkpoint_name, why=str(another))


class _Follower:
    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        filter_: str,
        name: str,
        consumer: EventConsumer,
        rng: random.Random,
        last_handled_sequences: MutableMapping[str, int],
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._filter = filter_
        self._name = name
        self._checkpoint_key = shared_checkpoint_key(name)
        self._consumer = consumer
        self._rng = rng
        self._last_handled_sequences = last_handled_sequences
        self._wake = asyncio.Event()
        self._epoch = ""
        self._as_of = 0
        self._unsaved_events = 0
        self._next_checkpoint_at = 0.0

    async def run(self) -> None:
        subscription = await self._subscribe()
        try:
            start = await self._load_checkpoint()
            caught_up = False
            while True:
                self._wake.clear()
                page = await self._read_page()
                await self._handle_page(page)
                if (
                    not caught_up
                    and not page.has_more
                    and self._as_of >= await self._last_sequence_at_start(start)
                ):
                    caught_up = True
                    logger.info("caught up", follower=self._name, as_of=self._as_of)
                    await self._consumer.on_caught_up()
                if caught_up:
                    self._last_handled_sequences[self._filter] = self._as_of
                await self._save_checkpoint()
                if not page.has_more:
                    await self._wait_for_events()
        finally:
            await subscription.close()

    async def _subscribe(self) -> Subscription:
        patience = Backoff(self._rng)
        while True:
            try:
                return await self._log.subscribe(self._filter, self._on_event, self._on_gap)
            except LogError as error:
                logger.warning("cannot listen", follower=self._name, error=str(error))
                await patience.wait()

    def _on_event(self, recorded: RecordedEvent) -> None:
        if recorded.sequence > self._as_of:
            self._wake.set()

    def _on_gap(self, _reason: str) -> None:
        self._wake.set()

    async def _load_checkpoint(self) -> Bounds:
        """Be at the checkpoint, or at the beginning; the log's bounds at the start."""
        patience = Backoff(self._rng)
        while True:
            try:
                bounds = await self._log.bounds()
                self._restore_checkpoint(
                    await read_checkpoint(self._checkpoint_store, self._checkpoint_key), bounds
                )
            except LogError as error:
                logger.warning("cannot recover", follower=self._name, error=str(error))
                await patience.wait()
            else:
                return bounds

    def _restore_checkpoint(self, checkpoint: Checkpoint | None, bounds: Bounds) -> None:
        self._epoch = bounds.epoch

        def restore(state: bytes) -> bool:
            self._consumer.restore_state(state)
            return True

        if checkpoint is not None and restore_state(checkpoint, bounds, restore, name=self._name):
            self._as_of = checkpoint.as_of

    async def _last_sequence_at_start(self, start: Bounds) -> int:
        """The last sequence of the filter that the log held at the start."""
        patience = Backoff(self._rng)
        while True:
            try:
                return min(await self._log.last_sequence(self._filter), start.last)
            except LogError:
                await patience.wait()

    async def _read_page(self) -> Page:
        patience = Backoff(self._rng)
        while True:
            try:
                return await self._log.page(
                    self._filter,
                    after=self._as_of,
                    limit=CATCH_UP_PAGE_EVENTS,
                    max_bytes=CATCH_UP_PAGE_BYTES,
                )
            except LogError as error:
                logger.warning("cannot read", follower=self._name, error=str(error))
                await patience.wait()

    async def _handle_page(self, page: Page) -> None:
        if not page.events:
            return
        patience = Backoff(self._rng)
        while True:
            try:
                await self._consumer.handle(page.events)
            except LogError as error:
                logger.warning("cannot go on", follower=self._name, error=str(error))
                await patience.wait()
            else:
                self._as_of = page.events[-1].sequence
                self._unsaved_events += len(page.events)
                return

    async def _save_checkpoint(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._unsaved_events < MIN_CHECKPOINT_EVENTS or now < self._next_checkpoint_at:
            return
        try:
            await write_checkpoint(
                self._checkpoint_store,
                self._checkpoint_key,
                epoch=self._epoch,
                as_of=self._as_of,
                state=self._consumer.serialize_state(),
            )
        except LogError as error:
            logger.warning("cannot keep a checkpoint", follower=self._name, error=str(error))
        else:
            self._unsaved_events = 0
        self._next_checkpoint_at = now + CHECKPOINT_INTERVAL_SECONDS

    async def _wait_for_events(self) -> None:
        """Until there is something to read, or might be. Raises _AnotherLog."""
        try:
            async with asyncio.timeout(jittered(POLL_INTERVAL_SECONDS, self._rng)):
                await self._wake.wait()
        except TimeoutError:
            await self._check_epoch()

    async def _check_epoch(self) -> None:
        known = self._as_of
        try:
            bounds = await self._log.bounds()
        except LogError:
            return  # the next page says so, and waits
        if bounds.epoch != self._epoch or bounds.last < known:
            raise _LogRecreated(f"{bounds.epoch} ends at {bounds.last}, was read up to {known}")
