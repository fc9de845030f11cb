"""The receipt of an erasure: what was removed of a user, how much and when."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from tapewire.events import CODEC


class ErasureReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an erasure removed.

    `events` and `first_sequence` to `last_sequence` are of the journal `epoch`;
    `sequences_digest` is the SHA-256 of the sequences, one a line. `removed` counts messages of
    other streams by kind, `rewritten` the messages that were moved to new files, by stream, and
    `archives` the events that were removed from each archive.
    `digest` is the SHA-256 of this receipt as JSON with an empty `digest`.
    """

    erasure_id: str
    user: str
    epoch: str
    started_at: datetime
    finished_at: datetime
    events: int
    first_sequence: int
    last_sequence: int
    sequences_digest: str
    removed: dict[str, int]
    rewritten: dict[str, int]
    rounds: int
    archives: dict[str, int] = {}
    digest: str = ""


def digest_sequences(sequences: Iterable[int]) -> str:
    """The SHA-256 of `sequences`, one a line, in hexadecimal."""
    return hashlib.sha256("".join(f"{one}\n" for one in sequences).encode()).hexdigest()


def sign_receipt(receipt: ErasureReceipt) -> ErasureReceipt:
    """The receipt with its digest, a new one if it has one."""
    unsigned = msgspec.structs.replace(receipt, digest="")
    digest = hashlib.sha256(CODEC.encode(unsigned)).hexdigest()
    return msgspec.structs.replace(unsigned, digest=digest)
