"""The files of a backup, and the manifest that names them with their digests.

The manifest is written last, so a folder without one holds no backup, and a backup that was
interrupted is simply made again. Start at `create_folder` and `open_backup`.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from tapewire.log.jetstream.journal_record import IncarnationRecord

MANIFEST = "manifest.json"
FORMAT = 1
READ_BYTES = 1 << 20
_FILE_NAMES = ("EVENTS.snapshot", "VIEWS.values", "PARKED.values", "manifest.json.new", MANIFEST)


class BadBackup(Exception):
    """The folder cannot be used; the message names it and what is wrong."""


class FileDigest(msgspec.Struct, frozen=True, rename="camel"):
    """What a file of a backup must be."""

    bytes: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup. `epochs` are those of the journal, each with the last sequence that the backup has
    of it; the last one was current. `config` is that of EVENTS, `record` says what was removed from
    the journal on purpose."""

    format: int = FORMAT
    id: str
    created_at: datetime
    epochs: tuple[tuple[str, int], ...]
    first: int
    last: int
    events: int
    config: dict[str, Any]
    record: IncarnationRecord | None
    files: dict[str, FileDigest]


class DigestingFile:
    """A file that is being written, with its size and digest so far."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write `data`; its length, as file objects do."""
        self._digest.update(data)
        self.size += len(data)
        return self._stream.write(data)

    def digest(self) -> FileDigest:
        """The digest of what was written."""
        return FileDigest(self.size, self._digest.hexdigest())


class BackupFolder:
    """A folder that a backup is written to, or read from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, FileDigest] = {}

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[DigestingFile]:
        """Write one file; it is on disk, and in `files`, when the block ends without an error."""
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            file = DigestingFile(stream)
            yield file
            stream.flush()
            os.fsync(stream.fileno())
        self.files[name] = file.digest()

    def complete(self, manifest: BackupManifest) -> None:
        """Write the manifest, which makes the folder a backup."""
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        with self.write(f"{MANIFEST}.new") as file:
            file.write(data + b"\n")
        (self.path / f"{MANIFEST}.new").replace(self.path / MANIFEST)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, name: str) -> Iterator[bytes]:
        """The content of a file, chunk by chunk. Raises BadBackup."""
        try:
            with (self.path / name).open("rb") as stream:
                while data := stream.read(READ_BYTES):
                    yield data
        except OSError as error:
            raise BadBackup(f"{self.path / name} cannot be read: {error.strerror}") from error


def create_folder(path: Path) -> BackupFolder:
    """The folder `path` for a new backup: made, or empty, or with one that was interrupted.

    Raises:
        BadBackup: it holds a backup or other files, or cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise BadBackup(f"{path} cannot be used: {error.strerror}") from error
    if MANIFEST in found:
        raise BadBackup(f"{path} holds a backup already: name another folder")
    others = [name for name in found if name not in _FILE_NAMES]
    if others:
        raise BadBackup(f"{path} holds other files, such as {others[0]}: name an empty folder")
    return BackupFolder(path)


def open_backup(path: Path) -> tuple[BackupFolder, BackupManifest]:
    """The backup in `path`, after every file was compared with its digest.

    Raises:
        BadBackup: there is none, it is of another version, or a file is missing or was changed.
    """
    folder = BackupFolder(path)
    if not (path / MANIFEST).exists():
        what = "an interrupted backup" if (path / _FILE_NAMES[0]).exists() else "no backup"
        raise BadBackup(f"{path} holds {what}: there is no {MANIFEST}")
    data = b"".join(folder.read(MANIFEST))
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        if version != FORMAT:
            raise BadBackup(f"{path / MANIFEST}: format {version}, this version reads {FORMAT}")
        manifest = msgspec.json.decode(data, type=BackupManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBackup(f"{path / MANIFEST} is damaged: {error}") from error
    for name, expected in manifest.files.items():
        if name not in _FILE_NAMES:
            raise BadBackup(f"{path / MANIFEST} names a file that no backup has: {name!r}")
        _compare(folder, name, expected)
    folder.files = dict(manifest.files)
    return folder, manifest


def _compare(folder: BackupFolder, name: str, expected: FileDigest) -> None:
    digest, size = hashlib.sha256(), 0
    for data in folder.read(name):
        digest.update(data)
        size += len(data)
    found = FileDigest(size, digest.hexdigest())
    if found.bytes != expected.bytes:
        raise BadBackup(f"{folder.path / name} has {found.bytes} bytes instead of {expected.bytes}")
    if found != expected:
        raise BadBackup(f"{folder.path / name} was changed: its SHA-256 digest differs")
