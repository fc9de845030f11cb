"""Headers of NATS messages: what they say, what they take, and how they are read quickly.

nats-py looks at each letter of each header's name to see that it is no space. Messages of a page
have ten headers each with the same few names, and that look costs 5 µs a message; `QuickClient`
looks at a name once.
"""

from nats.aio.client import Client
from nats.aio.msg import Msg


def status_code(message: Msg) -> str:
    """The status of a control message, empty for an ordinary one."""
    return (message.headers or {}).get("Status", "")


def encoded_size(headers: dict[str, str] | None) -> int:
    """What `headers` take on the wire: a first line, ``name: value`` lines, an empty line."""
    if headers is None:
        return 0
    return 12 + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())


MAX_CACHED_NAMES = 256
"""Names of headers that are remembered; beyond, each is looked at each time."""
_cached_names: dict[bytes, str | None] = {}


class FastHeaderClient(Client):
    """A client whose headers are what nats-py makes of them, sooner. It overrides a method that
    nats-py keeps to itself: were that renamed, only the speed would be lost, and a test tells."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                continue
            known = _cached_names[name] if name in _cached_names else _decode_name(name)
            if known is not None:
                found[known] = value.strip().decode("utf-8", "replace")
        return found


def _decode_name(raw: bytes) -> str | None:
    """The name; None for one that is none, whose header is passed over."""
    try:
        name: str | None = raw.strip().decode("ascii")
    except UnicodeDecodeError:
        name = None
    if name is not None and any(letter.isspace() for letter in name):
        name = None
    if len(_cached_names) < MAX_CACHED_NAMES:
        _cached_names[raw] = name
    return name
