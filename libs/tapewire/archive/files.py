"""The files of an archive: `manifest.json`, and segments of compressed events.

A segment is gzip-compressed JSON, an event a line; `zcat` shows it. The manifest names each
segment with its first and last sequence and its SHA-256 digest. A segment counts once the manifest
names it: the segment is on disk before the manifest, which is replaced as a whole. So a process may
be killed at any point. Start at `open_archive` and `ArchiveWriter`.
"""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from tapewire.log import BatchPart, EventMetadata, RecordedEvent

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
SEGMENT_EVENTS = 20_000
"""Events of a segment, which is read as a whole: some 15 MB uncompressed."""
COMPRESSION_LEVEL = 6


class ArchiveError(Exception):
    """The folder holds no archive, a damaged one, or one of another journal."""


class ArchiveSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A file with the events `first` to `last`, except `missing` ones that the journal did not hold
    or that were erased later."""

    file: str
    first: int
    last: int
    events: int
    missing: int = 0
    bytes: int
    sha256: str


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: the segments in order, without gaps between them, of a journal that
    had `epoch` when the last one was written."""

    format: int = FORMAT_VERSION
    epoch: str
    segments: tuple[ArchiveSegment, ...] = ()


class _ArchivedEvent(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of a segment. `data` is the event as JSON; `text` has what is not JSON, as latin-1."""

    sequence: int
    subject: str
    time: datetime
    type: str
    id: str
    correlation: str
    causation: str | None = None
    traceparent: str | None = None
    batch: BatchPart | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    text: str = ""


_LINES = msgspec.json.Decoder(_ArchivedEvent)
_JSON = msgspec.json.Decoder(msgspec.Raw)


class Archive:
    """An archive that is read. `first` and `last` are its first and last sequence."""

    def __init__(self, folder: Path, manifest: ArchiveManifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.first = manifest.segments[0].first
        self.last = manifest.segments[-1].last

    def events(self) -> Iterator[RecordedEvent]:
        """All events in order. Raises ArchiveError for a damaged segment before its first event."""
        for segment in self.manifest.segments:
            yield from self.read_segment(segment)

    def read_segment(self, segment: ArchiveSegment) -> list[RecordedEvent]:
        """The events of `segment`. Raises ArchiveError if its content is not what was written."""
        try:
            stored = (self.folder / segment.file).read_bytes()
        except OSError as error:
            raise ArchiveError(f"{self.folder / segment.file} cannot be read: {error}") from error
        if hashlib.sha256(stored).hexdigest() != segment.sha256:
            raise ArchiveError(f"{self.folder / segment.file} is damaged: its SHA-256 differs")
        events = [_to_recorded(line) for line in _LINES.decode_lines(gzip.decompress(stored))]
        if len(events) != segment.events:
            raise ArchiveError(
                f"{self.folder / segment.file} has {len(events)} events instead of {segment.events}"
            )
        return events


def read(folder: str | os.PathLike[str]) -> Iterator[RecordedEvent]:
    """All events of the archive in `folder`, in order. Raises ArchiveError."""
    return open_archive(folder).events()


def open_archive(folder: str | os.PathLike[str]) -> Archive:
    """The archive in `folder`. Raises ArchiveError if there is none that can be read."""
    path = Path(folder)
    manifest = _read_manifest(path)
    if manifest is None or not manifest.segments:
        raise ArchiveError(f"{path} holds no archive: there is no {MANIFEST_NAME} with a segment")
    return Archive(path, manifest)


class ArchiveWriter:
    """Adds events to the archive in `folder`, which is created if there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._manifest = _read_manifest(folder)

    @property
    def epoch(self) -> str | None:
        """The epoch of the last segment; None for an empty archive."""
        return None if self._manifest is None else self._manifest.epoch

    @property
    def last(self) -> int | None:
        """The last sequence that is archived; None for an empty archive."""
        segments = () if self._manifest is None else self._manifest.segments
        return segments[-1].last if segments else None

    @property
    def byte_count(self) -> int:
        """The bytes of all segments."""
        return sum(one.bytes for one in self._manifest.segments) if self._manifest else 0

    def add(self, epoch: str, first: int, last: int, events: Sequence[RecordedEvent]) -> None:
        """Add a segment with `events`: all that the journal `epoch` has from `first` to `last`.

        Raises:
            OSError: it cannot be written; the archive is as before.
            ArchiveError: it does not follow the segment before.
        """
        if self.last is not None and first != self.last + 1:
            raise ArchiveError(f"{self._folder} ends at {self.last}, {first} does not follow it")
        segment = _write_segment(self._folder, first, last, events)
        before = () if self._manifest is None else self._manifest.segments
        self._manifest = ArchiveManifest(epoch=epoch, segments=(*before, segment))
        _write_manifest(self._folder, self._manifest)


def remove_from_archive(
    folder: str | os.PathLike[str], is_removed: Callable[[RecordedEvent], bool]
) -> int:
    """Rewrite an archive without the events that `is_removed` names; how many there were.

    It may be repeated after an interruption: a segment is replaced as a whole.

    Raises:
        OSError, ArchiveError: the archive cannot be read or written.
    """
    archive, removed = open_archive(folder), 0
    manifest = archive.manifest
    for number, segment in enumerate(manifest.segments):
        events = archive.read_segment(segment)
        kept = [event for event in events if not is_removed(event)]
        if len(kept) == len(events):
            continue
        removed += len(events) - len(kept)
        replaced = _write_segment(archive.folder, segment.first, segment.last, kept)
        segments = (*manifest.segments[:number], replaced, *manifest.segments[number + 1 :])
        manifest = msgspec.structs.replace(manifest, segments=segments)
        _write_manifest(archive.folder, manifest)
        (archive.folder / segment.file).unlink(missing_ok=True)
    named = {segment.file for segment in manifest.segments}
    for path in archive.folder.glob("events-*"):
        if path.name not in named:
            path.unlink()  # of an interrupted call
    return removed


def _read_manifest(folder: Path) -> ArchiveManifest | None:
    path = folder / MANIFEST_NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=ArchiveManifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    if manifest.format != FORMAT_VERSION:
        raise ArchiveError(f"{path} has the format {manifest.format}, not {FORMAT_VERSION}")
    return manifest


def _write_manifest(folder: Path, manifest: ArchiveManifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    _write_durably(folder / MANIFEST_NAME, text + b"\n")


def _write_segment(
    folder: Path, first: int, last: int, events: Sequence[RecordedEvent]
) -> ArchiveSegment:
    lines = b"".join(msgspec.json.encode(_to_line(event)) + b"\n" for event in events)
    content = gzip.compress(lines, COMPRESSION_LEVEL, mtime=0)
    digest = hashlib.sha256(content).hexdigest()
    name = f"events-{first:012d}-{last:012d}-{digest[:8]}.jsonl.gz"
    _write_durably(folder / name, content)
    return ArchiveSegment(
        file=name,
        first=first,
        last=last,
        events=len(events),
        missing=last - first + 1 - len(events),
        bytes=len(content),
        sha256=digest,
    )


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file as a whole: it is on disk, or not there at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _to_line(recorded: RecordedEvent) -> _ArchivedEvent:
    line = _ArchivedEvent(
        sequence=recorded.sequence,
        subject=recorded.subject,
        time=recorded.time,
        type=recorded.tag,
        id=recorded.metadata.id,
        correlation=recorded.metadata.correlation,
        causation=recorded.metadata.causation,
        traceparent=recorded.metadata.traceparent,
        batch=recorded.batch,
    )
    try:
        _JSON.decode(recorded.data)
        is_line = b"\n" not in recorded.data
    except (msgspec.DecodeError, UnicodeDecodeError):
        is_line = False
    if is_line:
        line.data = msgspec.Raw(recorded.data)
    else:
        line.text = recorded.data.decode("latin-1")
    return line


def _to_recorded(line: _ArchivedEvent) -> RecordedEvent:
    return RecordedEvent(
        sequence=line.sequence,
        subject=line.subject,
        tag=line.type,
        data=bytes(line.data) or line.text.encode("latin-1"),
        metadata=EventMetadata(
            id=line.id,
            correlation=line.correlation,
            causation=line.causation,
            traceparent=line.traceparent,
        ),
        time=line.time,
        batch=line.batch,
    )
