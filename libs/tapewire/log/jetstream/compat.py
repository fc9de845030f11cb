"""The private parts of nats-py that the log touches, and the reason for each.

`CompatClient` is nats-py's client with some private methods replaced. Before raising
`NATS_PY_BELOW`, run tests/unit/log/test_compat.py and tests/contract against the new version.
`status_code` and `encoded_size` work around what nats-py does not offer for headers.
"""

import re
import ssl
from typing import Any

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

from tapewire.log.jetstream.credentials import ConnectionAuth, NatsCredentials

NATS_PY_BELOW = "2.17"
"""The first version of nats-py that this module was not checked against; pyproject.toml has the
same bound."""
MAX_CACHED_NAMES = 256
"""Header names that are cached; names beyond that are checked every time."""

_HEADER_OVERHEAD_BYTES = len(b"NATS/1.0\r\n") + len(b"\r\n")
_LINE_OVERHEAD_BYTES = len(b": ") + len(b"\r\n")

_cached_names: dict[bytes, str | None] = {}


_PERMISSIONS_VIOLATION = re.compile(r'permissions violation for publish to "([^"]+)"', re.I)
_AUTHORIZATION_ENDED = ("authorization violation", "authentication expired",
                        "authentication revoked", "account authentication")  # fmt: skip
"""The beginnings and parts of the server's errors after which it closes the connection, because the
credentials that the client connected with are not valid any more."""


class ConnectionLost(ConnectionResetError, RuntimeError):
    """The server has closed the connection, which nats-py's read loop is about to notice. nats-py
    handles the one kind where it sends commands, and the other where it sends pings."""


class CompatTransport(TcpTransport):
    """nats-py's transport, with an OSError where uvloop reports that the connection is closed: it
    raises a RuntimeError, which nats-py takes for the end of the event loop."""

    def __bool__(self) -> bool:
        """nats-py makes a transport of its own in place of one that is false, which its transports
        are before they first connect."""
        return True

    def write(self, payload: bytes) -> None:
        """Raises ConnectionLost."""
        try:
            super().write(payload)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ConnectionLost(str(error)) from error

    def writelines(self, payload: list[bytes]) -> None:
        """Raises ConnectionLost."""
        try:
            super().writelines(payload)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ConnectionLost(str(error)) from error


class CompatClient(Client):
    """nats-py's client with a tolerant PONG handler, a faster header parser, a reconnect that
    does not wait for the lost server, and credentials that may change."""

    def __init__(self, credentials: NatsCredentials | None = None) -> None:
        super().__init__()
        self._credentials = credentials or NatsCredentials()
        self._auth = ConnectionAuth(self._credentials)

    def auth_options(self) -> dict[str, Any]:
        """The arguments of `connect` for the client's credentials."""
        return self._auth.options()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """A new context for each connection, so that replaced certificates are used."""
        return self._auth.ssl_context() or super().ssl_context

    def _connect_command(self) -> bytes:
        """Refuse to send credentials in plain text where TLS is required; nats-py uses TLS only
        if the server asks for it, which somebody between the two could prevent."""
        server = self._current_server
        wants_tls = self._credentials.requires_tls or (
            server is not None and server.uri.scheme in ("tls", "wss")
        )
        if wants_tls and not self._server_info.get("tls_required"):
            raise nats.errors.Error("nats: the server offers no TLS, which is required here")
        self._public_nkey = self._auth.public_nkey()
        return super()._connect_command()

    async def _process_err(self, err_msg: str) -> None:
        """Connect again when the server ends the connection because credentials were replaced.
        nats-py would close for good."""
        text = err_msg.lower()
        if any(part in text for part in _AUTHORIZATION_ENDED):
            await self._process_op_err(nats.errors.AuthorizationError())
            return
        await super()._process_err(err_msg)

    async def pause_deliveries(self) -> None:
        """Have the server send nothing more to the client's subscriptions, which stay registered:
        the next connection subscribes them again. Messages that were sent already still arrive."""
        for sid in tuple(self._subs):
            await self._send_unsubscribe(sid)
        await self.flush()
        for sub in tuple(self._subs.values()):
            await sub._pending_queue.join()  # noqa: SLF001

    async def _attempt_reconnect(self) -> None:
        """Drop what is unsent before the reconnect.

        nats-py closes the old connection and waits until everything was sent. A server that is
        suspended never takes it.
        """
        self._abort_connection()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Srv) -> None:
        """Close the connection of a failed attempt to reconnect, which nats-py leaves open."""
        self._abort_connection()
        if self._transport is None and s.uri.scheme not in ("ws", "wss"):
            self._transport = CompatTransport()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    def _abort_connection(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_pong(self) -> None:
        """Ignore a PONG that no flush waits for any more.

        nats-py hands each PONG to the caller that sent the PING. If that caller timed out, nats-py
        sets the result of a cancelled future, and the error ends the connection's read loop for
        good. With this method a client may be flushed and drained under a time-out.
        """
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pongs_received += 1
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """The headers that nats-py would return, without checking each name letter by letter.

        A message of a page has ten headers with the same few names. nats-py's check of the names
        takes 5 µs a message; a cache of checked names avoids it.
        """
        found: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                continue
            decoded = _cached_names[name] if name in _cached_names else _decode_name(name)
            if decoded is not None:
                found[decoded] = value.strip().decode("utf-8", "replace")
        return found


def _decode_name(raw: bytes) -> str | None:
    """The header's name; None if it is invalid, in which case the header is skipped."""
    try:
        name: str | None = raw.strip().decode("ascii")
    except UnicodeDecodeError:
        name = None
    if name is not None and any(letter.isspace() for letter in name):
        name = None
    if len(_cached_names) < MAX_CACHED_NAMES:
        _cached_names[raw] = name
    return name


def refused_subject(error: Exception) -> str:
    """The subject, in lower case as nats-py reports it, that the server does not permit the client
    to publish to; empty for any other error."""
    found = _PERMISSIONS_VIOLATION.search(str(error))
    return found.group(1) if found is not None else ""


def status_code(message: Msg) -> str:
    """The status of a control message; empty for an ordinary message."""
    return (message.headers or {}).get("Status", "")


def encoded_size(headers: dict[str, str] | None) -> int:
    """The bytes that `headers` take on the wire. nats-py counts the payload alone."""
    if headers is None:
        return 0
    return _HEADER_OVERHEAD_BYTES + sum(
        len(name) + len(value.encode()) + _LINE_OVERHEAD_BYTES for name, value in headers.items()
    )
