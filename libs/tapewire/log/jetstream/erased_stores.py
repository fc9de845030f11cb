"""What the streams beside the journal hold of one user, and its removal.

Keys and subjects of views, valuations and failed events name the user. Sessions and tickets name
the user in their content. Checkpoints that are shared by all users do too; their consumers write
them again (`tapewire.log.jetstream.user_erasure`). Start at `UserStores`.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    checkpoint_values,
    decode_checkpoint,
    join_parts,
    read_checkpoint_revision,
)
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.latest_values import JetStreamLatestValueStore
from tapewire.log.jetstream.stream_reads import subjects
from tapewire.log.jetstream.stream_rewriting import purge, rewrite_stream
from tapewire.log.jetstream.streams import JOURNAL, MARKET, PARKED, SESSIONS, TICKETS, VIEWS
from tapewire.log.ports import Conflict
from tapewire.log.subjects import EVERYBODY, encode_token

_USER_FIELDS = ("userId", "user_id")
_JWT_KEY_PREFIX = "t-"
_ANONYMOUS = {"userId": "", "roles": []}
_BUCKETS = {"sessions": SESSIONS, "tickets": TICKETS}
_REWRITTEN_STREAMS = {
    VIEWS: f"view.{EVERYBODY}",
    PARKED: "parked",
    SESSIONS: "$KV.sessions",
    TICKETS: "$KV.tickets",
    JOURNAL: "$KV.journal",
}
"""The streams on disk whose messages are replaced, and what subjects of padding begin with."""


class UserStores:
    """The views, values, failed events, sessions and tickets of `user`."""

    def __init__(self, connection: NatsConnection, user: str) -> None:
        self._connection = connection
        self._user = user
        token = encode_token(user)
        self._subject_prefix = f"ev.{token}."
        self._filters = {
            "views": (VIEWS, f"view.{token}.>"),
            "valuations": (MARKET, f"mk.{token}.>"),
            "values": (MARKET, f"val.{token}.>"),
            "parked": (PARKED, f"parked.*.*.ev.{token}.>"),
        }
        self._shared_store = JetStreamLatestValueStore(
            connection, stream=VIEWS, prefix=f"view.{EVERYBODY}"
        )
        self._buckets = {
            name: JetStreamLatestValueStore(connection, stream=stream, prefix=f"$KV.{name}")
            for name, stream in _BUCKETS.items()
        }

    async def count(self) -> int:
        """The number of messages of the user. Raises LogError."""
        found = sum(len(keys) for keys in (await self._find_records()).values())
        for stream, filter_ in self._filters.values():
            found += len(await subjects(self._connection, stream, filter_))
        return found

    async def revoke_sessions(self) -> None:
        """Sign the user out: edges close the streams of revoked sessions at once.

        The record of a JWT says that it was revoked, and stays, without the user.
        """
        store = self._buckets["sessions"]
        for key, record in (await self._find_records())["sessions"].items():
            changes = _ANONYMOUS if key.startswith(_JWT_KEY_PREFIX) else {"revoked": True}
            await store.put(key, CODEC.encode(record | changes), ttl=_seconds_left(record))

    async def remove(self) -> dict[str, int]:
        """Remove everything, and count it by kind. Raises LogError."""
        removed = {
            kind: await purge(self._connection, stream, filter_)
            for kind, (stream, filter_) in self._filters.items()
        }
        for bucket, records in (await self._find_records()).items():
            removed[bucket] = 0
            for key in records:
                filter_ = f"$KV.{bucket}.{key}"
                removed[bucket] += await purge(self._connection, _BUCKETS[bucket], filter_)
        return removed

    async def find_stale_checkpoints(
        self, sequence: int, bounds: Bounds, ignored: Collection[str]
    ) -> dict[str, bool]:
        """The shared checkpoints, except those whose names are `ignored`, that do not cover
        `sequence`, and whether each holds the user. One of a journal that is no more, by `bounds`,
        is removed if it does: nobody writes it again. Raises LogError."""
        found = {}
        for key, checkpoint in (await self._read_shared_checkpoints()).items():
            if key in ignored or not 0 < checkpoint.as_of < sequence:
                continue
            names_user = _names_user(CODEC.decode(checkpoint.state, Any), self._user)
            if bounds.includes(checkpoint.epoch, checkpoint.as_of):
                found[key] = names_user
            elif names_user:
                for filter_ in (key, f"{key}.>"):
                    await purge(self._connection, VIEWS, f"view.{EVERYBODY}.{filter_}")
        return found

    async def remove_from_states(self) -> int:
        """Remove the user's entities from the shared states that do not result from the log, and
        count these states. Raises LogError."""
        count = 0
        for key, checkpoint in (await self._read_shared_checkpoints()).items():
            if self._without_user(checkpoint) is not None:
                count += await self._replace_state(key)
        return count

    async def rewrite_files(self) -> dict[str, int]:
        """Remove what was replaced or removed from the files of the streams. Returns how many
        messages of each stream were stored again. Raises LogError."""
        return {
            stream: await rewrite_stream(self._connection, stream, prefix)
            for stream, prefix in _REWRITTEN_STREAMS.items()
        }

    def _without_user(self, checkpoint: Checkpoint) -> dict[str, Any] | None:
        """A state by subject without the user's entities; None if it has none of them."""
        state: Any = None if checkpoint.as_of else CODEC.decode(checkpoint.state, Any)
        if not isinstance(state, dict):
            return None
        kept = {key: one for key, one in state.items() if not key.startswith(self._subject_prefix)}
        return kept if len(kept) < len(state) else None

    async def _replace_state(self, key: str) -> bool:
        checkpoint, revision = await read_checkpoint_revision(self._shared_store, key)
        state = None if checkpoint is None else self._without_user(checkpoint)
        if checkpoint is None or state is None:
            return False
        values = await checkpoint_values(
            key, epoch=checkpoint.epoch, as_of=0, state=CODEC.encode(state)
        )
        try:
            await self._shared_store.put_all(values, {key: revision})
        except Conflict:
            return False  # its writer replaced it; the next look decides
        return True

    async def _read_shared_checkpoints(self) -> dict[str, Checkpoint]:
        """All that can be read, by key."""
        found = {}
        for key, data in join_parts(await self._shared_store.get_all()).items():
            try:
                found[key] = decode_checkpoint(data)
            except BadCheckpoint:
                continue
        return found

    async def _find_records(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The user's sessions and tickets, by bucket and key."""
        return {
            name: {
                key: record
                for key, record in _decode_records(await store.get_all())
                if _is_of_user(record, self._user)
            }
            for name, store in self._buckets.items()
        }


def _decode_records(values: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, data in values.items():
        try:
            record = msgspec.json.decode(data)
        except msgspec.DecodeError:
            continue
        if isinstance(record, dict):
            yield key, record


def _is_of_user(record: dict[str, Any], user: str) -> bool:
    """Whether the record, or one inside it, has the user's id."""
    return any(record.get(field) == user for field in _USER_FIELDS) or any(
        _is_of_user(value, user) for value in record.values() if isinstance(value, dict)
    )


def _seconds_left(record: dict[str, Any]) -> int:
    """The seconds until a session expires, at least one."""
    try:
        left = datetime.fromisoformat(record["expiresAt"]) - datetime.now(UTC)
    except (KeyError, TypeError, ValueError):
        return 1
    return max(int(left.total_seconds()), 1)


def _names_user(state: Any, user: str) -> bool:
    """Whether a text in `state` is the user's id, or a subject of the user."""
    if isinstance(state, dict):
        return _names_user([*state, *state.values()], user)
    if isinstance(state, list):
        return any(_names_user(one, user) for one in state)
    return state == user or (
        isinstance(state, str) and state.startswith(f"ev.{encode_token(user)}.")
    )
