"""Values of types that other packages declare as newest-wins: the newest of each, to its owner.

One subscription a process hears all of them (it runs only where a stream shows some). Connections
of one owner that show the same types share a lane; what belongs to everybody goes to all.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator

import msgspec
import structlog

from services.edge.connection import Connection
from services.edge.follow.board import MOST_RATE, RELOAD_SECONDS, RETRY_SECONDS
from services.edge.frames import RETRY_MS, frame
from services.edge.lanes import Outbox, Wants
from services.edge.newest import Lane
from tapewire.events import CATALOGUE, Undecodable, UnknownType
from tapewire.log import EVERYBODY, BadSubject, LogError, ValueKey, Values

logger = structlog.get_logger("edge.values")


class _Value(msgspec.Struct, frozen=True):
    """The newest frame of a slot, and the type it is of."""

    tag: str
    frame: bytes


class ValueBoard:
    """Run it by `run`; connections are `shown` what is on it."""

    def __init__(self, values: Values, window_seconds: float, *, retry_ms: int = RETRY_MS) -> None:
        self._values = values
        self._window = window_seconds
        self._retry_ms = retry_ms
        # By owner, then by slot: a type (whatever its version) and an entity.
        self._newest: dict[str, dict[str, _Value]] = {}
        self._lanes: dict[str, dict[frozenset[str], Lane]] = {}
        self._heard: set[str] = set()
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Follow the values until cancelled."""
        while True:
            try:
                subscription = await self._values.live(self._hear, lambda _: self._look.set())
            except LogError as error:
                logger.warning("cannot follow the values yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                while True:
                    await self._reload()
                    await self._pause()
            finally:
                await subscription.close()

    @contextlib.contextmanager
    def shown(self, connection: Connection) -> Iterator[None]:
        """Let `connection` have, for the block, the newest values that its feed shows, of its owner
        and of everybody, and what changes."""
        outbox, owner, tags = connection.outbox, connection.opening.owner, connection.feed.values
        if owner is None or not tags:
            yield
            return
        self._enter(outbox, owner, tags)
        try:
            yield
        finally:
            self._leave(outbox, owner, tags)

    def _enter(self, outbox: Outbox, owner: str, tags: frozenset[str]) -> None:
        lanes = self._lanes.setdefault(owner, {})
        if tags not in lanes:
            wants = Wants(None, MOST_RATE)
            lanes[tags] = Lane(wants, lambda slots: self._join(owner, slots), self._window)
        lane = lanes[tags]
        lane.members.add(outbox)
        there = frozenset(
            slot
            for one in (EVERYBODY, owner)
            for slot, value in self._newest.get(one, {}).items()
            if value.tag in tags
        )
        if there:
            outbox.offer(lane, lane.newest(there), there)

    def _leave(self, outbox: Outbox, owner: str, tags: frozenset[str]) -> None:
        lane = self._lanes[owner][tags]
        lane.members.discard(outbox)
        if not lane.members:
            lane.close()
            del self._lanes[owner][tags]
            if not self._lanes[owner]:
                del self._lanes[owner]

    def _join(self, owner: str, slots: Iterable[str]) -> bytes:
        """A slot that the owner and everybody have is the owner's."""
        general, own = self._newest.get(EVERYBODY, {}), self._newest.get(owner, {})
        return b"".join((own.get(slot) or general[slot]).frame for slot in sorted(slots))

    def _hear(self, key: str, data: bytes) -> None:
        self._heard.add(key)
        self._take(key, data)

    def _take(self, key: str, data: bytes) -> None:
        try:
            place = ValueKey.parse(key)
            kind = CATALOGUE.stored_as(place.tag)
            event = CATALOGUE.decode(place.tag, data)
        except (BadSubject, UnknownType, Undecodable) as error:
            logger.warning("a value cannot be shown", key=key, error=str(error))
            return
        if kind.shown is None:
            return
        made = _Value(kind.tag, frame(kind.shown.sse, event, retry_ms=self._retry_ms))
        slots = self._newest.setdefault(place.owner, {})
        slot = f"{kind.name} {place.entity}"
        if slots.get(slot) == made:
            return
        slots[slot] = made
        everybody = place.owner == EVERYBODY
        for lanes in self._lanes.values() if everybody else [self._lanes.get(place.owner, {})]:
            for tags, lane in lanes.items():
                if made.tag in tags:
                    lane.changed(slot)

    async def _reload(self) -> None:
        """Take what is stored, but where something was heard meanwhile, which is newer."""
        self._heard.clear()
        try:
            stored = await self._values.all()
        except LogError as error:
            logger.info("cannot read the values now", error=str(error))
            return
        for key, data in stored.items():
            if key not in self._heard:
                self._take(key, data)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                await self._look.wait()
        self._look.clear()
