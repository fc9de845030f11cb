"""Checkpoints: the state of a fold at a known sequence. With one, a restart reads fewer events.

A checkpoint is `{epoch, asOf, state}` as zlib-compressed JSON, one value of a `LatestValueStore`.
Views, event consumers and services all store theirs in this form. A checkpoint that cannot be
read, that belongs to another epoch of the log, or that is ahead of the log counts as missing; so
does one in the uncompressed format of earlier versions. Start at `read_checkpoint` and
`restore_state`.
"""

import zlib
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log.ports import Bounds, LatestValueStore
from tapewire.log.subjects import EVERYBODY, encode_token

MAX_CHECKPOINT_BYTES = 1 << 28
"""Bytes that a checkpoint may hold when decompressed."""
COMPRESSION_LEVEL = 1
"""The fastest; higher levels save little on JSON and hold up the event loop."""

logger = structlog.get_logger("tapewire.checkpoint")

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
        return self.epoch == bounds.epoch and self.as_of <= bounds.last


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


async def read_checkpoint(store: LatestValueStore, key: str) -> Checkpoint | None:
    """The checkpoint stored under `key`; None if there is none that can be read.

    Raises:
        LogError: the store cannot be reached.
    """
    data = await store.get(key)
    if data is None:
        return None
    try:
        return decode_checkpoint(data)
    except BadCheckpoint as error:
        logger.warning("checkpoint.rejected", name=key, reason=str(error))
        return None


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


async def write_checkpoint(
    store: LatestValueStore, key: str, *, epoch: str, as_of: int, state: bytes
) -> None:
    """Store `state`, a JSON text.

    Raises:
        LogError: the store cannot be reached, or does not take a value of this size.
    """
    checkpoint = Checkpoint(epoch=epoch, as_of=as_of, state=msgspec.Raw(state))
    await store.put(key, encode_checkpoint(checkpoint))
