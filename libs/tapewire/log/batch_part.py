"""An event's place in the atomic batch that it was stored in.

JetStream stores an atomic batch together or not at all, with one exception: a server whose store is
full may keep the first part of a batch. Its last event then has no successor in the batch, although
it does not end it.
"""

from collections.abc import Mapping

import msgspec

_ID_HEADER = "Nats-Batch-Id"
_NUMBER_HEADER = "Nats-Batch-Sequence"
_COMMIT_HEADER = "Nats-Batch-Commit"


class BatchPart(msgspec.Struct, frozen=True):
    """Event `number`, from 1, of the batch `id`; `is_last` if the batch ends with it."""

    id: str
    number: int
    is_last: bool


def read_batch_part(headers: Mapping[str, str]) -> BatchPart | None:
    """The part that the headers of a stored message name; None if it was stored by itself."""
    id_ = headers.get(_ID_HEADER)
    if id_ is None:
        return None
    number = headers.get(_NUMBER_HEADER, "")
    return BatchPart(id_, int(number) if number.isdigit() else 0, _COMMIT_HEADER in headers)


def is_interrupted(part: BatchPart | None, next_part: BatchPart | None) -> bool:
    """Whether the batch of `part` was stored up to this event only. `next_part` belongs to the next
    event in the log."""
    if part is None or part.is_last:
        return False
    return next_part is None or next_part.id != part.id
