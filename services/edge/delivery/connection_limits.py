"""How long a connection may take for what it does, and what it can be late with."""

import enum

import msgspec


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds: the end after `close`, a write, a stream without any
    write, and a stream that is idle. A steady heartbeat is sent every `heartbeat_seconds`. A stream
    with prices is never silent for longer than `prices_keepalive_seconds`."""

    close_seconds: float
    write_seconds: float
    quiet_seconds: float
    keepalive_seconds: float
    heartbeat_seconds: float
    prices_keepalive_seconds: float


class Overdue(enum.Enum):
    """What a connection is late with; see `Connection.find_overdue`."""

    END = "end"
    WRITE = "write"
    QUIET = "quiet"
    SESSION = "session"
    HEARTBEAT = "heartbeat"
    CHECKPOINT = "checkpoint"
    PRICES = "prices"
