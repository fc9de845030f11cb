"""Cursors: event ids, and where a stream starts for a client that sends one back. Pure.

An id is ``{epoch}-{sequence}``: the incarnation of the log, and a sequence in it. Clients send
that, a bare sequence, or the ``{milliseconds}-{random}`` of an older system. `decide_start` decides
whether a stream starts with a snapshot, resumes, or is reset for a stated reason.
"""

import enum
import re
from datetime import UTC, datetime

import msgspec

from tapewire.log import Bounds
from tapewire.values import MAX_TIME

MAX_ID_CHARACTERS = 64
"""Longer ids are malformed."""
MAX_SEQUENCE = 2**63 - 1
MAX_MILLISECONDS = int(MAX_TIME.timestamp() * 1000)
"""Message servers count time in nanoseconds; later times would mean none."""

_CURSOR_PATTERN = re.compile(r"([a-z][a-z0-9]{0,23})-([0-9]{1,19})")
_SEQUENCE_PATTERN = re.compile(r"[0-9]{1,19}")
_TIMESTAMP_PATTERN = re.compile(r"([0-9]{12,14})-[A-Za-z0-9]+")


class Cursor(msgspec.Struct, frozen=True):
    """A position in the log: everything up to `sequence` was received."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class TimestampCursor(msgspec.Struct, frozen=True):
    """A position by time, from an id of an older system: milliseconds since 1970, UTC."""

    milliseconds: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


class MalformedCursor(ValueError):
    """The text has none of the forms of an event id."""


def parse_cursor(text: str, *, epoch: str) -> Cursor | TimestampCursor:
    """Parse an event id; a bare sequence is one in `epoch`.

    Raises:
        MalformedCursor: the text has none of the three forms.
    """
    if len(text) > MAX_ID_CHARACTERS:
        raise MalformedCursor(f"an id of {len(text)} characters; at most {MAX_ID_CHARACTERS}")
    if found := _CURSOR_PATTERN.fullmatch(text):
        return Cursor(found[1], _parse_sequence(found[2]))
    if _SEQUENCE_PATTERN.fullmatch(text):
        return Cursor(epoch, _parse_sequence(text))
    if found := _TIMESTAMP_PATTERN.fullmatch(text):
        milliseconds = int(found[1])
        if milliseconds >= MAX_MILLISECONDS:
            raise MalformedCursor(f"{text!r} is a time after {MAX_TIME.year - 1}")
        return TimestampCursor(milliseconds)
    raise MalformedCursor(f"{text!r} is not an event id")


def _parse_sequence(digits: str) -> int:
    sequence = int(digits)
    if sequence > MAX_SEQUENCE:
        raise MalformedCursor(f"{digits} is not a sequence")
    return sequence


class ResetReason(enum.Enum):
    """Why a stream cannot resume from an event id."""

    MALFORMED = "malformed"
    EPOCH = "epoch"
    AHEAD = "ahead"
    TRIMMED = "trimmed"
    LIMIT = "limit"


class FreshStart(msgspec.Struct, frozen=True):
    """Start with a snapshot."""


class ResumeStart(msgspec.Struct, frozen=True):
    """Start with the events after `after_sequence`."""

    after_sequence: int


class ResetStart(msgspec.Struct, frozen=True):
    """Report that `requested_id` cannot be resumed from, and start with a snapshot."""

    reason: ResetReason
    requested_id: str


StreamStart = FreshStart | ResumeStart | ResetStart | TimestampCursor


def decide_start(last_event_id: str | None, bounds: Bounds) -> StreamStart:
    """Decide where a stream starts in a log of `bounds`.

    The caller looks a `TimestampCursor` up in the log and continues with `resume_or_reset`.
    """
    if not last_event_id:
        return FreshStart()
    try:
        cursor = parse_cursor(last_event_id, epoch=bounds.epoch)
    except MalformedCursor:
        return ResetStart(ResetReason.MALFORMED, last_event_id)
    if isinstance(cursor, TimestampCursor):
        return cursor
    if cursor.epoch != bounds.epoch and not bounds.includes(cursor.epoch, cursor.sequence):
        return ResetStart(ResetReason.EPOCH, last_event_id)
    return resume_or_reset(cursor.sequence, last_event_id, bounds)


def resume_or_reset(sequence: int, last_event_id: str, bounds: Bounds) -> ResumeStart | ResetStart:
    """Resume after `sequence` when the log still has everything later."""
    if sequence > bounds.last:
        return ResetStart(ResetReason.AHEAD, last_event_id)
    if sequence + 1 < bounds.first:
        return ResetStart(ResetReason.TRIMMED, last_event_id)
    return ResumeStart(sequence)
