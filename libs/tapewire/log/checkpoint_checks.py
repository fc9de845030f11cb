"""What is kept in VIEWS beside users' views, so that somebody else can fold it again and compare.

A service says of each state that it checkpoints how it is read and how it is folded from scratch: a
`Kept` a checkpoint, in the tuple `KEPT` of its module `kept`. `tapewire verify` finds them there.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tapewire.events import CODEC
from tapewire.log.checkpoint import decode_checkpoint
from tapewire.log.ports import RecordedEvent


class DecodedCheckpoint(msgspec.Struct, frozen=True):
    """What a checkpoint says: `state`, as Python's own types, is the fold of everything up to
    `as_of` of log `epoch`."""

    epoch: str
    as_of: int
    state: Any


class ReferenceFold(Protocol):
    """A fold from scratch."""

    def apply(self, recorded: RecordedEvent) -> None:
        """Fold one event; one that cannot be read raises, and is passed over."""

    def state(self) -> Any:
        """As `Claim.state`."""


def event_sequence(recorded: RecordedEvent) -> int:
    """Where an event stands to a checkpoint: later than one that is true for a lower number."""
    return recorded.sequence


class CheckpointCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A state that is checkpointed under ``_all.{name}``: the fold of all users' events of
    `domain`, of those up to its sequence by `at`. `read` raises ValueError for what is none."""

    name: str
    domain: str
    decode: Callable[[bytes], DecodedCheckpoint]
    make_fold: Callable[[DecodedCheckpoint], ReferenceFold]
    sequence_of: Callable[[RecordedEvent], int] = event_sequence


def decode_follower_checkpoint(data: bytes) -> DecodedCheckpoint:
    """A checkpoint with its state as the bytes of JSON. Raises ValueError."""
    found = decode_checkpoint(data)
    return DecodedCheckpoint(found.epoch, found.as_of, bytes(found.state))


def decode_view_checkpoint(data: bytes) -> DecodedCheckpoint:
    """The checkpoint of a user's view, as Python's own types. Raises ValueError."""
    found = decode_checkpoint(data)
    return DecodedCheckpoint(found.epoch, found.as_of, CODEC.decode(bytes(found.state), Any))


def to_builtins(value: Any) -> Any:
    """`value` as its JSON reads: Python's own types, numbers with a point as decimals."""
    return CODEC.decode(CODEC.encode(value), Any)
