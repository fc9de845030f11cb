"""The private parts of nats-py that the log touches, and the reason for each.

`CompatClient` is nats-py's client with two private methods replaced. Before raising
`NATS_PY_BELOW`, run tests/unit/log/test_compat.py and tests/contract against the new version.
`status_code` and `encoded_size` work around what nats-py does not offer for headers.
"""

from nats.aio.client import Client
from nats.aio.msg import Msg

NATS_PY_BELOW = "2.17"
"""The first version of nats-py that this module was not checked against; pyproject.toml has the
same bound."""
MAX_CACHED_NAMES = 256
"""Header names that are cached; names beyond that are checked every time."""

_HEADER_OVERHEAD_BYTES = len(b"NATS/1.0\r\n") + len(b"\r\n")
_LINE_OVERHEAD_BYTES = len(b": ") + len(b"\r\n")

_cached_names: dict[bytes, str | None] = {}


class CompatClient(Client):
    """nats-py's client with a tolerant PONG handler and a faster header parser."""

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
