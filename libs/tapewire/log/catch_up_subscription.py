"""Catch-up subscriptions: hand every event of a filter to one consumer, in the order of the log.

One process at a time runs a subscription, usually under a lease. It reads pages from a cursor, so
no event is missed; a live subscription and a jittered timer only trigger the reads. The consumer's
state and the cursor are checkpointed together. The next process resumes from the checkpoint and
hands out later events again, so a consumer must tolerate events that it has handled before. Start
at `CatchUpSubscription`; `EventConsumer` is what a service implements.
"""

import abc
import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import structlog

from tapewire.log.backoff import new_rng, retry, wait_for_event
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import (
    CHECKPOINT_BYTES_PER_SECOND,
    Checkpoint,
    read_checkpoint,
    restore_state,
    shared_checkpoint_key,
    write_checkpoint,
)
from tapewire.log.erasures import erasure_of
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    EventLog,
    LatestValueStore,
    LogError,
    Page,
    RecordedEvent,
    Subscription,
    Unavailable,
)

POLL_INTERVAL_SECONDS = 2.0
"""Time between reads without a notification, before jitter."""
MIN_CHECKPOINT_INTERVAL_SECONDS = 1.0
MIN_CHECKPOINT_EVENTS = 64
"""Events since the last checkpoint that justify another."""
MAX_CHECKPOINT_AGE_SECONDS = 10.0
"""When fewer events justify one too: the journal is archived as far as checkpoints reach."""

logger = structlog.get_logger("tapewire.subscription")


class EventConsumer(abc.ABC):
    """Handles events and keeps a state. Only `handle` is required.

    A subscription makes a new consumer when it starts and when the log was recreated.
    """

    def restore_state(self, state: bytes) -> None:  # noqa: B027 - an optional hook
        """Take over what `serialize_state` returned. Raises ValueError if it does not fit."""

    def serialize_state(self) -> bytes:
        """The state as JSON; ``null`` for a consumer that needs only the cursor."""
        return b"null"

    @abc.abstractmethod
    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        """Handle one page of events. After a LogError the same page is handed over again."""

    async def on_caught_up(self) -> None:  # noqa: B027 - an optional hook
        """Called once, when every event that the log held at the start has been handled."""

    async def run(self) -> None:  # noqa: B027 - an optional hook
        """Do background work; cancelled when the subscription ends or the log is recreated."""


ConsumerT = TypeVar("ConsumerT", bound=EventConsumer)


class CatchUpSubscription(Generic[ConsumerT]):
    """A named, checkpointed subscription to all events of `filter_`.

    Args:
        name: names the checkpoint; unique among all subscriptions.
        make_consumer: returns the consumer of a new run.
    """

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        *,
        name: str,
        filter_: str,
        make_consumer: Callable[[], ConsumerT],
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.filter = filter_
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._make_consumer = make_consumer
        self._rng = rng or new_rng()
        self._delivery: _Delivery[ConsumerT] | None = None

    @property
    def last_handled_sequence(self) -> int | None:
        """The sequence of the last handled event; None unless this process runs the subscription
        and has caught up."""
        return None if self._delivery is None else self._delivery.last_handled_sequence

    @property
    def consumer(self) -> ConsumerT:
        """The consumer that receives the events. Raises Unavailable unless this process runs the
        subscription and has caught up."""
        if self._delivery is None or not self._delivery.is_caught_up:
            raise Unavailable(f"still reading {self.filter}")
        return self._delivery.consumer

    async def run(self) -> None:
        """Hand out events until cancelled.

        Raises:
            ExceptionGroup: the consumer raised something other than LogError.
        """
        try:
            while True:
                consumer = self._make_consumer()
                self._delivery = _Delivery(
                    self._log, self._checkpoint_store, self.filter, self.name, consumer, self._rng
                )
                async with asyncio.TaskGroup() as group:
                    background = group.create_task(consumer.run(), name=f"consumer {self.name}")
                    reason = await self._delivery.run_until_log_recreated()
                    background.cancel()
                logger.warning("subscription.restarted", name=self.name, reason=reason)
        finally:
            self._delivery = None


class _Delivery(Generic[ConsumerT]):
    """One consumer's way through one incarnation of the log."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        filter_: str,
        name: str,
        consumer: ConsumerT,
        rng: random.Random,
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._filter = filter_
        self._name = name
        self._checkpoint_key = shared_checkpoint_key(name)
        self.consumer = consumer
        self._rng = rng
        self._wake = asyncio.Event()
        self._epoch = ""
        self._as_of = 0
        self.is_caught_up = False
        self._unsaved_events = 0
        self._must_save = False
        self._next_checkpoint_at = asyncio.get_running_loop().time()

    @property
    def last_handled_sequence(self) -> int | None:
        return self._as_of if self.is_caught_up else None

    async def run_until_log_recreated(self) -> str:
        """Hand out events; the reason why the log is another one."""
        subscription = await self._subscribe()
        try:
            start = await self._load_checkpoint()
            while True:
                self._wake.clear()
                page = await self._read_page()
                await self._handle_page(page)
                if not self.is_caught_up and not page.has_more:
                    await self._check_caught_up(start)
                await self._save_checkpoint()
                if page.has_more:
                    continue
                if not await wait_for_event(self._wake, POLL_INTERVAL_SECONDS, self._rng):
                    reason = await self._recreation_reason()
                    if reason:
                        return reason
        finally:
            await subscription.close()

    async def _subscribe(self) -> Subscription:
        def on_event(recorded: RecordedEvent) -> None:
            if recorded.sequence > self._as_of:
                self._wake.set()

        return await retry(
            lambda: self._log.subscribe(self._filter, on_event, lambda _reason: self._wake.set()),
            self._rng,
            logger,
            "subscription.subscribe_failed",
            name=self._name,
        )

    async def _load_checkpoint(self) -> Bounds:
        """Resume from the checkpoint, or from the beginning; the log's bounds at the start."""

        async def load() -> tuple[Bounds, Checkpoint | None]:
            bounds = await self._log.bounds()
            return bounds, await read_checkpoint(self._checkpoint_store, self._checkpoint_key)

        bounds, checkpoint = await retry(
            load, self._rng, logger, "subscription.recovery_failed", name=self._name
        )
        self._epoch = bounds.epoch
        if checkpoint is not None and restore_state(
            checkpoint, bounds, self._restore, name=self._name
        ):
            self._as_of = checkpoint.as_of
        return bounds

    def _restore(self, state: bytes) -> bool:
        self.consumer.restore_state(state)
        return True

    async def _check_caught_up(self, start: Bounds) -> None:
        """A replica may end early: compare with what the leader held at the start."""
        last = await retry(
            lambda: self._log.last_sequence(self._filter),
            self._rng,
            logger,
            "subscription.read_failed",
            name=self._name,
        )
        if self._as_of >= min(last, start.last):
            logger.info("subscription.caught_up", name=self._name, sequence=self._as_of)
            await self.consumer.on_caught_up()
            self.is_caught_up = True

    async def _read_page(self) -> Page:
        return await retry(
            lambda: self._log.page(
                self._filter,
                after=self._as_of,
                limit=CATCH_UP_PAGE_EVENTS,
                max_bytes=CATCH_UP_PAGE_BYTES,
            ),
            self._rng,
            logger,
            "subscription.read_failed",
            name=self._name,
        )

    async def _handle_page(self, page: Page) -> None:
        if not page.events:
            return
        await retry(
            lambda: self.consumer.handle(page.events),
            self._rng,
            logger,
            "subscription.handler_failed",
            name=self._name,
        )
        self._as_of = page.events[-1].sequence
        self._unsaved_events += len(page.events)
        self._must_save |= any(map(erasure_of, page.events))  # the stored checkpoint has the user

    async def _save_checkpoint(self) -> None:
        now = asyncio.get_running_loop().time()
        is_old = now >= self._next_checkpoint_at + MAX_CHECKPOINT_AGE_SECONDS
        has_enough = self._unsaved_events >= (1 if is_old else MIN_CHECKPOINT_EVENTS)
        if not ((has_enough and now >= self._next_checkpoint_at) or self._must_save):
            return
        state = self.consumer.serialize_state()
        try:
            await write_checkpoint(
                self._checkpoint_store,
                self._checkpoint_key,
                epoch=self._epoch,
                as_of=self._as_of,
                state=state,
            )
        except LogError as error:
            logger.warning("checkpoint.write_failed", name=self._name, error=str(error))
        else:
            self._unsaved_events, self._must_save = 0, False
        self._next_checkpoint_at = now + max(
            MIN_CHECKPOINT_INTERVAL_SECONDS, len(state) / CHECKPOINT_BYTES_PER_SECOND
        )

    async def _recreation_reason(self) -> str:
        """Why the log is not the one that was read so far; empty if it is."""
        try:
            bounds = await self._log.bounds()
        except LogError:
            return ""  # the next read reports it, and waits
        if bounds.includes(self._epoch, self._as_of):
            self._epoch = bounds.epoch
            return ""
        return f"{bounds.epoch} ends at {bounds.last}, {self._epoch} was read up to {self._as_of}"
