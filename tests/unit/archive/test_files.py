"""The files of an archive: what is written is read again, and damage is noticed."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tapewire import archive
from tapewire.archive import ArchiveError, open_archive
from tapewire.archive.files import MANIFEST_NAME, ArchiveWriter, remove_from_archive
from tapewire.log import BatchPart, EventMetadata, RecordedEvent

START = datetime(2026, 1, 5, 14, 30, 0, 123456, tzinfo=UTC)
DATA = {
    "an object": b'{"n": 1.10, "s": "\\u00e4"}',
    "a large number": b"123456789012345678901234567890.10",
    "no JSON": b"\xff\x00{",
    "two lines": b'{\n"a": 1}',
    "nothing": b"",
}


def recorded(sequence: int, data: bytes = b"{}", owner: str = "alice") -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        subject=f"ev.{owner}.orders.o-{sequence}",
        tag="order.placed.v1",
        data=data,
        metadata=EventMetadata(
            id=f"id-{sequence}",
            correlation="c",
            causation="cause" if sequence % 2 else None,
            traceparent="00-1" if sequence % 3 else None,
        ),
        time=START + timedelta(microseconds=sequence),
        batch=BatchPart("b", sequence, is_last=sequence % 2 == 0) if sequence % 5 else None,
    )


def write(folder: Path, *segments: tuple[int, int], missing: int = 0) -> None:
    writer = ArchiveWriter(folder)
    for first, last in segments:
        numbers = [number for number in range(first, last + 1) if number != missing]
        events = [recorded(number, owner=("alice", "bob")[number % 2]) for number in numbers]
        writer.add("e1", first, last, events)


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_an_event_is_read_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    stored = recorded(7, data)
    ArchiveWriter(tmp_path).add("e1", 7, 7, [stored])
    [found] = archive.read(tmp_path)
    for field in ("sequence", "subject", "tag", "data", "metadata", "time", "batch"):
        assert getattr(found, field) == getattr(stored, field)


def test_segments_are_read_in_order_and_continued_by_another_writer(tmp_path: Path) -> None:
    write(tmp_path, (1, 4), (5, 5))
    write(tmp_path, (6, 9))
    assert [event.sequence for event in archive.read(tmp_path)] == list(range(1, 10))
    found = open_archive(tmp_path)
    assert (found.first, found.last) == (1, 9)


def test_what_the_journal_did_not_have_is_counted(tmp_path: Path) -> None:
    write(tmp_path, (1, 4), missing=3)
    assert [segment.missing for segment in open_archive(tmp_path).manifest.segments] == [1]


def test_a_segment_that_does_not_follow_is_refused(tmp_path: Path) -> None:
    write(tmp_path, (1, 4))
    with pytest.raises(ArchiveError, match="ends at 4, 6 does not follow"):
        write(tmp_path, (6, 9))


def test_a_segment_without_a_manifest_does_not_count(tmp_path: Path) -> None:
    """The process was killed between the two; the segment is written again."""
    write(tmp_path, (1, 4))
    manifest = (tmp_path / MANIFEST_NAME).read_bytes()
    write(tmp_path, (5, 9))
    (tmp_path / MANIFEST_NAME).write_bytes(manifest)
    assert open_archive(tmp_path).last == 4
    write(tmp_path, (5, 7))
    assert [event.sequence for event in archive.read(tmp_path)] == list(range(1, 8))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _replace(path: Path) -> None:
    path.write_bytes(gzip.compress(b""))


@pytest.mark.parametrize("damage", [_cut, _replace, Path.unlink])
def test_a_damaged_segment_is_named(tmp_path: Path, damage: object) -> None:
    write(tmp_path, (1, 4), (5, 8))
    damaged = next(tmp_path.glob("events-000000000005*"))
    assert callable(damage)
    damage(damaged)
    found: list[int] = []
    with pytest.raises(ArchiveError, match=damaged.name):
        found += (event.sequence for event in archive.read(tmp_path))
    with pytest.raises(ArchiveError):
        list(archive.read(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"format": 2, "epoch": "e", "segments": []}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ArchiveError, match=r"holds no archive"):
        open_archive(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(ArchiveError, match=r"manifest\.json"):
        open_archive(tmp_path)


def test_a_user_can_be_removed_from_an_archive(tmp_path: Path) -> None:
    write(tmp_path, (1, 4), (5, 8))
    leftover = tmp_path / "events-000000000001-000000000002-00000000.jsonl.gz"
    leftover.write_bytes(gzip.compress(b"bob"))
    assert remove_from_archive(tmp_path, lambda event: event.event_subject.owner == "bob") == 4
    assert [event.sequence for event in archive.read(tmp_path)] == [2, 4, 6, 8]
    assert not leftover.exists()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        assert b"bob" not in text
    assert remove_from_archive(tmp_path, lambda event: event.event_subject.owner == "bob") == 0
