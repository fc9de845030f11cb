"""Times in texts from outside."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.values import LAST_TIME, MAX_TIME, MIN_TIME, InvalidValue, parse_time

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T12:00:00Z", NOON),
        ("2026-03-02T12:00", NOON),
        ("2026-03-02T07:00:00-05:00", NOON),
        ("1970-01-01", MIN_TIME),
    ],
)
def test_iso_8601_is_read_as_utc(text: str, expected: datetime) -> None:
    assert parse_time("since", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "noon", "1969-12-31", "2262-01-01", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+23:00"],
)
def test_what_is_no_time_within_the_bounds_is_rejected_by_its_name(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^since must be ") as caught:
        parse_time("since", text)
    assert (caught.value.field, caught.value.value) == ("since", text)


def test_a_time_after_the_latest_is_the_latest() -> None:
    for text in ("2026-03-02T12:00:01Z", "9999-12-31", "9999-12-31T23:59:59-12:00"):
        assert parse_time("until", text, latest=NOON) == NOON
    assert parse_time("until", "2026-03-02T11:59:59Z", latest=NOON) < NOON
    with pytest.raises(InvalidValue):
        parse_time("until", "0001-01-01T00:00+23:00", latest=NOON)


@examples(st.text(max_size=30) | st.datetimes().map(str))
def test_any_text_is_a_time_within_the_bounds_or_rejected(text: str) -> None:
    with contextlib.suppress(InvalidValue):
        assert MIN_TIME <= parse_time("since", text, latest=LAST_TIME) < MAX_TIME
