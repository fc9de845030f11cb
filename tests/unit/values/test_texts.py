"""Times, symbols and truth values from outside."""

import string
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.events import CODEC
from tapewire.log import encode_token
from tapewire.log.subjects import decode_token
from tapewire.values import (
    MAX_SYMBOL_CHARACTERS,
    FaultReason,
    InvalidValue,
    is_symbol,
    to_flag,
    validate_symbol,
    validate_time,
)
from tests.harness.foreign_values import ArrayScalar, FrozenTime, TextSubclass


class MissingTime(datetime):
    """As the missing time of data-frame libraries, which is a datetime of which nothing can be
    asked."""

    def utcoffset(self) -> timedelta:
        raise ValueError("it is missing")


class ZoneWithoutOffset(tzinfo):
    """A time zone that does not know its offset: the time is as good as without one."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        del at
        return None

    dst = tzname = utcoffset  # type: ignore[assignment]


NEW_YORK = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 3, 2, 9, 30, tzinfo=NEW_YORK),
        FrozenTime(2026, 3, 2, 9, 30, tzinfo=NEW_YORK),
        FrozenTime(2026, 3, 2, 14, 30, tzinfo=UTC),
    ],
)
def test_a_time_is_the_same_whatever_its_class_and_its_zone(time: datetime) -> None:
    found = validate_time("at", time)
    assert (type(found), found.tzinfo) == (datetime, UTC)
    assert found == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert CODEC.decode(CODEC.encode(time), datetime) == found


FIRST, LAST = datetime(1970, 1, 2), datetime(2261, 12, 30)  # noqa: DTZ001


@given(st.datetimes(FIRST, LAST, timezones=st.timezones()))
def test_a_time_with_a_zone_keeps_its_instant(time: datetime) -> None:
    assert validate_time("at", time) == time.astimezone(UTC)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (datetime(2026, 3, 2), FaultReason.NO_TIME_ZONE),  # noqa: DTZ001
        (FrozenTime(2026, 3, 2), FaultReason.NO_TIME_ZONE),
        (datetime(2026, 3, 2, tzinfo=ZoneWithoutOffset()), FaultReason.NO_TIME_ZONE),
        (MissingTime(2026, 3, 2, tzinfo=UTC), FaultReason.NOT_A_TIME),
        (date(2026, 3, 2), FaultReason.NOT_A_TIME),
        ("2026-03-02T14:30:00Z", FaultReason.NOT_A_TIME),
        (1772461800, FaultReason.NOT_A_TIME),
        (None, FaultReason.NOT_A_TIME),
        (ArrayScalar(1772461800, "M"), FaultReason.NOT_A_TIME),
        (datetime.max.replace(tzinfo=NEW_YORK), FaultReason.TIME_OUT_OF_RANGE),
        (datetime(2262, 1, 1, tzinfo=UTC), FaultReason.TIME_OUT_OF_RANGE),
        (datetime(1969, 12, 31, tzinfo=UTC), FaultReason.TIME_OUT_OF_RANGE),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), FaultReason.TIME_OUT_OF_RANGE),
    ],
)
def test_what_is_no_time_is_refused_with_the_field_and_a_reason(
    time: Any, reason: FaultReason
) -> None:
    with pytest.raises(InvalidValue, match=r"^at must ") as caught:
        validate_time("at", time)
    assert (caught.value.field, caught.value.reason) == ("at", reason)


SYMBOLS = [
    "IBM", "kCOIN1", "ibm", "BRK.B", "EUR/USD", "^GSPC", "BTC-USD", "ES=F", "C", "M&M.NS", "$SPX",
    "AAPL:US", "AAPL  240119C00150000", "*", ">", "a.b.>", "%2E", "\\", '"', "'", "<b>", "x" * 64,
]  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_symbol_is_exactly_what_it_is_called(symbol: str) -> None:
    assert validate_symbol("symbol", symbol) == symbol
    assert type(validate_symbol("symbol", TextSubclass(symbol))) is str


@pytest.mark.parametrize(
    "symbol",
    ["", " ", " IBM", "IBM ", "A,B", "I\tBM", "IBM\n", "IBM\0", "x" * 65, "é", "\u2028", 7, None],
)
def test_what_is_no_symbol_is_refused_with_the_field(symbol: Any) -> None:
    with pytest.raises(InvalidValue, match=r"^symbol must be 1 to 64 printable ASCII") as caught:
        validate_symbol("symbol", symbol)
    assert caught.value.reason is FaultReason.NOT_A_SYMBOL


@given(st.text(string.printable, max_size=MAX_SYMBOL_CHARACTERS))
def test_every_symbol_is_one_token_of_a_subject(text: str) -> None:
    assert is_symbol(text) == (
        text.isprintable() and bool(text) and text.strip() == text and "," not in text
    )
    if is_symbol(text):
        token = encode_token(text)
        assert decode_token(token) == text
        assert not set(token) & set(".*> ")


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, True), (False, False), (ArrayScalar(True, "b", 1), True), (1, None), ("yes", None),
     (ArrayScalar(1, "i"), None), (None, None)],
)  # fmt: skip
def test_only_truth_values_are_truth_values(value: Any, flag: bool | None) -> None:
    assert to_flag(value) is flag


def test_texts_of_other_classes_are_encoded_in_every_place() -> None:
    value = {TextSubclass("key"): [TextSubclass("a"), ArrayScalar(False, "b", 1)]}
    assert CODEC.encode(value) == b'{"key":["a",false]}'


def test_what_is_no_value_is_not_encoded() -> None:
    with pytest.raises(TypeError, match="objects of type object cannot be encoded"):
        CODEC.encode(object())
