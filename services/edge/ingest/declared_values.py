"""The newest-wins values of types that other packages declare: the newest of each, by owner.

One subscription receives all of them (`ValueFollower`). A value belongs to one user or to all
users. Start reading at `DeclaredValueFeed`.
"""

import random
from collections.abc import Callable, Iterable

import msgspec
import structlog

from tapewire.events import CATALOGUE, Event, Undecodable, UnknownType, UserErased
from tapewire.log import (
    EVERYBODY,
    BadSubject,
    LatestValueStore,
    StoredValue,
    ValueKey,
    encode_token,
)
from tapewire.log.value_follower import ValueFollower

RELOAD_INTERVAL_SECONDS = 15.0
"""Mean time between two reads of all values; jittered by half."""

logger = structlog.get_logger("edge.declared_values")


class DeclaredValue(msgspec.Struct, frozen=True):
    """A value, its owner, the tag of its type's current version, and the type's SSE name."""

    owner: str
    tag: str
    event_name: str
    event: Event


class KeysOfTags:
    """The keys of all declared values whose types have one of `tags`."""

    def __init__(self, tags: frozenset[str]) -> None:
        self._tags = tags

    def __contains__(self, key: object) -> bool:
        return str(key).partition(" ")[0] in self._tags


class DeclaredValueFeed:
    """Run it with `run`. Values have keys of a type tag and an entity.

    `on_change` is called with the key of a value and its owner; the owner is None when the value
    belongs to all users.
    """

    def __init__(
        self,
        value_store: LatestValueStore,
        on_change: Callable[[str, str | None], None],
        rng: random.Random,
    ) -> None:
        self._on_change = on_change
        self._values: dict[str, dict[str, DeclaredValue]] = {}
        """By owner, then by key."""
        self._follower = ValueFollower(
            value_store,
            self._receive,
            name="declared",
            rng=rng,
            reload_interval_seconds=RELOAD_INTERVAL_SECONDS,
        )

    async def run(self) -> None:
        """Follow the values until cancelled."""
        await self._follower.run()

    def keys(self, owner: str, tags: Iterable[str]) -> frozenset[str]:
        """The keys of `owner`'s values and of shared values, if their types have `tags`."""
        shown = frozenset(tags)
        return frozenset(
            key
            for one in (EVERYBODY, owner)
            for key, value in self._values.get(one, {}).items()
            if value.tag in shown
        )

    def value(self, owner: str, key: str) -> DeclaredValue | None:
        """The value of `owner` under `key`, or the shared one when the owner has none. None if it
        was forgotten."""
        own, shared = self._values.get(owner, {}), self._values.get(EVERYBODY, {})
        return own.get(key) or shared.get(key)

    def forget_user(self, erasure: UserErased) -> None:
        """Forget the values of the erased user."""
        for owner in erasure.find_users(self._values):
            del self._values[owner]
            self._follower.forget(f"{encode_token(owner)}.")

    def _receive(self, name: str, stored: StoredValue) -> None:
        try:
            stored_key = ValueKey.parse(name)
            event_type = CATALOGUE.type_for_tag(stored_key.tag)
            event = CATALOGUE.decode(stored_key.tag, stored.data)
        except (BadSubject, UnknownType, Undecodable) as error:
            logger.warning("values.value_undecodable", name=name, error=str(error))
            return
        if event_type.sse_binding is None:
            return
        value = DeclaredValue(
            stored_key.owner, event_type.tag, event_type.sse_binding.event_name, event
        )
        values = self._values.setdefault(stored_key.owner, {})
        key = f"{event_type.tag} {stored_key.entity}"
        if values.get(key) == value:
            return
        values[key] = value
        self._on_change(key, None if stored_key.owner == EVERYBODY else stored_key.owner)
