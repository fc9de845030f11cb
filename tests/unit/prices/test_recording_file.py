"""Reading a recorded feed from valid, malformed and missing files."""

import gzip
import tracemalloc
from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.feeds import FeedError
from tapewire_services.prices.domain import LineFault, MalformedLine, RecordedTick
from tapewire_services.prices.feed import RecordingFile
from tapewire_services.prices.feed.recording_file import MAX_LINE_BYTES

HEADER = b"ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n"
GOOD = b"34200000,IBM,181.85,200,182.06,100,181.90,600\n"


def written(folder: Path, data: bytes, name: str = "feed.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(path: Path) -> list[RecordedTick | MalformedLine]:
    return list(RecordingFile(path).read_day())


def test_plain_and_compressed_files_are_read_regardless_of_their_names(tmp_path: Path) -> None:
    plain = written(tmp_path, HEADER + GOOD * 3, "plain.csv.gz")
    packed = written(tmp_path, gzip.compress(HEADER + GOOD * 3), "packed.csv")
    assert read(plain) == read(packed)
    assert [item.symbol for item in read(plain) if isinstance(item, RecordedTick)] == ["IBM"] * 3


def test_a_file_of_several_gzip_members_is_read_completely(tmp_path: Path) -> None:
    data = gzip.compress(HEADER + GOOD) + gzip.compress(GOOD)
    assert len(read(written(tmp_path, data))) == 2


def test_each_day_reads_the_file_from_its_start(tmp_path: Path) -> None:
    recording = RecordingFile(written(tmp_path, HEADER + GOOD))
    assert list(recording.read_day()) == list(recording.read_day())
    assert recording.name == "recording feed.csv"


def test_malformed_lines_are_returned_with_their_number_between_ticks(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + GOOD + b"rubbish\n" + b"\n \n" + GOOD + b"\xff\xfe\n" + GOOD)
    items = read(path)
    assert [isinstance(item, RecordedTick) for item in items] == [True, False, True, False, True]
    assert [item.line for item in items if isinstance(item, MalformedLine)] == [3, 7]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([86_399_000, 0, 1000], [86_399_000, 86_400_000, 86_401_000]),
        ([86_399_000, 500, 86_399_900, 600], [86_399_000, 86_400_500, 86_399_900, 86_400_600]),
        ([50_000_000, 0, 50_000_000, 0], [50_000_000, 86_400_000, 136_400_000, 172_800_000]),
        ([2000, 1000, 3000], [2000, 1000, 3000]),
        ([40_000_000, 0], [40_000_000, 0]),
    ],
    ids=["a midnight", "a late line", "two midnights", "out of order", "a line far too late"],
)
def test_time_goes_on_after_a_midnight(
    times: list[int], expected: list[int], tmp_path: Path
) -> None:
    """The lines after it used to be due in the past, and were played all at once."""
    lines = b"".join(b"%d,IBM,1,1,2,1,,\n" % ms for ms in times)
    recording = RecordingFile(written(tmp_path, HEADER + lines))
    for _ in range(2):
        assert [
            item.ms for item in recording.read_day() if isinstance(item, RecordedTick)
        ] == expected


def test_what_cannot_be_taken_of_a_line_precedes_its_tick(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + b"1,IBM,many,1,2,3,some,4\n" + GOOD)
    bid, last, tick, after = read(path)
    assert isinstance(bid, MalformedLine)
    assert isinstance(last, MalformedLine)
    assert (bid.column, last.column) == ("bid", "last")
    assert isinstance(tick, RecordedTick)
    assert [tick.bid, tick.bid_size, tick.ask, tick.last] == [0, 0, 2, None]
    assert isinstance(after, RecordedTick)


def test_the_last_line_needs_no_line_ending(tmp_path: Path) -> None:
    assert len(read(written(tmp_path, HEADER + GOOD + GOOD.rstrip()))) == 2


def test_an_overlong_line_is_one_malformed_line(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + b"x" * (3 << 20) + b"\n" + GOOD + b"1," * MAX_LINE_BYTES)
    first, second, third = read(path)
    assert isinstance(first, MalformedLine)
    assert "longer than" in str(first)
    assert isinstance(second, RecordedTick)
    assert isinstance(third, MalformedLine)
    assert (first.line, third.line) == (2, 4)


def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    recording = RecordingFile(written(tmp_path, gzip.compress(HEADER + GOOD * 20_000, 1)))
    deque(recording.read_day(), maxlen=0)
    tracemalloc.start()
    try:
        deque(recording.read_day(), maxlen=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 512 * 1024


def test_a_truncated_compressed_file_is_read_up_to_its_end(tmp_path: Path) -> None:
    lines = b"".join(b"%d,IBM,181.85,200,,,,\n" % number for number in range(10_000))
    whole = gzip.compress(HEADER + lines)
    *ticks, last = read(written(tmp_path, whole[: len(whole) // 2]))
    assert isinstance(last, MalformedLine)
    assert last.reason == LineFault.TRUNCATED
    assert "cannot be read" in str(last)
    assert ticks
    assert [item.ms for item in ticks if isinstance(item, RecordedTick)] == list(range(len(ticks)))
    assert last.line == len(ticks) + 2


def test_a_corrupt_compressed_file_ends_with_a_truncation(tmp_path: Path) -> None:
    lines = b"".join(b"%d,IBM,181.%d,200,,,,\n" % (n, n * 7919 % 100) for n in range(10_000))
    data = bytearray(gzip.compress(HEADER + lines))
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xff" * 64
    items = read(written(tmp_path, bytes(data)))
    last = items[-1]
    assert isinstance(last, MalformedLine)
    assert last.reason == LineFault.TRUNCATED


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "'ms' is missing"),
        (GOOD, "'ms' is missing"),
        (b"ms,symbol,price\n" + GOOD, "'bid' is missing"),
        (gzip.compress(GOOD), "'ms' is missing"),
        (b"\x1f\x8b rubbish that only begins like gz", "cannot be played"),
        (gzip.compress(HEADER)[:12], "cannot be played"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not CSV text"),
    ],
    # The ids are explicit: compressed data contains the time, so ids made from it would change.
    ids=[
        "empty",
        "rows",
        "other columns",
        "packed rows",
        "rubbish",
        "packed, cut off",
        "a picture",
    ],
)
def test_a_file_without_a_valid_header_is_rejected_at_the_start(
    tmp_path: Path, data: bytes, why: str
) -> None:
    path = written(tmp_path, data)
    with pytest.raises(FeedError, match=why) as caught:
        RecordingFile(path)
    assert str(path) in str(caught.value)
    assert "Name a recorded feed" in str(caught.value)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="No such file"):
        RecordingFile(tmp_path / "nowhere.csv")


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="is not a file"):
        RecordingFile(tmp_path)


def test_a_file_that_is_deleted_between_two_days_raises_feed_error(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + GOOD)
    recording = RecordingFile(path)
    path.unlink()
    with pytest.raises(FeedError, match="No such file"):
        list(recording.read_day())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=80) | st.just(GOOD.strip()), max_size=20), st.booleans())
def test_any_bytes_are_read_as_one_item_for_each_line(
    tmp_path: Path, lines: list[bytes], packed: bool
) -> None:
    data = HEADER + b"\n".join(lines)
    path = written(tmp_path, gzip.compress(data, 1) if packed else data)
    expected = [raw for raw in data.split(b"\n")[1:] if raw.strip()]
    items = read(path)
    assert len(items) == len(expected)
    assert sum(raw == GOOD.strip() for raw in expected) <= sum(
        isinstance(i, RecordedTick) for i in items
    )
