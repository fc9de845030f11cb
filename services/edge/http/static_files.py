"""Serves the files of a folder: with their types, an `ETag`, and gzip for text.

A file is read and compressed once, and again after it was changed. Streams are compressed
elsewhere (`delivery.compression`). Start reading at `StaticFolder.respond`.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response
from litestar.exceptions import NotFoundException

from tapewire_services.edge.delivery.compression import accepts_gzip

MIN_COMPRESSED_BYTES = 1024
"""Smaller files are sent as they are."""
COMPRESSION_LEVEL = 9

_TEXT_TYPES = {  # Litestar adds the charset to text
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
_BINARY_TYPES = {
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
DEFAULT_TYPE = "application/octet-stream"

_VALID_PATH = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""No segment begins with a dot: neither hidden files nor folders above are served."""
MAX_PATH_CHARACTERS = 200


class _Version(NamedTuple):
    """By what a changed file is noticed."""

    modified_ns: int
    byte_count: int


class _LoadedFile(NamedTuple):
    """A file as it is sent. `compressed` is None for a file that is sent as it is."""

    version: _Version
    content_type: str
    etag: str
    content: bytes
    compressed: bytes | None


class StaticFolder:
    """The files of `folder`, which may be absent, and may change. Responses have `headers`."""

    def __init__(self, folder: Path, headers: Mapping[str, str]) -> None:
        self._folder = folder
        self._headers = dict(headers)
        self._loaded: dict[str, _LoadedFile] = {}

    def has_file(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        return bool(_VALID_PATH.fullmatch(path)) and (self._folder / path).is_file()

    async def respond(self, request: Request[Any, Any, Any], path: str) -> Response[bytes]:
        """The response to GET or HEAD of the file at `path`, relative to the folder.

        Raises:
            NotFoundException: there is no such file.
        """
        file = await self._load(path)
        is_compressed = file.compressed is not None and accepts_gzip(
            request.headers.getall("accept-encoding", [])
        )
        etag = f'"{file.etag}-gzip"' if is_compressed else f'"{file.etag}"'
        headers = {**self._headers, "ETag": etag}
        if file.compressed is not None:
            headers["Vary"] = "Accept-Encoding"
        if _matches(etag, request.headers.getall("if-none-match", [])):
            return Response(b"", status_code=304, headers=headers, media_type=file.content_type)
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        content = file.compressed if is_compressed else file.content
        return Response(content or b"", headers=headers, media_type=file.content_type)

    async def _load(self, path: str) -> _LoadedFile:
        """The file, read anew if it was changed. Raises NotFoundException."""
        if len(path) > MAX_PATH_CHARACTERS or not _VALID_PATH.fullmatch(path):
            raise NotFoundException
        file = self._folder / path
        try:
            status = file.stat()
            version = _Version(status.st_mtime_ns, status.st_size)
            loaded = self._loaded.get(path)
            if loaded is None or loaded.version != version:
                loaded = await asyncio.to_thread(_read, file, version)
                self._loaded[path] = loaded
        except OSError as error:
            self._loaded.pop(path, None)
            raise NotFoundException from error
        return loaded


def _read(file: Path, version: _Version) -> _LoadedFile:
    """Raises OSError."""
    content = file.read_bytes()
    suffix = file.suffix.lower()
    text_type = _TEXT_TYPES.get(suffix)
    compressed = None
    if text_type is not None and len(content) > MIN_COMPRESSED_BYTES:
        compressed = gzip.compress(content, COMPRESSION_LEVEL, mtime=0)
    return _LoadedFile(
        version,
        text_type or _BINARY_TYPES.get(suffix, DEFAULT_TYPE),
        hashlib.blake2b(content, digest_size=12).hexdigest(),
        content,
        compressed,
    )


def _matches(etag: str, header_values: Iterable[str]) -> bool:
    """Whether an `If-None-Match` names `etag` (RFC 9110, 13.1.2)."""
    named = {one.strip().removeprefix("W/") for one in ",".join(header_values).split(",")}
    return etag in named or "*" in named
