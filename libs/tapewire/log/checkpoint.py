"""Checkpoints: the state of a fold at a known sequence. With one, a restart reads fewer events.

A checkpoint is `{epoch, asOf, state}` as zlib-compressed JSON in a `LatestValueStore`. Views, event
consumers and services all store theirs in this form. One that is too large for a message is stored
in parts, each under a key of its own and with the digest of the whole. A checkpoint that cannot be
read, that belongs to another epoch of the log, or that is ahead of the log counts as missing; so
does one in the uncompressed format of earlier versions. Start at `read_checkpoint` and
`restore_state`.
"""

import asyncio
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.ports import MAX_BATCH_EVENTS, AppendRejected, LatestValueStore
from tapewire.log.subjects import EVERYBODY, encode_token

MAX_CHECKPOINT_BYTES = 1 << 30
"""Bytes that a checkpoint may hold when decompressed."""
CHECKPOINT_BYTES_PER_SECOND = 1 << 20
"""Bytes of state that may be checkpointed a second; a larger state is checkpointed less often."""
PART_BYTES = 512 << 10
"""Bytes of one part. A message of this size fits every server's limit."""
PART_READ_ATTEMPTS = 5
"""How often the parts are read when they do not belong together: they are being replaced."""
PART_READ_DELAY_SECONDS = 0.05
BACKGROUND_BYTES = 256 << 10
"""Larger states are compressed in a thread, because the event loop must go on meanwhile."""
_BACKGROUND_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
"""One thread: compressing leaves the other processors to other work."""
COMPRESSION_LEVEL = 1
"""The fastest; higher levels save little on JSON and hold up the event loop."""

logger = structlog.get_logger("tapewire.checkpoint")

A = TypeVar("A")
T = TypeVar("T")


class BadCheckpoint(ValueError):
    """The data is not a checkpoint, or its state does not fit its reader."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The state after every event up to sequence `as_of` of the log named `epoch`.

    `state` is JSON. A state that is not folded from the log has `as_of` 0, and an empty `epoch` if
    it outlives the log.
    """

    epoch: str
    as_of: int
    state: msgspec.Raw

    def is_ahead_of(self, bounds: Bounds) -> bool:
        """Whether it covers events that these bounds of the same log do not reach."""
        return self.epoch == bounds.epoch and self.as_of > bounds.last

    def is_usable(self, bounds: Bounds) -> bool:
        """Whether a reader with these bounds may start from it."""
        return bounds.includes(self.epoch, self.as_of)


def checkpoint_key(owner: str, name: str) -> str:
    """The store's key for the checkpoint `name` of one user's state."""
    return f"{encode_token(owner)}.{encode_token(name)}"


def shared_checkpoint_key(name: str) -> str:
    """The store's key for the checkpoint `name` of a state that covers all users."""
    return f"{EVERYBODY}.{encode_token(name)}"


def symbol_checkpoint_key(name: str, symbol: str) -> str:
    """The store's key for the checkpoint `name` of one symbol's state. The symbol is a token of its
    own, because NATS permits subjects token by token."""
    return f"{EVERYBODY}.{encode_token(name)}.{encode_token(symbol)}"


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    return zlib.compress(CODEC.encode(checkpoint), COMPRESSION_LEVEL)


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Raises BadCheckpoint."""
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(data, MAX_CHECKPOINT_BYTES)
        if not decompressor.eof:
            raise BadCheckpoint(f"it is cut off, or longer than {MAX_CHECKPOINT_BYTES} bytes")
        return CODEC.decode(text, Checkpoint)
    except (zlib.error, msgspec.DecodeError) as error:
        raise BadCheckpoint(str(error)) from error


_PART_HEADER = re.compile(rb"part ([0-9]{1,3})/([0-9]{1,3}) ([0-9a-f]{32})\n")


class _Part(msgspec.Struct, frozen=True):
    """Part `number` (from 0) of the `count` parts of the data with `digest`."""

    number: int
    count: int
    digest: bytes
    content: bytes


def _part_key(key: str, number: int) -> str:
    return f"{key}.part-{number}" if number else key


def _split(key: str, data: bytes) -> dict[str, bytes]:
    """The values that `data` is stored as."""
    if len(data) <= PART_BYTES:
        return {key: data}
    contents = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    digest = hashlib.sha256(data).hexdigest()[:32]
    return {
        _part_key(key, number): f"part {number}/{len(contents)} {digest}\n".encode() + content
        for number, content in enumerate(contents)
    }


def _parse_part(data: bytes) -> _Part | None:
    """The part that `data` is; None if it is a whole checkpoint."""
    header = _PART_HEADER.match(data)
    if header is None:
        return None
    return _Part(int(header[1]), int(header[2]), header[3], data[header.end() :])


def _join(parts: list[_Part | None]) -> bytes | None:
    """The data that was split; None if the parts do not belong together."""
    data = b"".join(part.content for part in parts if part is not None)
    digest = hashlib.sha256(data).hexdigest()[:32].encode()
    whole = all(part is not None and part.digest == digest for part in parts)
    return data if whole else None


def join_parts(stored: Mapping[str, bytes]) -> dict[str, bytes]:
    """All checkpoints of a store by key, from all its values. What cannot be joined stays as it is,
    and cannot be decoded."""
    joined = {}
    for key, data in stored.items():
        part = _parse_part(data)
        if part is None:
            joined[key] = data
        elif part.number == 0:
            values = [stored.get(_part_key(key, number), b"") for number in range(part.count)]
            joined[key] = _join([_parse_part(value) for value in values]) or data
    return joined


async def _read_joined(store: LatestValueStore, key: str) -> tuple[bytes | None, int]:
    """The data stored under `key`, joined if it is in parts, and the revision of `key`."""
    revision = 0
    for _ in range(PART_READ_ATTEMPTS):
        data, revision = await store.get_revision(key)
        first = None if data is None else _parse_part(data)
        if first is None:
            return data, revision
        keys = [_part_key(key, number) for number in range(1, first.count)]
        others = await asyncio.gather(*(store.get(other) for other in keys))
        joined = _join([first, *(None if one is None else _parse_part(one) for one in others)])
        if joined is not None:
            return joined, revision
        await asyncio.sleep(PART_READ_DELAY_SECONDS)
    logger.warning("checkpoint.rejected", name=key, reason="its parts do not belong together")
    return None, revision


async def read_checkpoint(store: LatestValueStore, key: str) -> Checkpoint | None:
    """The checkpoint stored under `key`; None if there is none that can be read.

    Raises:
        LogError: the store cannot be reached.
    """
    return (await read_checkpoint_revision(store, key))[0]


async def _run_in_background(function: Callable[[A], T], argument: A) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_BACKGROUND_THREAD, function, argument)


async def read_checkpoint_revision(
    store: LatestValueStore, key: str
) -> tuple[Checkpoint | None, int]:
    """As `read_checkpoint`, and the revision of the stored value, readable or not."""
    data, revision = await _read_joined(store, key)
    if data is None:
        return None, revision
    try:
        if len(data) > BACKGROUND_BYTES:
            return await _run_in_background(decode_checkpoint, data), revision
        return decode_checkpoint(data), revision
    except BadCheckpoint as error:
        logger.warning("checkpoint.rejected", name=key, reason=str(error))
        return None, revision


def restore_state(
    checkpoint: Checkpoint | None, bounds: Bounds, restore: Callable[[bytes], T], *, name: str
) -> T | None:
    """`restore` applied to the checkpoint's state; None if there is no usable checkpoint.

    Args:
        restore: parses the JSON of a state; raises ValueError if it does not fit.
        name: names the checkpoint in the log.
    """
    if checkpoint is None or not checkpoint.is_usable(bounds):
        return None
    try:
        return restore(bytes(checkpoint.state))
    except (ValueError, ArithmeticError) as error:
        logger.warning("checkpoint.rejected", name=name, reason=str(error))
        return None


async def checkpoint_values(key: str, *, epoch: str, as_of: int, state: bytes) -> dict[str, bytes]:
    """The values that a checkpoint of `state`, a JSON text, is stored as, by key."""
    checkpoint = Checkpoint(epoch=epoch, as_of=as_of, state=msgspec.Raw(state))
    if len(state) > BACKGROUND_BYTES:
        data = await _run_in_background(encode_checkpoint, checkpoint)
    else:
        data = encode_checkpoint(checkpoint)
    return _split(key, data)


async def write_checkpoint(
    store: LatestValueStore,
    key: str,
    *,
    epoch: str,
    as_of: int,
    state: bytes,
    revision: int | None = None,
) -> None:
    """Store `state`, a JSON text. `revision` is that of the value to replace; None for any.

    Raises:
        Conflict: the value has another revision.
        LogError: the store cannot be reached, or does not take a value of this size.
    """
    values = await checkpoint_values(key, epoch=epoch, as_of=as_of, state=state)
    if len(values) > MAX_BATCH_EVENTS:
        raise AppendRejected(f"a checkpoint in {len(values)} parts: at most {MAX_BATCH_EVENTS}")
    if len(values) == 1 and revision is None:
        await store.put(key, values[key])
    else:
        await store.put_all(values, None if revision is None else {key: revision})
