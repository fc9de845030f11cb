"""Credentials of a NATS connection, all from files, which are read again for every connection.

A connection authenticates with a user and a password, a token, the seed of an nkey, or a `.creds`
file (a JWT with its seed), and beside these with a client certificate. nats-py asks for each of
them whenever it connects, so a file that was replaced takes effect at the next connection.
`ConnectionAuth` answers nats-py; `FileWatch` notices that a file was replaced.
"""

import base64
import binascii
import contextlib
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import nats.errors

from tapewire.log.ports import Unavailable

MAX_FILE_BYTES = 64 << 10
"""A larger file is no password, seed or JWT."""
_SEED = re.compile(rb"\bSU[A-Z2-7]{56}\b")
_JWT = re.compile(rb"-+BEGIN NATS USER JWT-+\s+([\w.-]+)\s+-+END NATS USER JWT-+")
_SEED_BYTES = 2 + 32 + 2
"""Two bytes of prefix, the seed of an Ed25519 key, and a checksum."""
_USER_KEY_PREFIX = 20 << 3
_SERVER = re.compile(
    r"(?P<scheme>(nats|tls|ws|wss)://)?([^@/\s]*@)?"
    r"(?P<address>([\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?)/?"
)
MAX_PORT = 65535


class BadCredentials(ValueError):
    """A file of credentials, or the URL of a server, cannot be used. The message says which and
    why, and has nothing of its content."""


class CredentialsRefused(Unavailable):
    """The server knows no user with these credentials."""


class NatsCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Where the credentials of a connection are. Every field but `user` is the path of a file; an
    empty one is not used.

    `creds` has a JWT and its seed, `nkey` a seed alone. `ca` has the certificates that the server's
    certificate must come from, by default those of the system. With `ca` or `cert` the connection
    refuses a server without TLS.
    """

    user: str = ""
    password_file: str = ""
    token_file: str = ""
    nkey: str = ""
    creds: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def files(self) -> list[str]:
        """The files that are used."""
        named = (self.password_file, self.token_file, self.nkey, self.creds)
        return [name for name in (*named, self.ca, self.cert, self.key) if name]

    @property
    def requires_tls(self) -> bool:
        return bool(self.ca or self.cert)

    def secrets(self) -> list[str]:
        """What must not be printed, as far as the files can be read now."""
        found: list[str] = []
        for name in (self.password_file, self.token_file, self.nkey, self.creds):
            with contextlib.suppress(BadCredentials):
                found += _read(name).decode(errors="replace").splitlines() if name else []
        return found

    def check(self) -> None:
        """Raises BadCredentials if a file is missing or malformed, or two of them contradict each
        other."""
        ways = {"password": self.password_file, "token": self.token_file, "nkey": self.nkey,
                "creds": self.creds}  # fmt: skip
        used = [way for way, name in ways.items() if name]
        if len(used) > 1:
            raise BadCredentials(f"{' and '.join(used)} are given; a connection has one of them")
        if bool(self.user) != bool(self.password_file):
            raise BadCredentials("a user needs a password file, and a password file a user")
        if bool(self.cert) != bool(self.key):
            raise BadCredentials("a client certificate needs its key, and a key its certificate")
        ConnectionAuth(self).read_all()


class ConnectionAuth:
    """Reads the files of `credentials` whenever nats-py connects.

    Its methods raise nats.errors.Error, which nats-py takes as a failed attempt and tries again.
    """

    def __init__(self, credentials: NatsCredentials) -> None:
        self._credentials = credentials

    def options(self) -> dict[str, Any]:
        """The arguments of nats-py's `connect`."""
        given = self._credentials
        if given.password_file:
            return {"user": given.user, "password": lambda: self._attempt(self._password)}
        if given.token_file:
            return {"token": lambda: self._attempt(self._token)}
        if given.nkey:
            return {"signature_cb": lambda nonce: self._attempt(lambda: self._sign(nonce))}
        if given.creds:
            return {
                "signature_cb": lambda nonce: self._attempt(lambda: self._sign(nonce)),
                "user_jwt_cb": lambda: self._attempt(self._jwt),
            }
        return {}

    def public_nkey(self) -> str | None:
        """The public key that an nkey authenticates as; None without one."""
        name = self._credentials.nkey
        public: str | None = self._attempt(lambda: public_nkey(_find_seed(name)) if name else None)
        return public

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context of the next connection; None for nats-py's own."""
        return self._attempt(self._ssl_context) if self._credentials.requires_tls else None

    def read_all(self) -> None:
        """Raises BadCredentials if something cannot be read."""
        given = self._credentials
        if given.password_file:
            self._password()
        if given.token_file:
            self._token()
        if given.nkey or given.creds:
            self._sign("nonce")
        if given.creds:
            self._jwt()
        if given.requires_tls:
            self._ssl_context()

    def _attempt(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except BadCredentials as error:
            raise nats.errors.Error(f"nats: {error}") from error

    def _password(self) -> str:
        return _read_line(self._credentials.password_file)

    def _token(self) -> str:
        return _read_line(self._credentials.token_file)

    def _jwt(self) -> bytes:
        name = self._credentials.creds
        found = _JWT.search(_read(name))
        if found is None:
            raise BadCredentials(f"{name!r} has no NATS USER JWT")
        return found.group(1)

    def _sign(self, nonce: str) -> bytes:
        seed = _find_seed(self._credentials.nkey or self._credentials.creds)
        return base64.b64encode(_private_key(seed).sign(nonce.encode()))

    def _ssl_context(self) -> ssl.SSLContext:
        given = self._credentials
        try:
            context = ssl.create_default_context(cafile=given.ca or None)
            if given.cert:
                context.load_cert_chain(given.cert, given.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            names = ", ".join(repr(name) for name in (given.ca, given.cert, given.key) if name)
            raise BadCredentials(f"{names} cannot be used for TLS: {_reason(error)}") from None
        return context


class FileWatch:
    """Notices that one of `files` was replaced or changed."""

    def __init__(self, files: list[str]) -> None:
        self._files = files
        self._state = self._stat_all()

    def has_changed(self) -> bool:
        """Whether a file is another one than when `accept` was called last. A file that is away
        for the moment has not changed."""
        now = self._stat_all()
        return any(new not in (None, old) for old, new in zip(self._state, now, strict=True))

    def accept(self) -> None:
        """Regard the files as they are now as known."""
        self._state = self._stat_all()

    def _stat_all(self) -> list[tuple[int, int, int] | None]:
        return [*map(_stat, self._files)]


def _stat(name: str) -> tuple[int, int, int] | None:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def public_nkey(seed: bytes) -> str:
    """The public key of a user's `seed`, as NATS writes it: ``U`` and 55 characters."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = _private_key(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = bytes([_USER_KEY_PREFIX]) + raw
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


def _private_key(seed: bytes) -> Any:
    """The Ed25519 key of an encoded `seed` (NATS ADR-14). Raises BadCredentials."""
    # Imported here: only connections with a key need it, and a script's client has few imports.
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise BadCredentials("nkeys and creds need the package cryptography") from None

    raw = base64.b32decode(seed + b"=" * (-len(seed) % 8))
    if len(raw) != _SEED_BYTES or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise BadCredentials("the nkey seed has a wrong checksum: is it complete?")
    return Ed25519PrivateKey.from_private_bytes(raw[2:-2])


def _find_seed(name: str) -> bytes:
    found = _SEED.search(_read(name))
    if found is None:
        raise BadCredentials(f"{name!r} has no seed of a user's nkey (SU…)")
    return found.group()


def _read(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadCredentials(f"{name!r} cannot be read: {_reason(error)}") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadCredentials(f"{name!r} has more than {MAX_FILE_BYTES} bytes")
    return content


def _read_line(name: str) -> str:
    """The content of a file without the end of its line, which editors add."""
    try:
        text = _read(name).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadCredentials(f"{name!r} is not UTF-8") from None
    if not text or "\n" in text:
        raise BadCredentials(f"{name!r} must have one line, which is the secret")
    return text


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def split_servers(urls: str) -> list[str]:
    """The servers of `urls`, a comma-separated list.

    Raises:
        BadCredentials: one is malformed. nats-py's own error would quote parts of a password.
    """
    servers = [part.strip() for part in urls.split(",")]
    for number, server in enumerate(servers, 1):
        found = _SERVER.fullmatch(server)
        if found is None or int(found["port"] or 1) not in range(1, MAX_PORT + 1):
            which = f"server {number} of {len(servers)}" if len(servers) > 1 else "the server"
            raise BadCredentials(
                f"{which} is no URL of NATS, such as nats://127.0.0.1:4222; user and password "
                "may have no characters that a URL would encode: give them in a file instead"
            )
    return servers


def without_credentials(urls: str) -> str:
    """`urls` without users, passwords and tokens, to be printed."""
    return ",".join(
        f"{found['scheme'] or ''}{found['address']}" if found is not None else "(malformed)"
        for found in (_SERVER.fullmatch(part.strip()) for part in urls.split(","))
    )


def describe_failure(urls: str, cause: Exception) -> Unavailable:
    """The error of a connection to `urls` that could not be made because of `cause`."""
    address = without_credentials(urls)
    # nats-py has a class of its own for this, and does not use it during a handshake.
    if "authorization" in str(cause).lower():
        return CredentialsRefused(f"the NATS server at {address} refuses the credentials ({cause})")
    return Unavailable(f"no NATS server answers at {address}: {cause!r}")
