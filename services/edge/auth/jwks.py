"""Public keys that verify JWTs: a JWKS in a file or at a URL.

A file is read again when it changes. A URL is fetched again in the background when its keys are
older than TAPEWIRE_JWT_JWKS_SECONDS, and at once when a token names an unknown key: one request for
all waiting tokens, and at most one a second. When reading or fetching fails, the old keys stay in
use. Start reading at `KeySource`.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import jwt
import msgspec
import structlog

FETCH_TIMEOUT_SECONDS = 5.0
MIN_FETCH_INTERVAL_SECONDS = 1.0
"""Between two requests, whatever tokens arrive."""
MAX_JWKS_BYTES = 1 << 20
MIN_RSA_BITS = 2048
_PUBLIC_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""The members of a key that are read: public ones only; others are ignored."""

logger = structlog.get_logger("edge.keys")


class InvalidJwks(ValueError):
    """The document is not a JWKS, or has no key for RS256 or ES256; the message says why."""


class VerificationKeysUnavailable(Exception):
    """The key of a token is not known, and keys cannot be fetched now."""


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key and its one algorithm."""

    kid: str | None
    algorithm: str
    material: Any


class KeySource(Protocol):
    """A source of verification keys."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with `kid` and `algorithm` in its header.

        Raises:
            VerificationKeysUnavailable: the key is unknown, and cannot be fetched now.
        """

    async def close(self) -> None: ...


def parse_jwks(data: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWKS, without those for encryption. Raises InvalidJwks."""
    try:
        entries = msgspec.json.decode(data)["keys"]
        found = tuple(key for key in map(_parse_key, entries) if key is not None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise InvalidJwks(f"no JWKS: {error!r}") from None
    if not found:
        raise InvalidJwks(f"none of {len(entries)} keys is for RS256 or ES256")
    return found


def _parse_key(entry: Any) -> VerificationKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "ES256" and entry.get("crv") != "P-256":
        return None
    public = {name: entry[name] for name in _PUBLIC_MEMBERS[entry["kty"]] if name in entry}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        logger.warning("jwks.key_invalid", kid=_key_id(entry), error=repr(error))
        return None
    if algorithm == "RS256" and key.key_size < MIN_RSA_BITS:
        logger.warning("jwks.key_too_short", kid=_key_id(entry), bits=key.key_size)
        return None
    return VerificationKey(_key_id(entry), algorithm, key)


def _key_id(entry: dict[str, Any]) -> str | None:
    kid = entry.get("kid")
    return kid if isinstance(kid, str) else None


def _matching_keys(
    keys: Sequence[VerificationKey], kid: str | None, algorithm: str
) -> list[VerificationKey]:
    return [key for key in keys if key.algorithm == algorithm and (kid is None or key.kid == kid)]


class FileKeySource:
    """Keys from a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidJwks or OSError."""
        self._path = path
        self._loaded_version = self._file_version()
        self._keys = parse_jwks(path.read_bytes())

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        self._reload_if_changed()
        return _matching_keys(self._keys, kid, algorithm)

    async def close(self) -> None:
        """Do nothing: a file source holds no resources."""

    def _reload_if_changed(self) -> None:
        version = None
        try:
            version = self._file_version()
            if version == self._loaded_version:
                return
            self._keys = parse_jwks(self._path.read_bytes())
            logger.info("jwks.reloaded", keys=len(self._keys))
        except (OSError, InvalidJwks) as error:
            if version != self._loaded_version:
                logger.warning("jwks.reload_failed", error=str(error))
        self._loaded_version = version

    def _file_version(self) -> tuple[int, ...] | None:
        """Changes whenever the file does, or a symbolic link points to another one."""
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


class UrlKeySource:
    """Keys from a URL. `download` returns the document; `clock` is a monotonic time in seconds."""

    def __init__(
        self,
        download: Callable[[], Awaitable[bytes]],
        max_age_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._download = download
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._fresh_until = 0.0
        self._next_fetch_at = 0.0
        self._has_fetch_failed = False
        self._fetch_task: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        if not self._keys:
            await self._wait_for_fetch()
        elif self._clock() >= self._fresh_until:
            self.start_fetch()
        found = _matching_keys(self._keys, kid, algorithm)
        if not found and self._keys:
            await self._wait_for_fetch()
            found = _matching_keys(self._keys, kid, algorithm)
        if not found and self._has_fetch_failed:
            raise VerificationKeysUnavailable("the keys of tokens cannot be fetched")
        return found

    def start_fetch(self) -> "asyncio.Task[None]":
        """Start to fetch the keys, unless a fetch is running."""
        if self._fetch_task is None or self._fetch_task.done():
            self._fetch_task = asyncio.create_task(self._fetch_once())
        return self._fetch_task

    async def close(self) -> None:
        if self._fetch_task is not None:
            self._fetch_task.cancel()
            await asyncio.wait({self._fetch_task})

    async def _wait_for_fetch(self) -> None:
        await asyncio.wait({self.start_fetch()})

    async def _fetch_once(self) -> None:
        await asyncio.sleep(max(self._next_fetch_at - self._clock(), 0))
        try:
            self._keys = parse_jwks(await self._download())
            self._fresh_until = self._clock() + self._max_age_seconds
            self._has_fetch_failed = False
        except (httpx.HTTPError, OSError, TimeoutError, InvalidJwks) as error:
            if not self._has_fetch_failed:
                logger.warning("jwks.fetch_failed", error=repr(error), kept_keys=len(self._keys))
            self._has_fetch_failed = True
        finally:
            self._next_fetch_at = self._clock() + MIN_FETCH_INTERVAL_SECONDS


def jwks_downloader(url: str) -> Callable[[], Awaitable[bytes]]:
    """A function that downloads `url`, with the system's certificate authorities."""
    ssl_context = ssl.create_default_context()

    async def download() -> bytes:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_SECONDS),
            httpx.AsyncClient(verify=ssl_context, trust_env=False) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise InvalidJwks(f"the answer is {response.status_code}")
            data = b""
            async for part in response.aiter_bytes():
                data += part
                if len(data) > MAX_JWKS_BYTES:
                    raise InvalidJwks(f"more than {MAX_JWKS_BYTES} bytes")
            return data

    return download


def open_key_source(location: str, max_age_seconds: float, clock: Callable[[], float]) -> KeySource:
    """The keys of the file or URL `location`. Raises InvalidJwks or OSError for a file."""
    if location.startswith(("https://", "http://")):
        keys = UrlKeySource(jwks_downloader(location), max_age_seconds, clock)
        keys.start_fetch()
        return keys
    return FileKeySource(Path(location))
