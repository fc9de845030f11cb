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

from tapewire.events import CATALOGUE, Undecodable, UnknownType
from tapewire.log import EVERYBODY, BadSubject, LatestValueStore, LogError, ValueKey
from tapewire_services.edge.delivery.conflation import ConflationGroup
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.frames import DEFAULT_RETRY_MS, render_frame
from tapewire_services.edge.delivery.outbox import Outbox, ValueSubscription
from tapewire_services.edge.ingest.quote_feed import (
    MAX_UPDATE_RATE,
    RELOAD_INTERVAL_SECONDS,
    RETRY_SECONDS,
)

logger = structlog.get_logger("edge.values")


class _LatestFrame(msgspec.Struct, frozen=True):
    """The newest frame of a slot, and the type it is of."""

    tag: str
    frame: bytes


class DeclaredValueFeed:
    """Run it by `run`; connections are `shown` what is on it."""

    def __init__(
        self,
        value_store: LatestValueStore,
        window_seconds: float,
        *,
        retry_ms: int = DEFAULT_RETRY_MS,
    ) -> None:
        self._value_store = value_store
        self._window_seconds = window_seconds
        self._retry_ms = retry_ms
        # By owner, then by slot: a type (whatever its version) and an entity.
        self._latest: dict[str, dict[str, _LatestFrame]] = {}
        self._groups: dict[str, dict[frozenset[str], ConflationGroup]] = {}
        self._received_keys: set[str] = set()
        self._reload_requested = asyncio.Event()

    async def run(self) -> None:
        """Follow the values until cancelled."""
        while True:
            try:
                subscription = await self._value_store.subscribe(
                    self._receive, lambda _: self._reload_requested.set()
                )
            except LogError as error:
                logger.warning("cannot follow the values yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                while True:
                    await self._reload()
                    await self._wait_for_reload()
            finally:
                await subscription.close()

    @contextlib.contextmanager
    def subscribe(self, connection: Connection) -> Iterator[None]:
        """Let `connection` have, for the block, the newest values that its feed shows, of its owner
        and of everybody, and what changes."""
        outbox, owner, tags = (
            connection.outbox,
            connection.info.owner,
            connection.route.declared_value_tags,
        )
        if owner is None or not tags:
            yield
            return
        self._add_outbox(outbox, owner, tags)
        try:
            yield
        finally:
            self._remove_outbox(outbox, owner, tags)

    def _add_outbox(self, outbox: Outbox, owner: str, tags: frozenset[str]) -> None:
        lanes = self._groups.setdefault(owner, {})
        if tags not in lanes:
            wants = ValueSubscription(None, MAX_UPDATE_RATE)
            lanes[tags] = ConflationGroup(
                wants, lambda slots: self._render_latest(owner, slots), self._window_seconds
            )
        lane = lanes[tags]
        lane.outboxes.add(outbox)
        there = frozenset(
            slot
            for one in (EVERYBODY, owner)
            for slot, value in self._latest.get(one, {}).items()
            if value.tag in tags
        )
        if there:
            outbox.offer_chunk(lane, lane.render_latest(there), there)

    def _remove_outbox(self, outbox: Outbox, owner: str, tags: frozenset[str]) -> None:
        lane = self._groups[owner][tags]
        lane.outboxes.discard(outbox)
        if not lane.outboxes:
            lane.close()
            del self._groups[owner][tags]
            if not self._groups[owner]:
                del self._groups[owner]

    def _render_latest(self, owner: str, slots: Iterable[str]) -> bytes:
        """A slot that the owner and everybody have is the owner's."""
        general, own = self._latest.get(EVERYBODY, {}), self._latest.get(owner, {})
        return b"".join((own.get(slot) or general[slot]).frame for slot in sorted(slots))

    def _receive(self, key: str, data: bytes) -> None:
        self._received_keys.add(key)
        self._apply(key, data)

    def _apply(self, key: str, data: bytes) -> None:
        try:
            place = ValueKey.parse(key)
            kind = CATALOGUE.type_for_tag(place.tag)
            event = CATALOGUE.decode(place.tag, data)
        except (BadSubject, UnknownType, Undecodable) as error:
            logger.warning("a value cannot be shown", key=key, error=str(error))
            return
        if kind.sse_binding is None:
            return
        made = _LatestFrame(
            kind.tag, render_frame(kind.sse_binding.event_name, event, retry_ms=self._retry_ms)
        )
        slots = self._latest.setdefault(place.owner, {})
        slot = f"{kind.name} {place.entity}"
        if slots.get(slot) == made:
            return
        slots[slot] = made
        everybody = place.owner == EVERYBODY
        for lanes in self._groups.values() if everybody else [self._groups.get(place.owner, {})]:
            for tags, lane in lanes.items():
                if made.tag in tags:
                    lane.mark_changed(slot)

    async def _reload(self) -> None:
        """Take what is stored, but where something was heard meanwhile, which is newer."""
        self._received_keys.clear()
        try:
            stored = await self._value_store.get_all()
        except LogError as error:
            logger.info("cannot read the values now", error=str(error))
            return
        for key, data in stored.items():
            if key not in self._received_keys:
                self._apply(key, data)

    async def _wait_for_reload(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_INTERVAL_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                await self._reload_requested.wait()
        self._reload_requested.clear()
