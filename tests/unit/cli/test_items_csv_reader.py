"""Reading CSV files of items: valid rows, malformed rows and unreadable files."""

import io
import time
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.cli.items import csv_reader
from tapewire.cli.items.rows import ItemDefaults, ItemRow, MalformedRow, UnreadableFile
from tapewire.events import Sentiment

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Without time limits: a busy machine must not fail an example."""
NO_DEFAULTS = ItemDefaults()


def read(data: str | bytes, extra: ItemDefaults = NO_DEFAULTS) -> list[ItemRow | MalformedRow]:
    raw = data.encode() if isinstance(data, str) else data
    rows = csv_reader.read_rows(io.BytesIO(raw), extra)
    return [row for row in rows if isinstance(row, ItemRow | MalformedRow)]


def describe_rows(data: str | bytes) -> list[str]:
    """Describe each row: its line number, and its title or its error."""
    return [
        f"{one.line}: {one.item.title if isinstance(one, ItemRow) else f'!{one.reason}'}"
        for one in read(data)
    ]


def test_all_columns_are_read_in_any_order_and_case() -> None:
    (row,) = read(
        "ID,Title,tickers,tags,source,url,sentiment,score,timestamp,text\n"
        'n1,"Up, up",ibm; SPY ;,a;b c,Wire,https://x.example,Positive,0.5,2026-03-02T14:30:00Z,why\n'
    )
    assert isinstance(row, ItemRow)
    item = row.item
    assert (row.line, item.id, item.title, item.source) == (2, "n1", "Up, up", "Wire")
    assert (item.tickers, item.tags) == (("ibm", "SPY"), ("a", "b c"))
    assert (item.sentiment, item.score) == (Sentiment.POSITIVE, Decimal("0.5"))
    assert item.timestamp == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert (item.url, item.text) == ("https://x.example", "why")


def test_empty_cells_are_missing_values() -> None:
    (row,) = read("title,source,url,tickers,sentiment,score,timestamp,id\nt,s,,,,,,\n")
    assert isinstance(row, ItemRow)
    item = row.item
    assert (item.url, item.tickers, item.sentiment, item.score) == (None, (), None, None)
    assert (item.timestamp, item.id) == (None, None)


def test_command_line_options_are_added_to_rows() -> None:
    extra = ItemDefaults(source="Mine", tickers=("IBM",), tags=("x",))
    one, other = read("title,source,tags\na,,y\nb,Wire,\n", extra)
    assert isinstance(one, ItemRow)
    assert isinstance(other, ItemRow)
    assert (one.item.source, one.item.tags, one.item.tickers) == ("Mine", ("y", "x"), ("IBM",))
    assert other.item.source == "Wire"
    (bare,) = read("title\na\n", extra)
    assert isinstance(bare, ItemRow)
    assert bare.item.source == "Mine"


def test_a_byte_order_mark_and_any_line_ending_are_accepted() -> None:
    assert describe_rows("\ufefftitle,source\r\na,s\r\nb,s\rc,s\n\nd,s") == [
        "2: a",
        "3: b",
        "4: c",
        "6: d",
    ]


def test_malformed_rows_are_reported_with_their_line_and_skipped() -> None:
    rows = describe_rows(
        "title,source,score,sentiment,timestamp\n"
        "a,s,high,,\n"
        "b,s,0.5\n"
        '"two\nlines",s,,,\n'
        "c,s,,splendid,\n"
        "d,s,,,yesterday\n"
        "e,s,,,,,\n"
        'f,"s"x,,,\n'
        "g,s,0.5,,\n"
    )
    assert rows == [
        "2: !score 'high' is no number",
        "3: !3 cells, the header has 5",
        "4: two\nlines",
        "6: !sentiment 'splendid' is none of positive, neutral, negative",
        "7: !timestamp 'yesterday' is not like 2026-03-02T14:30:00Z",
        "8: !7 cells, the header has 5",
        "9: !',' expected after '\"'",
        "10: g",
    ]


@pytest.mark.parametrize("score", ["NaN", "sNaN", "Infinity", "-inf", "1e9999999999999999999", "x"])
def test_a_score_that_json_cannot_represent_only_skips_its_row(score: str) -> None:
    """Such a score once made the whole batch unreadable for the service."""
    assert describe_rows(f"title,source,score\na,s,{score}\nb,s,0\n") == [
        f"2: !score {score!r} is no number",
        "3: b",
    ]


def test_times_are_sent_in_utc() -> None:
    rows = read(
        "title,source,timestamp\na,s,2026-03-02T14:30:00+01:00:30\n"
        "b,s,9999-12-31T23:59:59-14:00\nc,s,2026-03-02T14:30:00\n"
    )
    times = [row.item.timestamp if isinstance(row, ItemRow) else None for row in rows]
    assert times == [
        datetime(2026, 3, 2, 13, 29, 30, tzinfo=UTC), None, datetime(2026, 3, 2, 14, 30),  # noqa: DTZ001
    ]  # fmt: skip


def test_bytes_that_are_not_utf8_only_skip_their_row() -> None:
    rows = describe_rows(b"title,source\na\xff\xfe,s\nb,s\n")
    assert rows == ["2: !title 'a\\udcff\\udcfe' is no UTF-8", "3: b"]


def test_a_huge_field_only_skips_its_row() -> None:
    rows = describe_rows(f"title,source\n{'x' * 200_000},s\nb,s\n")
    assert rows == ["2: !field larger than field limit (131072)", "3: b"]


@pytest.mark.parametrize("cell", ["x" * 64, '"' + "x" * 64, "x" * 64 + ",", "\x00" * 64])
def test_a_very_long_line_is_read_in_bounded_memory(cell: str) -> None:
    """A line of thirty megabytes is never held in memory as a whole."""

    class EndlessFile(io.RawIOBase):
        left = 30 << 20
        head = b"title,source\n"

        def readable(self) -> bool:
            return True

        def readinto(self, into: Any, /) -> int:
            if self.head:
                data, self.head = self.head, b""
            elif self.left > 0:
                data = (cell.encode() * 128)[: len(into)]
                self.left -= len(data)
            else:
                return 0
            into[: len(data)] = data
            return len(data)

    tracemalloc.start()
    try:
        rows = list(csv_reader.read_rows(io.BufferedReader(EndlessFile()), NO_DEFAULTS))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [type(row) for row in rows] == [MalformedRow]
    assert most < 25 << 20


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['"never,s,1', "b,s,2", "c,s,3"], ["2: !", "3: b", "4: c"]),
        (["a,s,1", 'b,"s,2', 'c,"s",3', "d,s,4"], ["2: a", "3: !", "4: c", "5: d"]),
        (["a,s,1", '"b,s,2', 'TVs of 55",s,3', "d,s,4"], ["2: a", "3: !", '4: TVs of 55"', "5: d"]),
        (['"a,s,1', '"b,s,2', "c,s,3"], ["2: !", "3: !", "4: c"]),
        (['"two', 'lines",s,1', "b,s,2"], ["2: two\nlines", "4: b"]),
        (['"a, one",s,1', '"b,s,2'], ["2: a, one", "3: !"]),
        (['"a,s,1', "", '"b ""q""",s,2'], ["2: !", '4: b "q"']),
    ],
)
def test_an_unclosed_quote_costs_only_the_row_where_it_begins(
    lines: list[str], expected: list[str]
) -> None:
    """It once swallowed rows, and counted one."""
    rows = describe_rows("title,source,id\n" + "\n".join(lines) + "\n")
    assert [row if "!" not in row else row[: row.index("!") + 1] for row in rows] == expected
    assert all("a quote is not closed: " in row for row in rows if "!" in row)


def test_a_row_of_several_lines_with_a_wrong_number_of_cells_is_one_malformed_row() -> None:
    rows = describe_rows('title,source,text\na,s,"one\ntwo\nthree",x\nb,s,t\n')
    assert rows == ["2: !4 cells, the header has 3", "5: b"]


def test_unclosed_quotes_are_read_in_linear_time() -> None:
    def cost(count: int) -> float:
        began = time.process_time()
        read('title,source\n"' + "x,s\n" * count + 'y,"\n' * count)
        return time.process_time() - began

    cost(100)
    assert cost(32_000) < 0.1 + 40 * cost(2_000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", "line 1: an empty file has no header"),
        ("title,source,mood\n", "line 1: unknown column 'mood'; the columns are title, source"),
        ("title,title,source\n", "line 1: the column title comes twice"),
        ("source\n", "line 1: no column title"),
        ("title\na\n", "line 1: no column source"),
        ("\n", "line 1: no column title"),
        ("x" * 200_000, "line 1: field larger than field limit"),
        (b"\xff\xfet\x00", "line 1: unknown column"),
        ("{}", "line 1: unknown column '{}'"),
    ],
)
def test_an_invalid_header_is_an_error(data: str | bytes, expected: str) -> None:
    with pytest.raises(UnreadableFile) as unreadable:
        read(data)
    assert str(unreadable.value).startswith(expected)


@PATIENT
@given(st.binary(max_size=300) | st.text('",\n\r;a\x00\ufeff', max_size=80).map(str.encode))
def test_any_bytes_after_the_header_are_read_as_rows_or_malformed_rows(data: bytes) -> None:
    rows = read(b"title,source,score\n" + data)
    lines = [row.line for row in rows]
    assert lines == sorted(set(lines))
    for row in rows:
        if isinstance(row, MalformedRow):
            assert row.reason
            assert row.reason.isprintable()
