"""Cursors: what a client last saw, as the id of a frame, and what to do with one that comes back.

An id is ``{epoch}-{sequence}``: the incarnation of the log and a sequence in it. Clients give back
that, a bare sequence, or the ``{milliseconds}-{random}`` of an older system. `decide` says how a
connection begins: fresh, from where it was, or with a reset that names its reason. Pure.
"""

import enum
import re
from datetime import UTC, datetime

import msgspec

from tapewire.log import Bounds

MOST_CHARACTERS = 64
"""Longer ids are malformed, whatever they hold."""
MOST_SEQUENCE = 2**63 - 1

_OURS = re.compile(r"([a-z][a-z0-9]{0,23})-([0-9]{1,19})")
_BARE = re.compile(r"[0-9]{1,19}")
_OLDER = re.compile(r"([0-9]{12,14})-[A-Za-z0-9]+")


class Cursor(msgspec.Struct, frozen=True):
    """A place in the log: everything up to `sequence` was seen."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class Moment(msgspec.Struct, frozen=True):
    """A place by time, from an older system's id: milliseconds since 1970, UTC."""

    milliseconds: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


class Malformed(ValueError):
    """A text that no system of ours ever gave out as an id."""


def parse(text: str, *, epoch: str) -> Cursor | Moment:
    """The place that `text` names; a bare sequence is one in `epoch`.

    Raises:
        Malformed: none of the three forms.
    """
    if len(text) > MOST_CHARACTERS:
        raise Malformed(f"an id of {len(text)} characters")
    if found := _OURS.fullmatch(text):
        return Cursor(found[1], _sequence(found[2]))
    if _BARE.fullmatch(text):
        return Cursor(epoch, _sequence(text))
    if found := _OLDER.fullmatch(text):
        return Moment(int(found[1]))
    raise Malformed(f"{text!r} is no id")


def _sequence(digits: str) -> int:
    sequence = int(digits)
    if sequence > MOST_SEQUENCE:
        raise Malformed(f"{digits} is no sequence")
    return sequence


class ResetReason(enum.Enum):
    """Why a place cannot be resumed."""

    MALFORMED = "malformed"
    EPOCH = "epoch"
    AHEAD = "ahead"
    TRIMMED = "trimmed"
    LIMIT = "limit"


class Fresh(msgspec.Struct, frozen=True):
    """Begin with a snapshot."""


class Resume(msgspec.Struct, frozen=True):
    """Everything after sequence `after`, then live."""

    after: int


class Reset(msgspec.Struct, frozen=True):
    """Say that `requested` cannot be honoured, and begin with a snapshot."""

    reason: ResetReason
    requested: str


Beginning = Fresh | Resume | Reset | Moment


def decide(requested: str | None, bounds: Bounds) -> Beginning:
    """How a connection that gave `requested` begins on a log of `bounds`.

    A `Moment` is for the caller to look up in the log (`at`).
    """
    if not requested:
        return Fresh()
    try:
        place = parse(requested, epoch=bounds.epoch)
    except Malformed:
        return Reset(ResetReason.MALFORMED, requested)
    if isinstance(place, Moment):
        return place
    if place.epoch != bounds.epoch:
        return Reset(ResetReason.EPOCH, requested)
    return at(place.sequence, requested, bounds)


def at(sequence: int, requested: str, bounds: Bounds) -> Resume | Reset:
    """Resume after `sequence` when everything later is still there."""
    if sequence > bounds.last:
        return Reset(ResetReason.AHEAD, requested)
    if sequence + 1 < bounds.first:
        return Reset(ResetReason.TRIMMED, requested)
    return Resume(sequence)
