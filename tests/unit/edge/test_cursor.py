"""Cursors: how ids are parsed, and how a stream starts for an id and the bounds of the log."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.log import Bounds
from tapewire_services.edge.delivery.cursor import (
    MAX_ID_CHARACTERS,
    MAX_SEQUENCE,
    Cursor,
    FreshStart,
    MalformedCursor,
    ResetReason,
    ResetStart,
    ResumeStart,
    StreamStart,
    TimestampCursor,
    decide_start,
    parse_cursor,
    resume_or_reset,
)

BOUNDS = Bounds("e5", first=10, last=20)

epochs = st.from_regex(r"[a-z][a-z0-9]{0,23}", fullmatch=True)
sequences = st.integers(0, MAX_SEQUENCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e5-17", Cursor("e5", 17)),
        ("e5-0", Cursor("e5", 0)),
        ("other9-1", Cursor("other9", 1)),
        ("ehocihgdhz8-9223372036854775807", Cursor("ehocihgdhz8", MAX_SEQUENCE)),
        ("17", Cursor("e5", 17)),
        ("0", Cursor("e5", 0)),
        ("1712345678901", Cursor("e5", 1712345678901)),
        ("1712345678901-x7Qz", TimestampCursor(1712345678901)),
        ("1712345678901-0", TimestampCursor(1712345678901)),
        ("9214646399999-abc", TimestampCursor(9214646399999)),
    ],
)
def test_valid_ids_are_parsed(text: str, expected: Cursor | TimestampCursor) -> None:
    assert parse_cursor(text, epoch="e5") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-", "e5", "e5-", "-5", "5-", "5-5", "e5-5-5", "e5 -5", "e5-5 ", " 5", "5\n",
        "e5-5\n", "E5-5", "5e-5", "e5_5", "e5--5", "e5-+5", "+5", "1.0", "1e3", "0x1", "1_000",
        "9223372036854775808", "e5-9223372036854775808", "e5-99999999999999999999",
        "\u0661", "e5-\u0661", "\u0661712345678901-x", "1712345678901-", "1712345678901-a b",
        "1712345678901-\u00e9", "12345-x", "123456789012345-x", "a" * 25 + "-1", "\0", "null",
        "0" * 65, "1712345678901-" + "x" * 51,
    ],
)  # fmt: skip
def test_malformed_ids_are_rejected(text: str) -> None:
    with pytest.raises(MalformedCursor):
        parse_cursor(text, epoch="e5")


@given(epochs, sequences)
def test_a_formatted_cursor_parses_to_itself(epoch: str, sequence: int) -> None:
    cursor = Cursor(epoch, sequence)
    assert parse_cursor(str(cursor), epoch="another") == cursor


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_malformed(text: str) -> None:
    try:
        parsed = parse_cursor(text, epoch="e5")
    except MalformedCursor:
        return
    assert len(text) <= MAX_ID_CHARACTERS
    assert text.isascii()
    if isinstance(parsed, TimestampCursor):
        assert parsed.time.year < 5139
    else:
        assert 0 <= parsed.sequence <= MAX_SEQUENCE


@pytest.mark.parametrize("id_", ["9214646400000-a", "99999999999999-0"])
def test_a_timestamp_that_no_message_server_can_count_is_malformed(id_: str) -> None:
    """It used to overflow into the past, and everything was replayed."""
    with pytest.raises(MalformedCursor):
        parse_cursor(id_, epoch="e1")
    assert isinstance(parse_cursor("9214646399999-a", epoch="e1"), TimestampCursor)


def test_a_timestamp_cursor_is_in_utc() -> None:
    assert TimestampCursor(1_000).time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("requested", "beginning"),
    [
        (None, FreshStart()),
        ("", FreshStart()),
        ("e5-15", ResumeStart(15)),
        ("15", ResumeStart(15)),
        ("e5-20", ResumeStart(20)),
        ("e5-21", ResetStart(ResetReason.AHEAD, "e5-21")),
        ("21", ResetStart(ResetReason.AHEAD, "21")),
        ("e5-9", ResumeStart(9)),
        ("e5-8", ResetStart(ResetReason.TRIMMED, "e5-8")),
        ("0", ResetStart(ResetReason.TRIMMED, "0")),
        ("e4-15", ResetStart(ResetReason.EPOCH, "e4-15")),
        ("e4-999", ResetStart(ResetReason.EPOCH, "e4-999")),
        ("what?", ResetStart(ResetReason.MALFORMED, "what?")),
        ("1712345678901-x", TimestampCursor(1712345678901)),
    ],
)
def test_the_start_follows_from_the_id_and_the_bounds(
    requested: str | None, beginning: StreamStart
) -> None:
    assert decide_start(requested, BOUNDS) == beginning


def test_an_empty_log_can_be_resumed_from_sequence_zero() -> None:
    assert decide_start("e5-0", Bounds("e5", first=1, last=0)) == ResumeStart(0)


def test_a_completely_trimmed_log_can_be_resumed_from_its_end_only() -> None:
    bounds = Bounds("e5", first=21, last=20)
    assert decide_start("e5-20", bounds) == ResumeStart(20)
    assert decide_start("e5-19", bounds) == ResetStart(ResetReason.TRIMMED, "e5-19")


@given(sequences, sequences, sequences)
def test_a_resume_skips_no_event(sequence: int, first: int, last: int) -> None:
    """A resume is granted if and only if all later events are still stored."""
    bounds = Bounds("e5", min(first, last + 1), last)
    begins = resume_or_reset(sequence, "x", bounds)
    if isinstance(begins, ResumeStart):
        assert bounds.first - 1 <= begins.after_sequence <= bounds.last
        assert begins.after_sequence == sequence
    else:
        assert sequence > bounds.last or sequence < bounds.first - 1
