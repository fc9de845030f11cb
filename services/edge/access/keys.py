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

FETCH_SECONDS = 5.0
FETCH_PAUSE_SECONDS = 1.0
"""Between two requests, whatever tokens come."""
MOST_BYTES = 1 << 20
LEAST_RSA_BITS = 2048
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""What of a key is read: whatever else it holds, only what everybody may know."""

logger = structlog.get_logger("edge.keys")


class BadKeys(ValueError):
    """No JWKS, or one without a key for RS256 or ES256; says why."""


class KeysAway(Exception):
    """There are no keys yet, or not the one that a token names, and they cannot be fetched now."""


class Key(msgspec.Struct, frozen=True):
    """A public key, and the one algorithm that it is for."""

    kid: str | None
    algorithm: str
    public: Any


class Keys(Protocol):
    """Where keys come from."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        """The keys that may have signed a token with that header. Raises KeysAway."""

    async def close(self) -> None: ...


def read(data: bytes) -> tuple[Key, ...]:
    """The usable keys of a JWKS; others, as for encryption, are left out. Raises BadKeys."""
    try:
        entries = msgspec.json.decode(data)["keys"]
        found = tuple(key for key in map(_key, entries) if key is not None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise BadKeys(f"no JWKS: {error!r}") from None
    if not found:
        raise BadKeys(f"none of {len(entries)} keys is for RS256 or ES256")
    return found


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "ES256" and entry.get("crv") != "P-256":
        return None
    public = {name: entry[name] for name in _PUBLIC[entry["kty"]] if name in entry}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        logger.warning("a key cannot be used", kid=_kid(entry), error=repr(error))
        return None
    if algorithm == "RS256" and key.key_size < LEAST_RSA_BITS:
        logger.warning("a key is too short", kid=_kid(entry), bits=key.key_size)
        return None
    return Key(_kid(entry), algorithm, key)


def _kid(entry: dict[str, Any]) -> str | None:
    kid = entry.get("kid")
    return kid if isinstance(kid, str) else None


def _fitting(keys: Sequence[Key], kid: str | None, algorithm: str) -> list[Key]:
    return [key for key in keys if key.algorithm == algorithm and (kid is None or key.kid == kid)]


class FileKeys:
    """Keys from a file."""

    def __init__(self, path: Path) -> None:
        """Raises BadKeys or OSError."""
        self._path = path
        self._seen = self._mark()
        self._keys = read(path.read_bytes())

    async def find(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        self._look()
        return _fitting(self._keys, kid, algorithm)

    async def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        mark = None
        try:
            mark = self._mark()
            if mark == self._seen:
                return
            self._keys = read(self._path.read_bytes())
            logger.info("read changed keys", keys=len(self._keys))
        except (OSError, BadKeys) as error:
            if mark != self._seen:
                logger.warning("keeps the old keys: the new ones cannot be read", error=str(error))
        self._seen = mark

    def _mark(self) -> tuple[int, ...] | None:
        """What changes with the file, also where a link is pointed elsewhere."""
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


class UrlKeys:
    """Keys from a URL. `fetch` gives the document; `clock` is loop time."""

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], seconds: float, clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fresh_until = 0.0
        self._next_fetch = 0.0
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        if not self._keys:
            await self._fetched()
        elif self._clock() >= self._fresh_until:
            self.fetch()
        found = _fitting(self._keys, kid, algorithm)
        if not found and self._keys:
            await self._fetched()
            found = _fitting(self._keys, kid, algorithm)
        if not found and self._failed:
            raise KeysAway("the keys of tokens cannot be fetched")
        return found

    def fetch(self) -> "asyncio.Task[None]":
        """Begin to fetch, unless that is under way."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_once())
        return self._fetching

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    async def _fetched(self) -> None:
        await asyncio.wait({self.fetch()})

    async def _fetch_once(self) -> None:
        await asyncio.sleep(max(self._next_fetch - self._clock(), 0))
        try:
            self._keys = read(await self._fetch())
            self._fresh_until = self._clock() + self._seconds
            self._failed = False
        except (httpx.HTTPError, OSError, TimeoutError, BadKeys) as error:
            if not self._failed:
                kept = len(self._keys)
                logger.warning("the keys of tokens cannot be fetched", error=repr(error), kept=kept)
            self._failed = True
        finally:
            self._next_fetch = self._clock() + FETCH_PAUSE_SECONDS


def downloader(url: str) -> Callable[[], Awaitable[bytes]]:
    """Fetches `url`, which is trusted as far as the system trusts its certificate."""
    trust = ssl.create_default_context()

    async def fetch() -> bytes:
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(verify=trust, trust_env=False) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise BadKeys(f"the answer is {response.status_code}")
            data = b""
            async for part in response.aiter_bytes():
                data += part
                if len(data) > MOST_BYTES:
                    raise BadKeys(f"more than {MOST_BYTES} bytes")
            return data

    return fetch


def keys_of(where: str, seconds: float, clock: Callable[[], float]) -> Keys:
    """The keys of the file or URL `where`. Raises BadKeys or OSError for a file."""
    if where.startswith(("https://", "http://")):
        keys = UrlKeys(downloader(where), seconds, clock)
        keys.fetch()
        return keys
    return FileKeys(Path(where))
