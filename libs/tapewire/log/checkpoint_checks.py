"""Declarations of the states that event consumers checkpoint, for verification.

A service declares each of its checkpointed states as a `CheckpointCheck`. `tapewire verify` reads
the stored checkpoint, folds the same events from scratch, and compares the two states.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from tapewire.events import CODEC
from tapewire.log.checkpoint import decode_checkpoint
from tapewire.log.ports import RecordedEvent


class DecodedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint whose `state` consists of Python's own types."""

    epoch: str
    as_of: int
    state: Any


class ReferenceFold(Protocol):
    """A fold from scratch."""

    def apply(self, recorded: RecordedEvent) -> object:
        """Fold one event. The verifier skips an event that raises UnknownType or Undecodable."""

    def state(self) -> Any:
        """The state, comparable with `DecodedCheckpoint.state`."""


def event_sequence(recorded: RecordedEvent) -> int:
    return recorded.sequence


class CheckpointCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How to verify the checkpoint `name` of a consumer of all users' events of `domain`.

    `decode` raises ValueError if the data is not such a checkpoint. A checkpoint covers the events
    whose `sequence_of` is at most its `as_of`.
    """

    name: str
    domain: str
    decode: Callable[[bytes], DecodedCheckpoint]
    make_fold: Callable[[DecodedCheckpoint], ReferenceFold]
    sequence_of: Callable[[RecordedEvent], int] = event_sequence


class Projection(Protocol):
    """A state that is folded from events one by one."""

    def apply(self, recorded: RecordedEvent) -> object: ...


P = TypeVar("P", bound=Projection)


class _ProjectionFold(Generic[P]):
    def __init__(self, projection: P, to_comparable: Callable[[P], Any]) -> None:
        self._projection = projection
        self._to_comparable = to_comparable

    def apply(self, recorded: RecordedEvent) -> object:
        return self._projection.apply(recorded)

    def state(self) -> Any:
        return to_builtins(self._to_comparable(self._projection))


def check_projection(
    *,
    name: str,
    domain: str,
    make: Callable[[], P],
    restore: Callable[[bytes], P],
    to_comparable: Callable[[P], Any],
) -> CheckpointCheck:
    """The check of a projection whose checkpoint is its serialized state.

    Args:
        restore: the projection of a checkpoint's state; raises ValueError.
        to_comparable: its content, without regard to the order in which it was built.
    """

    def decode(data: bytes) -> DecodedCheckpoint:
        claim = decode_state(data)
        return msgspec.structs.replace(
            claim, state=to_builtins(to_comparable(restore(claim.state)))
        )

    return CheckpointCheck(
        name=name,
        domain=domain,
        decode=decode,
        make_fold=lambda _: _ProjectionFold(make(), to_comparable),
    )


def decode_state(data: bytes) -> DecodedCheckpoint:
    """A checkpoint with its state as the bytes of JSON. Raises BadCheckpoint."""
    found = decode_checkpoint(data)
    return DecodedCheckpoint(found.epoch, found.as_of, bytes(found.state))


def to_builtins(value: Any) -> Any:
    """`value` as its JSON reads: Python's own types, numbers with a point as decimals."""
    return CODEC.decode(CODEC.encode(value), Any)
