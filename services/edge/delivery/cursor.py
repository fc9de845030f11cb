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

MAX_ID_CHARACTERS = 64
"""Longer ids are malformed, whatever they hold."""
MAX_SEQUENCE = 2**63 - 1

_CURSOR_PATTERN = re.compile(r"([a-z][a-z0-9]{0,23})-([0-9]{1,19})")
_SEQUENCE_PATTERN = re.compile(r"[0-9]{1,19}")
_TIMESTAMP_PATTERN = re.compile(r"([0-9]{12,14})-[A-Za-z0-9]+")


class Cursor(msgspec.Struct, frozen=True):
    """A place in the log: everything up to `sequence` was seen."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class TimestampCursor(msgspec.Struct, frozen=True):
    """A place by time, from an older system's id: milliseconds since 1970, UTC."""

    milliseconds: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


class MalformedCursor(ValueError):
    """A text that no system of ours ever gave out as an id."""


def parse_cursor(text: str, *, epoch: str) -> Cursor | TimestampCursor:
    """The place that `text` names; a bare sequence is one in `epoch`.

    Raises:
        Malformed: none of the three forms.
    """
    if len(text) > MAX_ID_CHARACTERS:
        raise MalformedCursor(f"an id of {len(text)} characters")
    if found := _CURSOR_PATTERN.fullmatch(text):
        return Cursor(found[1], _parse_sequence(found[2]))
    if _SEQUENCE_PATTERN.fullmatch(text):
        return Cursor(epoch, _parse_sequence(text))
    if found := _TIMESTAMP_PATTERN.fullmatch(text):
        return TimestampCursor(int(found[1]))
    raise MalformedCursor(f"{text!r} is no id")


def _parse_sequence(digits: str) -> int:
    sequence = int(digits)
    if sequence > MAX_SEQUENCE:
        raise MalformedCursor(f"{digits} is no sequence")
    return sequence


class ResetReason(enum.Enum):
    """Why a place cannot be resumed."""

    MALFORMED = "malformed"
    EPOCH = "epoch"
    AHEAD = "ahead"
    TRIMMED = "trimmed"
    LIMIT = "limit"


class FreshStart(msgspec.Struct, frozen=True):
    """Begin with a snapshot."""


class ResumeStart(msgspec.Struct, frozen=True):
    """Everything after sequence `after`, then live."""

    after_sequence: int


class ResetStart(msgspec.Struct, frozen=True):
    """Say that `requested` cannot be honoured, and begin with a snapshot."""

    reason: ResetReason
    requested_id: str


StreamStart = FreshStart | ResumeStart | ResetStart | TimestampCursor


def decide_start(last_event_id: str | None, bounds: Bounds) -> StreamStart:
    """How a connection that gave `requested` begins on a log of `bounds`.

    A `Moment` is for the caller to look up in the log (`at`).
    """
    if not last_event_id:
        return FreshStart()
    try:
        place = parse_cursor(last_event_id, epoch=bounds.epoch)
    except MalformedCursor:
        return ResetStart(ResetReason.MALFORMED, last_event_id)
    if isinstance(place, TimestampCursor):
        return place
    if place.epoch != bounds.epoch:
        return ResetStart(ResetReason.EPOCH, last_event_id)
    return resume_or_reset(place.sequence, last_event_id, bounds)


def resume_or_reset(sequence: int, last_event_id: str, bounds: Bounds) -> ResumeStart | ResetStart:
    """Resume after `sequence` when everything later is still there."""
    if sequence > bounds.last:
        return ResetStart(ResetReason.AHEAD, last_event_id)
    if sequence + 1 < bounds.first:
        return ResetStart(ResetReason.TRIMMED, last_event_id)
    return ResumeStart(sequence)
