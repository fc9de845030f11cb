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

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.port import (
    LONG_PAGE_BYTES,
    LONG_PAGE_EVENTS,
    Bounds,
    EventLog,
    LogError,
    Page,
    Recorded,
    Subscription,
    Values,
)
from tapewire.log.subjects import EVERYBODY, token

POLL_SECONDS = 2.0
"""How often the log is read although nothing was heard; half to one and a half of it."""
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_EVENTS = 64
"""Events since the last checkpoint that make another worth while."""

logger = structlog.get_logger("tapewire.follower")


class Consumer(Protocol):
    """Takes events and keeps a state. Made anew for each time of following."""

    def restore(self, state: bytes) -> None:
        """Be as when `save` gave `state`. Raises ValueError for what is none."""

    def save(self) -> bytes:
        """The state as JSON."""

    async def take(self, events: Sequence[Recorded]) -> None:
        """Take a page. A LogError has the same page taken again, later."""

    async def caught_up(self) -> None:
        """Everything that the log held at the start has been taken; called once."""


class _Checkpoint(msgspec.Struct, frozen=True, rename="camel"):
    as_of: int
    epoch: str
    state: msgspec.Raw


class _AnotherLog(Exception):
    """The log was made anew: what is known of it is void."""


async def follow(
    log: EventLog,
    values: Values,
    filter_: str,
    name: str,
    make: Callable[[], Consumer],
    chance: random.Random | None = None,
    places: MutableMapping[str, int] | None = None,
) -> None:
    """Give a consumer of `make` everything of `filter_` until cancelled; a new one whenever the log
    was made anew. `name` is where the checkpoint is kept. `places` is told, under `filter_`, the
    sequence of the last event that was taken: not before the consumer has caught up."""
    places = {} if places is None else places
    while True:
        places.pop(filter_, None)
        follower = _Follower(log, values, filter_, name, make(), chance or fresh_chance(), places)
        try:
            await follower.run()
        except _AnotherLog as another:
            logger.warning("begins anew", follower=name, why=str(another))


class _Follower:
    def __init__(
        self,
        log: EventLog,
        values: Values,
        filter_: str,
        name: str,
        consumer: Consumer,
        chance: random.Random,
        places: MutableMapping[str, int],
    ) -> None:
        self._log = log
        self._values = values
        self._filter = filter_
        self._name = name
        self._key = f"{EVERYBODY}.{token(name)}"
        self._consumer = consumer
        self._chance = chance
        self._places = places
        self._wake = asyncio.Event()
        self._epoch = ""
        self._as_of = 0
        self._unsaved = 0
        self._save_at = 0.0

    async def run(self) -> None:
        subscription = await self._listen()
        try:
            start = await self._recover()
            caught_up = False
            while True:
                self._wake.clear()
                page = await self._page()
                await self._take(page)
                if not caught_up and not page.more and self._as_of >= await self._last(start):
                    caught_up = True
                    logger.info("caught up", follower=self._name, as_of=self._as_of)
                    await self._consumer.caught_up()
                if caught_up:
                    self._places[self._filter] = self._as_of
                await self._checkpoint()
                if not page.more:
                    await self._rest()
        finally:
            await subscription.close()

    async def _listen(self) -> Subscription:
        patience = Patience(self._chance)
        while True:
            try:
                return await self._log.live(self._filter, self._heard, self._missed)
            except LogError as error:
                logger.warning("cannot listen", follower=self._name, error=str(error))
                await patience.wait()

    def _heard(self, recorded: Recorded) -> None:
        if recorded.sequence > self._as_of:
            self._wake.set()

    def _missed(self, _reason: str) -> None:
        self._wake.set()

    async def _recover(self) -> Bounds:
        """Be at the checkpoint, or at the beginning; the log's bounds at the start."""
        patience = Patience(self._chance)
        while True:
            try:
                bounds = await self._log.bounds()
                self._restore(await self._values.get(self._key), bounds)
            except LogError as error:
                logger.warning("cannot recover", follower=self._name, error=str(error))
                await patience.wait()
            else:
                return bounds

    def _restore(self, data: bytes | None, bounds: Bounds) -> None:
        self._epoch = bounds.epoch
        if data is None:
            return
        try:
            checkpoint = CODEC.decode(data, _Checkpoint)
            if checkpoint.epoch == bounds.epoch and checkpoint.as_of <= bounds.last:
                self._consumer.restore(bytes(checkpoint.state))
                self._as_of = checkpoint.as_of
        except ValueError as error:
            logger.warning("passes over the checkpoint", follower=self._name, error=str(error))

    async def _last(self, start: Bounds) -> int:
        """The last sequence of the filter that the log held at the start."""
        patience = Patience(self._chance)
        while True:
            try:
                return min(await self._log.last(self._filter), start.last)
            except LogError:
                await patience.wait()

    async def _page(self) -> Page:
        patience = Patience(self._chance)
        while True:
            try:
                return await self._log.page(
                    self._filter,
                    after=self._as_of,
                    limit=LONG_PAGE_EVENTS,
                    max_bytes=LONG_PAGE_BYTES,
                )
            except LogError as error:
                logger.warning("cannot read", follower=self._name, error=str(error))
                await patience.wait()

    async def _take(self, page: Page) -> None:
        if not page.events:
            return
        patience = Patience(self._chance)
        while True:
            try:
                await self._consumer.take(page.events)
            except LogError as error:
                logger.warning("cannot go on", follower=self._name, error=str(error))
                await patience.wait()
            else:
                self._as_of = page.events[-1].sequence
                self._unsaved += len(page.events)
                return

    async def _checkpoint(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._unsaved < CHECKPOINT_EVENTS or now < self._save_at:
            return
        state = msgspec.Raw(self._consumer.save())
        try:
            checkpoint = _Checkpoint(self._as_of, self._epoch, state)
            await self._values.put(self._key, CODEC.encode(checkpoint))
        except LogError as error:
            logger.warning("cannot keep a checkpoint", follower=self._name, error=str(error))
        else:
            self._unsaved = 0
        self._save_at = now + CHECKPOINT_SECONDS

    async def _rest(self) -> None:
        """Until there is something to read, or might be. Raises _AnotherLog."""
        try:
            async with asyncio.timeout(POLL_SECONDS * self._chance.uniform(0.5, 1.5)):
                await self._wake.wait()
        except TimeoutError:
            await self._same_log()

    async def _same_log(self) -> None:
        known = self._as_of
        try:
            bounds = await self._log.bounds()
        except LogError:
            return  # the next page says so, and waits
        if bounds.epoch != self._epoch or bounds.last < known:
            raise _AnotherLog(f"{bounds.epoch} ends at {bounds.last}, was read up to {known}")
