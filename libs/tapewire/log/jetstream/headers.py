"""Headers of NATS messages: what they say, and what they take."""

from nats.aio.msg import Msg


def status(message: Msg) -> str:
    """The status of a control message, empty for an ordinary one."""
    return (message.headers or {}).get("Status", "")


def size(headers: dict[str, str] | None) -> int:
    """What `headers` take on the wire: a first line, ``name: value`` lines, an empty line."""
    if headers is None:
        return 0
    return 12 + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())
