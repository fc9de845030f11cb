"""The public keys that JWTs are signed with: a JWKS in a file, or behind a URL.

A file is read again when it changed. A URL is asked again when its keys are older than
TAPEWIRE_JWT_JWKS_SECONDS, in the background, and at once when a token names a key that is not
among them: by one request for all who wait, and not more than one a second. Keys that cannot be
read or fetched leave the old ones in place. Start at `Keys`.
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
"""Between two requests, whatever tokens come."""
MAX_JWKS_BYTES = 1 << 20
MIN_RSA_BITS = 2048
_PUBLIC_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""What of a key is read: whatever else it holds, only what everybody may know."""

logger = structlog.get_logger("edge.keys")


class InvalidJwks(ValueError):
    """No JWKS, or one without a key for RS256 or ES256; says why."""


class VerificationKeysUnavailable(Exception):
    """There are no keys yet, or not the one that a token names, and they cannot be fetched now."""


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key, and the one algorithm that it is for."""

    kid: str | None
    algorithm: str
    material: Any


class KeySource(Protocol):
    """Where keys come from."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with that header. Raises KeysAway."""

    async def close(self) -> None: ...


def parse_jwks(data: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWKS; others, as for encryption, are left out. Raises BadKeys."""
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
        logger.warning("a key cannot be used", kid=_key_id(entry), error=repr(error))
        return None
    if algorithm == "RS256" and key.key_size < MIN_RSA_BITS:
        logger.warning("a key is too short", kid=_key_id(entry), bits=key.key_size)
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
    """Keys from a file."""

    def __init__(self, path: Path) -> None:
        """Raises BadKeys or OSError."""
        self._path = path
        self._loaded_version = self._file_version()
        self._keys = parse_jwks(path.read_bytes())

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        self._reload_if_changed()
        return _matching_keys(self._keys, kid, algorithm)

    async def close(self) -> None:
        """Nothing is held."""

    def _reload_if_changed(self) -> None:
        mark = None
        try:
            mark = self._file_version()
            if mark == self._loaded_version:
                return
            self._keys = parse_jwks(self._path.read_bytes())
            logger.info("read changed keys", keys=len(self._keys))
        except (OSError, InvalidJwks) as error:
            if mark != self._loaded_version:
                logger.warning("keeps the old keys: the new ones cannot be read", error=str(error))
        self._loaded_version = mark

    def _file_version(self) -> tuple[int, ...] | None:
        """What changes with the file, also where a link is pointed elsewhere."""
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


class UrlKeySource:
    """Keys from a URL. `fetch` gives the document; `clock` is loop time."""

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
        """Begin to fetch, unless that is under way."""
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
                kept = len(self._keys)
                logger.warning("the keys of tokens cannot be fetched", error=repr(error), kept=kept)
            self._has_fetch_failed = True
        finally:
            self._next_fetch_at = self._clock() + MIN_FETCH_INTERVAL_SECONDS


def jwks_downloader(url: str) -> Callable[[], Awaitable[bytes]]:
    """Fetches `url`, which is trusted as far as the system trusts its certificate."""
    trust = ssl.create_default_context()

    async def fetch() -> bytes:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_SECONDS),
            httpx.AsyncClient(verify=trust, trust_env=False) as client,
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

    return fetch


def open_key_source(location: str, max_age_seconds: float, clock: Callable[[], float]) -> KeySource:
    """The keys of the file or URL `where`. Raises BadKeys or OSError for a file."""
    if location.startswith(("https://", "http://")):
        keys = UrlKeySource(jwks_downloader(location), max_age_seconds, clock)
        keys.start_fetch()
        return keys
    return FileKeySource(Path(location))
