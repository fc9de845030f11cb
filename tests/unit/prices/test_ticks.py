"""Parsing a line of a recorded feed into a tick, or an error with the place and the value."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tapewire_services.prices.domain import (
    DAY_MS,
    REQUIRED_COLUMNS,
    ColumnLayout,
    MalformedHeader,
    MalformedLine,
    RecordedTick,
    parse_tick,
)

HEADER = b"ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
USUAL = ColumnLayout.from_header(HEADER)


def ignore(_: MalformedLine) -> None:
    """Take what can be taken."""


def parse(text: str) -> tuple[RecordedTick, list[MalformedLine]]:
    """The tick of a line, and what of it cannot be taken."""
    faults: list[MalformedLine] = []
    return parse_tick(USUAL, 17, text.encode(), faults.append), faults


def line(text: str) -> RecordedTick:
    tick, faults = parse(text)
    assert faults == []
    return tick


def test_a_complete_line_is_parsed_exactly() -> None:
    assert line("34200000,BAC,13.90,41300,13.91,14900,13.91,19800\n") == RecordedTick(
        ms=34200000,
        symbol="BAC",
        bid=Decimal("13.90"),
        bid_size=Decimal(41300),
        ask=Decimal("13.91"),
        ask_size=Decimal(14900),
        last=Decimal("13.91"),
        last_size=Decimal(19800),
    )


def test_empty_fields_are_missing_values() -> None:
    assert line("34200019,BAC,,,,,13.91,2000") == RecordedTick(
        ms=34200019, symbol="BAC", last=Decimal("13.91"), last_size=Decimal(2000)
    )
    assert line("34200020,AIG,49.03,100,,,,") == RecordedTick(
        ms=34200020, symbol="AIG", bid=Decimal("49.03"), bid_size=Decimal(100)
    )


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_line_endings_and_spaces_around_fields_do_not_matter(ending: str) -> None:
    assert line(f" 1 , IBM ,181.85, 200,,,,{ending}") == RecordedTick(
        ms=1, symbol="IBM", bid=Decimal("181.85"), bid_size=Decimal(200)
    )


def test_quoted_csv_fields_are_parsed() -> None:
    assert line('1,"BRK.B","458.30",100,,,,').symbol == "BRK.B"


def test_columns_are_found_by_name_in_any_order() -> None:
    columns = ColumnLayout.from_header(
        b"\xef\xbb\xbfvenue,Symbol,MS,last_size,last,ask_size,ask,bid_size,bid\r\n"
    )
    assert parse_tick(
        columns, 2, b"XNYS,IBM,5,,,300,182.06,400,181.85\r\n", ignore
    ) == RecordedTick(
        ms=5,
        symbol="IBM",
        bid=Decimal("181.85"),
        bid_size=Decimal(400),
        ask=Decimal("182.06"),
        ask_size=Decimal(300),
    )


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"", "'ms' is missing"),
        (b"34200019,BAC,,,,,13.91,2000", "'ms' is missing"),
        (HEADER.replace(b"ask_size", b"asksize"), "'ask_size' is missing"),
        (HEADER.replace(b"last_size", b"bid"), "'bid' is named twice"),
        (b"\xff\xfe\x00", "not CSV text"),
        (b'"ms,symbol', "not CSV text"),
    ],
)
def test_an_invalid_header_is_rejected(header: bytes, problem: str) -> None:
    with pytest.raises(MalformedHeader, match=problem):
        ColumnLayout.from_header(header)


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("x,IBM,1,1,,,,", "ms", "x"),
        (",IBM,1,1,,,,", "ms", ""),
        ("-1,IBM,1,1,,,,", "ms", "-1"),
        ("1.5,IBM,1,1,,,,", "ms", "1.5"),
        (f"{DAY_MS},IBM,1,1,,,,", "ms", str(DAY_MS)),
        ("99999999999999,IBM,1,1,,,,", "ms", "99999999999999"),
        ("\u0661,IBM,1,1,,,,", "ms", "\u0661"),
        ("1,,1,1,,,,", "symbol", ""),
        ("1,I\tBM,1,1,,,,", "symbol", "I\tBM"),
        ('1,"A,B",1,1,,,,', "symbol", "A,B"),
        (f"1,{'A' * 65},1,1,,,,", "symbol", "A" * 60),
        ("1,ÏBM,1,1,,,,", "symbol", "ÏBM"),
        ("1,IBM,1,1", None, "1,IBM,1,1"),
        ("1,IBM,1,1,,,,,", None, "1,IBM,1,1,,,,,"),
        ('1,"IBM,1,1,,,,', None, '1,"IBM,1,1,,,,'),
    ],
)
def test_a_malformed_line_raises_with_line_column_and_value(
    text: str, column: str | None, value: str
) -> None:
    with pytest.raises(MalformedLine) as caught:
        line(text)
    assert (caught.value.line, caught.value.column, caught.value.value) == (17, column, value)
    assert "line 17" in str(caught.value)
    assert column is None or f"column {column}" in str(caught.value)


def quote_of(tick: RecordedTick) -> list[object]:
    return [tick.bid, tick.bid_size, tick.ask, tick.ask_size]


@pytest.mark.parametrize(
    ("text", "column", "value", "reason"),
    [
        ("1,IBM,abc,1,2,3,,", "bid", "abc", "not_a_number"),
        ("1,IBM,1_0,1,2,3,,", "bid", "1_0", "not_a_number"),
        ("1,IBM,NaN,1,2,3,,", "bid", "NaN", "not_finite"),
        ("1,IBM,Infinity,1,2,3,,", "bid", "Infinity", "not_finite"),
        ("1,IBM,1e12,1,2,3,,", "bid", "1e12", "too_high"),
        ("1,IBM,0.000000001,1,2,3,,", "bid", "0.000000001", "too_low"),
        ("1,IBM,1,-1,2,3,,", "bid_size", "-1", "too_low"),
        ("1,IBM,1,9999999999999,2,3,,", "bid_size", "9999999999999", "too_high"),
    ],
)
def test_a_side_with_a_fault_has_no_offer_and_the_other_one_counts(
    text: str, column: str, value: str, reason: str
) -> None:
    tick, [fault] = parse(text)
    assert (fault.line, fault.column, fault.value, fault.reason) == (17, column, value, reason)
    assert quote_of(tick) == [0, 0, 2, 3]
    assert f"line 17, column {column}" in str(fault)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("1,IBM,1,1,2,3,many,5", "last", "not_a_number"),
        ("1,IBM,1,1,2,3,1,many", "last_size", "not_a_number"),
        ("1,IBM,1,1,2,3,,100", "last", "size_without_price"),
    ],
)
def test_a_trade_with_a_fault_is_none_and_the_quote_counts(
    text: str, column: str, reason: str
) -> None:
    tick, [fault] = parse(text)
    assert (fault.column, fault.reason) == (column, reason)
    assert quote_of(tick) == [1, 1, 2, 3]
    assert (tick.last, tick.last_size) == (None, None)


@pytest.mark.parametrize("size", ["0", "", "0.00"])
def test_a_price_of_zero_without_a_size_is_no_offer(size: str) -> None:
    tick = line(f"400,TST,0,{size},120.60,500,0,{size}")
    assert quote_of(tick) == [0, 0, Decimal("120.60"), 500]
    assert (tick.last, tick.last_size) == (None, None)


@pytest.mark.parametrize(
    ("written", "number"),
    [("181.45000000000002", "181.45"), ("0.30000000000000004", "0.3"), ("1e2", "100"),
     ("1.5E-7", "0.00000015"), ("0.00001234", "0.00001234"), ("-37.63", "-37.63"), ("+1.5", "1.5"),
     ("0", "0"), ("-0.00", "0"), (".5", "0.5"), ("1234567890123e-3", "1234567890.123")],
)  # fmt: skip
def test_numbers_are_taken_as_the_world_writes_them(written: str, number: str) -> None:
    tick = line(f"1,CL,{written},10,,,,")
    assert quote_of(tick) == [Decimal(number), 10, None, None]


@pytest.mark.parametrize(
    "symbol", ["kCOIN1", "ibm", "BRK.B", "EUR/USD", "^GSPC", "ES=F", "BTC-USD", "AAPL  2401C00150"]
)
def test_a_symbol_keeps_its_name(symbol: str) -> None:
    assert line(f"1, {symbol} ,1,1,,,,").symbol == symbol


def test_the_error_has_a_readable_message() -> None:
    _, [fault] = parse("1,IBM,13.9O,100,,,,")
    assert str(fault) == "line 17, column bid: '13.9O' must be a number"


def test_an_error_repeats_only_the_beginning_of_a_long_value() -> None:
    _, [fault] = parse(f"1,IBM,{'9' * 3000},1,,,,")
    assert len(str(fault)) < 200


@given(st.binary(max_size=200))
@example(b"1,IBM,\x00,1,,,,")
@example(b"\xff\xff\xff")
@example(b'1,"IBM\r",1,1,,,,')
def test_any_bytes_are_parsed_or_raise_malformed_line(raw: bytes) -> None:
    with suppress(MalformedLine):
        assert 0 <= parse_tick(USUAL, 2, raw, ignore).ms < DAY_MS


@given(st.lists(st.text("0123456789.,-+eE\"'NaInf IBM\x00\n", max_size=12), min_size=8, max_size=8))
def test_nearly_valid_lines_are_parsed_or_raise_malformed_line(fields: list[str]) -> None:
    with suppress(MalformedLine):
        assert parse_tick(USUAL, 2, ",".join(fields).encode(), ignore).symbol


PRICES = st.none() | st.decimals("0.00000001", 10**12 - 1, places=8)
SIZES = st.none() | st.decimals(0, 10**12 - 1, places=8)


@given(
    st.integers(0, DAY_MS - 1),
    st.from_regex(r"[A-Z]{1,5}(\.[A-Z])?", fullmatch=True),
    PRICES, SIZES, PRICES, SIZES, PRICES, SIZES,
)  # fmt: skip
def test_written_ticks_are_parsed_back(
    ms: int,
    symbol: str,
    bid: Decimal | None,
    bid_size: Decimal | None,
    ask: Decimal | None,
    ask_size: Decimal | None,
    last: Decimal | None,
    last_size: Decimal | None,
) -> None:
    wanted = RecordedTick(
        ms=ms,
        symbol=symbol,
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
        last=last,
        last_size=last_size if last is not None else None,
    )
    fields = [getattr(wanted, column) for column in REQUIRED_COLUMNS]
    text = ",".join("" if field is None else str(field) for field in fields)
    assert line(text) == wanted
